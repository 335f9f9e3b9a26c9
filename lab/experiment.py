"""An experiment on a deployment: patience without sleeps, what was seen, and the evidence of it."""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tenacity import RetryError, retry_if_exception, retry_if_result

from lab import evidence, paths
from lab.clock import REAL
from lab.deployment import Deployment
from lab.evidence import Event, Evidence
from lab.journeys import log_line
from lab.targets import is_throttled

# Upper bounds in seconds, for a machine that does much else at the same time.
SOON = 40.0  # a delivery, with cold starts; an alarm that fires
ALARM_CLEARS = 200.0  # a metric that has gaps is judged by its last value for as long as three periods of 60 s

# What the timeline repeats of a log line.
LOGGED = (
    "order_id", "key", "message_id", "receive_count", "error_class", "error", "retry_in_seconds", "outcome", "mode",
    "function",
)  # fmt: skip


class Experiment:
    """One experiment on one deployment: what it sends bears its `id`, and what it sees becomes its evidence.

    `name` is the test's; `claim` says what happens, `failure` what is made to fail, and `semantics` are the ids of
    what that rests on (docs/semantics.md); `clock` is "real", or "virtual" when the time may jump.
    """

    def __init__(
        self,
        deployment: Deployment,
        name: str,
        failure: str,
        claim: str,
        semantics: tuple[str, ...],
        clock: str = REAL,
    ) -> None:
        self.deployment = deployment
        self.name, self.failure, self.claim, self.semantics = name, failure, claim, semantics
        self.target, self.clock = deployment.target, clock
        self.outputs = deployment.outputs
        self.id = f"x{secrets.token_hex(4)}"
        self.observed = ""
        self.table: list[dict[str, Any]] = []
        self.timeline: list[Event] = []
        self._followed: dict[str, str] = {}
        self._began = self.target.now()

    def client(self, service: str) -> Any:
        return self.target.client(service)

    @property
    def elapsed(self) -> float:
        """Seconds since the experiment began."""
        return self.since(self.target.now())

    def since(self, moment: float) -> float:
        """Seconds from the experiment's beginning to a moment (seconds since the epoch)."""
        return round(moment - self._began, 2)

    def note(self, event: str, **details: Any) -> None:
        """Adds an event to the timeline, at this moment."""
        self.timeline.append(Event(self.elapsed, event, details))

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
        pages = self.target.client("logs").get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=self._followed[name], startTime=int(self._began * 1000)):
            for event in page["events"]:
                line = log_line(event["message"])
                mine = line.get("correlation_id") == self.id or line.get("message") == "fault injected"
                if mine and (not messages or line.get("message") in messages):
                    logged_at = datetime.fromisoformat(line["timestamp"]).timestamp()
                    found.append({**line, "at": self.since(logged_at)})
        return sorted(found, key=lambda line: line["at"])

    def wait_until(self, what: str, condition: Callable[[], Any], within: float) -> Any:
        """Waits until `condition()` is true and returns its value; `within` is in seconds of the target's clock.

        Fails with what was awaited and the timeline of what was seen instead.
        """
        seconds = within * self.target.patience
        wait = self.target.clock.retrying(
            seconds,
            self.target.between_looks(0.25),
            retry=retry_if_result(lambda seen: not seen) | retry_if_exception(is_throttled),
        )
        try:
            value = wait(condition)
        except RetryError:
            self.note(f"gave up waiting: {what}")
            pytest.fail(f"waited {seconds:.0f} s in vain: {what}\n{self.story()}", pytrace=False)
        self.note(what)
        return value

    def let_pass(self, seconds: float, what: str) -> None:
        """Lets so much of the target's time pass, in which nothing is awaited but what must not happen."""
        end = self.elapsed + seconds * self.target.patience
        self.wait_until(what, lambda: self.elapsed > end, seconds + SOON)

    def alarm(self, name: str) -> str:
        """An alarm's state: OK, ALARM or INSUFFICIENT_DATA."""
        alarms = self.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert alarms, f"there is no alarm {name}"
        return str(alarms[0]["StateValue"])

    def times_fired(self, alarm: str) -> int:
        """How often an alarm has gone into ALARM, by CloudWatch's history of it: it may be over when one looks."""
        pages = self.client("cloudwatch").get_paginator("describe_alarm_history")
        found = [item for page in pages.paginate(AlarmName=alarm) for item in page["AlarmHistoryItems"]]
        changes = [json.loads(item["HistoryData"]) for item in found if item["HistoryItemType"] == "StateUpdate"]
        return sum(change["newState"]["stateValue"] == "ALARM" for change in changes)

    def messages_in(self, queue_url: str) -> int:
        """How many messages a queue holds, in flight or delayed ones included (an approximation on AWS)."""
        return self.deployment.depth(queue_url).total

    def take(self, queue_url: str) -> list[dict[str, Any]]:
        """Receives and deletes what a queue holds now, with all attributes."""
        sqs, taken = self.client("sqs"), []
        # A short poll asks only some of the servers that hold a queue, of which the local target has one:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
        seconds = 2 if self.target.name == "aws" else 0
        while batch := sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"],
            WaitTimeSeconds=seconds,
        ).get("Messages"):  # fmt: skip
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
            f"  {event.at:7.2f} s  {event.event}  "
            + " ".join(f"{name}={value}" for name, value in event.details.items())
            for event in self._whole_timeline()
        )

    def save(self, outcome: str) -> Path:
        """Writes the evidence of this run, and returns its file."""
        return Evidence(
            experiment=self.name,
            pattern=self.deployment.pattern,
            id=self.id,
            failure=self.failure,
            claim=self.claim,
            semantics=list(self.semantics),
            outcome=outcome,
            observed=self.observed,
            table=self.table,
            target=evidence.RanOn(self.target.name, self.target.version, self.target.region, self.clock),
            commit=evidence.commit(),
            date=datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
            seconds=self.elapsed,
            parameters=self.deployment.variables,
            timeline=self._whole_timeline(),
        ).save(paths.EVIDENCE / self.deployment.pattern)

    def _whole_timeline(self) -> list[Event]:
        logged = [
            Event(line["at"], f"{name}: {line['message']}", {key: line[key] for key in LOGGED if key in line})
            for name in self._followed
            for line in self.lines(name)
        ]
        return sorted(self.timeline + logged, key=lambda event: event.at)


def claim(function: Callable[..., Any]) -> str:
    """An experiment's claim: its docstring on one line."""
    return " ".join((function.__doc__ or "").split())
