"""Event source mappings of SQS queues."""

import json
import time
from typing import Any

import pytest
from harness import Instance, wait_for_state, wait_until

RECORD = """
import json, time
from time import sleep
def handler(event, context):
    began = time.time()
    sleep({pause})
    bodies = [record["body"] for record in event["Records"]]
    print(json.dumps({{"bodies": bodies, "began": began, "ended": time.time()}}))
    {then}
"""


def consumer(localstack: Instance, pause: float | str = 0, then: str = "return None", **settings: Any) -> str:
    """A function that logs the bodies of each batch; ``pause`` is in seconds, ``then`` its last statement."""
    return localstack.create_function(RECORD.format(pause=pause, then=then), **settings)


def batches(localstack: Instance, function: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in localstack.messages(function, "{ $.bodies[0] = * }")]


def bodies(localstack: Instance, function: str) -> list[str]:
    return [body for batch in batches(localstack, function) for body in batch["bodies"]]


def map_queue(localstack: Instance, queue_arn: str, function: str, **settings: Any) -> str:
    client = localstack.client("lambda")
    mapping = client.create_event_source_mapping(EventSourceArn=queue_arn, FunctionName=function, **settings)
    wait_for_state(localstack, mapping["UUID"], "Enabled")
    found: str = mapping["UUID"]
    return found


def send(localstack: Instance, url: str, *messages: str, **entry: Any) -> None:
    for start in range(0, len(messages), 10):
        entries = [{"Id": str(i), "MessageBody": body} | entry for i, body in enumerate(messages[start : start + 10])]
        localstack.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)


def counts(localstack: Instance, url: str) -> tuple[int, int]:
    """Visible messages and messages in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = localstack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def test_disabled_means_that_nothing_is_invoked_any_more(localstack: Instance) -> None:
    # given a mapping with a batch in flight
    url, arn = localstack.create_queue(VisibilityTimeout="30")
    function = consumer(localstack, pause="5 if 'in flight' in str(event) else 0")
    mapping = map_queue(localstack, arn, function)
    send(localstack, url, "in flight")
    wait_until(lambda: counts(localstack, url) == (0, 1))

    # when it is disabled
    answer = localstack.client("lambda").update_event_source_mapping(UUID=mapping, Enabled=False)
    wait_for_state(localstack, mapping, "Disabled")

    # then its batch is finished by the time it is Disabled
    assert answer["State"] == "Disabling"
    assert counts(localstack, url) == (0, 0)

    # and messages that come later stay, unreceived, longer than any poll takes
    send(localstack, url, *[f"later {i}" for i in range(20)])
    settled = time.monotonic() + 1.5
    wait_until(lambda: counts(localstack, url) != (20, 0) or time.monotonic() > settled)
    assert counts(localstack, url) == (20, 0)
    assert bodies(localstack, function) == ["in flight"]

    # and all are processed, at their first receive, when it is enabled again
    localstack.client("lambda").update_event_source_mapping(UUID=mapping, Enabled=True)
    wait_until(lambda: len(bodies(localstack, function)) == 21)
    wait_until(lambda: counts(localstack, url) == (0, 0), 20)  # before any could come back
    wait_for_state(localstack, mapping, "Enabled")


def test_quick_changes_end_in_the_last_one(localstack: Instance) -> None:
    client = localstack.client("lambda")
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    mapping = map_queue(localstack, arn, function)

    for enabled in (False, True, False, True):
        client.update_event_source_mapping(UUID=mapping, Enabled=enabled)
    send(localstack, url, "one")

    wait_until(lambda: bodies(localstack, function) == ["one"])
    wait_for_state(localstack, mapping, "Enabled")


@pytest.mark.parametrize("enabled", [True, False])
def test_a_deleted_mapping_is_gone(localstack: Instance, enabled: bool) -> None:
    client = localstack.client("lambda")
    _, arn = localstack.create_queue()
    function = consumer(localstack)
    mapping = map_queue(localstack, arn, function)
    if not enabled:
        client.update_event_source_mapping(UUID=mapping, Enabled=False)
        wait_for_state(localstack, mapping, "Disabled")

    client.delete_event_source_mapping(UUID=mapping)

    wait_until(lambda: not client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"])


def test_maximum_concurrency_bounds_batches_in_flight(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack, pause=2)
    map_queue(localstack, arn, function, BatchSize=1, ScalingConfig={"MaximumConcurrency": 3})

    send(localstack, url, *map(str, range(9)))

    found = wait_until(lambda: nine(batches(localstack, function)))
    at_once = [sum(one["began"] <= other["began"] < one["ended"] for one in found) for other in found]
    assert max(at_once) == 3


def nine(found: list[Any]) -> list[Any]:
    return found if len(found) == 9 else []


def test_a_batching_window_collects_what_arrives_in_it(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    localstack.invoke(function, {"Records": []})  # warm: what follows is the window alone
    map_queue(localstack, arn, function, BatchSize=10, MaximumBatchingWindowInSeconds=5)

    began = time.time()
    for body in ("one", "two", "three"):
        send(localstack, url, body)
        wait_until(lambda: sum(counts(localstack, url)) > 0)

    (batch,) = wait_until(lambda: batches(localstack, function))
    assert sorted(batch["bodies"]) == ["one", "three", "two"]
    assert 4.5 < batch["began"] - began < 15


def test_a_full_batch_does_not_wait_for_the_window(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    send(localstack, url, *map(str, range(20)))
    map_queue(localstack, arn, function, BatchSize=20, MaximumBatchingWindowInSeconds=60)

    (batch,) = wait_until(lambda: batches(localstack, function))

    assert len(batch["bodies"]) == 20


def test_a_body_arrives_as_it_was_sent(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    sent = ['{"b":1,  "a":[1.0]}', '"quoted"', "1e3", "plain text", "[" * 10_000]
    map_queue(localstack, arn, function)

    send(localstack, url, *sent)

    wait_until(lambda: len(bodies(localstack, function)) == len(sent))
    assert sorted(bodies(localstack, function)) == sorted(sent)


def test_brackets_nested_deeper_than_a_parser_goes_are_text(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    nested = "[" * 10_000
    pattern = json.dumps({"body": {"kind": ["wanted"]}})
    map_queue(localstack, arn, function, FilterCriteria={"Filters": [{"Pattern": pattern}]})

    send(localstack, url, nested, '{"kind":"wanted"}')

    wait_until(lambda: bodies(localstack, function))
    wait_until(lambda: counts(localstack, url) == (0, 0))
    assert bodies(localstack, function) == ['{"kind":"wanted"}']


def test_a_filter_deletes_what_does_not_match(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    pattern = json.dumps({"body": {"kind": ["wanted"]}})
    map_queue(localstack, arn, function, FilterCriteria={"Filters": [{"Pattern": pattern}]})

    send(localstack, url, '{"kind":"wanted"}', '{"kind":"other"}', "text")

    wait_until(lambda: bodies(localstack, function))
    wait_until(lambda: counts(localstack, url) == (0, 0))
    assert bodies(localstack, function) == ['{"kind":"wanted"}']


@pytest.mark.parametrize(
    ("pattern", "wanted", "others"),
    [
        (
            {"sku": [{"prefix": {"equals-ignore-case": "a"}}]},
            {"sku": "AB"},
            [{"sku": 5}, {"sku": True}, {"sku": {"a": 1}}],
        ),
        ({"flag": [True]}, {"flag": True}, [{"flag": 1}, {"flag": "true"}]),
        ({"path": [{"wildcard": "a*"}]}, {"path": "a"}, [{"path": "ba"}]),
        (
            {"items": {"sku": ["a"], "size": [2]}},
            {"items": [{"sku": "b", "size": 1}, {"sku": "a", "size": 2}]},
            [{"items": [{"sku": "a", "size": 1}, {"sku": "b", "size": 2}]}],
        ),
    ],
    ids=["another type", "true", "star", "one element"],
)
def test_a_filter_matches_as_a_rule_does(localstack: Instance, pattern: Any, wanted: Any, others: list[Any]) -> None:
    """The operators are EventBridge's (https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html)."""
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    map_queue(localstack, arn, function, FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": pattern})}]})

    send(localstack, url, *map(json.dumps, [*others, wanted]))

    wait_until(lambda: bodies(localstack, function))
    wait_until(lambda: counts(localstack, url) == (0, 0))
    assert bodies(localstack, function) == [json.dumps(wanted)]


@pytest.mark.parametrize("pattern", [{"body": {"a": 1}}, {}, {"body": {"a": [{"wildcard": "**"}]}}], ids=json.dumps)
def test_a_filter_that_is_not_valid_is_refused(localstack: Instance, pattern: Any) -> None:
    """Of CreateEventSourceMapping (https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html)."""
    client, (_, arn) = localstack.client("lambda"), localstack.create_queue()
    filters = {"Filters": [{"Pattern": json.dumps(pattern)}]}

    with pytest.raises(client.exceptions.InvalidParameterValueException, match="Invalid filter pattern definition"):
        client.create_event_source_mapping(
            EventSourceArn=arn, FunctionName=consumer(localstack), FilterCriteria=filters
        )


def test_a_failed_batch_comes_back_until_the_dead_letter_queue(localstack: Instance) -> None:
    dead_url, dead_arn = localstack.create_queue()
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "2"})
    url, arn = localstack.create_queue(VisibilityTimeout="3", RedrivePolicy=redrive)
    function = consumer(localstack, then="raise ValueError('boom')", Timeout=3)
    map_queue(localstack, arn, function)

    send(localstack, url, "poison", MessageAttributes={"k": {"DataType": "String", "StringValue": "v"}})

    sqs = localstack.client("sqs")
    (message,) = wait_until(
        lambda: sqs.receive_message(QueueUrl=dead_url, MessageAttributeNames=["All"]).get("Messages")
    )
    assert message["Body"] == "poison"
    assert message["MessageAttributes"]["k"]["StringValue"] == "v"
    wait_until(lambda: bodies(localstack, function) == ["poison", "poison"])


REPORT_FIRST = "return {'batchItemFailures': [{'itemIdentifier': event['Records'][0]['messageId']}]}"


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (REPORT_FIRST, 1),
        ("return {'batchItemFailures': []}", 0),
        ("return {'batchItemFailures': [{'itemIdentifier': 'nobody'}]}", 3),
        ("return {'batchItemFailures': [{'itemIdentifier': ''}]}", 3),
        ("raise ValueError", 3),
    ],
)
def test_partial_batch_response(localstack: Instance, answer: str, left: int) -> None:
    url, arn = localstack.create_queue(VisibilityTimeout="60")
    function = consumer(localstack, then=answer)
    send(localstack, url, "a", "b", "c")
    map_queue(localstack, arn, function, FunctionResponseTypes=["ReportBatchItemFailures"])

    wait_until(lambda: batches(localstack, function))

    wait_until(lambda: counts(localstack, url) == (0, left))


def test_fifo_groups_keep_their_order(localstack: Instance) -> None:
    url, arn = localstack.create_queue(
        f"fifo-{time.time_ns()}.fifo",
        FifoQueue="true",
        ContentBasedDeduplication="true",
        VisibilityTimeout="10",
    )
    function = consumer(localstack)
    map_queue(localstack, arn, function, BatchSize=3)

    for group in "ab":
        send(localstack, url, *[f"{group}{i:02}" for i in range(10)], MessageGroupId=group)

    wait_until(lambda: len(bodies(localstack, function)) == 20)
    for group in "ab":
        own = [
            body
            for batch in sorted(batches(localstack, function), key=lambda batch: batch["began"])
            for body in batch["bodies"]
            if body.startswith(group)
        ]
        assert own == sorted(own)


def test_a_backlog_drains_without_pauses(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = consumer(localstack)
    send(localstack, url, *map(str, range(200)))

    began = time.monotonic()
    map_queue(localstack, arn, function, BatchSize=10)
    wait_until(lambda: counts(localstack, url) == (0, 0))

    assert time.monotonic() - began < 10
    wait_until(lambda: len(bodies(localstack, function)) == 200)
