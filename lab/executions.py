"""Executions of Step Functions: which there are, and what a history says about each visit to a state."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

RUNNING = "RUNNING"


def decoded(text: str) -> dict[str, Any]:
    """A JSON object; empty for anything else, whatever it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass
class Visit:
    """A visit to a state; `depth` counts the Map and Parallel states around it, `errors` are its attempts'."""

    state: str
    depth: int
    entered: datetime
    left: datetime | None = None
    attempts: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """How long it took, retries and waits included; None while it runs, or when it was stopped or failed."""
        return (self.left - self.entered).total_seconds() if self.left else None

    @property
    def retries(self) -> int:
        return max(self.attempts - 1, 0)

    def __str__(self) -> str:
        parts = [f"{'  ' * self.depth}{self.state}"]
        if self.seconds is not None:
            parts.append(f"{self.seconds:.2f} s")
        if self.retries:
            parts.append(f"{self.retries} {'retry' if self.retries == 1 else 'retries'}")
        if self.errors:
            parts.append(", ".join(dict.fromkeys(self.errors)))
        return "  ".join(parts)


def history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    """The events of an execution, oldest first."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]


def visits(client: Any, execution_arn: str) -> list[Visit]:
    """The states that an execution visited, in the order in which it entered them."""
    return visits_of(history(client, execution_arn))


def visits_of(events: list[dict[str, Any]]) -> list[Visit]:
    """The same of events that were read before.

    Each event names the one that led to it; what happens in a state so leads back to the event that entered it.
    """
    found: list[Visit] = []
    state_of: dict[int, Visit | None] = {0: None}  # by event: the state that it belongs to
    around: dict[int, Visit | None] = {}  # by state: the Map or Parallel state that it is in
    for event in events:
        before = state_of.get(event["previousEventId"])
        kind = event["type"]
        if kind.endswith("StateEntered"):
            inside = before if before is None or before.left is None else around[id(before)]
            depth = 0 if inside is None else inside.depth + 1
            visit = Visit(event["stateEnteredEventDetails"]["name"], depth, event["timestamp"])
            around[id(visit)] = inside
            found.append(visit)
            state_of[event["id"]] = visit
            continue
        state_of[event["id"]] = before
        if before is None:
            continue
        if kind.endswith("StateExited"):
            # A branch that ends leads on to the end of the state around it, which is the one that is left here.
            while before is not None and before.state != event["stateExitedEventDetails"]["name"]:
                before = around[id(before)]
            state_of[event["id"]] = before
            if before is not None:
                before.left = event["timestamp"]
        elif kind in ("TaskScheduled", "LambdaFunctionScheduled"):
            before.attempts += 1
        elif kind.startswith(("Task", "Lambda")) and (error := _error(event)):
            before.errors.append(error)
    return found


def _error(event: dict[str, Any]) -> str | None:
    details = [value for key, value in event.items() if key.endswith("EventDetails")]
    return details[0].get("error") if details else None


@dataclass(frozen=True)
class Execution:
    """An execution, with the order (else its name) and the correlation id (else "") of its input."""

    arn: str
    order_id: str
    correlation_id: str
    status: str
    error: str | None


def find(client: Any, state_machine_arn: str, correlation_ids: set[str], since: float) -> Iterator[Execution]:
    """The executions whose input has one of the correlation ids, started at `since` (epoch seconds) or later."""
    for page in client.get_paginator("list_executions").paginate(stateMachineArn=state_machine_arn):
        for listed in page["executions"]:
            if listed["startDate"].timestamp() < since - 1:
                return  # they come newest first
            execution = describe(client, listed["executionArn"])
            if execution.correlation_id in correlation_ids:
                yield execution


def describe(client: Any, execution_arn: str) -> Execution:
    """An execution by its ARN. Raises the client's ExecutionDoesNotExist."""
    described = client.describe_execution(executionArn=execution_arn)
    given = decoded(described.get("input", ""))
    order_id, correlation_id = str(given.get("order_id", described["name"])), given.get("correlation_id")
    correlation_id = correlation_id if isinstance(correlation_id, str) else ""  # nothing else correlates
    return Execution(described["executionArn"], order_id, correlation_id, described["status"], described.get("error"))


def named(client: Any, state_machine_arn: str, name: str) -> Execution | None:
    """The execution of a state machine with that name or ARN, if there is one."""
    prefix = state_machine_arn.replace(":stateMachine:", ":execution:") + ":"
    try:
        return describe(client, prefix + name.removeprefix(prefix))
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        return None
    except client.exceptions.ValidationException:  # too long for an ARN
        return None
