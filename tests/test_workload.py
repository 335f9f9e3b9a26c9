"""What the experiments of all patterns have in common, on a pattern of which nothing but queues and logs is there."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jmespath
import pytest
from moto import mock_aws

from lab import faults
from lab.deployment import Deployment
from lab.experiment import Experiment
from lab.targets import Target
from lab.workload import Workload, plain

FUNCTIONS = ("producer", "billing")
QUEUES = ("billing", "shipping")


@pytest.fixture
def workload(lab_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workload]:
    target = Target("local", "moto", None, "us-east-1", "test")
    deployment = Deployment("fanout", target, "t0a1b2c-fanout")
    monkeypatch.setattr(faults, "FAULT_RULES_TTL_SECONDS", 0)
    with mock_aws():
        for name in FUNCTIONS:
            target.client("logs").create_log_group(logGroupName=name)
            target.client("logs").create_log_stream(logGroupName=name, logStreamName="one")
        target.client("ssm").put_parameter(Name="/faults", Type="String", Value='{"rules": []}')
        urls = {name: target.client("sqs").create_queue(QueueName=name)["QueueUrl"] for name in QUEUES}
        deployment.__dict__["outputs"] = {
            "entry": "producer",
            "functions": {name: {"name": name, "log_group": name} for name in FUNCTIONS},
            "queues": {name: {"url": url, "dlq_arn": f"arn:{name}-dlq"} for name, url in urls.items()},
            "operations": {"replay": "billing"},
            "faults_parameter": "/faults",
        }
        yield Workload(Experiment(deployment, "test_poison", "A poison message", "It is dead-lettered.", ()))


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What is invoked, and with what; every function finds a problem."""
    calls: list[tuple[str, Any]] = []

    def invoke(self: Deployment, function: str, payload: Any = None) -> Any:
        calls.append((function, payload))
        return {"summary": "1 order replayed", "problems": ["one"]}

    monkeypatch.setattr(Deployment, "invoke", invoke)
    return calls


def log(workload: Workload, function: str, **line: Any) -> None:
    event = {"timestamp": int(time.time() * 1000) + 5, "message": json.dumps({"timestamp": "2026-01-02", **line})}
    logs = workload.experiment.client("logs")
    logs.put_log_events(logGroupName=function, logStreamName="one", logEvents=[event])


def test_ids_are_of_this_experiment_and_one_of_them_meets_the_condition(workload: Workload) -> None:
    ids = workload.ids(1, 2, "c")

    assert ids == {f"{workload.experiment.id}-{name}" for name in (1, 2, "c")}
    condition = workload.one_of(ids)
    assert all(jmespath.search(condition, {"order_id": id}) for id in ids)
    assert not jmespath.search(condition, {"order_id": workload.id(3)})


def test_the_entry_gets_what_is_submitted_under_a_correlation_id(
    workload: Workload, invoked: list[tuple[str, Any]]
) -> None:
    workload.submit(orders=[1])
    workload.submit("bulk", orders=[2])

    assert invoked == [
        ("producer", {"orders": [1], "correlation_id": workload.experiment.id}),
        ("producer", {"orders": [2], "correlation_id": "bulk"}),
    ]


def test_an_operation_is_in_the_timeline(workload: Workload, invoked: list[tuple[str, Any]]) -> None:
    assert workload.operate("replay")["problems"] == ["one"]

    assert invoked == [("billing", None)]
    [event] = workload.experiment.timeline
    assert (event.event, event.details) == ("replay: 1 order replayed", {"problems": 1})


def test_faults_that_acted_are_told_by_their_mode(workload: Workload) -> None:
    for mode in ("crash", "latency"):
        log(workload, "billing", message="fault injected", mode=mode)

    assert [line["mode"] for line in workload.injected("billing", "crash")] == ["crash"]
    assert len(workload.injected("billing")) == 2


def test_a_fault_is_in_force_within_its_block_and_has_to_act(workload: Workload) -> None:
    with workload.inject("billing", "latency", "order_id == 'o-1'", seconds=2):
        [rule] = faults.rules(workload.deployment)
        log(workload, "billing", message="fault injected", rule_id=rule.pop("id"))

    assert rule == {"function": "billing", "mode": "latency", "when": "order_id == 'o-1'", "seconds": 2}
    assert faults.rules(workload.deployment) == []


@pytest.mark.parametrize("queues", [QUEUES, ("shipping",), ()])
def test_queues_have_another_visibility_timeout_for_a_block(workload: Workload, queues: tuple[str, ...]) -> None:
    def timeouts() -> dict[str, str]:
        sqs = workload.experiment.client("sqs")
        return {
            name: sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"][
                "VisibilityTimeout"
            ]
            for name, queue in workload.contract.queues.items()
        }

    with workload.visibility_timeout(5, *queues):
        assert timeouts() == dict.fromkeys(QUEUES, "30") | dict.fromkeys(queues or QUEUES, "5")
    assert timeouts() == dict.fromkeys(QUEUES, "30")


def test_messages_are_waited_for_by_their_number(workload: Workload) -> None:
    url = workload.contract.queues["billing"].url
    for body in ("one", "two"):
        workload.experiment.client("sqs").send_message(QueueUrl=url, MessageBody=body)

    workload.waits_for_messages("orders wait", url, 2)

    assert [event.event for event in workload.experiment.timeline] == ["2 orders wait"]
    with pytest.raises(pytest.fail.Exception, match="3 orders wait"):
        workload.waits_for_messages("orders wait", url, 3, within=0)


def test_an_alarm_is_waited_for_by_its_state(workload: Workload) -> None:
    cloudwatch = workload.experiment.client("cloudwatch")
    for name, state in (("depth", "ALARM"), ("errors", "OK")):
        cloudwatch.put_metric_alarm(
            AlarmName=name, MetricName=name, Namespace="lab", Period=60, EvaluationPeriods=1, Threshold=1,
            ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        )  # fmt: skip
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")

    assert workload.in_alarm(["depth", "errors"]) == ["depth"]
    workload.waits_for_state("errors", "OK")
    with pytest.raises(pytest.fail.Exception, match="alarm depth is OK"):
        workload.waits_for_state("depth", "OK", within=0)


def test_an_item_has_plain_values() -> None:
    assert plain({"order_id": {"S": "o-1"}, "paid": {"BOOL": True}}) == {"order_id": "o-1", "paid": True}
