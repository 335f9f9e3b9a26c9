"""Event source mappings of DynamoDB and Kinesis streams."""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import (
    Instance,
    archive,
    create_table,
    put,
    put_records,
    statistics,
    stream_arn,
    unique,
    wait_for_state,
    wait_until,
)

RECORD = """
import base64, json, time
def value(record):
    if "kinesis" in record:
        return base64.b64decode(record["kinesis"]["data"]).decode()
    return record["dynamodb"]["Keys"]["id"]["S"]
def number(record):
    return record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["dynamodb"]["SequenceNumber"]
def handler(event, context):
    values, began = [value(record) for record in event["Records"]], time.time()
    print(json.dumps({"values": values, "began": began, "event": event if len(values) < 3 else None}))
    THEN
"""


@dataclass
class Source:
    """A stream with one shard, whose records are known by a text."""

    localstack: Instance
    arn: str
    put: Callable[..., None]

    def map(self, function: str, **settings: Any) -> str:
        settings = {"StartingPosition": "TRIM_HORIZON"} | settings
        mapping = self.localstack.client("lambda").create_event_source_mapping(
            EventSourceArn=self.arn, FunctionName=function, **settings
        )
        wait_for_state(self.localstack, mapping["UUID"], "Enabled")
        found: str = mapping["UUID"]
        return found


def kinesis(localstack: Instance) -> Source:
    client, name = localstack.client("kinesis"), unique("stream")
    client.create_stream(StreamName=name, ShardCount=1)

    def put_texts(*texts: str) -> None:
        put_records(localstack, name, *[(text[0], text.encode()) for text in texts])

    arn = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    return Source(localstack, arn, put_texts)


def dynamodb(localstack: Instance) -> Source:
    table = create_table(localstack)

    def put_items(*keys: str) -> None:
        puts = [{"PutRequest": {"Item": {"id": {"S": key}}}} for key in keys]
        localstack.client("dynamodb").batch_write_item(RequestItems={table: puts})

    return Source(localstack, stream_arn(localstack, table), put_items)


@pytest.fixture(params=[dynamodb, kinesis])
def source(request: pytest.FixtureRequest, localstack: Instance) -> Source:
    found: Source = request.param(localstack)
    return found


@pytest.fixture
def stream(localstack: Instance) -> Source:
    return kinesis(localstack)


def consumer(localstack: Instance, then: str = "return None", **settings: Any) -> str:
    """A function that logs what it gets; ``then`` is its last statement."""
    return localstack.create_function(RECORD.replace("THEN", then), **settings)


def invocations(localstack: Instance, function: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in localstack.messages(function, "{ $.began = * }")]
    return sorted(found, key=lambda one: one["began"])


def batches(localstack: Instance, function: str) -> list[list[str]]:
    return [one["values"] for one in invocations(localstack, function)]


def values(localstack: Instance, function: str) -> list[str]:
    return [value for batch in batches(localstack, function) for value in batch]


def received(localstack: Instance, url: str) -> Any:
    """The next message, decoded."""
    sqs = localstack.client("sqs")
    (message,) = wait_until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), every=0.1)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return json.loads(message["Body"])


def to_queue(arn: str) -> dict[str, Any]:
    return {"OnFailure": {"Destination": arn}}


def result(localstack: Instance, mapping: str) -> str:
    found: str = localstack.client("lambda").get_event_source_mapping(UUID=mapping)["LastProcessingResult"]
    return found


def test_disabled_and_enabled_loses_nothing_and_repeats_nothing(localstack: Instance, source: Source) -> None:
    client = localstack.client("lambda")
    function = consumer(localstack)
    mapping = source.map(function, StartingPosition="LATEST")
    assert result(localstack, mapping) == "No records processed"

    keys: list[str] = []

    def put_until_one_is_seen() -> list[list[str]]:  # a mapping at LATEST can miss what comes while it starts
        keys.append(unique("before"))  # a write that changes nothing leaves no record
        source.put(keys[-1])
        return batches(localstack, function)

    wait_until(put_until_one_is_seen)
    wait_until(lambda: keys[-1] in values(localstack, function))
    wait_until(lambda: result(localstack, mapping) == "OK")

    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    wait_for_state(localstack, mapping, "Disabled")
    seen = batches(localstack, function)
    source.put("while 1", "while 2")
    settled = time.monotonic() + 1.5
    wait_until(lambda: batches(localstack, function) != seen or time.monotonic() > settled)
    assert batches(localstack, function) == seen

    client.update_event_source_mapping(UUID=mapping, Enabled=True)
    source.put("after")
    wait_until(lambda: "after" in values(localstack, function))
    assert values(localstack, function)[-3:] == ["while 1", "while 2", "after"]

    client.update_event_source_mapping(UUID=mapping, BatchSize=5)
    wait_for_state(localstack, mapping, "Enabled")
    source.put("changed")
    wait_until(lambda: values(localstack, function)[-2:] == ["after", "changed"])


def test_a_batch_that_is_retried_survives_disabling(localstack: Instance, stream: Source) -> None:
    client = localstack.client("lambda")
    function = consumer(localstack, "raise ValueError('not yet')")
    stream.put("a", "b")
    mapping = stream.map(function)
    wait_until(lambda: batches(localstack, function))
    wait_until(lambda: result(localstack, mapping) == "PROBLEM: Function call failed")

    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    wait_for_state(localstack, mapping, "Disabled")
    healed = consumer(localstack)
    client.update_event_source_mapping(UUID=mapping, Enabled=True, FunctionName=healed)

    wait_until(lambda: batches(localstack, healed) == [["a", "b"]])


def test_bisection_isolates_a_bad_record_without_using_up_retries(localstack: Instance, source: Source) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack, "assert 'bad' not in values")
    source.put("1", "2", "3", "bad", "5", "6")

    source.map(
        function,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig=to_queue(arn),
    )

    record = received(localstack, url)
    wait_until(lambda: len(batches(localstack, function)) == 6)
    assert batches(localstack, function) == [
        ["1", "2", "3", "bad", "5", "6"],
        ["1", "2", "3"],
        ["bad", "5", "6"],
        ["bad"],
        ["bad"],
        ["5", "6"],
    ]
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert (record.get("KinesisBatchInfo") or record["DDBStreamBatchInfo"])["batchSize"] == 1


# Placeholders of the recordings as patterns.
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
MILLISECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
SECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_the_on_failure_record(localstack: Instance, source: Source) -> None:
    """Recorded as test_kinesis_event_source_mapping_with_on_failure_destination_config, and its DynamoDB twin."""
    url, arn = localstack.create_queue()
    function = consumer(localstack, "raise ValueError('boom')")
    source.put("a", "b")

    source.map(function, MaximumRetryAttempts=0, DestinationConfig=to_queue(arn))

    record = received(localstack, url)
    assert re.fullmatch(UUID, record["requestContext"].pop("requestId"))
    assert re.fullmatch(MILLISECONDS, record.pop("timestamp"))
    details, times = ("KinesisBatchInfo", MILLISECONDS)
    if ":dynamodb:" in source.arn:
        details, times = ("DDBStreamBatchInfo", SECONDS)
    info = record.pop(details)
    for name in ("approximateArrivalOfFirstRecord", "approximateArrivalOfLastRecord"):
        assert re.fullmatch(times, info.pop(name))
    assert info.pop("shardId").startswith("shardId-")
    assert int(info.pop("startSequenceNumber")) < int(info.pop("endSequenceNumber"))
    assert info == {"batchSize": 2, "streamArn": source.arn}
    assert record == {
        "requestContext": {
            "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{function}",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
    }


def test_a_destination_that_is_gone_does_not_block_and_is_counted(localstack: Instance, stream: Source) -> None:
    """DestinationDeliveryFailures counts for stream mappings too
    (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html)."""
    function = consumer(localstack, "assert 'bad' not in values")
    stream.map(
        function,
        BatchSize=1,
        MaximumRetryAttempts=0,
        DestinationConfig=to_queue("arn:aws:sqs:us-east-1:000000000000:nobody"),
    )
    stream.put("bad", "good")

    wait_until(lambda: values(localstack, function) == ["bad", "good"])
    name = "DestinationDeliveryFailures"
    wait_until(lambda: statistics(localstack, "AWS/Lambda", name, "Sum", FunctionName=function) == [1])


def test_records_that_are_too_old_are_discarded(localstack: Instance) -> None:
    """Recorded as test_kinesis_maximum_record_age_exceeded_discard_records: no responseContext."""
    source = dynamodb(localstack)
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    localstack.invoke(function, {"Records": []})  # warm: what comes later must not get too old
    source.put("old")
    old = time.monotonic() + 10
    wait_until(lambda: time.monotonic() > old)

    source.map(function, MaximumRecordAgeInSeconds=10, DestinationConfig=to_queue(arn))

    record = received(localstack, url)
    context = record["requestContext"]
    assert record.keys() == {"requestContext", "DDBStreamBatchInfo", "timestamp", "version"}
    assert context.keys() == {"requestId", "functionArn", "condition", "approximateInvokeCount"}
    assert (context["condition"], context["approximateInvokeCount"]) == ("RecordAgeExceeded", 1)
    assert record["DDBStreamBatchInfo"]["batchSize"] == 1
    source.put("new")
    wait_until(lambda: batches(localstack, function) == [[], ["new"]])


def test_retries_end_when_the_record_is_too_old(localstack: Instance, stream: Source) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack, "assert 'bad' not in values")
    stream.map(function, MaximumRecordAgeInSeconds=10, DestinationConfig=to_queue(arn))

    stream.put("bad")

    context = received(localstack, url)["requestContext"]
    assert context["condition"] == "RecordAgeExceeded"
    assert context["approximateInvokeCount"] > 1
    wait_until(lambda: len(batches(localstack, function)) == context["approximateInvokeCount"])
    stream.put("good")
    wait_until(lambda: values(localstack, function)[-1] == "good")


def test_a_partial_response_moves_the_checkpoint(localstack: Instance, source: Source) -> None:
    """Recorded as test_kinesis_report_batch_item_failures: the count begins again behind the checkpoint."""
    url, arn = localstack.create_queue()
    report = (
        "return {'batchItemFailures': [{'itemIdentifier': number(record)} "
        "for record in reversed(event['Records']) if value(record) in ('2', '3')]}"
    )
    function = consumer(localstack, report)
    source.put("1", "2", "3")

    source.map(
        function,
        MaximumRetryAttempts=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig=to_queue(arn),
    )

    record = received(localstack, url)
    wait_until(lambda: batches(localstack, function) == [["1", "2", "3"], ["2", "3"], ["2", "3"]])
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"]["functionError"] is None
    assert (record.get("KinesisBatchInfo") or record["DDBStreamBatchInfo"])["batchSize"] == 2


def test_a_malformed_report_fails_the_whole_batch(localstack: Instance, stream: Source) -> None:
    """Recorded as test_kinesis_report_batch_item_failure_scenarios; the last two are belief."""
    url, arn = localstack.create_queue()
    answers = [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"foo": "123"}]},
        {"batchItemFailures": [{"foo": None}]},
        {"batchItemFailures": [{"itemIdentifier": "123"}]},
        {"batchItemFailures": "all"},
        "text",
    ]
    function = consumer(localstack, f"return {answers}[int(values[0])]")
    stream.put(*[str(number // 2) for number in range(2 * len(answers))])

    stream.map(
        function,
        BatchSize=2,
        MaximumRetryAttempts=0,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig=to_queue(arn),
    )

    for _ in answers:
        record = received(localstack, url)
        assert record["KinesisBatchInfo"]["batchSize"] == 2
        assert record["responseContext"]["functionError"] is None


def test_an_empty_report_is_success(localstack: Instance, stream: Source) -> None:
    """Recorded as test_kinesis_report_batch_item_success_scenarios."""
    answers: list[Any] = [[], None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, ""]
    function = consumer(localstack, f"return {answers}[int(values[0])]")
    stream.map(function, BatchSize=1, FunctionResponseTypes=["ReportBatchItemFailures"])

    stream.put(*map(str, range(len(answers))))

    wait_until(lambda: values(localstack, function) == [str(number) for number in range(len(answers))])


def test_the_age_of_the_last_record_of_each_batch_that_is_sent(localstack: Instance, source: Source) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html (IteratorAge, in milliseconds)"""
    function = consumer(localstack, "raise ValueError('not yet')")

    def ages(statistic: str) -> list[float]:
        return statistics(localstack, "AWS/Lambda", "IteratorAge", statistic, FunctionName=function)

    put_at = time.time()
    source.put("blocks")
    source.map(function)

    wait_until(lambda: max(ages("Maximum"), default=0) > 1500)  # while the record is retried
    rounded_down = 1  # second, as the time of a DynamoDB record is
    assert max(ages("Maximum")) <= (time.time() - put_at + rounded_down) * 1000
    assert sum(ages("SampleCount")) <= len(invocations(localstack, function)) + 1


def test_throttled_invocations_do_not_count_as_retries(localstack: Instance, stream: Source) -> None:
    client = localstack.client("lambda")
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    stream.put("a")
    stream.map(function, MaximumRetryAttempts=0, DestinationConfig=to_queue(arn))
    settled = time.monotonic() + 1
    wait_until(lambda: batches(localstack, function) or time.monotonic() > settled)

    client.delete_function_concurrency(FunctionName=function)

    wait_until(lambda: batches(localstack, function) == [["a"]])
    assert "Messages" not in localstack.client("sqs").receive_message(QueueUrl=url)


def test_parallelization_keeps_the_order_of_each_key(localstack: Instance, stream: Source) -> None:
    function = consumer(localstack, "time.sleep(0.1)")
    stream.put(*[f"{key}{number}" for number in range(3) for key in "abcdefgh"])

    stream.map(function, BatchSize=1, ParallelizationFactor=4)

    wait_until(lambda: len(values(localstack, function)) == 24)
    found = invocations(localstack, function)
    for key in "abcdefgh":
        of_key = [value for one in found for value in one["values"] if value[0] == key]
        assert of_key == [f"{key}{number}" for number in range(3)]
    at_once = [sum(one["began"] <= other["began"] < one["began"] + 0.1 for one in found) for other in found]
    assert 1 < max(at_once) <= 4


SUM = """if event["isFinalInvokeForWindow"]:
        return {"state": event["state"]}
    return {"state": {"seen": event["state"].get("seen", []) + values}}"""


def test_a_tumbling_window_carries_its_state(localstack: Instance, source: Source) -> None:
    function = consumer(localstack, SUM)
    source.map(function, BatchSize=1, TumblingWindowInSeconds=1)
    wait_until(lambda: time.time() % 1 < 0.3, every=0.05)

    source.put("a", "b")

    *_, first, second, last = [one["event"] for one in wait_until(lambda: three(invocations(localstack, function)))]
    assert (first["state"], second["state"]) == ({}, {"seen": ["a"]})
    assert last["Records"] == []
    assert last["state"] == {"seen": ["a", "b"]}
    assert [one["isFinalInvokeForWindow"] for one in (first, second, last)] == [False, False, True]
    assert not last["isWindowTerminatedEarly"]
    assert last["eventSourceARN"] == source.arn
    assert last["shardId"].startswith("shardId-")
    bounds = [time.strptime(last["window"][end], "%Y-%m-%dT%H:%M:%SZ") for end in ("start", "end")]
    assert time.mktime(bounds[1]) - time.mktime(bounds[0]) == 1

    source.put("c")
    wait_until(lambda: len(invocations(localstack, function)) > 3)
    assert invocations(localstack, function)[3]["event"]["state"] == {}


def three(found: list[Any]) -> list[Any]:
    return found if len(found) >= 3 else []


def test_a_state_that_is_too_large_ends_its_window_early(localstack: Instance, stream: Source) -> None:
    function = localstack.create_function(
        """
import json
def handler(event, context):
    print(json.dumps({"began": 0, "values": [], "final": event["isFinalInvokeForWindow"],
                      "early": event["isWindowTerminatedEarly"], "size": len(json.dumps(event["state"]))}))
    return {"state": {"large": "x" * 1024 * 1024}}
"""
    )
    stream.map(function, TumblingWindowInSeconds=900)

    stream.put("a")

    found = wait_until(lambda: two(invocations(localstack, function)))
    assert [(one["final"], one["early"]) for one in found] == [(False, False), (True, True)]
    assert found[1]["size"] > 1024 * 1024


def two(found: list[Any]) -> list[Any]:
    return found if len(found) == 2 else []


def test_a_window_without_a_state_in_the_response_fails(localstack: Instance, stream: Source) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack, "return {}")
    stream.put("a")

    stream.map(function, TumblingWindowInSeconds=900, MaximumRetryAttempts=0, DestinationConfig=to_queue(arn))

    assert received(localstack, url)["requestContext"]["condition"] == "RetryAttemptsExhausted"


def test_a_kinesis_filter_looks_at_the_data_and_does_not_change_it(localstack: Instance, stream: Source) -> None:
    function = consumer(localstack)
    pattern = json.dumps({"data": {"kind": ["wanted"]}})
    stream.map(function, FilterCriteria={"Filters": [{"Pattern": pattern}]})

    stream.put('{"kind":"other"}', "text", '{"n":1.0,  "kind":"wanted"}')

    wait_until(lambda: batches(localstack, function) == [['{"n":1.0,  "kind":"wanted"}']])
    (record,) = invocations(localstack, function)[0]["event"]["Records"]
    assert record.keys() == {
        "kinesis",
        "eventSource",
        "eventVersion",
        "eventID",
        "eventName",
        "invokeIdentityArn",
        "awsRegion",
        "eventSourceARN",
    }


def test_a_dynamodb_filter_and_a_deletion_by_time_to_live(localstack: Instance) -> None:
    client, table = localstack.client("dynamodb"), create_table(localstack)
    function = consumer(localstack)
    pattern = json.dumps({"eventName": ["REMOVE"], "userIdentity": {"type": ["Service"]}})
    source = Source(localstack, stream_arn(localstack, table), lambda: None)
    source.map(function, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    specification = {"Enabled": True, "AttributeName": "expires"}
    client.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
    expired = {"id": {"S": "expired"}, "expires": {"N": str(int(time.time()) - 5)}, "data": {"B": b"foobar"}}

    put(localstack, table, "deleted")
    client.delete_item(TableName=table, Key={"id": {"S": "deleted"}})
    client.put_item(TableName=table, Item=expired)

    wait_until(lambda: batches(localstack, function) == [["expired"]])
    (record,) = invocations(localstack, function)[0]["event"]["Records"]
    assert record["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert record["dynamodb"]["OldImage"]["data"] == {"B": base64.b64encode(b"foobar").decode()}
    assert record["eventSourceARN"] == source.arn
    assert (record["eventVersion"], record["eventSource"]) == ("1.1", "aws:dynamodb")


def test_a_batching_window_collects_what_arrives_in_it(localstack: Instance, stream: Source) -> None:
    function = consumer(localstack)
    stream.map(function, MaximumBatchingWindowInSeconds=5)

    stream.put("one")
    stream.put("two")

    wait_until(lambda: batches(localstack, function) == [["one", "two"]])


def test_a_kinesis_mapping_can_start_at_a_time(localstack: Instance, stream: Source) -> None:
    function = consumer(localstack)
    stream.put("before")
    between = int(time.time()) + 1  # the API takes whole seconds
    wait_until(lambda: time.time() > between, every=0.05)
    stream.put("after")

    stream.map(function, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=between)

    wait_until(lambda: values(localstack, function) == ["after"])


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:kinesis:us-east-1:000000000000:stream/nobody",
        "arn:aws:dynamodb:us-east-1:000000000000:table/nobody/stream/2025-02-22T03:03:25.490",
    ],
)
def test_a_stream_that_does_not_exist_is_refused(localstack: Instance, arn: str) -> None:
    """Recorded as test_esm_with_not_existing_kinesis_stream and test_esm_with_not_existing_dynamodb_stream."""
    with pytest.raises(ClientError, match=f"InvalidParameterValueException.*Stream not found: {arn}"):
        localstack.client("lambda").create_event_source_mapping(
            EventSourceArn=arn, FunctionName=consumer(localstack), StartingPosition="LATEST"
        )


def update_shards(source: Source, count: int) -> None:
    client = source.localstack.client("kinesis")
    client.update_shard_count(StreamARN=source.arn, TargetShardCount=count, ScalingType="UNIFORM_SCALING")
    client.get_waiter("stream_exists").wait(StreamARN=source.arn, WaiterConfig={"Delay": 1})


def in_order(found: list[str], key: str) -> list[int]:
    return [int(value[1:]) for value in found if value[0] == key]


@pytest.mark.parametrize("factor", [1, 3])
def test_a_mapping_reads_the_children_of_a_shard_after_it(localstack: Instance, stream: Source, factor: int) -> None:
    """Each key's records are processed in their order, through a split and a merge.

    https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html
    """
    function, keys = consumer(localstack), "abcdefgh"
    stream.map(function, BatchSize=2, ParallelizationFactor=factor)

    for number, shards in enumerate((2, 1, 2)):
        stream.put(*[f"{key}{2 * number}" for key in keys], *[f"{key}{2 * number + 1}" for key in keys])
        update_shards(stream, shards)
    stream.put(*[f"{key}6" for key in keys])

    wait_until(lambda: len(values(localstack, function)) >= 7 * len(keys))
    found = values(localstack, function)
    assert {key: in_order(found, key) for key in keys} == {key: list(range(7)) for key in keys}


def test_children_wait_while_a_batch_of_their_parent_is_retried(localstack: Instance, stream: Source) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html"""
    function = consumer(localstack, "raise ValueError('not yet')")
    stream.map(function)
    stream.put("a0", "b0")
    wait_until(lambda: values(localstack, function))
    update_shards(stream, 2)
    stream.put("a1", "b1")

    retried = len(batches(localstack, function))
    wait_until(lambda: len(batches(localstack, function)) > retried)
    assert set(values(localstack, function)) == {"a0", "b0"}

    client = localstack.client("lambda")
    code = archive({"app.py": RECORD.replace("THEN", "return None")})
    client.update_function_code(FunctionName=function, ZipFile=code)
    wait_until(lambda: {"a1", "b1"} <= set(values(localstack, function)))
    assert [value for value in values(localstack, function) if value[0] == "a"][-1] == "a1"


def test_a_mapping_finds_the_shards_that_were_made_while_it_was_disabled(localstack: Instance, stream: Source) -> None:
    """It goes on behind what it has read, and reads what came after that, also at LATEST."""
    function, client = consumer(localstack), localstack.client("lambda")
    mapping = stream.map(function, StartingPosition="LATEST")

    def read_first() -> bool:
        stream.put("a0")  # until the mapping has its place in the stream
        return bool(values(localstack, function))

    wait_until(read_first, every=0.5)
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    wait_for_state(localstack, mapping, "Disabled")
    stream.put("a1", "b1")
    update_shards(stream, 2)
    stream.put("a2", "b2")

    client.update_event_source_mapping(UUID=mapping, Enabled=True)

    wait_until(lambda: {"a2", "b2"} <= set(values(localstack, function)))
    assert [value for value in values(localstack, function) if value[1] != "0"].count("a1") == 1
    assert [value for value in values(localstack, function) if value[0] == "b"] == ["b1", "b2"]


def test_a_mapping_at_latest_reads_nothing_that_was_written_before_it(localstack: Instance, stream: Source) -> None:
    """Not of closed shards and not of their children.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
    """
    stream.put("a0", "b0")
    update_shards(stream, 2)
    stream.put("a1", "b1")
    function = consumer(localstack)
    stream.map(function, StartingPosition="LATEST")

    def read_some() -> bool:
        stream.put("a2", "b2")
        return set(values(localstack, function)) >= {"a2", "b2"}

    wait_until(read_some, every=0.5)
    assert set(values(localstack, function)) == {"a2", "b2"}


def test_a_tumbling_window_ends_with_its_shard(localstack: Instance, stream: Source) -> None:
    """Belief: documentation says nothing of a shard that is closed within a window."""
    function = consumer(localstack, SUM)
    stream.map(function, TumblingWindowInSeconds=900)
    stream.put("a")
    wait_until(lambda: values(localstack, function))

    update_shards(stream, 2)

    _, last = [one["event"] for one in wait_until(lambda: two(invocations(localstack, function)))]
    assert (last["Records"], last["state"], last["isFinalInvokeForWindow"]) == ([], {"seen": ["a"]}, True)
