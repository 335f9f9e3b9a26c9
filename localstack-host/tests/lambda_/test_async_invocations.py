"""Asynchronous invocations: what becomes of those that fail, are throttled or grow too old."""

import json
from functools import partial
from typing import Any

import pytest
from harness import Gate, Instance, statistics, unique, wait_until

FAILS = "def handler(event, context):\n    print('attempt', context.aws_request_id)\n    raise ValueError('boom')"
RUNS = """
from time import sleep
def handler(event, context):
    print("runs", event["id"], context.aws_request_id)
    sleep(event.get("seconds", 0))
    if event.get("fail"):
        raise ValueError("boom")
    return event["id"]
"""


def send(localstack: Instance, function: str, event: Any) -> str:
    """Invokes asynchronously and returns the request id."""
    client = localstack.client("lambda")
    response = client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
    assert response["StatusCode"] == 202
    found: str = response["ResponseMetadata"]["RequestId"]
    return found


def configure(localstack: Instance, function: str, qualifier: str = "$LATEST", **settings: Any) -> str:
    """The URL of the queue that gets the function's records."""
    url, arn = localstack.create_queue()
    localstack.client("lambda").put_function_event_invoke_config(
        FunctionName=function,
        Qualifier=qualifier,
        DestinationConfig={kind: {"Destination": arn} for kind in ("OnFailure", "OnSuccess")},
        **settings,
    )
    return url


def receive(localstack: Instance, url: str, seconds: float = 20) -> Any:
    sqs = localstack.client("sqs")

    def received() -> Any:
        return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"]).get("Messages")

    return wait_until(received, seconds)[0]


def record(localstack: Instance, url: str, seconds: float = 20) -> Any:
    content = json.loads(receive(localstack, url, seconds)["Body"])
    assert content.pop("version") == "1.0"
    assert content.pop("timestamp").endswith("Z")
    return content


def context(localstack: Instance, function: str, request_id: str, condition: str, count: int) -> dict[str, Any]:
    arn = localstack.client("lambda").get_function_configuration(FunctionName=function)["FunctionArn"]
    return {
        "requestId": request_id,
        "functionArn": f"{arn}:$LATEST",
        "condition": condition,
        "approximateInvokeCount": count,
    }


def attempts(localstack: Instance, function: str, word: str, number: int) -> list[str]:
    def enough() -> list[str]:
        found = localstack.messages(function, word)
        return found if len(found) >= number else []

    return wait_until(enough)


def test_a_success_in_its_record(localstack: Instance) -> None:
    function = localstack.create_function(RUNS)
    url = configure(localstack, function)

    request_id = send(localstack, function, {"id": "a"})

    assert record(localstack, url) == {
        "requestContext": context(localstack, function, request_id, "Success", 1),
        "requestPayload": {"id": "a"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": "a",
    }


def test_a_failure_in_its_record_after_two_retries_with_the_same_request_id(localstack: Instance) -> None:
    function = localstack.create_function(FAILS)
    url = configure(localstack, function)

    request_id = send(localstack, function, {"k": 1})
    content = record(localstack, url)

    assert content["requestContext"] == context(localstack, function, request_id, "RetriesExhausted", 3)
    assert content["requestPayload"] == {"k": 1}
    assert content["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert content["responsePayload"]["errorMessage"] == "boom"
    assert content["responsePayload"]["requestId"] == request_id
    assert attempts(localstack, function, "attempt", 3) == [f"attempt {request_id}"] * 3


@pytest.mark.parametrize(("maximum_age", "count"), [(60, 1), (100, 2)])
def test_a_failure_that_would_grow_too_old_is_not_retried(localstack: Instance, maximum_age: int, count: int) -> None:
    """Retries come after 60 and 120 s; that the test's are shorter changes nothing."""
    function = localstack.create_function(FAILS)
    url = configure(localstack, function, MaximumEventAgeInSeconds=maximum_age)

    request_id = send(localstack, function, {"k": 1})

    expected = context(localstack, function, request_id, "EventAgeExceeded", count)
    assert record(localstack, url)["requestContext"] == expected


def test_throttled_events_are_put_back_until_there_is_room(localstack: Instance) -> None:
    function = localstack.create_function(RUNS)
    url = configure(localstack, function, MaximumEventAgeInSeconds=60)
    client = localstack.client("lambda")
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    ids = ["a", "b", "c"]

    for event_id in ids:
        send(localstack, function, {"id": event_id, "seconds": 1})
    records = [record(localstack, url, 30) for _ in ids]

    assert sorted(content["responsePayload"] for content in records) == ids
    assert {content["requestContext"]["condition"] for content in records} == {"Success"}
    assert {content["requestContext"]["approximateInvokeCount"] for content in records} == {1}
    assert len(attempts(localstack, function, "runs", 3)) == 3


def test_a_throttled_event_expires_at_its_maximum_age(localstack: Instance, gate: Gate) -> None:
    """Two failures make the event 180 s old; then it is throttled until it is 190 s old."""
    source = """
import boto3
attempts = 0
def handler(event, context):
    global attempts
    if event["id"] == "busy":
        WAIT
        return
    attempts += 1
    if attempts == 2:  # the busy one takes all that there is from now on
        boto3.client("lambda").put_function_concurrency(
            FunctionName=context.function_name, ReservedConcurrentExecutions=1
        )
    raise ValueError("boom")
"""
    function = localstack.create_function(source.replace("WAIT", gate.wait), Timeout=60)
    queue, arn = localstack.create_queue()
    client = localstack.client("lambda")
    client.update_function_configuration(FunctionName=function, DeadLetterConfig={"TargetArn": arn})
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    url = configure(localstack, function, MaximumEventAgeInSeconds=190)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=2)

    send(localstack, function, {"id": "busy"})
    with gate.held(1):
        request_id = send(localstack, function, {"id": "old"})
        content = record(localstack, url, 60)

    assert content == {
        "requestContext": context(localstack, function, request_id, "EventAgeExceeded", 2),
        "requestPayload": {"id": "old"},
    }
    attributes = receive(localstack, queue)["MessageAttributes"]
    assert attributes["RequestID"]["StringValue"] == request_id


def test_reserved_concurrency_of_zero_gives_up_at_once(localstack: Instance) -> None:
    queue, arn = localstack.create_queue()
    function = localstack.create_function(RUNS, DeadLetterConfig={"TargetArn": arn})
    url = configure(localstack, function)
    localstack.client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)

    request_id = send(localstack, function, {"id": "a"})

    assert record(localstack, url) == {
        "requestContext": context(localstack, function, request_id, "ZeroReservedConcurrency", 0),
        "requestPayload": {"id": "a"},
    }
    assert json.loads(receive(localstack, queue)["Body"]) == {"id": "a"}


def test_the_dead_letter_queue_gets_the_event_and_three_attributes(localstack: Instance) -> None:
    queue, arn = localstack.create_queue()
    source = "def handler(event, context): raise ValueError('é' * 2000)"
    function = localstack.create_function(source, DeadLetterConfig={"TargetArn": arn})
    localstack.client("lambda").put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)

    request_id = send(localstack, function, {"raise_error": 1})
    message = receive(localstack, queue)

    assert json.loads(message["Body"]) == {"raise_error": 1}
    assert message["MessageAttributes"] == {
        "RequestID": {"StringValue": request_id, "DataType": "String"},
        "ErrorCode": {"StringValue": "200", "DataType": "Number"},
        "ErrorMessage": {"StringValue": "é" * 512, "DataType": "String"},
    }


def test_a_record_on_an_event_bus_names_the_bus_and_the_function(localstack: Instance) -> None:
    function, bus = localstack.create_function(FAILS), unique("bus")
    events = localstack.client("events")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    url, arn = localstack.create_queue()
    events.put_rule(Name=bus, EventBusName=bus, EventPattern=json.dumps({"source": ["lambda"]}))
    events.put_targets(Rule=bus, EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
    localstack.client("lambda").put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": bus_arn}},
    )

    request_id = send(localstack, function, {"mode": "failure"})
    event = json.loads(receive(localstack, url)["Body"])

    expected = context(localstack, function, request_id, "RetriesExhausted", 1)
    assert event["detail-type"] == "Lambda Function Invocation Result - Failure"
    assert event["resources"] == [bus_arn, expected["functionArn"]]
    assert event["detail"]["requestContext"] == expected
    assert (event["detail"]["version"], event["detail"]["requestPayload"]) == ("1.0", {"mode": "failure"})


def test_an_alias_has_settings_of_its_own(localstack: Instance) -> None:
    client, function = localstack.client("lambda"), localstack.create_function(FAILS)
    version = client.publish_version(FunctionName=function)["Version"]
    client.create_alias(FunctionName=function, Name="live", FunctionVersion=version)
    url = configure(localstack, function, "live", MaximumRetryAttempts=0)

    send(localstack, f"{function}:live", {"k": 1})

    assert record(localstack, url)["requestContext"]["approximateInvokeCount"] == 1


def test_what_cannot_be_delivered_is_counted(localstack: Instance) -> None:
    sqs = localstack.client("sqs")
    queue, arn = localstack.create_queue()
    function = localstack.create_function(FAILS, DeadLetterConfig={"TargetArn": arn})
    url = configure(localstack, function, MaximumRetryAttempts=0)
    for gone in (queue, url):
        sqs.delete_queue(QueueUrl=gone)

    send(localstack, function, {"k": 1})

    for metric in ("DeadLetterErrors", "DestinationDeliveryFailures"):
        wait_until(partial(statistics, localstack, "AWS/Lambda", metric, FunctionName=function))
