"""What the functions of a deployment logged, and the journey of one correlation id across them and its executions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab import executions
from lab.deployment import Deployment

# what Powertools' Logger adds to every line: https://docs.aws.amazon.com/powertools/python/latest/core/logger/
STANDARD_KEYS = {
    "level", "location", "message", "timestamp", "service", "correlation_id", "cold_start", "function_name",
    "function_memory_size", "function_arn", "function_request_id", "xray_trace_id", "exception", "exception_name",
    "stack_trace",
}  # fmt: skip
SUBJECTS = ("order_id", "key")


@dataclass(frozen=True)
class Hop:
    """A structured log line of a function, or a state of a state machine; `at` in seconds since the epoch."""

    where: str
    at: float
    line: dict[str, Any]
    event_id: str


def logged(deployment: Deployment, since: float = 0, pattern: str = "") -> Iterator[Hop]:
    """Every structured line of every function since a moment (seconds since the epoch), in the order of each group.

    `pattern` is a filter pattern of CloudWatch Logs:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    pages = deployment.target.client("logs").get_paginator("filter_log_events")
    for name, function in deployment.contract.functions.items():
        found = pages.paginate(logGroupName=function.log_group, startTime=int(since * 1000), filterPattern=pattern)
        for event in (event for page in found for event in page["events"]):
            if line := log_line(event["message"]):
                yield Hop(name, event["timestamp"] / 1000, line, event["eventId"])


def hops(deployment: Deployment, id: str) -> list[Hop]:
    """Every line and every state of a correlation id, oldest first; `id` may also name an execution, or be its ARN.

    An execution without a correlation id has its states alone.
    """
    client = deployment.target.client("stepfunctions")
    machines = deployment.contract.state_machines
    named = [(name, executions.named(client, machine.arn, id)) for name, machine in machines.items()]
    found = {execution.arn: (name, execution) for name, execution in named if execution}
    correlation_id = next((execution.correlation_id for _, execution in found.values()), id)
    lines: list[Hop] = []
    if correlation_id:
        mine = logged(deployment, pattern=f"{{ $.correlation_id = {json.dumps(correlation_id)} }}")
        # once more here: some emulators ignore a filter pattern
        lines = [hop for hop in mine if hop.line.get("correlation_id") == correlation_id]
    if lines:
        began = min(hop.at for hop in lines)
        for name, machine in machines.items():
            for execution in executions.find(client, machine.arn, {correlation_id}, began):
                found[execution.arn] = (name, execution)
    visited = [
        Hop(name, visit.entered.timestamp(), {"order_id": execution.order_id} | _said(visit), "")
        for name, execution in found.values()
        for visit in executions.visits(client, execution.arn)
    ]
    return sorted(lines + visited, key=lambda hop: hop.at)


def _said(visit: executions.Visit) -> dict[str, Any]:
    said = {
        "message": visit.state,
        "seconds": visit.seconds and round(visit.seconds, 2),
        "retries": visit.retries,
        "errors": ", ".join(visit.errors),
    }
    return {name: value for name, value in said.items() if value}


def table(journey: list[Hop]) -> str:
    """The journey, a line for each hop, with the seconds since the first; as wide as it gets, so that no id is cut."""
    rows = [("seconds", "where", "", "", "")]
    for hop in journey:
        details = {name: value for name, value in hop.line.items() if name not in STANDARD_KEYS | set(SUBJECTS)}
        said = " ".join(f"{name}={value}" for name, value in details.items())
        message = str(hop.line.get("message"))
        rows.append((f"{hop.at - journey[0].at:.2f}", hop.where, message, subject(hop.line), said))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in padded)


def subject(line: dict[str, Any]) -> str:
    """What a log line, or something that was sent, is about: an order, or an object's key."""
    return next((str(line[name]) for name in SUBJECTS if name in line), "")


def log_line(text: str) -> dict[str, Any]:
    """A structured log line's fields; none for a line that is no JSON object, such as Lambda's own START."""
    return executions.decoded(text)
