"""What the history of an execution says about its states."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab import executions, follow
from lab.console import console
from lab.deployment import Deployment
from lab.targets import Target

BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


class History:
    """Events of an execution, each a second after the one before."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, kind: str, before: int, **details: Any) -> int:
        number = len(self.events) + 1
        moment = BEGAN + timedelta(seconds=number)
        self.events.append({"id": number, "previousEventId": before, "type": kind, "timestamp": moment, **details})
        return number

    def enter(self, name: str, before: int, kind: str = "Task") -> int:
        return self.add(f"{kind}StateEntered", before, stateEnteredEventDetails={"name": name})

    def leave(self, name: str, before: int, kind: str = "Task") -> int:
        return self.add(f"{kind}StateExited", before, stateExitedEventDetails={"name": name})


@pytest.fixture
def history() -> Iterator[History]:
    yield History()


def shown(history: History) -> list[str]:
    return [str(visit) for visit in executions.visits_of(history.events)]


def test_a_state_has_its_duration_its_retries_and_their_errors(history: History) -> None:
    at = history.enter("Charge", history.add("ExecutionStarted", 0))
    for error in ("TransientError", "States.Timeout"):
        at = history.add("TaskScheduled", at, taskScheduledEventDetails={"resource": "invoke"})
        at = history.add("TaskFailed", at, taskFailedEventDetails={"error": error})
    at = history.add("TaskScheduled", at, taskScheduledEventDetails={})
    at = history.leave("Charge", history.add("TaskSucceeded", at))
    history.enter("Ship", at)

    assert shown(history) == ["Charge  7.00 s  2 retries  TransientError, States.Timeout", "Ship"]


def test_states_inside_parallel_and_map_states_are_indented_and_what_follows_is_not(history: History) -> None:
    outer = history.enter("Both", 0, "Parallel")
    started = history.add("ParallelStateStarted", outer)
    first = history.enter("One", started)
    second = history.enter("Two", started)
    inside = history.enter("Each", history.leave("One", first), "Map")
    iteration = history.add("MapIterationStarted", history.add("MapStateStarted", inside))
    ended = history.leave("Item", history.enter("Item", iteration))
    succeeded = history.add("MapStateSucceeded", history.add("MapIterationSucceeded", ended))
    history.leave("Each", succeeded, "Map")
    done = history.add("ParallelStateSucceeded", history.leave("Two", second))
    history.enter("After", history.leave("Both", done, "Parallel"))

    visits = executions.visits_of(history.events)
    assert [(visit.state, visit.depth) for visit in visits] == [
        ("Both", 0),
        ("One", 1),
        ("Two", 1),
        ("Each", 1),
        ("Item", 2),
        ("After", 0),
    ]
    assert [visit.state for visit in visits if visit.left is None] == ["After"]


def test_a_state_that_is_stopped_has_no_duration(history: History) -> None:
    history.enter("Slow", history.add("ParallelStateStarted", history.enter("Both", 0, "Parallel")))

    assert [visit.seconds for visit in executions.visits_of(history.events)] == [None, None]


class Client:
    """Step Functions with executions that end when they were looked at twice."""

    def __init__(self) -> None:
        self.looks = 0
        history = History()
        end = history.leave("Ship", history.enter("Ship", 0))
        self.events = [*history.events, *[history.events[history.enter("Shipped", end, "Succeed") - 1]]]

    def get_paginator(self, operation: str) -> Any:
        pages: dict[str, dict[str, Any]] = {
            "list_executions": {
                "executions": [
                    {"executionArn": f"arn:{name}", "name": name, "startDate": BEGAN + timedelta(seconds=age)}
                    for name, age in (("mine", 5), ("other", 5), ("old", -60))
                ]
            },
            "get_execution_history": {"events": self.events},
        }

        class Paginator:
            def paginate(self, **_: Any) -> list[dict[str, Any]]:
                return [pages[operation]]

        return Paginator()

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        self.looks += 1
        given = {"order_id": "o-1", "correlation_id": executionArn.removeprefix("arn:")}
        status = "RUNNING" if self.looks < 3 else "SUCCEEDED"
        name = executionArn.removeprefix("arn:")
        if name == "nosuch":
            raise self.exceptions.ExecutionDoesNotExist()
        if len(name) > 256:
            raise self.exceptions.ValidationException()
        return {"executionArn": executionArn, "name": name, "input": json.dumps(given), "status": status}

    class exceptions:
        class ExecutionDoesNotExist(Exception): ...

        class InvalidArn(Exception): ...

        class ValidationException(Exception): ...


class TestFollowing:
    @pytest.fixture(autouse=True)
    def deployed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outputs = {
            "entry": "producer",
            "functions": {"producer": {"name": "producer", "log_group": "/producer"}},
            "state_machines": {"order": {"arn": "arn:machine", "log_group": "/machine"}},
        }
        client = Client()
        monkeypatch.setattr(Deployment, "outputs", outputs)
        monkeypatch.setattr(Target, "client", lambda *_, **__: client)
        monkeypatch.setattr(follow, "QUIET", 0.1)

    def shown(self, *correlation_ids: str) -> list[str]:
        target = Target("local", "", None, "us-east-1")
        with console.capture() as captured:
            follow.follow(Deployment.of("orchestration", target), set(correlation_ids), BEGAN.timestamp())
        return [line for line in captured.get().splitlines() if line]

    def test_each_state_is_shown_once_until_every_execution_has_ended(self) -> None:
        assert self.shown("mine", "old") == [
            "  o-1  Ship  1.00 s",
            "  o-1  Shipped",
            "  o-1  SUCCEEDED",
            "1 SUCCEEDED. Correlation id: mine, old",
        ]

    def test_on_aws_this_machines_clock_may_be_ahead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Target, "patience", 1.0)
        monkeypatch.setattr(Target, "between_looks", lambda self, seconds: seconds)
        target = Target("aws", "", None, "us-east-1")

        with console.capture() as captured:
            follow.follow(Deployment.of("orchestration", target), {"mine"}, BEGAN.timestamp() + 200)

        assert "1 SUCCEEDED" in captured.get()

    def test_on_aws_what_was_just_deployed_has_minutes_to_begin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [0.0]
        monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])

        with console.capture():
            follow.follow(Deployment.of("orchestration", Target("aws", "", None, "us-east-1")), {"nosuch"}, 0)

        assert clock[0] >= 300

    def test_without_an_execution_it_says_where_to_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(follow, "BEGUN", 0.1)

        assert self.shown("nosuch") == [
            "No new execution, and `make trace PATTERN=orchestration ID=<id>` says why. Correlation id: nosuch"
        ]


@pytest.mark.parametrize("name", ["mine", "arn:mine"])
def test_an_execution_is_found_by_its_name_and_by_its_arn(name: str) -> None:
    found = executions.named(Client(), "arn", name)

    assert found
    assert (found.arn, found.order_id, found.correlation_id) == ("arn:mine", "o-1", "mine")


def test_what_names_no_execution_finds_none() -> None:
    assert executions.named(Client(), "arn", "nosuch") is None
    assert executions.named(Client(), "arn", "x" * 257) is None


@pytest.mark.parametrize(
    "given",
    [
        "[1]",
        "3",
        "null",
        "",
        "[" * 100_000,
        '{"correlation_id": ["c"]}',
        '{"correlation_id": null, "order_id": {"a": 1}}',
    ],
)
def test_an_execution_whose_input_is_odd_has_no_correlation_id(given: str) -> None:
    class Described(Client):
        def describe_execution(self, executionArn: str) -> dict[str, Any]:
            return {"executionArn": executionArn, "name": "odd", "input": given, "status": "SUCCEEDED"}

    found = executions.describe(Described(), "arn:odd")

    assert found.correlation_id == ""
    assert isinstance(found.order_id, str)
