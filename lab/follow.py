"""Follows what was sent: shows what the functions, or the states of executions, make of it until nothing more comes."""

import time
from collections import Counter

from rich.markup import escape

from lab import executions, journeys
from lab.console import console
from lab.deployment import Deployment

# in seconds, on the local target
QUIET = 2.0  # nothing more for so long: that was all
BEGUN = 20.0  # what was sent has reached a function, or an execution, by then, also on a busy machine
BEGUN_ON_AWS = 300.0  # there an event source mapping that was just created takes minutes to begin (STR-7)
# How wrong this machine's clock may be: AWS refuses requests that are signed with a greater difference.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
CLOCK_SECONDS = 300.0
LATE_SECONDS = 60.0  # a line may be readable later than one that was logged after it (belief)
SHOWN = 30  # lines; what comes after them is only counted


def follow(deployment: Deployment, correlation_ids: set[str], since: float) -> None:
    """Prints what becomes of what was sent at `since` (seconds since the epoch), and how often what came of it.

    That is each state of the executions, where the pattern has state machines; elsewhere what the functions logged.
    """
    if deployment.target.name == "aws":
        since -= CLOCK_SECONDS
    if deployment.contract.state_machines:
        summary = _executions(deployment, correlation_ids, since)
        summary = summary or f"No new execution, and `make trace PATTERN={deployment.pattern} ID=<id>` says why"
    else:
        summary = _lines(deployment, correlation_ids, since)
    console.print(f"{summary}. Correlation id: {', '.join(sorted(correlation_ids)[:3])}", markup=False)


def _lines(deployment: Deployment, correlation_ids: set[str], since: float) -> str:
    """Prints the functions' log lines that bear one of the correlation ids, until none has come for a while.

    It waits longer for the first line of another function than the one that sends: until then nothing has begun.
    """
    seen: set[str] = set()
    last = since + LATE_SECONDS  # when what was read last was logged, by the target's clock
    counts: Counter[str] = Counter()
    entry, begun, latest = deployment.contract.entry, False, time.monotonic()
    others = ", ".join(name for name in deployment.contract.functions if name != entry)
    with console.status(escape(f"waiting for {others}")) as status:
        while time.monotonic() - latest < _patience(deployment, begun):
            for hop in journeys.logged(deployment, last - LATE_SECONDS):
                last = max(last, hop.at)
                if hop.event_id in seen or not _is_among(hop.line.get("correlation_id"), correlation_ids):
                    continue
                seen.add(hop.event_id)
                latest = time.monotonic()
                if not begun and hop.where != entry:
                    begun = True
                    status.update("waiting for more")
                outcome = hop.line.get("message")
                if outcome not in ("processed", "failed"):
                    continue
                counts[f"{hop.where} {outcome}"] += 1
                if len(seen) <= SHOWN:
                    error = f": {hop.line['error']}" if "error" in hop.line else ""
                    console.print(f"  {hop.where} {outcome} {journeys.subject(hop.line)}{error}", markup=False)
            time.sleep(deployment.target.between_looks(0.2))
    if not begun:
        return f"nothing yet from {others}: `make trace PATTERN={deployment.pattern} ID=<id>` shows it when there is"
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing yet"


def _patience(deployment: Deployment, begun: bool) -> float:
    """How many seconds without anything new are waited for."""
    if not begun and deployment.target.name == "aws":
        return BEGUN_ON_AWS
    return (QUIET if begun else BEGUN) * deployment.target.patience


def _is_among(correlation_id: object, correlation_ids: set[str]) -> bool:
    """Whether a line's correlation id, which may be any JSON value, is one of these."""
    return isinstance(correlation_id, str) and correlation_id in correlation_ids


def _executions(deployment: Deployment, correlation_ids: set[str], since: float) -> str:
    """Prints each state as it is left, until every execution that bears one of the correlation ids has ended.

    Gives up when none has begun, or none goes on, for a while.
    """
    client = deployment.target.client("stepfunctions")
    shown: Counter[str] = Counter()  # by execution: how many visits
    ended: dict[str, str] = {}  # by execution: its status
    latest = time.monotonic()
    with console.status("waiting for executions") as status:
        while time.monotonic() - latest < _patience(deployment, bool(ended)):
            running: list[str] = []
            for machine in deployment.contract.state_machines.values():
                for execution in executions.find(client, machine.arn, correlation_ids, since):
                    if execution.arn in ended:
                        continue
                    visits = executions.visits(client, execution.arn)
                    is_over = execution.status != executions.RUNNING
                    upto = len(visits) if is_over else _over(visits)
                    for visit in visits[shown[execution.arn] : upto]:
                        console.print(f"  {execution.order_id}  {visit}", markup=False)
                    shown[execution.arn] = max(upto, shown[execution.arn])
                    latest = time.monotonic()
                    if is_over:
                        ended[execution.arn] = execution.status
                        error = f": {execution.error}" if execution.error else ""
                        console.print(f"  {execution.order_id}  {execution.status}{error}", markup=False)
                    elif visits:
                        running.append(f"{execution.order_id} {visits[-1].state}")
            status.update(escape(", ".join(running[:5])) or "waiting for executions")
            time.sleep(deployment.target.between_looks(0.5))
    return ", ".join(f"{count} {status}" for status, count in sorted(Counter(ended.values()).items()))


def _over(visits: list[executions.Visit]) -> int:
    """How many visits, from the first on, are over: a state is shown after those before it, and with its duration."""
    return next((index for index, visit in enumerate(visits) if visit.left is None), len(visits))
