"""What Lambda itself writes to a function's log: START, END, REPORT, or their JSON events.

AWS: with the log format Text, three lines per invocation, and one or two more after a timeout or a crash
(https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html). With JSON, the events platform.start,
platform.runtimeDone and platform.report, filtered by SystemLogLevel
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html).

LocalStack: leaves it to the executor; its own asks a program inside the container.

Here: both formats, as pure functions.

Evidence: documentation; recordings TestLambdaFeatures::test_invocation_with_logs and TestLambdaBehavior for the text
format; belief for the order of the lines after a crash.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["success", "error", "timeout", "failure"]
LEVELS = ("DEBUG", "INFO", "WARN")
EXIT = "Runtime.ExitError"


@dataclass(frozen=True)
class Report:
    """One invocation, as its report tells it. Durations in milliseconds, memory in megabytes.

    status: ``error`` is an error that the function returned, ``failure`` the end of its process.
    error_type: of a failure EXIT, or, of a process that needed too much memory, Runtime.OutOfMemory
    message: what Lambda adds for a timeout or a failure.
    """

    request_id: str
    version: str
    status: Status
    duration: float
    memory_size: int
    memory_used: int
    init_duration: float | None = None
    error_type: str = ""
    message: str = ""


def billed(report: Report) -> int:
    """Billed duration is rounded up to the next millisecond."""
    return -int(-report.duration // 1)


def text(report: Report, output: str, at: datetime) -> str:
    """The log of one invocation with LogFormat Text.

    ``output`` is what the function wrote, ``at`` the end of the invocation.
    """
    identity = f"RequestId: {report.request_id}"
    lines = [f"START {identity} Version: {report.version}", *output.splitlines()]
    if report.status == "timeout":
        lines += [f"{timestamp(at)} {report.request_id} {report.message}", ""]
    elif report.status == "failure":
        lines += [f"{identity} Error: {report.message}", EXIT]
    fields = [
        f"REPORT {identity}",
        f"Duration: {report.duration:.2f} ms",
        f"Billed Duration: {billed(report)} ms",
        f"Memory Size: {report.memory_size} MB",
        f"Max Memory Used: {report.memory_used} MB",
    ]
    if report.init_duration is not None:
        fields.append(f"Init Duration: {report.init_duration:.2f} ms")
    if report.status == "timeout":
        fields.append("Status: timeout")
    elif report.status == "failure":
        fields += ["Status: error", f"Error Type: {report.error_type}"]
    lines += [f"END {identity}", "\t".join(fields) + "\t"]
    return "\n".join(lines) + "\n"


def json_events(report: Report, output: str, began: datetime, at: datetime, level: str) -> str:
    """The log of one invocation with LogFormat JSON.

    ``level`` is the function's SystemLogLevel; events below it are left out.
    """
    outcome: dict[str, Any] = {"requestId": report.request_id, "status": report.status}
    if report.status == "failure":
        outcome["errorType"] = report.error_type
    metrics = {
        "durationMs": round(report.duration, 3),
        "billedDurationMs": billed(report),
        "memorySizeMB": report.memory_size,
        "maxMemoryUsedMB": report.memory_used,
    }
    if report.init_duration is not None:
        metrics["initDurationMs"] = round(report.init_duration, 3)
    succeeded = report.status == "success"
    start = {"requestId": report.request_id, "version": report.version}
    events = [
        event("INFO", began, "platform.start", start, level),
        *output.splitlines(),
        event("DEBUG" if succeeded else "WARN", at, "platform.runtimeDone", outcome, level),
        event("INFO" if succeeded else "WARN", at, "platform.report", outcome | {"metrics": metrics}, level),
    ]
    return "".join(line + "\n" for line in events if line)


def event(own_level: str, at: datetime, kind: str, record: dict[str, Any], level: str) -> str:
    if LEVELS.index(own_level) < LEVELS.index(level):
        return ""
    return json.dumps({"time": timestamp(at), "type": kind, "record": record})


def timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
