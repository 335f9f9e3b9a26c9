"""An experiment waits for conditions, tells its story when it waits in vain, and leaves evidence."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lab import evidence, paths, pytest_plugin
from lab.clock import Clock
from lab.deployment import Deployment
from lab.evidence import Event
from lab.experiment import Experiment, claim
from lab.targets import Target

GROUP = "/aws/lambda/t0a1b2c-fanout-billing"


@pytest.fixture
def experiment(lab_dir: Path) -> Iterator[Experiment]:
    """An experiment on a copy of fanout that is not deployed, with moto for its logs."""
    target = Target("local", "LocalStack 4.14.0", None, "us-east-1", "test")
    deployment = Deployment("fanout", target, "t0a1b2c-fanout", {"max_receive_count": "3"})
    deployment.__dict__["outputs"] = {"consumers": {}}
    with mock_aws():
        logs = target.client("logs")
        logs.create_log_group(logGroupName=GROUP)
        logs.create_log_stream(logGroupName=GROUP, logStreamName="one")
        yield Experiment(deployment, "test_poison", "A poison message", "It is dead-lettered.", ("SQS-1", "SQS-2"))


def log(experiment: Experiment, seconds: float, message: str, **fields: Any) -> None:
    """A function logs a line, so many seconds after the experiment began."""
    moment = time.time() - experiment.elapsed + seconds
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment % 1 * 1000):03}Z"
    line = json.dumps({"message": message, "timestamp": stamp, **fields})
    event = {"timestamp": int(moment * 1000), "message": line}
    experiment.client("logs").put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=[event])


def names(events: list[Event]) -> list[str]:
    return [event.event for event in events]


def test_what_is_true_at_once_is_returned_and_noted(experiment: Experiment) -> None:
    assert experiment.wait_until("3 orders are there", lambda: [1, 2, 3], within=0) == [1, 2, 3]

    assert names(experiment.timeline) == ["3 orders are there"]


def test_what_becomes_true_later_is_waited_for(experiment: Experiment) -> None:
    answers = iter([0, "", [], "done"])

    assert experiment.wait_until("it is done", lambda: next(answers), within=30) == "done"

    assert names(experiment.timeline) == ["it is done"]
    assert list(answers) == []


def test_waiting_in_vain_fails_with_the_story(experiment: Experiment) -> None:
    experiment.follow(billing=GROUP)
    experiment.note("sent 1 order", order_id="o-1")
    log(experiment, 0.5, "failed", correlation_id=experiment.id, order_id="o-1", error="no stock", cold_start=True)

    with pytest.raises(pytest.fail.Exception) as failed:
        experiment.wait_until("an order in the DLQ", lambda: False, within=0)

    first, *story = str(failed.value).splitlines()
    assert first == "waited 0 s in vain: an order in the DLQ"
    assert [line.split(" s  ")[1] for line in story if "gave up" not in line] == [
        "sent 1 order  order_id=o-1",
        "billing: failed  order_id=o-1 error=no stock",
    ]
    assert any(line.rstrip().endswith("gave up waiting: an order in the DLQ") for line in story)


def test_its_time_is_the_targets_and_its_evidence_says_on_which_clock(experiment: Experiment) -> None:
    class Jumping(Clock):
        at = 1000.0

        def now(self) -> float:
            return self.at

        def sleep(self, seconds: float) -> None:
            self.at += 3600

    target = replace(experiment.target, clock=Jumping())
    deployment = replace(experiment.deployment, target=target)
    deployment.__dict__["outputs"] = {}
    jumping = Experiment(deployment, "test_poison", "A poison message", "It is dead-lettered.", ("SQS-1",), "virtual")

    jumping.wait_until("an hour is over", lambda: jumping.elapsed >= 3600, within=4000)

    jumping.let_pass(1800, "nothing happens")

    found = evidence.load(jumping.save("passed"))
    assert (found.target.clock, found.seconds, found.date) == ("virtual", 7200, "1970-01-01T00:16:40+00:00")
    assert [(event.at, event.event) for event in found.timeline] == [
        (3600, "an hour is over"),
        (7200, "nothing happens"),
    ]


def test_an_error_while_waiting_is_no_waiting_in_vain(experiment: Experiment) -> None:
    with pytest.raises(ZeroDivisionError):
        experiment.wait_until("it is done", lambda: 1 / 0, within=30)


def test_a_call_that_is_throttled_is_not_yet_an_answer(experiment: Experiment) -> None:
    refused = ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "FilterLogEvents")
    answers = iter([refused, refused, "done"])

    def ask() -> Any:
        answer = next(answers)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    assert experiment.wait_until("it is done", ask, within=30) == "done"


def test_on_aws_it_looks_less_often(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """FilterLogEvents has 5 calls a second: https://repost.aws/knowledge-center/cloudwatch-logs-throttling"""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    answers = iter([0, 0, 1])
    experiment.target = Target("aws", "AWS", None, "us-east-1", "test")

    experiment.wait_until("it is done", lambda: next(answers), within=30)

    assert slept == [2.5, 2.5]


@pytest.mark.parametrize(("name", "seconds"), [("aws", 2), ("local", 0)])
def test_on_aws_what_a_queue_holds_is_taken_with_long_polls(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, name: str, seconds: int
) -> None:
    """A short poll does not ask all servers:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
    """
    polls: list[int] = []

    class Sqs:
        def receive_message(self, *, WaitTimeSeconds: int, **_: Any) -> dict[str, Any]:
            polls.append(WaitTimeSeconds)
            return {}

    monkeypatch.setattr(Target, "client", lambda *_, **__: Sqs())
    experiment.target = Target(name, "", None, "us-east-1")

    assert experiment.take("url") == []
    assert polls == [seconds]


def test_a_slower_target_gets_more_time(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target, "patience", 2.0)

    with pytest.raises(pytest.fail.Exception, match=r"^waited 1 s in vain: it is done\n"):
        experiment.wait_until("it is done", lambda: False, within=0.5)


def test_lines_are_this_experiments_in_the_order_in_which_they_were_logged(experiment: Experiment) -> None:
    experiment.follow(billing=GROUP)
    log(experiment, 2, "processed", correlation_id=experiment.id, order_id="o-2")
    log(experiment, 1, "processed", correlation_id=experiment.id, order_id="o-1")
    log(experiment, 1, "processed", correlation_id="another", order_id="o-9")
    log(experiment, 3, "fault injected", mode="crash")
    log(experiment, -60, "fault injected", mode="latency")
    log(experiment, 4, "failed", correlation_id=experiment.id, order_id="o-3")

    lines = experiment.lines("billing")

    assert [(line.get("order_id"), line.get("mode")) for line in lines] == [
        ("o-1", None), ("o-2", None), (None, "crash"), ("o-3", None),
    ]  # fmt: skip
    assert [line["at"] for line in lines] == pytest.approx([1, 2, 3, 4], abs=0.1)
    assert [line["order_id"] for line in experiment.lines("billing", "processed")] == ["o-1", "o-2"]
    assert [line["message"] for line in experiment.lines("billing", "failed", "fault injected")] == [
        "fault injected",
        "failed",
    ]


def test_a_line_that_is_no_json_is_left_out(experiment: Experiment) -> None:
    experiment.follow(billing=GROUP)
    event = {"timestamp": int(time.time() * 1000) + 5, "message": "START RequestId: 1"}
    experiment.client("logs").put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=[event])

    assert experiment.lines("billing") == []


def test_the_story_is_in_the_order_of_time(experiment: Experiment) -> None:
    experiment.follow(billing=GROUP)
    log(experiment, 5, "processed", correlation_id=experiment.id, order_id="o-1")
    experiment.note("sent 1 order")

    first, second = experiment.story().splitlines()

    assert first.split() == [f"{experiment.timeline[0].at:.2f}", "s", "sent", "1", "order"]
    assert second.endswith("s  billing: processed  order_id=o-1")


def test_what_is_saved_is_evidence(experiment: Experiment) -> None:
    experiment.follow(billing=GROUP)
    experiment.note("sent 1 order")
    log(experiment, 5, "failed", correlation_id=experiment.id, order_id="o-1", receive_count=1, level="ERROR")
    experiment.observe("3 receives", [{"Orders": 6}])

    file = experiment.save("passed")

    assert file == paths.EVIDENCE / "fanout/test_poison.json"
    found = evidence.load(file)
    assert (found.experiment, found.pattern, found.id) == ("test_poison", "fanout", experiment.id)
    assert (found.failure, found.claim, found.semantics) == (
        "A poison message", "It is dead-lettered.", ["SQS-1", "SQS-2"],
    )  # fmt: skip
    assert (found.outcome, found.observed, found.table) == ("passed", "3 receives", [{"Orders": 6}])
    assert found.target == evidence.RanOn("local", "LocalStack 4.14.0", "us-east-1")
    assert found.commit == evidence.commit()
    assert found.parameters == {"max_receive_count": "3"}
    assert found.date.endswith("+00:00")
    assert [(event.event, event.details) for event in found.timeline] == [
        ("sent 1 order", {}),
        ("billing: failed", {"order_id": "o-1", "receive_count": 1}),
    ]


def test_a_claim_is_a_docstring_on_one_line() -> None:
    def poison() -> None:
        """It is retried,
        and dead-lettered."""

    assert claim(poison) == "It is retried, and dead-lettered."


def report(outcome: Any, **more: str) -> pytest.TestReport:
    made = pytest.TestReport("a::b", ("a", 1, "b"), {}, outcome, None, "call")
    vars(made).update(more)
    return made


@pytest.mark.parametrize(
    ("reported", "outcome"),
    [
        (report("passed"), "passed"),
        (report("failed"), "failed"),
        (report("skipped", wasxfail="queue-policy"), "known gap"),
        (report("failed", wasxfail="queue-policy"), "failed"),  # it passed, though it was expected to fail
        (None, "interrupted"),
    ],
)
def test_the_outcome_is_what_pytest_reports(reported: pytest.TestReport | None, outcome: str) -> None:
    assert pytest_plugin.outcome(reported) == outcome
