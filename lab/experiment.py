"""The pytest plugin behind the experiments: an isolated deployment, patience without sleeps, and evidence.

An experiment is a test in `patterns/<name>/tests/test_failures.py` with the mark `experiment`; its docstring is the
claim, which the README's table of failures repeats word for word.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from lab import paths, targets
from lab.console import console, step
from lab.deployment import Deployment, kept
from lab.journeys import log_line

# Upper bounds in seconds, for a machine that does much else at the same time.
SOON = 40.0  # a delivery, with cold starts; an alarm that fires
ALARM_CLEARS = 200.0  # a metric that has gaps is judged by its last value for as long as three periods of 60 s

BACKGROUND = 10  # the niceness of what runs beside experiments


class Experiment:
    """One experiment on one deployment: what it sends bears its `id`, and what it sees becomes its evidence."""

    def __init__(self, deployment: Deployment, item: pytest.Function) -> None:
        self.deployment = deployment
        self.target = deployment.target
        self.outputs = deployment.outputs
        self.id = f"x{secrets.token_hex(4)}"
        self.observed = ""
        self.table: list[dict[str, Any]] = []
        self.timeline: list[dict[str, Any]] = []
        self._followed: dict[str, str] = {}
        self._began = time.time()
        self._item = item

    def client(self, service: str) -> Any:
        return self.target.client(service)

    @property
    def elapsed(self) -> float:
        """Seconds since the experiment began."""
        return self.since(time.time())

    def since(self, moment: float) -> float:
        """Seconds from the experiment's beginning to a moment (seconds since the epoch)."""
        return round(moment - self._began, 2)

    def note(self, event: str, **details: Any) -> None:
        """Adds an event to the timeline, at this moment."""
        self.timeline.append({"at": self.elapsed, "event": event, **details})

    def observe(self, text: str, table: list[dict[str, Any]] | None = None) -> None:
        """What this run showed, in a phrase with its numbers, for the README's Observed column.

        `table`, rows of values by column, is for a README that shows them at a place of their own
        (`<!-- BEGIN TABLE test_name -->`).
        """
        self.observed, self.table = text, table or []

    def follow(self, **log_groups: str) -> None:
        """The log groups, by the name that the timeline gives each, in which this experiment's lines are looked for."""
        self._followed |= log_groups

    def lines(self, name: str, *messages: str) -> list[dict[str, Any]]:
        """This experiment's structured log lines of a followed group, oldest first; `at` is when each was logged.

        A function's lines appear some time after it has ended, and after what it did is seen elsewhere.

        A line belongs to the experiment when its correlation id is the experiment's id, or when it says that a fault
        was injected. `messages` restricts them to lines with one of these messages.
        """
        found = []
        pages = self.client("logs").get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=self._followed[name], startTime=int(self._began * 1000)):
            for event in page["events"]:
                line = log_line(event["message"])
                mine = line.get("correlation_id") == self.id or line.get("message") == "fault injected"
                if mine and (not messages or line.get("message") in messages):
                    logged_at = datetime.fromisoformat(line["timestamp"]).timestamp()
                    found.append({**line, "at": self.since(logged_at)})
        return sorted(found, key=lambda line: line["at"])

    def wait_until(self, what: str, condition: Callable[[], Any], within: float) -> Any:
        """Waits until `condition()` is true and returns its value; `within` is in seconds.

        Fails with what was awaited and the timeline of what was seen instead.
        """
        seconds = within * self.target.patience
        wait = Retrying(
            stop=stop_after_delay(seconds), wait=wait_fixed(0.25), retry=retry_if_result(lambda seen: not seen)
        )
        try:
            value = wait(condition)
        except RetryError:
            self.note(f"gave up waiting: {what}")
            pytest.fail(f"waited {seconds:.0f} s in vain: {what}\n{self.story()}", pytrace=False)
        self.note(what)
        return value

    def alarm(self, name: str) -> str:
        """An alarm's state: OK, ALARM or INSUFFICIENT_DATA."""
        alarms = self.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert alarms, f"there is no alarm {name}"
        return str(alarms[0]["StateValue"])

    def messages_in(self, queue_url: str) -> int:
        """How many messages a queue holds, in flight or delayed ones included (an approximation on AWS)."""
        return self.deployment.depth(queue_url).total

    def take(self, queue_url: str) -> list[dict[str, Any]]:
        """Receives and deletes what a queue holds now, with all attributes."""
        sqs, taken = self.client("sqs"), []
        while batch := sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in batch:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            taken += batch
        return taken

    def drain(self, *queue_urls: str) -> None:
        """Empties queues, also of what is in flight: waits until that is deleted, or back and taken."""

        def empty() -> bool:
            for url in queue_urls:
                self.take(url)
            return not any(self.messages_in(url) for url in queue_urls)

        self.wait_until("the queues are empty", empty, SOON)

    def story(self) -> str:
        """The timeline as text: what the experiment did, and what the followed functions logged."""
        return "\n".join(
            f"  {event['at']:7.2f} s  {event['event']}  "
            + " ".join(f"{key}={value}" for key, value in event.items() if key not in ("at", "event"))
            for event in self._whole_timeline()
        )

    def save(self, outcome: str) -> Path:
        """Writes the evidence as JSON and returns its path."""
        mark = self._item.get_closest_marker("experiment")
        assert mark
        evidence = {
            "experiment": self._item.name,
            "pattern": self.deployment.pattern,
            "failure": mark.kwargs["failure"],
            "claim": claim(self._item.function),
            "semantics": list(mark.args),
            "outcome": outcome,
            "observed": self.observed,
            "table": self.table,
            "target": {"name": self.target.name, "version": self.target.version, "region": self.target.region},
            "date": datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
            "seconds": self.elapsed,
            "parameters": self.deployment.variables,
            "timeline": self._whole_timeline(),
        }
        file = paths.EVIDENCE / self.deployment.pattern / f"{self._item.name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(evidence, indent=2) + "\n")
        return file

    def _whole_timeline(self) -> list[dict[str, Any]]:
        keep = (
            "order_id", "key", "message_id", "receive_count", "error_class", "error", "retry_in_seconds", "outcome",
            "mode", "function",
        )  # fmt: skip
        logged = [
            {"at": line["at"], "event": f"{name}: {line['message']}"} | {key: line[key] for key in keep if key in line}
            for name in self._followed
            for line in self.lines(name)
        ]
        return sorted(self.timeline + logged, key=lambda event: event["at"])


@pytest.fixture(scope="session")
def target() -> targets.Target:
    """The target that TARGET names."""
    return targets.find(os.environ.get("TARGET") or "local")


@pytest.fixture(scope="module")
def deployments(request: pytest.FixtureRequest, target: targets.Target) -> Iterator[list[Deployment]]:
    """Isolated copies of the pattern that the test module belongs to, destroyed afterwards.

    The module's VARIABLES are the Terraform variables that compress its times; the mark `variant` of a test adds some.
    There is one copy for each set of variables, and they are deployed side by side. With KEEP=1 the copies stay, and
    the next run with KEEP=1 finds them.
    """
    pattern = request.path.parent.parent.name
    keep = bool(os.environ.get("KEEP"))
    wanted: list[dict[str, str]] = []
    for variables in (_variables(item) for item in request.session.items if item.path == request.path):
        if variables not in wanted:
            wanted.append(variables)
    earlier = kept(pattern, target) if keep else []
    copies = [
        next((copy for copy in earlier if copy.variables == variables), None)
        or Deployment.isolated(pattern, target, variables)
        for variables in wanted
    ]
    names = " and ".join(copy.name for copy in copies)
    try:
        with _shown(request), step(f"deploying {names}") as progress:
            _side_by_side(copies, lambda copy: copy.apply(lambda text: progress.detail(f"{copy.name}: {text}")))
            progress.result = f"deployed {names}"
        yield copies
    finally:
        if keep:
            for copy in copies:
                copy.keep()
                with _shown(request):
                    console.print(
                        f"Kept {copy.name}. Use it again: make test PATTERN={pattern} KEEP=1. Remove it: make destroy "
                        f"PATTERN={pattern} COPY={copy.workspace.removeprefix(f'{target.name}-')}"
                    )
        else:
            with _shown(request), step(f"destroying {names}") as progress:
                _side_by_side(copies, lambda copy: copy.destroy(lambda text: progress.detail(f"{copy.name}: {text}")))
                progress.result = f"destroyed {names}, nothing is left"


@pytest.fixture
def deployment(request: pytest.FixtureRequest, deployments: list[Deployment]) -> Deployment:
    """The copy with the variables of this test."""
    return next(copy for copy in deployments if copy.variables == _variables(request.node))


@pytest.fixture
def experiment(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Experiment]:
    """The experiment that the test is; its evidence is written when the test ends, however it ends."""
    running = Experiment(deployment, request.node)
    yield running
    report = request.node.stash.get(_REPORT, None)
    known_gap = report is not None and hasattr(report, "wasxfail") and report.skipped
    running.save("known gap" if known_gap else report.outcome if report else "interrupted")


def claim(function: Callable[..., Any]) -> str:
    """An experiment's claim: its docstring on one line."""
    return " ".join((function.__doc__ or "").split())


_REPORT = pytest.StashKey[pytest.TestReport]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "experiment(*semantics, failure): an experiment, and the semantics it rests on")
    config.addinivalue_line("markers", "variant(**variables): runs on a copy with these Terraform variables added")
    config.addinivalue_line("markers", "gap(id): cannot pass on a target with this entry in lab/gaps.toml")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Experiments come first, because they take longest; those of one pattern share a deployment, and so a worker.

    A known gap is a strict expected failure.
    """
    items.sort(key=lambda item: item.get_closest_marker("experiment") is None)
    name = os.environ.get("TARGET") or "local"
    gaps = {gap.id: gap for gap in targets.known_gaps()}
    for item in items:
        if item.get_closest_marker("experiment"):
            item.add_marker(pytest.mark.xdist_group(item.path.parent.parent.name))
        if mark := item.get_closest_marker("gap"):
            gap = gaps[mark.args[0]]
            if gap.target == name:
                reason = f"{gap.id} ({gap.version}): {gap.instead}"
                vain = pytest.fail.Exception  # a condition that never came true; any other error is still one
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=vain))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """In a parallel run other tests, and what they start, get the CPU time that experiments leave.

    Experiments race the clock: a function that is slow is ended, and a message that it holds comes back. A worker that
    is through with its experiments, which are first, has no more.
    """
    if "PYTEST_XDIST_WORKER" in os.environ and not item.get_closest_marker("experiment"):
        os.nice(max(0, BACKGROUND - os.nice(0)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_REPORT] = report
    return report


def _variables(item: pytest.Item) -> dict[str, str]:
    """The Terraform variables of the copy that a test runs on."""
    module: Any = item.getparent(pytest.Module)
    variant = item.get_closest_marker("variant")
    return {**module.obj.VARIABLES, **(variant.kwargs if variant else {})}


def _side_by_side(copies: list[Deployment], work: Callable[[Deployment], Any]) -> None:
    """Works on every copy at once: most of the time Terraform waits for queues."""
    if len(copies) == 1:
        work(copies[0])  # in this thread, which is the one that Ctrl-C reaches
        return
    with ThreadPoolExecutor(len(copies)) as pool:
        for done in [pool.submit(work, copy) for copy in copies]:
            done.result()


def _shown(request: pytest.FixtureRequest) -> Any:
    """Lets what is printed in the block reach the terminal, past pytest's capture."""
    return request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled()
