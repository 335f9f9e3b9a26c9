"""What the history of an execution says about its states."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab import executions

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
    return [str(row) for row in executions.rows_of(history.events)]


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

    rows = executions.rows_of(history.events)
    assert [(row.state, row.depth) for row in rows] == [
        ("Both", 0),
        ("One", 1),
        ("Two", 1),
        ("Each", 1),
        ("Item", 2),
        ("After", 0),
    ]
    assert [row.state for row in rows if row.left is None] == ["After"]


def test_a_state_that_is_stopped_has_no_duration(history: History) -> None:
    history.enter("Slow", history.add("ParallelStateStarted", history.enter("Both", 0, "Parallel")))

    assert [row.seconds for row in executions.rows_of(history.events)] == [None, None]


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
        return {"executionArn": executionArn, "name": name, "input": json.dumps(given), "status": status}

    class exceptions:
        class ExecutionDoesNotExist(Exception): ...

        class InvalidArn(Exception): ...


def test_following_shows_each_state_once_until_every_execution_has_ended() -> None:
    lines: list[str] = []

    counts = executions.follow(
        Client(), ["arn:machine"], {"mine", "old"}, BEGAN.timestamp(), show=lines.append, busy=lambda text: None
    )

    assert counts == {"SUCCEEDED": 1}
    assert lines == ["o-1  Ship  1.00 s", "o-1  Shipped", "o-1  SUCCEEDED"]


@pytest.mark.parametrize("name", ["mine", "arn:mine"])
def test_an_execution_is_found_by_its_name_and_by_its_arn(name: str) -> None:
    found = executions.named(Client(), "arn", name)

    assert found
    assert (found.arn, found.order_id, found.correlation_id) == ("arn:mine", "o-1", "mine")


def test_what_names_no_execution_finds_none() -> None:
    assert executions.named(Client(), "arn", "nosuch") is None
