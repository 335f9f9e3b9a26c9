"""LocalStack on the virtual clock: minutes of its time in seconds of the machine's, and nothing of it on the real one.

That the time is a jump's and not the machine's, each test holds by ``Lab.wait``, which gives up after two minutes of
the machine's for hundreds of seconds of the page's.
"""

import json
import re
from typing import Any

import pytest
from harness import ROLE, Instance, Lab, unique
from localstack_host.clock.page import FUNCTION, JUMPS

SECOND = 10**9


def receive(lab: Lab, url: str) -> list[Any]:
    found: list[Any] = lab.instance.client("sqs").receive_message(QueueUrl=url).get("Messages", [])
    return found


def reports(lab: Lab, function: str) -> list[float]:
    """The durations of the function's invocations, in seconds."""
    found = [re.search(r"\tDuration: ([\d.]+) ms", line) for line in lab.instance.messages(function)]
    return [float(one[1]) / 1000 for one in found if one]


def call_later(lab: Lab, function: str) -> None:
    lab.instance.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload="{}")


def test_an_alarm_of_a_minute_says_when_its_state_changed(lab: Lab) -> None:
    cloudwatch, name = lab.instance.client("cloudwatch"), unique("alarm")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Orders",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )

    def state() -> Any:
        return cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]

    lab.wait(lambda: state() == "OK")
    begin = lab.page.now()
    cloudwatch.put_metric_data(Namespace="Orders", MetricData=[{"MetricName": name, "Value": 1}])

    lab.wait(lambda: state() == "ALARM")

    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    at = alarm["StateUpdatedTimestamp"].timestamp()
    assert begin < at <= lab.page.now() < begin + 200


def test_a_delayed_message_comes_after_its_delay(lab: Lab) -> None:
    url, _ = lab.instance.create_queue()
    begin, jumps = lab.page.now(), lab.page.words[JUMPS]
    lab.instance.client("sqs").send_message(QueueUrl=url, MessageBody="later", DelaySeconds=600)

    lab.wait(lambda: receive(lab, url))

    assert 600 <= lab.page.now() - begin < 605
    assert lab.page.words[JUMPS] > jumps


def test_a_message_comes_back_after_its_visibility_timeout(lab: Lab) -> None:
    url, _ = lab.instance.create_queue(VisibilityTimeout="300")
    lab.instance.client("sqs").send_message(QueueUrl=url, MessageBody="again")
    lab.wait(lambda: receive(lab, url))
    begin = lab.page.now()

    lab.wait(lambda: receive(lab, url))

    assert 299 < lab.page.now() - begin < 305


def test_a_function_that_sleeps_reports_what_it_slept(lab: Lab) -> None:
    function = lab.instance.create_function("import time\ndef handler(event, context): time.sleep(300)", Timeout=600)
    call_later(lab, function)

    (duration,) = lab.wait(lambda: reports(lab, function))

    assert 300 <= duration < 305


def test_a_failed_asynchronous_invocation_is_tried_again_after_one_and_two_minutes(lab: Lab) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    function = lab.instance.create_function("import time\ndef handler(event, context): raise ValueError(time.time())")
    call_later(lab, function)

    def times() -> list[float]:
        found = [re.search(r"\] ValueError: ([\d.]+)", line) for line in lab.instance.messages(function)]
        return [float(one[1]) for one in found if one]

    first, second, third = lab.wait(lambda: len(times()) == 3 and times())  # type: ignore[misc]
    assert 60 <= second - first < 65
    assert 120 <= third - second < 125


@pytest.mark.parametrize(
    ("seconds", "limit", "status"), [(300, 1000, "SUCCEEDED"), (1000, 300, "TIMED_OUT")], ids=["waits", "times out"]
)
def test_an_execution_waits_and_ends_by_the_clock(lab: Lab, seconds: int, limit: int, status: str) -> None:
    machines = lab.instance.client("stepfunctions")
    definition = {
        "StartAt": "Wait",
        "TimeoutSeconds": limit,
        "States": {"Wait": {"Type": "Wait", "Seconds": seconds, "End": True}},
    }
    arn = machines.create_state_machine(name=unique("machine"), definition=json.dumps(definition), roleArn=ROLE)
    execution = machines.start_execution(stateMachineArn=arn["stateMachineArn"])["executionArn"]

    def ended() -> Any:
        found = machines.describe_execution(executionArn=execution)
        return found["status"] != "RUNNING" and found

    found = lab.wait(ended)

    assert found["status"] == status
    assert 300 <= (found["stopDate"] - found["startDate"]).total_seconds() < 305


def test_a_schedule_runs_at_its_rate(lab: Lab) -> None:
    url, arn = lab.instance.create_queue()
    events, rule = lab.instance.client("events"), unique("rule")
    begin = lab.page.now()
    events.put_rule(Name=rule, ScheduleExpression="rate(5 minutes)")
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    try:
        lab.wait(lambda: receive(lab, url))
    finally:
        events.remove_targets(Rule=rule, Ids=["queue"])
        events.delete_rule(Name=rule)

    assert 299 < lab.page.now() - begin < 310


@pytest.mark.parametrize(
    "body", ["os.kill(os.getpid(), 9)", "os._exit(1)", "time.sleep(1000)"], ids=["killed", "exits", "times out asleep"]
)
def test_a_function_releases_its_place_however_it_ends(lab: Lab, body: str) -> None:
    function = lab.instance.create_function(f"import os, time\ndef handler(event, context): {body}", Timeout=100)
    lab.instance.client("lambda").put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    others = {place.owner for place in lab.page.places()}
    call_later(lab, function)

    lab.wait(lambda: reports(lab, function))

    lab.wait(
        lambda: not [one for one in lab.page.places() if one.kind == FUNCTION and one.owner not in others], seconds=60
    )


LOADED = """
import sys, time
def handler(event, context): return {"loaded": sorted({"time_machine", "_time_machine"} & set(sys.modules))}
"""


def test_the_real_clock_is_the_machines(localstack: Instance) -> None:
    assert not (localstack.folder / "clock").exists()
    assert localstack.invoke(localstack.create_function(LOADED))[0] == {"loaded": []}


def test_a_function_on_the_virtual_clock_loads_no_more_than_its_c_part(lab: Lab) -> None:
    payload, _ = lab.instance.invoke(lab.instance.create_function(LOADED))

    assert payload == {"loaded": ["_time_machine", "time_machine"]}
