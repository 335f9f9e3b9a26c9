"""Puts load on a pattern with one queue, shows live what becomes of it, and keeps a table and a plot."""

import csv
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pygal
from rich.live import Live
from rich.table import Table

from lab import capacity, paths
from lab.console import LabError, console
from lab.contract import Queue
from lab.deployment import Deployment

SAMPLE_SECONDS = 0.5
RECENT_SECONDS = 10.0  # over which the pace of the consumer is taken
STALLED_SECONDS = 120.0  # without progress, after which the rest is left to itself
SENDERS = 8


@dataclass(frozen=True)
class Sample:
    """One look at the queue: seconds since the load began, and numbers of messages."""

    at: float
    sent: int
    waiting: int
    in_flight: int
    dead: int

    @property
    def processed(self) -> int:
        """What was sent and is neither in the queue nor in its dead-letter queue."""
        return max(0, self.sent - self.waiting - self.in_flight - self.dead)

    @property
    def left(self) -> int:
        return self.waiting + self.in_flight


@dataclass
class Load:
    """A load while it runs: what was asked for, what was sent when, and what was seen of it.

    `sends` holds (seconds, messages sent until then), oldest first.
    """

    rate: float
    seconds: float
    sends: list[tuple[float, int]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def total(self) -> int:
        return round(self.rate * self.seconds)

    def due(self, at: float) -> int:
        """How many messages should have been sent by now."""
        return min(self.total, int(self.rate * at))

    def age(self, sample: Sample) -> float:
        """Age of the oldest message in seconds, taking for it the first one that is not among the processed.

        CloudWatch's ApproximateAgeOfOldestMessage comes once a minute: too late to watch.
        """
        done = sample.processed + sample.dead
        if not sample.left:
            return 0.0
        return next((sample.at - at for at, sent in self.sends if sent > done), 0.0)

    def pace(self) -> float:
        """Messages processed per second lately."""
        last = self.samples[-1]
        first = next(sample for sample in self.samples if last.at - sample.at <= RECENT_SECONDS)
        return (last.processed - first.processed) / (last.at - first.at) if last.at > first.at else 0.0

    def drain_seconds(self) -> float | None:
        """How long what is left takes at the present pace, were nothing more sent; None without a pace."""
        pace = self.pace()
        return self.samples[-1].left / pace if pace > 0 else None

    def finished(self) -> bool:
        """Whether everything was sent and the queue is empty, or nothing has moved for too long."""
        last = self.samples[-1]
        if last.sent < self.total:
            return False
        moved = next(sample.at for sample in self.samples if sample.processed >= last.processed)
        return last.left == 0 or last.at - max(moved, self.seconds) > STALLED_SECONDS

    def busy_seconds(self) -> float:
        """From the first message sent to the queue's being empty."""
        return next((s.at for s in self.samples if s.sent == self.total and s.left == 0), self.samples[-1].at)


def run(deployment: Deployment, rate: float, seconds: float) -> Path:
    """Sends orders at a rate for so many seconds, and watches until the queue is empty or Ctrl-C.

    Returns the folder with `samples.csv` and `plot.svg`. Raises LabError when no load can be put on the pattern, when
    there would be nothing to send, or when the queue is not empty to begin with.
    """
    load = Load(rate, seconds)
    if not load.total:
        raise LabError(f"RATE={rate:g} for DURATION={seconds:g} seconds is not one order.")
    queue, orders = _loadable(deployment)
    dlq_url = _url(deployment, queue.dlq_arn)
    if found := deployment.depth(queue.url).total:
        raise LabError(f"The queue holds {found} messages already. Wait until it is empty, and try again.")
    dead_before = deployment.depth(dlq_url).total

    began, pending = time.time(), list[Future[int]]()
    with _view(load) as show, ThreadPoolExecutor(SENDERS) as senders:
        try:
            scheduled = 0
            while not load.samples or not load.finished():
                at = time.time() - began
                wanted = load.due(at) - scheduled
                if wanted > 0:
                    batch = [next(orders) for _ in range(wanted)]
                    pending.append(senders.submit(_send, deployment, batch))
                    scheduled += wanted
                _collect(pending, load, time.time() - began)
                depth, dead = deployment.depth(queue.url), deployment.depth(dlq_url).total - dead_before
                waiting = depth.waiting + depth.delayed
                sent = max(load.sends[-1][1] if load.sends else 0, waiting + depth.in_flight + dead)
                load.samples.append(Sample(round(time.time() - began, 2), sent, waiting, depth.in_flight, dead))
                show()
                time.sleep(max(0.0, SAMPLE_SECONDS - (time.time() - began - at)))
        except KeyboardInterrupt:
            if not load.samples:
                raise
            console.print("Interrupted: what was sent is still worked off.")
    consumer = _consumer(deployment, began, load.samples[-1].processed)
    console.print(summary(load, consumer))
    folder = paths.LAB / "load" / f"{deployment.pattern}-{datetime.fromtimestamp(began, UTC):%Y%m%dT%H%M%SZ}"
    folder.mkdir(parents=True)
    _write_samples(load, folder / "samples.csv")
    (folder / "plot.svg").write_text(plot(load))
    return folder


def summary(load: Load, consumer: capacity.Consumer | None) -> Table:
    """The load beside what the formula predicts for a consumer as busy as this one was."""
    samples, last = load.samples, load.samples[-1]
    sent_until = load.sends[-1][0] if load.sends else 0.0
    table = Table("", "measured", "predicted", box=None)
    expected = capacity.predict(load.rate, load.seconds, consumer) if consumer else None

    def row(name: str, measured: float, predicted: float | None = None, unit: str = "") -> None:
        texts = (f"{value:,.0f}{unit}" if value is not None else "" for value in (measured, predicted))
        table.add_row(name, *texts)

    row("sent", last.sent)
    row("processed", last.processed)
    row("dead-lettered", last.dead)
    pace = last.processed / load.busy_seconds() if load.busy_seconds() else 0.0
    row("processed per second", pace, min(load.rate, consumer.capacity(float("inf"))) if consumer else None)
    row("waiting at most", max(s.waiting for s in samples), expected.depth if expected else None)
    row("in flight at most", max(s.in_flight for s in samples), expected.in_flight if expected else None)
    row(
        "age of the oldest at most",
        max(load.age(s) for s in samples),
        expected.wait_seconds if expected else None,
        " s",
    )
    drained = load.busy_seconds() - sent_until
    row("drained after the last", drained, expected.drain_seconds if expected else None, " s")
    if consumer:
        table.caption = (
            f"The prediction takes {consumer.batch_seconds:.2f} s for a batch of {consumer.batch_size:.1f} messages, "
            f"as measured, and {consumer.concurrency} batches at once."
        )
    return table


def plot(load: Load) -> str:
    """The load as an SVG: what was waiting, in flight and processed over time."""
    title = f"{load.rate:g} messages per second for {load.seconds:g} s"
    # js: no script from elsewhere, so that the file shows the same without a network
    chart = pygal.XY(title=title, x_title="seconds", show_dots=False, stroke_style={"width": 2}, js=[])
    for name in ("processed", "waiting", "in flight"):
        chart.add(name, [(sample.at, getattr(sample, name.replace(" ", "_"))) for sample in load.samples])
    drawing: str = chart.render(is_unicode=True)
    return drawing


@contextmanager
def _view(load: Load) -> Iterator[Any]:
    """A live table on a terminal; elsewhere a line every few seconds."""
    if not console.is_terminal:
        shown = [-5.0]

        def line() -> None:
            if load.samples[-1].at - shown[0] >= 5:
                shown[0] = load.samples[-1].at
                console.print(" · ".join(f"{name} {value}" for name, value in state(load).items()), markup=False)

        yield line
        return
    with Live(console=console, auto_refresh=False) as live:

        def refresh() -> None:
            table = Table(*state(load), box=None)
            table.add_row(*state(load).values())
            live.update(table, refresh=True)

        yield refresh


def state(load: Load) -> dict[str, str]:
    """What is shown of the last sample, by name."""
    sample, drain = load.samples[-1], load.drain_seconds()
    return {
        "time": f"{sample.at:.0f} s",
        "sent": f"{sample.sent} of {load.total}",
        "depth": str(sample.waiting),
        "in flight": str(sample.in_flight),
        "processed": f"{sample.processed} ({load.pace():.0f}/s)",
        "dead letters": str(sample.dead),
        "oldest": f"{load.age(sample):.0f} s",
        "drained in": "?" if drain is None and sample.left else f"{drain or 0:.0f} s",
    }


def _loadable(deployment: Deployment) -> tuple[Queue, Iterator[dict[str, Any]]]:
    """The queue to watch, and the orders to send: the sample event's, over and over, each with an id of its own.

    Raises LabError when the pattern is not one that a load can be put on.
    """
    contract = deployment.contract
    event = deployment.event("default")
    samples = event.get("orders") if isinstance(event, dict) else None
    if len(contract.queues) != 1 or len(contract.functions) != 2 or not samples:
        raise LabError(
            f"No load can be put on {deployment.pattern}: that takes a pattern whose sample event is a list of orders, "
            "with one queue, which one function consumes, such as queue-buffer."
        )
    prefix = f"load-{secrets.token_hex(3)}"
    (queue,) = contract.queues.values()
    return queue, (samples[number % len(samples)] | {"order_id": f"{prefix}-{number}"} for number in count(1))


def _send(deployment: Deployment, orders: list[dict[str, Any]]) -> int:
    deployment.invoke(deployment.contract.entry, {"orders": orders})
    return len(orders)


def _collect(pending: list[Future[int]], load: Load, now: float) -> None:
    """Counts what was sent since the last look. Raises LabError when the producer failed."""
    for done in [future for future in pending if future.done()]:
        pending.remove(done)
        load.sends.append((now, (load.sends[-1][1] if load.sends else 0) + done.result()))


def _url(deployment: Deployment, arn: str) -> str:
    name = arn.rsplit(":", 1)[1]
    return str(deployment.target.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def _consumer(deployment: Deployment, began: float, processed: int) -> capacity.Consumer | None:
    """The consumer as its mapping says and its REPORT lines measured it; None when there are none yet."""
    (function,) = (f for name, f in deployment.contract.functions.items() if name != deployment.contract.entry)
    pages = deployment.target.client("logs").get_paginator("filter_log_events")
    milliseconds = [
        float(found[1])
        for page in pages.paginate(logGroupName=function.log_group, startTime=int(began * 1000), filterPattern="REPORT")
        for event in page["events"]
        if (found := re.search(r"\tDuration: ([\d.]+) ms", event["message"]))
    ]
    if not milliseconds or not processed:
        return None
    mapping = deployment.target.client("lambda").list_event_source_mappings(FunctionName=function.name)
    scaling = mapping["EventSourceMappings"][0].get("ScalingConfig", {})
    return capacity.Consumer(
        batch_size=processed / len(milliseconds),
        batch_seconds=sum(milliseconds) / len(milliseconds) / 1000,
        concurrency=scaling.get("MaximumConcurrency", capacity.MAX_CONCURRENCY),
    )


def _write_samples(load: Load, file: Path) -> None:
    with file.open("w", newline="") as output:
        rows = [{**asdict(s), "processed": s.processed, "oldest_seconds": round(load.age(s), 2)} for s in load.samples]
        writer = csv.DictWriter(output, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
