"""Pipes of EventBridge: sources, filters, enrichment, templates, targets, failures, states.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes.html
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import (
    ROLE,
    Instance,
    bodies,
    create_table,
    depth,
    of_stream,
    put,
    put_records,
    received,
    stream_arn,
    unique,
    wait_until,
)

type MakePipe = Callable[..., str]


@pytest.fixture
def make_pipe(localstack: Instance) -> Iterator[MakePipe]:
    """Makes a pipe, and returns its name; it is deleted when the test ends."""
    made: list[str] = []
    pipes = localstack.client("pipes")

    def make(source: str, target: str, **settings: Any) -> str:
        name = unique("pipe")
        answer = pipes.create_pipe(Name=name, RoleArn=ROLE, Source=source, Target=target, **settings)
        assert answer["Arn"].endswith(f":pipe/{name}")
        made.append(name)
        return name

    yield make
    for name in made:
        try:
            pipes.delete_pipe(Name=name)
        except pipes.exceptions.NotFoundException:
            continue


def send(localstack: Instance, url: str, *orders: dict[str, Any], **settings: Any) -> None:
    for order in orders:
        localstack.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(order), **settings)


def create_stream(localstack: Instance) -> tuple[str, str]:
    name, kinesis = unique("stream"), localstack.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    return name, kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]


# What reaches the target


def test_what_matches_the_filter_reaches_the_target_and_nothing_else(localstack: Instance, make_pipe: MakePipe) -> None:
    """A body of SQS that is JSON can be looked into by a filter; what does not match is deleted.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-filtering.html
    """
    url, source = localstack.create_queue()
    target_url, target = localstack.create_queue()
    pattern = json.dumps({"body": {"amount": [{"numeric": [">", 10]}]}})
    make_pipe(source, target, SourceParameters={"FilterCriteria": {"Filters": [{"Pattern": pattern}]}})

    send(localstack, url, {"id": "small", "amount": 5}, {"id": "large", "amount": 50})

    [event] = bodies(localstack, target_url)
    assert event["body"] == json.dumps({"id": "large", "amount": 50})
    assert (event["eventSource"], event["eventSourceARN"], event["awsRegion"]) == ("aws:sqs", source, "us-east-1")
    wait_until(lambda: depth(localstack, url) == 0)
    assert depth(localstack, target_url) == 0


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"Hello, <$.body.name>"', "Hello, Ann"),
        ("<$.body.items>", [1, 2]),
        (
            '{"who": <$.body.name>, "first": <$.body.items[0]>, "none": <$.body.none>}',
            {"who": "Ann", "first": 1, "none": ""},
        ),
        ('{"text": "<$.body.name> has <$.body.items>"}', {"text": "Ann has [1,2]"}),
        ('{"from": <aws.pipes.source-arn>, "is": <aws.pipes.event.json>}', None),
    ],
)
def test_an_input_template_shapes_what_the_target_gets(
    localstack: Instance, make_pipe: MakePipe, template: str, expected: Any
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html"""
    url, source = localstack.create_queue()
    target_url, target = localstack.create_queue()
    make_pipe(source, target, TargetParameters={"InputTemplate": template})

    send(localstack, url, {"name": "Ann", "items": [1, 2]})

    [message] = received(localstack, target_url)
    try:
        found = json.loads(message["Body"])
    except ValueError:
        found = message["Body"]
    if expected is None:
        assert found["from"] == source
        assert found["is"]["body"] == {"name": "Ann", "items": [1, 2]}
    else:
        assert found == expected


def test_an_enrichment_gets_the_batch_and_what_it_returns_are_the_events(
    localstack: Instance, make_pipe: MakePipe
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/pipes-enrichment.html"""
    url, source = localstack.create_queue()
    target_url, target = localstack.create_queue()
    function = localstack.create_function(
        "def handler(event, context): return [{'id': e['id'], 'rich': True} for e in event for _ in range(2)]"
    )
    arn = localstack.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    make_pipe(source, target, Enrichment=arn, EnrichmentParameters={"InputTemplate": '{"id": <$.body.id>}'})

    send(localstack, url, {"id": "o-1"})

    assert bodies(localstack, target_url, 2) == [{"id": "o-1", "rich": True}] * 2


@pytest.mark.parametrize("nothing", ["[]", "{}", "''"])
def test_an_enrichment_that_returns_nothing_invokes_no_target(
    localstack: Instance, make_pipe: MakePipe, nothing: str
) -> None:
    """ "If you don't want the target to be invoked, return an empty response": ``""``, ``{}`` or ``[]``."""
    url, source = localstack.create_queue()
    target_url, target = localstack.create_queue()
    function = localstack.create_function(
        f"def handler(event, context): return {nothing} if 'drop' in event[0]['body'] else event"
    )
    arn = localstack.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    make_pipe(source, target, Enrichment=arn)

    send(localstack, url, {"id": "drop"})
    wait_until(lambda: depth(localstack, url) == 0)
    send(localstack, url, {"id": "keep"})

    assert [json.loads(event["body"])["id"] for event in bodies(localstack, target_url)] == ["keep"]


def test_a_function_as_the_target_gets_the_batch_and_names_what_failed(
    localstack: Instance, make_pipe: MakePipe
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html"""
    dead_url, dead = localstack.create_queue()
    url, source = localstack.create_queue(
        VisibilityTimeout="1", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})
    )
    send(localstack, url, {"id": "good"}, {"id": "bad"})
    function = localstack.create_function(
        "def handler(event, context):\n"
        "    print('BATCH', len(event))\n"
        "    failed = [e['messageId'] for e in event if 'bad' in e['body']]\n"
        "    return {'batchItemFailures': [{'itemIdentifier': i} for i in failed]}"
    )
    arn = localstack.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    make_pipe(source, arn)

    assert bodies(localstack, dead_url) == [{"id": "bad"}]
    assert depth(localstack, dead_url) == 0
    assert localstack.messages(function, "BATCH")


def test_a_fifo_target_takes_its_group_from_the_event(localstack: Instance, make_pipe: MakePipe) -> None:
    """Parameters that begin with ``$.`` are paths.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html
    """
    url, source = localstack.create_queue()
    target_url, target = localstack.create_queue(unique("target") + ".fifo", FifoQueue="true")
    fifo = {"MessageGroupId": "$.body.customer", "MessageDeduplicationId": "$.messageId"}
    make_pipe(source, target, TargetParameters={"SqsQueueParameters": fifo})

    send(localstack, url, {"customer": "c-1"})

    def message() -> Any:
        answer = localstack.client("sqs").receive_message(QueueUrl=target_url, AttributeNames=["All"])
        return answer.get("Messages")

    [found] = wait_until(message)
    assert found["Attributes"]["MessageGroupId"] == "c-1"


def test_events_reach_a_bus(localstack: Instance, make_pipe: MakePipe) -> None:
    url, source = localstack.create_queue()
    events, queue = localstack.client("events"), localstack.create_queue()
    bus, rule = unique("bus"), unique("rule")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps({"source": ["orders"]}))
    events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "1", "Arn": queue[1]}])
    entry = {"Source": "orders", "DetailType": "Order"}
    template = '{"order": <$.body.id>}'
    make_pipe(source, bus_arn, TargetParameters={"InputTemplate": template, "EventBridgeEventBusParameters": entry})

    send(localstack, url, {"id": "o-1"})

    [event] = bodies(localstack, queue[0])
    assert (event["detail-type"], event["detail"]) == ("Order", {"order": "o-1"})


def test_records_reach_a_stream(localstack: Instance, make_pipe: MakePipe) -> None:
    url, source = localstack.create_queue()
    name, target = create_stream(localstack)
    parameters = {"InputTemplate": "<$.body>", "KinesisStreamParameters": {"PartitionKey": "$.body.id"}}
    make_pipe(source, target, TargetParameters=parameters)

    send(localstack, url, {"id": "o-1"})

    [record] = wait_until(lambda: of_stream(localstack, name))
    assert (record["PartitionKey"], json.loads(record["Data"])) == ("o-1", {"id": "o-1"})


def test_events_reach_a_topic(localstack: Instance, make_pipe: MakePipe) -> None:
    url, source = localstack.create_queue()
    queue_url, queue = localstack.create_queue()
    sns = localstack.client("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    make_pipe(source, topic, TargetParameters={"InputTemplate": "<$.body>"})

    send(localstack, url, {"id": "o-1"})

    assert bodies(localstack, queue_url) == [{"id": "o-1"}]


def test_events_reach_a_log_group(localstack: Instance, make_pipe: MakePipe) -> None:
    url, source = localstack.create_queue()
    logs, group = localstack.client("logs"), unique("/orders")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="piped")
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:*"
    parameters = {"InputTemplate": "<$.body>", "CloudWatchLogsParameters": {"LogStreamName": "piped"}}
    make_pipe(source, arn, TargetParameters=parameters)

    send(localstack, url, {"id": "o-1"})

    found = wait_until(lambda: logs.filter_log_events(logGroupName=group)["events"])
    assert [json.loads(event["message"]) for event in found] == [{"id": "o-1"}]


def test_a_state_machine_gets_the_batch_as_its_input(localstack: Instance, make_pipe: MakePipe) -> None:
    """FIRE_AND_FORGET starts an execution with the batch, an array.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html
    """
    url, source = localstack.create_queue()
    states = localstack.client("stepfunctions")
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    machine = states.create_state_machine(name=unique("machine"), definition=definition, roleArn=ROLE)
    arn = machine["stateMachineArn"]
    make_pipe(
        source,
        arn,
        TargetParameters={
            "InputTemplate": "<$.body>",
            "StepFunctionStateMachineParameters": {"InvocationType": "FIRE_AND_FORGET"},
        },
    )

    send(localstack, url, {"id": "o-1"})

    [execution] = wait_until(lambda: states.list_executions(stateMachineArn=arn)["executions"])
    found = states.describe_execution(executionArn=execution["executionArn"])
    assert json.loads(found["input"]) == [{"id": "o-1"}]


# Sources that are streams


def test_changes_of_a_table_reach_the_target_and_what_fails_the_dead_letter_queue(
    localstack: Instance, make_pipe: MakePipe
) -> None:
    """After MaximumRetryAttempts the place of the records in the stream is sent to the pipe's dead-letter queue.

    https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_PipeSourceDynamoDBStreamParameters.html
    """
    table, dead_url_arn = create_table(localstack), localstack.create_queue()
    target_url, target = localstack.create_queue()
    function = localstack.create_function(
        "def handler(event, context):\n    assert event[0]['dynamodb']['Keys']['id']['S'] != 'bad'\n    return event"
    )
    arn = localstack.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    stream = {
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 1,
        "MaximumRetryAttempts": 1,
        "DeadLetterConfig": {"Arn": dead_url_arn[1]},
    }
    name = make_pipe(
        stream_arn(localstack, table),
        target,
        Enrichment=arn,
        SourceParameters={"DynamoDBStreamParameters": stream},
        TargetParameters={"InputTemplate": "<$.dynamodb.Keys.id.S>"},
    )

    for key in ("one", "bad", "two"):
        put(localstack, table, key)

    assert [message["Body"] for message in received(localstack, target_url, 2)] == ["one", "two"]
    [letter] = bodies(localstack, dead_url_arn[0])
    assert letter["context"]["condition"] == "RetryAttemptsExhausted"
    assert letter["context"]["partnerResourceArn"].endswith(f"pipe/{name}")
    assert letter["DDBStreamBatchInfo"]["batchSize"] == 1


def test_records_of_a_stream_can_be_looked_into(localstack: Instance, make_pipe: MakePipe) -> None:
    """The data of Kinesis are decoded for filters and templates, and are Base64 otherwise."""
    stream, source = create_stream(localstack)
    target_url, target = localstack.create_queue()
    make_pipe(
        source,
        target,
        SourceParameters={
            "KinesisStreamParameters": {"StartingPosition": "TRIM_HORIZON"},
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"data": {"kind": ["order"]}})}]},
        },
        TargetParameters={"InputTemplate": '{"key": <$.partitionKey>, "id": <$.data.id>}'},
    )

    put_records(localstack, stream, ("a", b'{"kind": "other"}'), ("b", b'{"kind": "order", "id": 7}'))

    assert bodies(localstack, target_url) == [{"key": "b", "id": 7}]


# Life


def test_a_stopped_pipe_reads_nothing_and_goes_on_where_it_was(localstack: Instance, make_pipe: MakePipe) -> None:
    pipes, table = localstack.client("pipes"), create_table(localstack)
    target_url, target = localstack.create_queue()
    name = make_pipe(
        stream_arn(localstack, table),
        target,
        SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"}},
        TargetParameters={"InputTemplate": "<$.dynamodb.Keys.id.S>"},
    )
    put(localstack, table, "before")
    assert received(localstack, target_url)[0]["Body"] == "before"

    assert pipes.stop_pipe(Name=name)["DesiredState"] == "STOPPED"
    wait_until(lambda: pipes.describe_pipe(Name=name)["CurrentState"] == "STOPPED")
    with pytest.raises(pipes.exceptions.ConflictException):
        pipes.stop_pipe(Name=name)
    put(localstack, table, "meanwhile")
    assert depth(localstack, target_url) == 0

    pipes.start_pipe(Name=name)
    assert received(localstack, target_url)[0]["Body"] == "meanwhile"
    assert depth(localstack, target_url) == 0


def test_an_updated_pipe_has_its_new_target_and_keeps_what_was_not_given(
    localstack: Instance, make_pipe: MakePipe
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_UpdatePipe.html"""
    pipes = localstack.client("pipes")
    url, source = localstack.create_queue()
    _, first = localstack.create_queue()
    second_url, second = localstack.create_queue()
    name = make_pipe(source, first, Description="one", TargetParameters={"InputTemplate": "<$.body>"})

    pipes.update_pipe(Name=name, RoleArn=ROLE, Target=second)
    send(localstack, url, {"id": "o-1"})

    assert bodies(localstack, second_url) == [{"id": "o-1"}]
    found = pipes.describe_pipe(Name=name)
    assert (found["Description"], found["Target"], found["CurrentState"]) == ("one", second, "RUNNING")


def test_pipes_are_listed_tagged_and_deleted(localstack: Instance, make_pipe: MakePipe) -> None:
    pipes = localstack.client("pipes")
    _, source = localstack.create_queue()
    _, target = localstack.create_queue()
    name = make_pipe(source, target, DesiredState="STOPPED", Tags={"pattern": "orders"})
    arn = pipes.describe_pipe(Name=name)["Arn"]

    pipes.tag_resource(resourceArn=arn, tags={"more": "yes"})
    pipes.untag_resource(resourceArn=arn, tagKeys=["pattern"])
    [listed] = pipes.list_pipes(SourcePrefix=source)["Pipes"]

    assert pipes.list_tags_for_resource(resourceArn=arn)["tags"] == {"more": "yes"}
    assert (listed["Name"], listed["CurrentState"], listed["Target"]) == (name, "STOPPED", target)
    assert pipes.delete_pipe(Name=name)["CurrentState"] == "DELETING"
    with pytest.raises(pipes.exceptions.NotFoundException):
        pipes.describe_pipe(Name=name)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"Source": "arn:aws:mq:us-east-1:000000000000:broker:b:1"}, "Source"),
        ({"Target": "arn:aws:redshift:us-east-1:000000000000:cluster:c"}, "Target"),
        ({"Enrichment": "arn:aws:sqs:us-east-1:000000000000:queue"}, "Enrichment"),
        ({"Source": "queue"}, "no ARN"),
        ({"DesiredState": "ON"}, "DesiredState"),
        ({"Name": "a b"}, "name"),
        ({"SourceParameters": {"SqsQueueParameters": {"BatchSize": 10_001}}}, "BatchSize"),
        ({"SourceParameters": {"FilterCriteria": {"Filters": [{"Pattern": '{"body": "x"}'}]}}}, "Invalid filter"),
        ({"Source": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}, "StartingPosition"),
    ],
)
def test_what_no_pipe_can_be_is_refused(localstack: Instance, settings: dict[str, Any], reason: str) -> None:
    _, queue = localstack.create_queue()
    pipes = localstack.client("pipes")
    given = {"Name": unique("pipe"), "RoleArn": ROLE, "Source": queue, "Target": queue} | settings

    with pytest.raises(ClientError, match=reason) as refused:
        pipes.create_pipe(**given)

    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_pipe_has_its_name_alone(localstack: Instance, make_pipe: MakePipe) -> None:
    _, queue = localstack.create_queue()
    pipes = localstack.client("pipes")
    name = make_pipe(queue, queue, DesiredState="STOPPED")

    with pytest.raises(pipes.exceptions.ConflictException):
        pipes.create_pipe(Name=name, RoleArn=ROLE, Source=queue, Target=queue)
