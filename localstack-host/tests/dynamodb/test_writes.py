"""What DynamoDB's operations do with values, conditions and updates, through the API."""

import base64
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance, stream_arn, unique

Table = tuple[Any, str]  # a client, and a table's name


def made(localstack: Instance, hash_type: str = "S", range_type: str = "", index_type: str = "") -> Table:
    """A table with the keys pk and sk, a stream, and an index by the attribute ix."""
    client, name = localstack.client("dynamodb"), unique("table")
    types = {"pk": hash_type, "sk": range_type, "ix": index_type}
    settings: dict[str, Any] = {}
    if index_type:
        keys = [{"AttributeName": "ix", "KeyType": "HASH"}]
        index = {"IndexName": "by-ix", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
        settings = {"GlobalSecondaryIndexes": [index]}
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": of} for key, of in types.items() if of],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}]
        + ([{"AttributeName": "sk", "KeyType": "RANGE"}] if range_type else []),
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        **settings,
    )
    return client, name


@pytest.fixture
def table(localstack: Instance) -> Table:
    return made(localstack)


def put(table: Table, **attributes: Any) -> None:
    client, name = table
    client.put_item(TableName=name, Item=attributes)


def got(table: Table, **key: Any) -> dict[str, Any] | None:
    client, name = table
    found: dict[str, Any] = client.get_item(TableName=name, Key=key, ConsistentRead=True)
    return found.get("Item")


def update(table: Table, text: str, key: str = "a", **settings: Any) -> dict[str, Any]:
    """The returned attributes; settings of one letter are values."""
    client, name = table
    values = {f":{letter}": settings.pop(letter) for letter in list(settings) if len(letter) == 1}
    if values:
        settings["ExpressionAttributeValues"] = values
    answer: dict[str, Any] = client.update_item(
        TableName=name, Key={"pk": {"S": key}}, UpdateExpression=text, **settings
    )
    attributes: dict[str, Any] = answer.get("Attributes", {})
    return attributes


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def record_names(localstack: Instance, table: Table) -> list[str]:
    streams, arn = localstack.client("dynamodbstreams"), stream_arn(localstack, table[1])
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    where = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    at = streams.get_shard_iterator(**where)["ShardIterator"]
    return [record["eventName"] for record in streams.get_records(ShardIterator=at)["Records"]]


# Numbers


def test_numbers_are_counted_in_decimals(table: Table) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html"""
    put(table, pk={"S": "a"}, n={"N": "0.3"})

    assert update(table, "SET n = n - :v", v={"N": "0.1"}, ReturnValues="UPDATED_NEW") == {"n": {"N": "0.2"}}
    assert update(table, "SET n = n + :v", v={"N": "1E+2"}, ReturnValues="UPDATED_NEW") == {"n": {"N": "100.2"}}
    assert update(table, "ADD n :v", v={"N": "-0.2"}, ReturnValues="ALL_NEW")["n"] == {"N": "100"}
    many = {"N": "1" * 38}
    assert update(table, "SET m = :v, n = :v - n", v=many, ReturnValues="UPDATED_OLD") == {"n": {"N": "100"}}
    assert got(table, pk={"S": "a"}) == {"pk": {"S": "a"}, "m": many, "n": {"N": "1" * 35 + "011"}}


def test_numbers_are_stored_in_one_spelling(localstack: Instance, table: Table) -> None:
    """'Leading and trailing zeroes are trimmed', in the item, its images, a projection and what a write returns.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    """
    client, name = table
    deep = {"L": [{"M": {"n": {"N": "1E-7"}}}, {"NS": ["1E+1", "0.50"]}]}
    put(table, pk={"S": "a"}, n={"N": "001.50"}, deep=deep)

    shown = {"L": [{"M": {"n": {"N": "0.0000001"}}}, {"NS": ["0.5", "10"]}]}
    assert got(table, pk={"S": "a"}) == {"pk": {"S": "a"}, "n": {"N": "1.5"}, "deep": shown}
    projected = client.get_item(TableName=name, Key={"pk": {"S": "a"}}, ProjectionExpression="deep[0].n")
    assert projected["Item"] == {"deep": {"L": [{"M": {"n": {"N": "0.0000001"}}}]}}
    statement = f"UPDATE \"{name}\" SET n = ? WHERE pk = 'a'"
    client.execute_statement(Statement=statement, Parameters=[{"N": "1.500"}])
    put(table, pk={"S": "a"}, n={"N": "1.5"}, deep=shown)
    assert record_names(localstack, table) == ["INSERT"]


def test_a_number_is_one_key_however_it_is_spelled(localstack: Instance) -> None:
    """A key is a value: a conditional write of the same key in another spelling fails, in every operation."""
    table = client, name = made(localstack, "N")
    put(table, pk={"N": "1"}, v={"S": "first"})

    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(TableName=name, Item={"pk": {"N": "1.0"}}, ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(
            TransactItems=[
                {
                    "Put": {
                        "TableName": name,
                        "Item": {"pk": {"N": "1E0"}},
                        "ConditionExpression": "attribute_not_exists(pk)",
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                }
            ]
        )
    (reason,) = cancelled.value.response["CancellationReasons"]
    assert reason["Code"] == "ConditionalCheckFailed"
    assert reason["Item"] == {"pk": {"N": "1"}, "v": {"S": "first"}}
    assert got(table, pk={"N": "+1.00"}) == {"pk": {"N": "1"}, "v": {"S": "first"}}
    keys = client.batch_get_item(RequestItems={name: {"Keys": [{"pk": {"N": "1.0"}}]}})["Responses"][name]
    assert [item["pk"] for item in keys] == [{"N": "1"}]
    condition = {"KeyConditionExpression": "pk = :k", "ExpressionAttributeValues": {":k": {"N": "1.000"}}}
    assert client.query(TableName=name, **condition)["Count"] == 1
    client.delete_item(TableName=name, Key={"pk": {"N": "0.1E1"}})
    assert client.scan(TableName=name)["Count"] == 0


@pytest.mark.parametrize(
    "number", ["1" * 39, "1E126", "1E-131", "NaN", "Infinity", " 1", "1_000", "one", ""], ids=lambda text: text[:8]
)
def test_what_is_no_number_is_refused_wherever_it_stands(table: Table, number: str) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html"""
    client, name = table
    key, wrong = {"pk": {"S": "a"}}, {"N": number}
    update_of = {"UpdateExpression": "SET n = :v", "ExpressionAttributeValues": {":v": wrong}}
    attempts: list[Callable[[], Any]] = [
        lambda: put(table, pk={"S": "a"}, n=wrong),
        lambda: put(table, pk={"S": "a"}, n={"L": [{"M": {"x": wrong}}]}),
        lambda: put(table, pk={"S": "a"}, n={"NS": ["1", number]}),
        lambda: client.update_item(TableName=name, Key=key, **update_of),
        lambda: client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": key | {"n": wrong}}}]}),
        lambda: client.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": key | {"n": wrong}}}]),
        lambda: client.scan(TableName=name, FilterExpression="n < :v", ExpressionAttributeValues={":v": wrong}),
        lambda: client.get_item(TableName=name, Key={"pk": wrong}),
    ]

    for attempt in attempts:
        with pytest.raises(ClientError) as refused:
            attempt()
        assert code(refused) == "ValidationException"
    assert client.scan(TableName=name)["Count"] == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [("ADD n :v", "9E125"), ("SET n = n + :v", "1E50"), ("SET n = n - :v", "1E-100")],
)
def test_a_result_out_of_range_is_refused_and_changes_nothing(table: Table, text: str, value: str) -> None:
    """'Number overflow' is a documented reason; that it is given for too many digits too is a belief.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    put(table, pk={"S": "a"}, n={"N": "9E125" if "9" in value else "1"})
    before = got(table, pk={"S": "a"})

    with pytest.raises(ClientError, match="Number overflow") as refused:
        update(table, text, v={"N": value})

    assert code(refused) == "ValidationException"
    assert got(table, pk={"S": "a"}) == before


def test_sort_keys_are_in_the_order_of_numbers(localstack: Instance) -> None:
    """'If the data type of the sort key is Number, the results are returned in numeric order': to the last digit.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.html
    """
    table = client, name = made(localstack, "S", "N")
    ordered = ["-1000", "-0.5", "0", "1E-130", "9", "10", "9007199254740992", "9007199254740993", "1E+30"]
    for number in reversed(ordered):
        put(table, pk={"S": "a"}, sk={"N": number})

    def found(condition: str, **values: str) -> list[float]:
        given = {f":{key}": {"N": number} for key, number in values.items()}
        answer = client.query(
            TableName=name,
            KeyConditionExpression=f"pk = :p AND {condition}",
            ExpressionAttributeValues={":p": {"S": "a"}} | given,
        )
        return [int(item["sk"]["N"]) for item in answer["Items"]]

    everything = client.query(
        TableName=name, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}}
    )["Items"]
    assert [float(item["sk"]["N"]) for item in everything] == [float(number) for number in ordered]
    assert found("sk > :a", a="9007199254740992") == [9007199254740993, 10**30]
    assert found("sk BETWEEN :a AND :b", a="9.0", b="10") == [9, 10]
    assert found("sk BETWEEN :a AND :b", a="0", b="0") == [0]
    assert found(":a >= sk", a="-1E3") == [-1000]


def test_binary_keys_are_in_the_order_of_their_bytes(localstack: Instance) -> None:
    """'DynamoDB treats each byte of the binary data as unsigned when it compares binary values', page by page.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    """
    table = client, name = made(localstack, "S", "B")
    ordered = [b"\x00", b"\x00\x01", b"+", b"A", b"a", b"z", b"\x7f", b"\x80", b"\xfb\xff", b"\xff"]
    for content in ordered[::-1]:
        put(table, pk={"S": "a"}, sk={"B": content})

    def pages(**settings: Any) -> Iterable[bytes]:
        condition = settings.pop("condition", "pk = :p")
        values = {":p": {"S": "a"}} | settings.pop("values", {})
        paginator = client.get_paginator("query")
        for page in paginator.paginate(
            TableName=name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            PaginationConfig={"PageSize": 3},
            **settings,
        ):
            yield from (item["sk"]["B"] for item in page["Items"])

    assert list(pages()) == ordered
    assert list(pages(ScanIndexForward=False)) == ordered[::-1]
    assert list(pages(condition="pk = :p AND sk >= :v", values={":v": {"B": b"\x80"}})) == ordered[7:]
    bounds = {":v": {"B": b"A"}, ":w": {"B": b"z"}}
    assert list(pages(condition="pk = :p AND sk BETWEEN :v AND :w", values=bounds)) == [b"A", b"a", b"z"]
    assert list(pages(condition="pk = :p AND begins_with(sk, :v)", values={":v": {"B": b"\x00"}})) == ordered[:2]
    assert [item["sk"]["B"] for item in client.scan(TableName=name)["Items"]] == ordered


# Conditions

ITEM = {
    "pk": {"S": "a"},
    "zero": {"N": "0"},
    "blank": {"S": ""},
    "one": {"N": "1"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "thing": {"B": b"hi there"},
    "letters": {"SS": ["x", "y"]},
    "deep": {"M": {"thing": {"B": b"\xff"}, "things": {"L": [{"N": "1"}] * 12}}},
}
HOLDING = [
    ("zero BETWEEN :v AND :w", {"N": "0"}, {"N": "1"}),
    ("blank BETWEEN :v AND :w", {"S": ""}, {"S": "z"}),
    ("letters = :v", {"SS": ["y", "x"]}, None),
    ("begins_with(thing, :v)", {"B": b"hi"}, None),
    ("contains(thing, :v)", {"B": b"the"}, None),
    ("deep.thing = :v", {"B": b"\xff"}, None),
    ("deep.things[11] = :v", {"N": "1.0"}, None),
    ("absent <> :v", {"N": "1"}, None),
    ("NOT one < :v", {"S": "2"}, None),
]
FAILING = [
    ("one < :v", {"S": "2"}, None),
    ("yes = :v", {"N": "1"}, None),
    ("nothing = absent OR one = :v", {"BOOL": True}, None),
    ("absent = nowhere OR one = :v", {"S": "1"}, None),
    ("absent = :v", {"NULL": True}, None),
    ("absent < :v", {"N": "1"}, None),
    ("absent BETWEEN :v AND :w", {"N": "0"}, {"N": "1"}),
    ("size(absent) >= :v", {"N": "0"}, None),
    ("size(one) >= :v", {"N": "0"}, None),
    ("contains(one, :v)", {"N": "1"}, None),
]
REFUSED = [
    ("one = :undefined", {"N": "1"}, None),
    ("#undefined = :v", {"N": "1"}, None),
    ("one < :v", {"BOOL": True}, None),
    ("one BETWEEN :v AND :w", {"N": "2"}, {"N": "1"}),
    ("begins_with(one, :v)", {"N": "1"}, None),
    ("size(:v) = one", {"N": "1"}, None),
    ("dog(one, :v)", {"N": "1"}, None),
    ("one == :v", {"N": "1"}, None),
    ("one = one", {"N": "1"}, None),
]


def outcomes(table: Table, condition: str, v: Any, w: Any) -> list[str]:
    """What becomes of a condition in each operation that takes one."""
    client, name = table
    put(table, **ITEM)
    key = {"pk": {"S": "a"}}
    values = {":v": v} | ({":w": w} if w else {})
    conditional = {"ConditionExpression": condition, "ExpressionAttributeValues": values}
    filtered = {"FilterExpression": condition, "ExpressionAttributeValues": values}
    by_key = filtered | {
        "KeyConditionExpression": "pk = :key",
        "ExpressionAttributeValues": values | {":key": key["pk"]},
    }
    operations: list[Callable[[], Any]] = [
        lambda: client.scan(TableName=name, **filtered)["Count"],
        lambda: client.query(TableName=name, **by_key)["Count"],
        lambda: client.update_item(TableName=name, Key=key, UpdateExpression="REMOVE absent", **conditional),
        lambda: client.put_item(TableName=name, Item=ITEM, **conditional),
        lambda: client.transact_write_items(
            TransactItems=[{"ConditionCheck": {"TableName": name, "Key": key} | conditional}]
        ),
        lambda: client.delete_item(TableName=name, Key=key, **conditional),
    ]
    found = []
    for operation in operations:
        try:
            found.append("holds" if operation() else "fails")
        except ClientError as error:
            failures = {"ConditionalCheckFailedException": "fails", "TransactionCanceledException": "fails"}
            found.append(failures.get(error.response["Error"]["Code"], error.response["Error"]["Code"]))
    return found


@pytest.mark.parametrize(("condition", "v", "w"), HOLDING)
def test_conditions_that_hold(table: Table, condition: str, v: Any, w: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html"""
    assert outcomes(table, condition, v, w) == ["holds"] * 6


@pytest.mark.parametrize(("condition", "v", "w"), FAILING)
def test_conditions_that_fail(table: Table, condition: str, v: Any, w: Any) -> None:
    """'…of a different type than the one provided in the request, the value does not match'; no server error.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html
    """
    assert outcomes(table, condition, v, w) == ["fails"] * 6


@pytest.mark.parametrize(("condition", "v", "w"), REFUSED)
def test_conditions_that_are_none(table: Table, condition: str, v: Any, w: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""
    assert outcomes(table, condition, v, w) == ["ValidationException"] * 6


def test_placeholders_that_are_not_used_are_refused(table: Table) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeValues.html"""
    client, name = table
    values = {":v": {"N": "1"}, ":unused": {"N": "1"}}
    unused: list[dict[str, Any]] = [
        {"ExpressionAttributeValues": values},
        {"ExpressionAttributeValues": {":v": {"N": "1"}}, "ExpressionAttributeNames": {"#unused": "n"}},
    ]
    for settings in unused:
        with pytest.raises(ClientError, match=r"unused in expressions: keys: {:unused}|{#unused}") as of_scan:
            client.scan(TableName=name, FilterExpression="n = :v", **settings)
        with pytest.raises(ClientError, match=r"unused in expressions: keys: {:unused}|{#unused}") as of_put:
            client.put_item(TableName=name, Item={"pk": {"S": "a"}}, ConditionExpression="n = :v", **settings)
        assert {code(of_scan), code(of_put)} == {"ValidationException"}


def test_a_failed_condition_shows_the_item(table: Table) -> None:
    """With binary values, however deep they are.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html
    """
    client, name = table
    put(table, **ITEM)

    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as failed:
        client.delete_item(
            TableName=name,
            Key={"pk": {"S": "a"}},
            ConditionExpression="attribute_exists(absent)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    assert failed.value.response["Item"] == ITEM


def test_conditions_before_expressions(table: Table) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html"""
    client, name = table
    put(table, **ITEM)
    key = {"pk": {"S": "a"}}
    one = {"Expected": {"one": {"ComparisonOperator": "GE", "AttributeValueList": [{"N": "1.0"}]}}}

    client.put_item(TableName=name, Item=ITEM, **one)
    client.update_item(
        TableName=name,
        Key=key,
        AttributeUpdates={
            "one": {"Action": "ADD", "Value": {"N": "0.1"}},
            "yes": {"Value": {"BOOL": False}},
            "thing": {"Value": {"B": b"new"}},
            "letters": {"Action": "DELETE", "Value": {"SS": ["x", "y"]}},
            "blank": {"Action": "DELETE"},
        },
        **one,
    )
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.delete_item(TableName=name, Key=key, Expected={"one": {"Value": {"S": "1.1"}}})

    changed = {"one": {"N": "1.1"}, "yes": {"BOOL": False}, "thing": {"B": b"new"}}
    assert got(table, **key) == {
        attribute: value for attribute, value in (ITEM | changed).items() if attribute not in ("letters", "blank")
    }
    equal = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}
    for comparison, arguments, count in (
        ("NOT_NULL", [], 0),
        ("NULL", [], 1),
        ("LT", [{"N": "1"}], 0),
        ("NE", [{"N": "1"}], 1),
    ):
        absent = {"absent": {"ComparisonOperator": comparison, "AttributeValueList": arguments}}
        assert client.query(TableName=name, KeyConditions={"pk": equal}, QueryFilter=absent)["Count"] == count
        assert client.scan(TableName=name, ScanFilter=absent)["Count"] == count


# Updates


def test_updates_return_what_they_changed(table: Table) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html#DDB-UpdateItem-request-ReturnValues"""
    put(table, pk={"S": "a"}, n={"N": "1"}, m={"M": {"x": {"N": "1"}, "y": {"L": [{"N": "1"}, {"N": "2"}]}}})

    same = update(table, "SET n = :v", v={"N": "1.0"}, ReturnValues="UPDATED_NEW")
    assert same == {"n": {"N": "1"}}
    old = update(table, "SET m.y[1] = :v, fresh = :v", v={"N": "7"}, ReturnValues="UPDATED_OLD")
    assert old == {"m": {"M": {"y": {"L": [{"N": "2"}]}}}}
    assert update(table, "REMOVE n", ReturnValues="UPDATED_NEW") == {}
    assert update(table, "REMOVE fresh", ReturnValues="ALL_OLD")["m"] == {
        "M": {"x": {"N": "1"}, "y": {"L": [{"N": "1"}, {"N": "7"}]}}
    }
    assert update(table, "SET n = :v", key="new", v={"N": "1"}, ReturnValues="ALL_OLD") == {}
    assert update(table, "SET n = :v", key="newer", v={"N": "1"}, ReturnValues="UPDATED_NEW") == {"n": {"N": "1"}}


def test_an_update_that_only_removes_makes_no_item(localstack: Instance, table: Table) -> None:
    """There is no attribute to delete, and nothing happens.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.AttributeUpdates.html;
    a belief for expressions.
    """
    client, name = table

    update(table, "REMOVE n, m.x")
    update(table, "DELETE n :v", v={"SS": ["a"]})
    assert client.scan(TableName=name)["Count"] == 0
    assert record_names(localstack, table) == []

    client.update_item(TableName=name, Key={"pk": {"S": "a"}})
    assert got(table, pk={"S": "a"}) == {"pk": {"S": "a"}}


def test_an_update_leaves_one_record_and_a_failing_one_none(localstack: Instance, table: Table) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""
    update(table, "SET n = :v, m = :v", v={"N": "1"})
    update(table, "SET n = :v", v={"N": "1.0"})
    with pytest.raises(ClientError):
        update(table, "SET n = :v, m.x = :v", v={"N": "2"})
    update(table, "SET n = :v", v={"N": "2"})

    assert record_names(localstack, table) == ["INSERT", "MODIFY"]


@pytest.mark.parametrize("text", ["SET pk = :v", "REMOVE pk", "ADD pk :v"])
def test_keys_are_not_updated(table: Table, text: str) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html"""
    with pytest.raises(ClientError, match="This attribute is part of the key") as refused:
        update(table, text, v={"N": "1"}) if ":v" in text else update(table, text)
    assert code(refused) == "ValidationException"


# Keys, indexes, batches and transactions


@pytest.mark.parametrize("key", [{"pk": {"N": "1"}}, {"other": {"S": "a"}}, {"pk": {"S": "a"}, "sk": {"S": "a"}}, {}])
def test_keys_are_of_the_schema(table: Table, key: dict[str, Any]) -> None:
    """'you must provide all of the key attributes', of their type.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteItem.html
    """
    client, name = table
    for operation in (client.get_item, client.delete_item, client.update_item):
        with pytest.raises(ClientError) as refused:
            operation(TableName=name, Key=key)
        assert code(refused) == "ValidationException"


def test_a_key_condition_has_values_of_the_keys_types(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html"""
    client, name = made(localstack, "S", "N")
    for condition, v in (("pk = :v", {"N": "1"}), ("pk = :p AND sk < :v", {"S": "1"})):
        values = {":v": v} | ({":p": {"S": "a"}} if ":p" in condition else {})
        with pytest.raises(ClientError, match="does not match schema type") as refused:
            client.query(TableName=name, KeyConditionExpression=condition, ExpressionAttributeValues=values)
        assert code(refused) == "ValidationException"


@pytest.mark.parametrize(
    "condition",
    [
        {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "1"}]},
        {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "1"}, {"S": "1"}]},
        {"ComparisonOperator": "GT", "AttributeValueList": [{"BOOL": True}]},
        {"ComparisonOperator": "EQ"},
    ],
)
def test_a_condition_before_expressions_has_its_arguments(localstack: Instance, condition: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Condition.html"""
    client, name = made(localstack, "S", "N")
    key = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}}

    with pytest.raises(ClientError) as of_key:
        client.query(TableName=name, KeyConditions=key | {"sk": condition})
    with pytest.raises(ClientError) as of_query:
        client.query(TableName=name, KeyConditions=key, QueryFilter={"n": condition})
    with pytest.raises(ClientError) as of_scan:
        client.scan(TableName=name, ScanFilter={"n": condition})

    assert {code(of_key), code(of_query), code(of_scan)} == {"ValidationException"}


@pytest.mark.parametrize("text", ["sk > :v", "n = :v OR NOT sk = :v", "size(pk) > :v"])
def test_a_filter_of_a_query_is_not_for_keys(localstack: Instance, text: str) -> None:
    """'A filter expression cannot contain partition key or sort key attributes': of a Query, where a Scan may.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.FilterExpression.html
    """
    client, name = made(localstack, "S", "N")
    values = {":v": {"N": "0"}}

    with pytest.raises(ClientError, match="non-primary key attributes") as refused:
        client.query(
            TableName=name,
            KeyConditionExpression="pk = :p",
            FilterExpression=text,
            ExpressionAttributeValues=values | {":p": {"S": "a"}},
        )

    assert code(refused) == "ValidationException"
    assert client.scan(TableName=name, FilterExpression=text, ExpressionAttributeValues=values)["Count"] == 0


@pytest.mark.parametrize("value", [{"S": "1"}, {"NULL": True}, {"L": []}])
def test_the_key_of_an_index_has_its_type(localstack: Instance, value: dict[str, Any]) -> None:
    """An item may lack it, and then is not in the index.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
    """
    table = client, name = made(localstack, index_type="N")
    item = {"pk": {"S": "a"}, "ix": value}
    attempts: list[Callable[[], Any]] = [
        lambda: client.put_item(TableName=name, Item=item),
        lambda: client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": item}}]}),
        lambda: update(table, "SET ix = :v", v=value),
    ]

    for attempt in attempts:
        with pytest.raises(ClientError) as refused:
            attempt()
        assert code(refused) == "ValidationException"
    put(table, pk={"S": "without"})
    put(table, pk={"S": "with"}, ix={"N": "1.0"})
    condition = {"KeyConditionExpression": "ix = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}
    assert client.query(TableName=name, IndexName="by-ix", **condition)["Count"] == 1


def test_an_index_that_is_added_has_the_items_of_its_type(localstack: Instance) -> None:
    """'There is a data type mismatch between an attribute value and the index key schema data type': it is left out.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.ViolationDetection.html
    """
    table = client, name = made(localstack, "S", "N")
    for number, value in enumerate([{"S": "text"}, {"N": "2"}, {"N": "1"}]):
        put(table, pk={"S": "a"}, sk={"N": str(number)}, kind={"S": "k"}, ix=value)
    keys = [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "ix", "KeyType": "RANGE"}]
    index = {"IndexName": "later", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
    client.update_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "kind", "AttributeType": "S"},
            {"AttributeName": "ix", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )

    condition = {"KeyConditionExpression": "kind = :v", "ExpressionAttributeValues": {":v": {"S": "k"}}}
    found = client.query(TableName=name, IndexName="later", **condition)["Items"]
    assert [item["ix"] for item in found] == [{"N": "1"}, {"N": "2"}]
    assert client.scan(TableName=name, IndexName="later")["Count"] == 2
    put(table, pk={"S": "a"}, sk={"N": "1.0"}, n={"N": "1"})
    assert got(table, pk={"S": "a"}, sk={"N": "1"}) == {"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": "1"}}


def test_a_new_index_leaves_the_definitions_of_the_others(localstack: Instance) -> None:
    """'AttributeDefinitions must include the key element(s) of the new index': the others' need not be there.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html; belief for what is defined
    with another type.
    """
    table = client, name = made(localstack, "S", index_type="N")

    def create(attribute: str, **definitions: str) -> dict[str, Any]:
        keys = [{"AttributeName": attribute, "KeyType": "HASH"}]
        index = {"IndexName": unique("by"), "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
        answer: dict[str, Any] = client.update_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": of} for key, of in definitions.items()],
            GlobalSecondaryIndexUpdates=[{"Create": index}],
        )
        return answer

    for attribute, definitions in (("kind", {}), ("kind", {"other": "S"}), ("pk", {"pk": "N"})):
        with pytest.raises(ClientError) as refused:
            create(attribute, **definitions)
        assert code(refused) == "ValidationException"
    found = create("kind", kind="S")["TableDescription"]["AttributeDefinitions"]

    assert {key["AttributeName"]: key["AttributeType"] for key in found} == {"pk": "S", "ix": "N", "kind": "S"}
    with pytest.raises(ClientError, match="Type mismatch for Index Key ix"):
        put(table, pk={"S": "a"}, ix={"S": "text"})


@pytest.mark.parametrize(
    "start", [{}, {"pk": {"S": "a"}}, {"pk": {"S": "a"}, "sk": {"S": "1"}}, {"pk": {"S": "a"}, "other": {"N": "1"}}]
)
def test_a_page_begins_behind_a_key_of_the_schema(localstack: Instance, start: dict[str, Any]) -> None:
    """'Use the value that was returned for LastEvaluatedKey in the previous operation'.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html; that others are refused is a belief.
    """
    table = client, name = made(localstack, "S", "N")
    put(table, pk={"S": "a"}, sk={"N": "1"})
    condition = {"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "a"}}}

    with pytest.raises(ClientError, match="starting key is invalid") as of_scan:
        client.scan(TableName=name, ExclusiveStartKey=start)
    with pytest.raises(ClientError, match="starting key is invalid") as of_query:
        client.query(TableName=name, ExclusiveStartKey=start, **condition)

    assert {code(of_scan), code(of_query)} == {"ValidationException"}


def test_a_restored_table_is_one_like_others(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html"""
    client, name = made(localstack, "N")
    put((client, name), pk={"N": "1"}, n={"N": "0.1"})
    backup = client.create_backup(TableName=name, BackupName=unique("backup"))["BackupDetails"]["BackupArn"]
    restored = client, unique("restored")
    client.restore_table_from_backup(TargetTableName=restored[1], BackupArn=backup)

    client.update_item(
        TableName=restored[1],
        Key={"pk": {"N": "1.0"}},
        UpdateExpression="SET n = n + :v",
        ExpressionAttributeValues={":v": {"N": "0.2"}},
    )
    put(restored, pk={"N": "2"})

    assert [item["pk"] for item in client.scan(TableName=restored[1])["Items"]] == [{"N": "1"}, {"N": "2"}]
    assert got(restored, pk={"N": "1"}) == {"pk": {"N": "1"}, "n": {"N": "0.3"}}
    assert got((client, name), pk={"N": "1"}) == {"pk": {"N": "1"}, "n": {"N": "0.1"}}


def test_a_batch_has_up_to_25_writes_of_different_items(table: Table) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""
    client, name = table
    other = {"PutRequest": {"Item": {"pk": {"S": "a"}, "n": {"N": "1"}}}}
    puts = [{"PutRequest": {"Item": {"pk": {"S": str(number)}}}} for number in range(26)]
    batches = [
        puts,
        [puts[0], puts[1], puts[0]],
        [puts[0], {"DeleteRequest": {"Key": {"pk": {"S": "0"}}}}],
        [{"DeleteRequest": {"Key": {"pk": {"S": "0"}}}}] * 2,
        [{"PutRequest": {"Item": {"pk": {"S": "a"}}}}, other],
        [puts[0], {"PutRequest": {"Item": {"n": {"N": "1"}}}}],
        [puts[0] | {"DeleteRequest": {"Key": {"pk": {"S": "1"}}}}],
        [puts[0], {}],
    ]

    for batch in batches:
        with pytest.raises(ClientError) as refused:
            client.batch_write_item(RequestItems={name: batch})
        assert code(refused) == "ValidationException"
    assert client.scan(TableName=name)["Count"] == 0
    client.batch_write_item(RequestItems={name: puts[:25]})
    assert client.scan(TableName=name)["Count"] == 25


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"Update": {"UpdateExpression": "ADD t :v"}}, "incorrect data type"),
        ({"Update": {"UpdateExpression": "SET t = t + :v"}}, "incorrect data type"),
        ({"Update": {"UpdateExpression": "SET n = absent + :v"}}, "does not exist in the item"),
        (
            {"Update": {"UpdateExpression": "SET t.x = :v"}},
            "document path provided in the update expression is invalid",
        ),
        ({"Update": {"UpdateExpression": "ADD much :v"}}, "Number overflow"),
    ],
)
def test_what_an_item_does_not_allow_cancels_a_transaction(table: Table, action: Any, reason: str) -> None:
    """The reason is a ValidationError, in the place of the write, and nothing is written.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    client, name = table
    put(table, pk={"S": "a"}, t={"S": "text"}, much={"N": "9E125"})
    ((kind, body),) = action.items()
    body = body | {"TableName": name, "Key": {"pk": {"S": "a"}}, "ExpressionAttributeValues": {":v": {"N": "9E125"}}}
    first = {"Put": {"TableName": name, "Item": {"pk": {"S": "b"}}}}
    absent = {"TableName": name, "Key": {"pk": {"S": "c"}}, "ConditionExpression": "attribute_exists(pk)"}

    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(TransactItems=[first, {kind: body}, {"ConditionCheck": absent}])

    reasons = cancelled.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError", "ConditionalCheckFailed"]
    assert reason in reasons[1]["Message"]
    assert got(table, pk={"S": "b"}) is None


def test_a_transaction_reads_what_is_projected_and_says_which_key_is_none(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactGetItems.html"""
    table = client, name = made(localstack, "S", "N")
    put(table, pk={"S": "a"}, sk={"N": "1"}, m={"M": {"x": {"B": b"\xff"}, "y": {"N": "1"}}}, n={"N": "1"})
    found = {"TableName": name, "Key": {"pk": {"S": "a"}, "sk": {"N": "1.0"}}}
    projected = {"ProjectionExpression": "m.#x", "ExpressionAttributeNames": {"#x": "x"}}
    absent = projected | {"TableName": name, "Key": {"pk": {"S": "b"}, "sk": {"N": "1"}}}

    answer = client.transact_get_items(TransactItems=[{"Get": found | projected}, {"Get": absent}])
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        wrong = {"TableName": name, "Key": {"pk": {"S": "a"}, "sk": {"S": "1"}}}
        client.transact_get_items(TransactItems=[{"Get": found}, {"Get": wrong}])

    assert answer["Responses"] == [{"Item": {"m": {"M": {"x": {"B": b"\xff"}}}}}, {}]
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == ["None", "ValidationError"]


def test_a_transaction_that_is_none_is_refused_as_a_whole(table: Table) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
    client, name = table
    key = {"pk": {"S": "a"}}
    write = {"Put": {"TableName": name, "Item": key}}
    change = {"TableName": name, "Key": key, "UpdateExpression": "SET n = :undefined"}

    for actions in ([write, {"Update": change}], [write, write], [write, {"Delete": {"TableName": name, "Key": key}}]):
        with pytest.raises(ClientError) as refused:
            client.transact_write_items(TransactItems=actions)
        assert code(refused) == "ValidationException"
    assert client.scan(TableName=name)["Count"] == 0


def test_a_value_in_base64_is_the_bytes_that_it_stands_for(localstack: Instance) -> None:
    """A binary value is sent in Base64; its bytes are the value.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
    """
    table = client, name = made(localstack, "B")
    put(table, pk={"B": b"\x00"}, deep={"L": [{"B": b"\x00"}, {"BS": [b"\xff", b"\x00"]}]})

    found = client.scan(
        TableName=name,
        FilterExpression="contains(deep, :v) AND deep[1] = :w AND size(pk) = :x",
        ExpressionAttributeValues={":v": {"B": b"\x00"}, ":w": {"BS": [b"\x00", b"\xff"]}, ":x": {"N": "1"}},
    )

    assert [item["pk"]["B"] for item in found["Items"]] == [base64.b64decode("AA==")]
