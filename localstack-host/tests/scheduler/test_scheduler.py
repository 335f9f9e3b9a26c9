"""EventBridge Scheduler: what fires when, retries, dead-letter queue, deletion."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import PYTHON, ROLE, Instance, attributes, bodies, depth, failing_queue, received, run, unique, wait_until

OFF = {"Mode": "OFF"}


def at(moment: datetime) -> str:
    return f"at({moment:%Y-%m-%dT%H:%M:%S})"


def soon(seconds: float = 1.5) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def schedule(localstack: Instance, expression: str, arn: str, target: Any = None, **settings: Any) -> str:
    name = unique("schedule")
    localstack.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=expression,
        Target={"Arn": arn, "RoleArn": ROLE, "Input": '{"n": 1}'} | (target or {}),
        **({"FlexibleTimeWindow": OFF} | settings),
    )
    return name


def exists(localstack: Instance, name: str) -> bool:
    scheduler = localstack.client("scheduler")
    try:
        scheduler.get_schedule(Name=name)
    except scheduler.exceptions.ResourceNotFoundException:
        return False
    return True


def test_once_at_a_time_with_context_attributes_then_deleted(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    moment = soon(2)
    text = (
        '{"arn": "<aws.scheduler.schedule-arn>", "time": "<aws.scheduler.scheduled-time>", '
        '"id": "<aws.scheduler.execution-id>", "attempt": "<aws.scheduler.attempt-number>"}'
    )

    name = schedule(localstack, at(moment), arn, {"Input": text}, ActionAfterCompletion="DELETE")

    (found,) = bodies(localstack, url)
    assert datetime.now(UTC) >= moment.replace(microsecond=0)
    assert found.pop("id")
    schedule_arn = f"arn:aws:scheduler:us-east-1:000000000000:schedule/default/{name}"
    assert found == {"arn": schedule_arn, "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "attempt": "1"}
    wait_until(lambda: not exists(localstack, name))


def test_once_in_a_time_zone_and_kept(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    moment = soon()

    # Kolkata is 5:30 ahead, all year; StartDate and EndDate are ignored
    name = schedule(
        localstack,
        at(moment + timedelta(hours=5, minutes=30)),
        arn,
        ScheduleExpressionTimezone="Asia/Kolkata",
        EndDate=moment - timedelta(days=1),
    )

    assert bodies(localstack, url) == [{"n": 1}]
    assert exists(localstack, name)


def test_rate_begins_at_once_and_is_not_repeated_by_an_update(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    name = schedule(localstack, "rate(1 minute)", arn)
    assert bodies(localstack, url) == [{"n": 1}]

    # when only the target changes
    target = {"Arn": arn, "RoleArn": ROLE, "Input": '{"n": 2}'}
    scheduler = localstack.client("scheduler")
    common = {"Name": name, "FlexibleTimeWindow": OFF, "Target": target}
    scheduler.update_schedule(ScheduleExpression="rate(1 minute)", **common)
    settled = time.monotonic() + 1
    wait_until(lambda: depth(localstack, url) or time.monotonic() > settled)
    assert depth(localstack, url) == 0

    # but a changed rate begins anew, with the new target
    scheduler.update_schedule(ScheduleExpression="rate(2 hours)", **common)
    assert bodies(localstack, url) == [{"n": 2}]


def test_rate_begins_at_its_start_date_and_ends(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    start = soon(6).replace(microsecond=0)

    name = schedule(
        localstack,
        "rate(5 minutes)",
        arn,
        {"Input": '"<aws.scheduler.scheduled-time>"'},
        StartDate=start,
        EndDate=start + timedelta(minutes=4),
        ActionAfterCompletion="DELETE",
    )

    assert bodies(localstack, url) == [f"{start:%Y-%m-%dT%H:%M:%SZ}"]
    # the next time would be after EndDate: that was its last invocation
    wait_until(lambda: not exists(localstack, name))


def test_disabled_schedules_invoke_nothing(localstack: Instance) -> None:
    scheduler = localstack.client("scheduler")
    url, arn = localstack.create_queue()
    moment = soon(10)
    name = schedule(localstack, "rate(1 hour)", arn, State="DISABLED")
    disabled = schedule(localstack, at(moment), arn)
    deleted = schedule(localstack, at(moment), arn)
    group = unique("group")
    scheduler.create_schedule_group(Name=group)
    schedule(localstack, at(moment), arn, GroupName=group)
    other_url, other_arn = localstack.create_queue()
    schedule(localstack, at(moment), other_arn)

    scheduler.update_schedule(
        Name=disabled,
        State="DISABLED",
        ScheduleExpression=at(moment),
        FlexibleTimeWindow=OFF,
        Target={"Arn": arn, "RoleArn": ROLE},
    )
    scheduler.delete_schedule(Name=deleted)
    scheduler.delete_schedule_group(Name=group)

    bodies(localstack, other_url)
    assert depth(localstack, url) == 0

    # "starts invoking its target immediately after you create and activate it"
    scheduler.update_schedule(
        Name=name,
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow=OFF,
        Target={"Arn": arn, "RoleArn": ROLE, "Input": '"enabled"'},
    )
    assert bodies(localstack, url) == ["enabled"]


def test_a_target_that_is_gone_goes_to_the_dead_letter_queue_at_once(localstack: Instance) -> None:
    dead_url, dead_arn = localstack.create_queue()
    moment = soon(0)
    missing = "arn:aws:sqs:us-east-1:000000000000:" + unique("missing")

    name = schedule(localstack, at(moment), missing, {"Input": "hello", "DeadLetterConfig": {"Arn": dead_arn}})

    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
    (message,) = received(localstack, dead_url)
    body = json.loads(message["Body"])
    assert body["MessageBody"] == "hello"
    assert body["QueueUrl"].endswith(missing.rpartition(":")[2])
    found = attributes(message)
    assert found.pop("ERROR_MESSAGE").startswith("The specified queue does not exist")
    assert found.pop("EXECUTION_ID")
    assert found == {
        "ERROR_CODE": "AWS.SimpleQueueService.NonExistentQueue",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "SCHEDULE_ARN": localstack.client("scheduler").get_schedule(Name=name)["Arn"],
        "TARGET_ARN": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
    }


def test_other_errors_are_retried(localstack: Instance) -> None:
    dead_url, dead_arn = localstack.create_queue()
    target = {
        "Input": "<aws.scheduler.attempt-number>",
        "SqsParameters": {"MessageGroupId": "group"},
        "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": dead_arn},
    }

    schedule(localstack, at(soon(0)), failing_queue(localstack), target)

    (message,) = received(localstack, dead_url)
    found = attributes(message)
    assert (found["RETRY_ATTEMPTS"], found["EXHAUSTED_RETRY_CONDITION"]) == ("2", "MaximumRetryAttempts")
    assert json.loads(message["Body"])["MessageBody"] == "3"


def test_a_universal_target(localstack: Instance) -> None:
    url, _ = localstack.create_queue()
    text = json.dumps({"QueueUrl": url, "MessageBody": '"<aws.scheduler.attempt-number>"'})

    schedule(localstack, at(soon(0)), "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", {"Input": text})

    assert bodies(localstack, url) == ["1"]


def test_a_function_a_topic_and_a_bus(localstack: Instance) -> None:
    # given a function, a topic and a bus that lead to one queue
    url, arn = localstack.create_queue()
    function = localstack.create_function("def handler(event, context): print('got', event['from'])")
    function_arn = localstack.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    topic = localstack.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    localstack.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    events, rule, source = localstack.client("events"), unique("rule"), unique("source")
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail"}])
    bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
    parameters = {"EventBridgeParameters": {"Source": source, "DetailType": "Due"}}

    # when
    schedule(localstack, at(soon(0)), function_arn, {"Input": '{"from": "scheduler"}'})
    schedule(localstack, at(soon(0)), topic, {"Input": '"topic"'})
    schedule(localstack, at(soon(0)), bus, {"Input": '{"bus": 1}'} | parameters)

    # then
    assert sorted(bodies(localstack, url, 2), key=str) == ["topic", {"bus": 1}]
    wait_until(lambda: "got scheduler" in localstack.messages(function))


@pytest.mark.parametrize(
    ("expression", "zone"),
    [("cron(0 8 * * * *)", "UTC"), ("rate(0 minutes)", "UTC"), ("cron(0 8 * * ? *)", "Mars/Olympus")],
)
def test_what_is_invalid_is_refused(localstack: Instance, expression: str, zone: str) -> None:
    _, arn = localstack.create_queue()

    with pytest.raises(ClientError, match="ValidationException"):
        schedule(localstack, expression, arn, ScheduleExpressionTimezone=zone)


def test_cron_without_a_year_is_accepted(localstack: Instance) -> None:
    _, arn = localstack.create_queue()

    schedule(localstack, "cron(30 8 1W * ?)", arn, ScheduleExpressionTimezone="America/New_York")


# What takes longer than a test may

DUE = """
import json
from types import SimpleNamespace
from localstack_host.scheduler import provider as scheduler
def times(count, **settings):
    defaults = {"schedule_expression_timezone": "UTC", "start_date": None, "end_date": None}
    schedule = SimpleNamespace(**{**defaults, **settings})
    found, after = [], 999
    while len(found) < count and (after := scheduler.next_time(schedule, 1000, after)) is not None:
        found.append(after)
    return found
delays = [scheduler.window({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}) for _ in range(500)]
print(json.dumps({
    "at once": times(3, schedule_expression="rate(1 minute)"),
    "start date": times(3, schedule_expression="rate(1 hour)", start_date=5000),
    "old start date": times(2, schedule_expression="rate(1 minute)", start_date=930),
    "end date": times(5, schedule_expression="rate(1 minute)", end_date=1120),
    "cron from start date": times(2, schedule_expression="cron(0 * * * ? *)", start_date=7200, end_date=10801),
    "fixed": scheduler.window({"Mode": "OFF"}),
    "flexible": [min(delays), max(delays)],
}))
"""

POLICY = """
import json, os, time
from localstack_host import environment
from localstack_host.shared import delivery
given_up, waits = [], []
class Recorder:
    def at(self, due, function, *arguments):
        waits.append(round(due - time.time(), 3))
        function(*arguments)
delivery.TIMERS = Recorder()
def fail(attempt):
    raise RuntimeError("attempt %s" % attempt)
delivery.deliver(fail, {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}, given_up.append)
began = time.time()
clock = [began]
delivery.time.time, delivery.random.uniform = lambda: clock[0], lambda least, most: most
class Clock(Recorder):
    def at(self, due, function, *arguments):
        waits.append(due - clock[0])
        clock[0] = due
        function(*arguments)
delivery.TIMERS = Clock()
delivery.deliver(fail, {"MaximumEventAgeInSeconds": 60}, given_up.append)
aged, waits = waits, []
delivery.deliver(fail, None, given_up.append)
result = {"given up": [[g.retries, g.exhausted] for g in given_up], "aged": aged, "hours": sum(waits) / 3600}
os.environ[environment.DELIVERY_RETRY_SECONDS] = "2"
waits = []
delivery.deliver(fail, {"MaximumRetryAttempts": 4}, given_up.append)
print(json.dumps(result | {"scaled": waits}))
"""


def test_when_schedules_are_due() -> None:
    ended = run(DUE)

    assert ended.returncode == 0, f"{PYTHON}: {ended.stderr}"
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["at once"] == [1000, 1060, 1120]
    assert found["start date"] == [5000, 8600, 12200]
    assert found["old start date"] == [1050, 1110]
    assert found["end date"] == [1000, 1060, 1120]
    assert found["cron from start date"] == [7200, 10800]
    assert found["fixed"] == 0
    least, most = found["flexible"]
    assert 0 <= least < 120
    assert 780 < most <= 900


def test_the_limits_of_a_retry_policy() -> None:
    ended = run(POLICY)

    assert ended.returncode == 0, f"{PYTHON}: {ended.stderr}"
    found = json.loads(ended.stdout.splitlines()[-1])
    # by default 185 retries, which take about the 24 hours that are the other default
    assert found["given up"] == [
        [0, "MaximumRetryAttempts"],
        [5, "MaximumEventAgeInSeconds"],
        [185, "MaximumRetryAttempts"],
    ]
    assert 23 < found["hours"] < 24
    # 1 + 2 + 4 + 8 + 16 seconds; the next attempt would be too late, and is not made
    assert found["aged"] == pytest.approx([1, 2, 4, 8, 16, 29], abs=0.01)
    assert found["scaled"] == pytest.approx([1, 2, 2, 2], abs=0.01)
