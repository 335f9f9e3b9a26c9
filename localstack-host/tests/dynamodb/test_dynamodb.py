"""DynamoDB, its streams and Time to Live, and the token of transactions."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance, create_table, put, stream_arn, unique, wait_until
from localstack_host.dynamodb.transaction_tokens import OtherParameters, Tokens


def iterator(localstack: Instance, arn: str, kind: str = "TRIM_HORIZON", **where: str) -> str:
    streams = localstack.client("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    found: str = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **where)[
        "ShardIterator"
    ]
    return found


def records(localstack: Instance, table: str, at: str = "") -> list[dict[str, Any]]:
    at = at or iterator(localstack, stream_arn(localstack, table))
    found: list[dict[str, Any]] = localstack.client("dynamodbstreams").get_records(ShardIterator=at)["Records"]
    return found


def events(localstack: Instance, table: str) -> list[tuple[str, str]]:
    """Event names and keys."""
    return [(record["eventName"], record["dynamodb"]["Keys"]["id"]["S"]) for record in records(localstack, table)]


def put_of(table: str, key: str, **settings: Any) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": {"id": {"S": key}}} | settings}


def increment_of(table: str, key: str) -> dict[str, Any]:
    return {
        "TableName": table,
        "Key": {"id": {"S": key}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }


def item(localstack: Instance, table: str, key: str) -> dict[str, Any] | None:
    answer: dict[str, dict[str, Any]] = localstack.client("dynamodb").get_item(TableName=table, Key={"id": {"S": key}})
    return answer.get("Item")


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", set()),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
    ],
)
def test_the_view_type_names_the_images(localstack: Instance, view: str, images: set[str]) -> None:
    table = create_table(localstack, view)
    put(localstack, table, "a", v="1")
    put(localstack, table, "a", v="2")

    _, changed = records(localstack, table)

    assert changed["eventName"] == "MODIFY"
    assert {name for name in changed["dynamodb"] if name.endswith("Image")} == images


def test_a_record_has_the_fields_and_sizes_of_aws(localstack: Instance) -> None:
    table = create_table(localstack)
    put(localstack, table, "id_value", id2="id2_value")
    number = {"id": {"S": "id_value_1"}, "numericFilter": {"N": "42"}}
    localstack.client("dynamodb").put_item(TableName=table, Item=number)
    binary = {"id": {"S": "b"}, "data": {"B": b"\x00\xff"}, "more": {"M": {"in": {"BS": [b"x"]}}}}
    localstack.client("dynamodb").put_item(TableName=table, Item=binary)

    first, second, third = records(localstack, table)

    assert first.keys() == {"eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb"}
    assert first["dynamodb"].keys() == {
        "ApproximateCreationDateTime",
        "Keys",
        "NewImage",
        "SequenceNumber",
        "SizeBytes",
        "StreamViewType",
    }
    assert (first["dynamodb"]["SizeBytes"], second["dynamodb"]["SizeBytes"]) == (32, 39)
    assert first["dynamodb"]["ApproximateCreationDateTime"].microsecond == 0
    assert third["dynamodb"]["NewImage"] == binary
    assert 21 <= len(first["dynamodb"]["SequenceNumber"]) <= 40


@pytest.mark.parametrize(
    "value", [{"B": b"z"}, {"L": [{"B": b"z"}]}, {"M": {"in": {"B": b"z"}}}, {"L": [{"BS": [b"z"]}]}]
)
def test_a_record_has_binary_values_however_deep_they_are(localstack: Instance, value: dict[str, Any]) -> None:
    """The write succeeds at the first try: an error would have boto3 try again, and the second time nothing changes."""
    table = create_table(localstack)
    item = {"id": {"S": "b"}, "data": value}

    localstack.client("dynamodb").put_item(TableName=table, Item=item)

    (record,) = records(localstack, table)
    assert record["dynamodb"]["NewImage"] == item


def test_only_writes_that_change_something_leave_a_record(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table = create_table(localstack)
    put(localstack, table, "b")

    put(localstack, table, "b")
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(
            TransactItems=[
                put_of(table, "rolled back"),
                {"Update": increment_of(table, "b")},
                put_of(table, "c", ConditionExpression="attribute_exists(id)"),
            ]
        )
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as failed:
        client.put_item(
            TableName=table,
            Item={"id": {"S": "b"}},
            ConditionExpression="attribute_not_exists(id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    client.update_item(**increment_of(table, "upsert"))
    client.delete_item(TableName=table, Key={"id": {"S": "nobody"}})
    client.transact_write_items(
        TransactItems=[
            {"Delete": {"TableName": table, "Key": {"id": {"S": "b"}}}},
            {"Update": increment_of(table, "upsert")},
        ]
    )

    codes = [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]]
    assert codes == ["None", "None", "ConditionalCheckFailed"]
    assert failed.value.response["Item"] == {"id": {"S": "b"}}
    assert events(localstack, table) == [
        ("INSERT", "b"),
        ("INSERT", "upsert"),
        ("REMOVE", "b"),
        ("MODIFY", "upsert"),
    ]


def test_what_fails_half_way_has_written_nothing(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table = create_table(localstack)

    with pytest.raises(ClientError, match="ValidationException"):
        client.batch_write_item(
            RequestItems={
                table: [
                    {"PutRequest": {"Item": {"id": {"S": "first"}}}},
                    {"PutRequest": {"Item": {"id": {"N": "1"}}}},
                ]
            }
        )
    with pytest.raises(ClientError, match="ValidationException"):
        client.update_item(
            TableName=table,
            Key={"id": {"S": "big"}},
            UpdateExpression="SET a = :small, b = :big",
            ExpressionAttributeValues={":small": {"S": "x"}, ":big": {"S": "x" * 410_000}},
        )

    assert client.scan(TableName=table)["Items"] == []
    assert events(localstack, table) == []


def test_many_threads_write_one_after_another(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table, started = create_table(localstack), time.monotonic()

    def write(number: int) -> str | None:
        client.update_item(**increment_of(table, "counter"))
        client.transact_write_items(
            TransactItems=[{"Update": increment_of(table, "a")}, {"Update": increment_of(table, "b")}]
        )
        try:
            client.put_item(
                TableName=table,
                Item={"id": {"S": f"lock {number % 10}"}, "n": {"N": str(number)}},
                ConditionExpression="attribute_not_exists(id)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            return None
        return f"lock {number % 10}"

    with ThreadPoolExecutor(8) as pool:
        taken = [lock for lock in pool.map(write, range(60)) if lock]

    assert sorted(taken) == [f"lock {number}" for number in range(10)]
    found = records(localstack, table)
    for key in ("counter", "a", "b"):
        values = [
            int(one["dynamodb"]["NewImage"]["n"]["N"]) for one in found if one["dynamodb"]["Keys"]["id"]["S"] == key
        ]
        assert values == list(range(1, 61))
    pairs = [one["dynamodb"]["Keys"]["id"]["S"] for one in found if one["dynamodb"]["Keys"]["id"]["S"] in "ab"]
    assert pairs == ["a", "b"] * 60
    assert time.monotonic() - started < 20


def test_a_transaction_does_not_copy_the_table(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table = create_table(localstack, None, sort_key=True)
    for start in range(0, 2000, 25):
        requests = [
            {"PutRequest": {"Item": {"id": {"S": "x"}, "at": {"S": f"{n:05}"}, "data": {"S": "x" * 100}}}}
            for n in range(start, start + 25)
        ]
        client.batch_write_item(RequestItems={table: requests})

    seconds = []
    for number in range(10):
        key = {"id": {"S": "x"}, "at": {"S": f"new {number}"}}
        began = time.monotonic()
        client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": key}}])
        seconds.append(time.monotonic() - began)

    assert min(seconds) < 0.1


def test_where_reading_begins(localstack: Instance) -> None:
    table = create_table(localstack)
    arn = stream_arn(localstack, table)
    put(localstack, table, "1")
    put(localstack, table, "2")
    latest = iterator(localstack, arn, "LATEST")
    put(localstack, table, "3")

    def keys(at: str) -> list[str]:
        return [one["dynamodb"]["Keys"]["id"]["S"] for one in records(localstack, table, at)]

    number = records(localstack, table)[1]["dynamodb"]["SequenceNumber"]
    assert keys(latest) == ["3"]
    assert keys(iterator(localstack, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=number)) == ["2", "3"]
    assert keys(iterator(localstack, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=number)) == ["3"]


def test_a_stream_outlives_its_table_and_can_be_enabled_again(localstack: Instance) -> None:
    client, streams = localstack.client("dynamodb"), localstack.client("dynamodbstreams")
    table = create_table(localstack)
    first = stream_arn(localstack, table)
    put(localstack, table, "in the first")

    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    put(localstack, table, "in none")
    specification = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    client.update_table(TableName=table, StreamSpecification=specification)
    second = stream_arn(localstack, table)
    put(localstack, table, "in the second")
    client.delete_table(TableName=table)

    found = streams.list_streams(TableName=table)["Streams"]
    assert [stream["StreamArn"] for stream in found] == [first, second]
    for arn, key in ((first, "in the first"), (second, "in the second")):
        description = streams.describe_stream(StreamArn=arn)["StreamDescription"]
        assert (description["StreamStatus"], description["TableName"]) == ("DISABLED", table)
        (record,) = records(localstack, table, iterator(localstack, arn))
        assert record["dynamodb"]["Keys"] == {"id": {"S": key}}


def test_time_to_live_deletes_and_says_so(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table = create_table(localstack)
    specification = {"Enabled": True, "AttributeName": "expires"}
    client.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
    now = int(time.time())
    kept = {
        "later": {"N": str(now + 600)},
        "text": {"S": str(now - 5)},
        "ancient": {"N": str(now - 6 * 366 * 86400)},
    }
    for key, expires in (kept | {"expired": {"N": str(now - 5)}}).items():
        client.put_item(TableName=table, Item={"id": {"S": key}, "expires": expires})

    wait_until(lambda: item(localstack, table, "expired") is None)

    removed = records(localstack, table)[-1]
    assert (removed["eventName"], removed["dynamodb"]["Keys"]) == ("REMOVE", {"id": {"S": "expired"}})
    assert removed["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    assert all(item(localstack, table, key) for key in kept)

    client.delete_item(TableName=table, Key={"id": {"S": "later"}})
    assert "userIdentity" not in records(localstack, table)[-1]


def test_a_transaction_repeated_with_its_token_succeeds_without_effect(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table, token = create_table(localstack), unique("token")

    for _ in range(2):
        client.transact_write_items(
            TransactItems=[{"Update": increment_of(table, "counter")}], ClientRequestToken=token
        )

    assert item(localstack, table, "counter") == {"id": {"S": "counter"}, "n": {"N": "1"}}
    assert len(records(localstack, table)) == 1
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        client.transact_write_items(TransactItems=[put_of(table, "other")], ClientRequestToken=token)
    assert item(localstack, table, "other") is None


def test_a_cancelled_transaction_can_be_tried_again_with_its_token(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table, token = create_table(localstack), unique("token")
    exists = {"TableName": table, "Key": {"id": {"S": "a"}}, "ConditionExpression": "attribute_exists(id)"}
    request = {"TransactItems": [{"ConditionCheck": exists}, put_of(table, "b")], "ClientRequestToken": token}
    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(**request)

    put(localstack, table, "a")
    client.transact_write_items(**request)

    assert item(localstack, table, "b")


def test_a_token_is_valid_for_ten_minutes() -> None:
    now = [0.0]
    tokens = Tokens(clock=lambda: now[0])
    use = ("000000000000", "us-east-1", "token")
    tokens.remember(*use, {"Items": [b"\x00"], "a": 1})

    now[0] = 600
    assert tokens.is_repeat(*use, {"a": 1, "Items": [b"\x00"]})
    assert not tokens.is_repeat("000000000000", "eu-west-1", "token", {})
    with pytest.raises(OtherParameters):
        tokens.is_repeat(*use, {"a": 2})

    now[0] = 601
    assert not tokens.is_repeat(*use, {"a": 2})


def test_binary_keys_are_put_back_too(localstack: Instance) -> None:
    client = localstack.client("dynamodb")
    table = client.create_table(
        TableName=unique("table"),
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "B"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]["TableName"]
    key = {"id": {"B": base64.b64decode("AP8=")}}

    with pytest.raises(ClientError, match="ValidationException"):
        client.batch_write_item(
            RequestItems={table: [{"PutRequest": {"Item": key}}, {"PutRequest": {"Item": {"id": {"S": "text"}}}}]}
        )

    assert client.scan(TableName=table)["Items"] == []
