"""Rules of EventBridge: targets that fail, disabled rules, schedules, input transformers, replays."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import ROLE, Instance, attributes, bodies, depth, failing_queue, of_stream, received, unique, wait_until


def make_rule(localstack: Instance, *targets: dict[str, Any], **settings: Any) -> tuple[str, str]:
    """A rule for events whose source is its name. Name and ARN."""
    events, name = localstack.client("events"), unique("rule")
    settings = {"EventPattern": json.dumps({"source": [name]})} | settings
    arn = events.put_rule(Name=name, **settings)["RuleArn"]
    bus = {key: value for key, value in settings.items() if key == "EventBusName"}
    numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    if numbered:
        answer = events.put_targets(Rule=name, Targets=numbered, **bus)
        assert answer["FailedEntryCount"] == 0
    return name, arn


def put_event(localstack: Instance, source: str, detail: Any = None, **entry: Any) -> str:
    entry = {"Source": source, "DetailType": "Order", "Detail": json.dumps(detail or {"order": 1})} | entry
    answer = localstack.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
    found: str = answer["Entries"][0]["EventId"]
    return found


# Retries and dead-letter queue


def test_a_target_that_is_gone_is_not_retried(localstack: Instance) -> None:
    # given
    dead_url, dead_arn = localstack.create_queue()
    url, arn = localstack.create_queue()
    name, rule_arn = make_rule(localstack, {"Arn": arn, "DeadLetterConfig": {"Arn": dead_arn}})
    localstack.client("sqs").delete_queue(QueueUrl=url)

    # when
    event_id = put_event(localstack, name, {"order": 7})

    # then the message is the event, with the attributes of
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    (message,) = received(localstack, dead_url)
    event = json.loads(message["Body"])
    assert (event["id"], event["detail"]) == (event_id, {"order": 7})
    assert "event-bus-name" not in event
    found = attributes(message)
    assert found.pop("ERROR_MESSAGE")
    assert found == {
        "RULE_ARN": rule_arn,
        "TARGET_ARN": arn,
        "ERROR_CODE": "NO_RESOURCE",
        "RETRY_ATTEMPTS": "0",
    }


def test_other_errors_are_retried_as_often_as_the_policy_says(localstack: Instance) -> None:
    dead_url, dead_arn = localstack.create_queue()
    target = {
        "Arn": failing_queue(localstack),
        "SqsParameters": {"MessageGroupId": "group"},
        "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": dead_arn},
    }
    name, _ = make_rule(localstack, target)
    began = time.monotonic()

    put_event(localstack, name)

    # three delays of at least half a second
    (message,) = received(localstack, dead_url)
    assert time.monotonic() - began > 1.5
    found = attributes(message)
    assert found["RETRY_ATTEMPTS"] == "3"
    assert found["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert found["ERROR_CODE"] == "INVALID_PARAMETER"


def test_no_retries_at_all(localstack: Instance) -> None:
    dead_url, dead_arn = localstack.create_queue()
    target = {
        "Arn": failing_queue(localstack),
        "SqsParameters": {"MessageGroupId": "group"},
        "RetryPolicy": {"MaximumRetryAttempts": 0},
        "DeadLetterConfig": {"Arn": dead_arn},
    }
    name, _ = make_rule(localstack, target)

    put_event(localstack, name)

    found = attributes(received(localstack, dead_url)[0])
    assert (found["RETRY_ATTEMPTS"], found["EXHAUSTED_RETRY_CONDITION"]) == ("0", "MaximumRetryAttempts")


def test_a_target_that_recovers_gets_the_event(localstack: Instance) -> None:
    # given a target that fails
    url, arn = localstack.create_queue(unique("target") + ".fifo", FifoQueue="true")
    dead_url, dead_arn = localstack.create_queue()
    template = '{"time": <aws.events.event.ingestion-time>, "id": <id>}'
    target = {
        "Arn": arn,
        "SqsParameters": {"MessageGroupId": "group"},
        "DeadLetterConfig": {"Arn": dead_arn},
        "InputTransformer": {"InputPathsMap": {"id": "$.id"}, "InputTemplate": template},
    }
    name, _ = make_rule(localstack, target)
    event_id = put_event(localstack, name)
    sent = datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC) - sent > timedelta(seconds=1.5))

    # when its cause is gone
    localstack.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"ContentBasedDeduplication": "true"})

    # then
    (found,) = bodies(localstack, url)
    assert found["id"] == event_id
    assert datetime.fromisoformat(found["time"]) <= sent
    assert depth(localstack, dead_url) == 0


def test_a_failing_target_delays_no_other(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    name, _ = make_rule(
        localstack,
        {"Arn": failing_queue(localstack), "SqsParameters": {"MessageGroupId": "group"}},
        {"Arn": arn},
    )

    put_event(localstack, name)

    bodies(localstack, url)  # long before the first target has been given up


# Disabled rules


def test_a_disabled_rule_delivers_nothing(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    events = localstack.client("events")
    name, _ = make_rule(localstack, {"Arn": arn}, State="DISABLED")
    other_url, other_arn = localstack.create_queue()
    make_rule(localstack, {"Arn": other_arn}, EventPattern=json.dumps({"source": [name]}))

    # what the other rule got, this one would have got too: it comes first
    put_event(localstack, name)
    bodies(localstack, other_url)
    assert depth(localstack, url) == 0

    events.enable_rule(Name=name)
    enabled = put_event(localstack, name)
    assert [event["id"] for event in bodies(localstack, url)] == [enabled]

    bodies(localstack, other_url)
    events.disable_rule(Name=name)
    put_event(localstack, name)
    bodies(localstack, other_url)
    assert depth(localstack, url) == 0


# Schedules


def test_a_scheduled_rule_runs_once_a_minute_unless_it_is_disabled(localstack: Instance) -> None:
    # given rules for the next minute: enabled, disabled, disabled later, with two calls of PutTargets, deleted
    events = localstack.client("events")
    due = int((time.time() + 10) // 60 + 1) * 60
    at = datetime.fromtimestamp(due, UTC)
    schedule = {"ScheduleExpression": f"cron({at.minute} {at.hour} ? * {at:%a} *)".upper().replace("CRON", "cron")}
    queues = {}

    def scheduled(name: str, **settings: Any) -> str:
        queues[name], arn = localstack.create_queue()
        rule = unique(name)
        events.put_rule(Name=rule, **schedule, **settings)
        events.put_targets(Rule=rule, Targets=[{"Id": "one", "Arn": arn}])
        return rule

    enabled = scheduled("enabled")
    scheduled("disabled", State="DISABLED")
    events.disable_rule(Name=scheduled("disabled-later"))
    events.disable_rule(Name=(toggled := scheduled("toggled")))
    events.enable_rule(Name=toggled)
    removed = scheduled("removed")
    events.remove_targets(Rule=removed, Ids=["one"])
    events.delete_rule(Name=removed)
    extra_url, extra_arn = localstack.create_queue()
    events.put_targets(Rule=enabled, Targets=[{"Id": "two", "Arn": extra_arn, "InputPath": "$.resources[0]"}])

    # then those that are enabled ran once, in that minute
    (message,) = received(localstack, queues["enabled"], seconds=due - time.time() + 10)
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    assert event["time"].startswith(f"{at:%Y-%m-%dT%H:%M:}")
    assert event["resources"] == [events.describe_rule(Name=enabled)["Arn"]]
    assert bodies(localstack, extra_url) == event["resources"]
    bodies(localstack, queues["toggled"])
    for name in ("enabled", "toggled", "disabled", "disabled-later", "removed"):
        assert depth(localstack, queues[name]) == 0, name


@pytest.mark.parametrize("expression", ["cron(0 8 * * * *)", "at(2030-01-01T00:00:00)", "rate(5 minute)"])
def test_a_rule_with_an_invalid_schedule_is_refused(localstack: Instance, expression: str) -> None:
    with pytest.raises(ClientError, match=r"Parameter ScheduleExpression is not valid\."):
        localstack.client("events").put_rule(Name=unique("rule"), ScheduleExpression=expression)


def test_a_rule_with_a_schedule_and_a_pattern_gets_events_too(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    name, _ = make_rule(localstack, {"Arn": arn}, ScheduleExpression="rate(1 day)")

    event_id = put_event(localstack, name)

    assert [event["id"] for event in bodies(localstack, url)] == [event_id]


# Input transformers

DETAIL = {
    "instance-id": "i-0123456789",
    "state": "RUNNING",
    "count": 0,
    "open": False,
    "nothing": None,
    "list": ["a", {"b": 1}],
    "empty": [],
    "nested": {"deep": {"er": ["x", "y"]}, "path/with": 3, "9": "nine"},
    "items": [{"sku": "s1"}, {"sku": "s2"}],
    "umlaut": "Grüße",
}
PATHS = {
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "count": "$.detail.count",
    "open": "$.detail.open",
    "nothing": "$.detail.nothing",
    "list": "$.detail.list",
    "empty": "$.detail.empty",
    "nested": "$.detail.nested",
    "second": "$.detail.nested.deep.er[1]",
    "slash": "$.detail.nested.path/with",
    "digit": "$.detail.nested.9",
    "skus": "$.detail.items[*].sku",
    "missing": "$.detail.not-there",
    "umlaut": "$.detail.umlaut",
    "type": "$.detail-type",
}


@pytest.fixture(scope="module")
def transformed(localstack: Instance) -> Callable[[str], str]:
    """What a queue gets from a template; its name is the rule's source."""

    def send(template: str) -> str:
        url, arn = localstack.create_queue()
        transformer = {"InputPathsMap": PATHS, "InputTemplate": template}
        name, _ = make_rule(localstack, {"Arn": arn, "InputTransformer": transformer})
        put_event(localstack, name, DETAIL)
        found: str = received(localstack, url)[0]["Body"]
        return found

    return send


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        # The page's templates, https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        ('"instance \\"<instance>\\" is in <state>"', '"instance \\"i-0123456789\\" is in RUNNING"'),
        ('{"instance" : <instance>, "state": <state>}', {"instance": "i-0123456789", "state": "RUNNING"}),
        (
            '{"state": "<state>", "status": "instance \\"<instance>\\" is in <state>"}',
            {"state": "RUNNING", "status": 'instance "i-0123456789" is in RUNNING'},
        ),
        (
            '{"instance" : <instance>, "state": [ 9, <state>, true ], "Transformed" : "Yes"}',
            {"instance": "i-0123456789", "state": [9, "RUNNING", True], "Transformed": "Yes"},
        ),
        # A comma or a brace after a placeholder within quotes
        ('{"a": "<instance>, <state>} and more", "b": 1}', {"a": "i-0123456789, RUNNING} and more", "b": 1}),
        # Values that are not strings, and those that are not there
        (
            '{"count": <count>, "open": <open>, "nothing": <nothing>, "empty": <empty>, "missing": <missing>}',
            {"count": 0, "open": False, "nothing": None, "empty": [], "missing": ""},
        ),
        ('{"text": "<count>, <open>, <missing>."}', {"text": "0, false, ."}),
        ('"<count> of <missing>"', '"0 of "'),
        # Objects and arrays: JSON outside of quotes, without their own quotes within
        ('{"list": <list>, "nested": <nested>}', {"list": DETAIL["list"], "nested": DETAIL["nested"]}),
        ('{"text": "list: <list>"}', {"text": "list: [a,{b:1}]"}),
        ('"list: <list>"', '"list: [a,{b:1}]"'),
        # Paths
        (
            "[<second>, <slash>, <digit>, <skus>, <type>, <umlaut>]",
            ["y", 3, "nine", ["s1", "s2"], "Order", "Grüße"],
        ),
        # Several lines of text
        ('"first <state>"\n"second <count>"', '"first RUNNING"\n"second 0"'),
        ("<nested>", DETAIL["nested"]),
    ],
)
def test_input_transformer(transformed: Callable[[str], str], template: str, expected: Any) -> None:
    body = transformed(template)

    assert (body if isinstance(expected, str) else json.loads(body)) == expected


def test_predefined_variables(localstack: Instance) -> None:
    # given a template with all of them
    url, arn = localstack.create_queue()
    template = (
        '{"arn": <aws.events.rule-arn>, "name": "rule <aws.events.rule-name>", "event": <aws.events.event>, '
        '"json": <aws.events.event.json>, "ingested": <aws.events.event.ingestion-time>}'
    )
    name, rule_arn = make_rule(localstack, {"Arn": arn, "InputTransformer": {"InputTemplate": template}})

    # when an event is sent that says it is old
    before = datetime.now(UTC).replace(microsecond=0)
    event_id = put_event(localstack, name, {"order": 1}, Time=datetime(2020, 1, 1, tzinfo=UTC))

    # then, as in LocalStack's recording, "event" has no detail and writes detailType
    (found,) = bodies(localstack, url)
    assert (found["arn"], found["name"]) == (rule_arn, f"rule {name}")
    assert set(found["event"]) == {*("version", "id", "detailType", "source", "account", "time", "region", "resources")}
    assert found["json"]["detail"] == {"order": 1}
    assert found["json"]["id"] == found["event"]["id"] == event_id
    assert found["json"]["time"] == "2020-01-01T00:00:00Z"
    # and the ingestion time is when it was received
    assert before <= datetime.fromisoformat(found["ingested"]) <= datetime.now(UTC)


def test_predefined_variables_in_text(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    template = '"<aws.events.rule-name> triggered by <aws.events.rule-arn>"'
    name, rule_arn = make_rule(localstack, {"Arn": arn, "InputTransformer": {"InputTemplate": template}})

    put_event(localstack, name)

    assert bodies(localstack, url) == [f"{name} triggered by {rule_arn}"]


def test_a_template_that_does_not_make_json_goes_to_the_dead_letter_queue(localstack: Instance) -> None:
    _, arn = localstack.create_queue()
    dead_url, dead_arn = localstack.create_queue()
    transformer = {"InputPathsMap": {"text": "$.detail.text"}, "InputTemplate": '{"text": "<text>"}'}
    target = {"Arn": arn, "InputTransformer": transformer, "DeadLetterConfig": {"Arn": dead_arn}}
    name, _ = make_rule(localstack, target)

    # "EventBridge doesn't escape values extracted by Input Path"
    put_event(localstack, name, {"text": 'say "hello"'})

    found = attributes(received(localstack, dead_url)[0])
    assert (found["ERROR_CODE"], found["RETRY_ATTEMPTS"]) == ("INVALID_JSON", "0")


def test_a_state_machine_gets_an_input_without_an_id(localstack: Instance) -> None:
    # given
    states = localstack.client("stepfunctions")
    definition = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    machine = states.create_state_machine(name=unique("machine"), definition=json.dumps(definition), roleArn=ROLE)[
        "stateMachineArn"
    ]
    name, _ = make_rule(localstack, {"Arn": machine, "RoleArn": ROLE, "InputPath": "$.detail"})

    # when
    put_event(localstack, name, {"order": 5})

    # then
    (execution,) = wait_until(lambda: states.list_executions(stateMachineArn=machine)["executions"])
    found = states.describe_execution(executionArn=execution["executionArn"])
    assert json.loads(found["input"]) == {"order": 5}


# Replay


def test_a_stream_gets_an_input_without_an_id(localstack: Instance) -> None:
    """The partition key is what PartitionKeyPath finds in the event: PutTargets, KinesisParameters."""
    kinesis, stream = localstack.client("kinesis"), unique("stream")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    target = {"Arn": arn, "InputPath": "$.detail", "RoleArn": ROLE}
    name, _ = make_rule(localstack, target, target | {"KinesisParameters": {"PartitionKeyPath": "$.detail.order"}})

    event_id = put_event(localstack, name, {"order": "o-1"})

    wait_until(lambda: len(of_stream(localstack, stream)) == 2)
    found = of_stream(localstack, stream)
    assert {record["PartitionKey"] for record in found} == {event_id, "o-1"}
    assert [json.loads(record["Data"]) for record in found] == [{"order": "o-1"}] * 2


def test_a_replay_sends_archived_events_again_to_the_rules_that_are_asked_for(localstack: Instance) -> None:
    # given two rules and an archive for one kind of event
    events, bus = localstack.client("events"), unique("bus")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    archive_arn = events.create_archive(
        ArchiveName=unique("archive"),
        EventSourceArn=bus_arn,
        EventPattern=json.dumps({"source": ["kept"]}),
    )["ArchiveArn"]
    urls, rules = [], []
    for _ in range(2):
        url, arn = localstack.create_queue()
        pattern = json.dumps({"source": ["kept", "other"]})
        urls.append(url)
        rules.append(make_rule(localstack, {"Arn": arn}, EventBusName=bus, EventPattern=pattern)[1])
    now = datetime.now(UTC).replace(microsecond=0)
    for source, minutes in (("kept", 0), ("other", 0), ("kept", 10), ("kept", 2)):
        moment = now - timedelta(minutes=minutes)
        put_event(localstack, source, {"age": minutes}, EventBusName=bus, Time=moment)
    sent = [bodies(localstack, url, 4) for url in urls]
    assert not any("replay-name" in event for events in sent for event in events)

    # when the last five minutes are replayed to the first rule
    name = unique("replay")
    events.start_replay(
        ReplayName=name,
        EventSourceArn=archive_arn,
        EventStartTime=now - timedelta(minutes=5),
        EventEndTime=now + timedelta(seconds=5),
        Destination={"Arn": bus_arn, "FilterArns": [rules[0]]},
    )

    # then it gets the archived ones of that time, marked, with their time, and the second rule nothing
    replayed = bodies(localstack, urls[0], 2)
    assert sorted(event["detail"]["age"] for event in replayed) == [0, 2]
    assert {event["replay-name"] for event in replayed} == {name}
    assert {event["time"] for event in replayed} == {
        f"{now - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}" for minutes in (0, 2)
    }
    described = events.describe_replay(ReplayName=name)
    assert described["State"] == "COMPLETED"
    assert described["EventLastReplayedTime"] == now

    # and without FilterArns both, but not what was replayed before: it was not archived again
    events.start_replay(
        ReplayName=unique("replay"),
        EventSourceArn=archive_arn,
        EventStartTime=now - timedelta(minutes=5),
        EventEndTime=now + timedelta(minutes=5),
        Destination={"Arn": bus_arn},
    )
    assert len(bodies(localstack, urls[1], 2)) == 2
    assert len(bodies(localstack, urls[0], 2)) == 2
    assert depth(localstack, urls[0]) == depth(localstack, urls[1]) == 0
