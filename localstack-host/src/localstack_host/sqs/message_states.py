"""The states of the messages of a queue: delayed, visible, in flight, gone.

AWS: a message is visible when its delay is over, and again when its visibility timeout is over and it was not deleted
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html). It is gone
when the retention period has passed since it was sent, whatever its state
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html). A standard queue
puts a message behind the others at its third receive
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html). Of
a FIFO queue's message group nothing is received while a message of it is in flight; other groups go on, and a receive
takes as many messages of one group as it can
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html). A
message is a duplicate for five minutes after the first of its deduplication id, also when that is deleted
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html).

LocalStack: looks once per second which messages have become visible. A message group that waits keeps those behind it
from being looked at, and a group is received from while messages of it are in flight. Messages are kept for ever.

Here: what a queue holds, as a state machine without threads, requests or a clock: every operation is told the time and
first lets pass what was due until then. ``queues`` puts it in the place of LocalStack's.

Evidence: documentation; belief that a group waits for all of its messages in flight, and that a message that expires in
flight is gone like any other.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

# A standard queue puts a message behind the others at its third receive.
POISON_RECEIVE_COUNT = 3


class State(Enum):
    DELAYED = "delayed"
    VISIBLE = "visible"
    IN_FLIGHT = "in flight"
    GONE = "gone"  # deleted, expired or moved


@dataclass(eq=False)
class QueuedMessage:
    """A message in a queue. Times are seconds since 1970."""

    message: Any  # as the API has it
    number: int  # counts up in the order in which messages came into the queue
    sent: float  # since when its retention period runs
    enqueued: float  # when it came into this queue
    group: str | None = None
    state: State = State.DELAYED
    deadline: float = 0.0  # of its delay or visibility timeout
    receive_count: int = 0  # in this queue
    first_received: float | None = None
    last_received: float | None = None
    receipt_handles: list[str] = field(default_factory=list)  # the latest last

    @property
    def message_id(self) -> str:
        return str(self.message["MessageId"])

    @property
    def sequence_number(self) -> str | None:
        found: str | None = self.message["Attributes"].get("SequenceNumber")
        return found


type Timed = tuple[float, int, QueuedMessage]


@dataclass(eq=False)
class Group:
    """Those of a message group that are visible, and how many are in flight. A standard queue has one group."""

    visible: list[tuple[int, QueuedMessage]] = field(default_factory=list)  # heap, with messages that are gone
    in_flight: int = 0


class Messages:
    """The messages of a queue. ``ready`` is called when messages become receivable and none of their group was."""

    def __init__(self, fifo: bool, ready: Callable[[], None] = lambda: None) -> None:
        self.fifo, self.ready = fifo, ready
        self.numbers = itertools.count()
        self.clear()

    def clear(self) -> None:
        self.held: dict[int, QueuedMessage] = {}
        self.counts = dict.fromkeys(State, 0)
        self.by_handle: dict[str, QueuedMessage] = {}
        self.by_age: list[Timed] = []  # heap of (sent, number, message)
        self.by_deadline: list[Timed] = []  # heap of (deadline, number, message); stale if that is not its deadline
        self.groups: dict[str | None, Group] = {}
        # Those that can be received from, in the order in which they became so.
        self.open: OrderedDict[str | None, Group] = OrderedDict()

    def put(
        self, message: Any, now: float, delay: float = 0, sent: float | None = None, group: str | None = None
    ) -> QueuedMessage:
        """``delay`` is in seconds; ``sent`` is that of a message that comes from another queue."""
        queued = QueuedMessage(message, next(self.numbers), now if sent is None else sent, now, group)
        self.held[queued.number] = queued
        self.counts[queued.state] += 1
        self.by_age = self._pushed(self.by_age, queued.sent, queued)
        self.hide(queued, now, delay)
        return queued

    def take(
        self, now: float, most: int, visibility: float, limit: int | None = None
    ) -> tuple[list[QueuedMessage], list[QueuedMessage]]:
        """Receives up to ``most`` messages for ``visibility`` seconds.

        The second list has those that were received ``limit`` times before: they leave the queue instead.
        """
        received: list[QueuedMessage] = []
        dead: list[QueuedMessage] = []
        while self.open and len(received) < most:
            key, group = next(iter(self.open.items()))
            while group.visible and len(received) < most:
                queued = heapq.heappop(group.visible)[1]
                if queued.state is State.GONE:
                    continue
                if limit is not None and queued.receive_count >= limit:
                    self._drop(queued)
                    dead.append(queued)
                    continue
                self._change(queued, State.IN_FLIGHT)
                queued.receive_count += 1
                queued.last_received = now
                if queued.first_received is None:
                    queued.first_received = now
                received.append(queued)
            self._settle(key)
        for queued in received:
            self.hide(queued, now, visibility)
        return received, dead

    def know(self, queued: QueuedMessage, receipt_handle: str) -> None:
        """Lets ``by_handle`` find a message as long as it is in the queue."""
        queued.receipt_handles.append(receipt_handle)
        self.by_handle[receipt_handle] = queued

    def hide(self, queued: QueuedMessage, now: float, seconds: float) -> None:
        """Lets a message that is delayed or in flight be so until ``seconds`` from ``now``, and then be visible."""
        queued.deadline = now + seconds
        if seconds > 0:
            self.by_deadline = self._pushed(self.by_deadline, queued.deadline, queued)
        else:
            self._show(queued)

    def delay(self, now: float, seconds: float) -> None:
        """Changes the delay of the messages that are still delayed; it counts from when they came."""
        for queued in [one for one in self.held.values() if one.state is State.DELAYED]:
            self.hide(queued, now, queued.enqueued + seconds - now)

    def remove(self, queued: QueuedMessage) -> None:
        self._drop(queued)
        self._settle(self._key(queued))

    def advance(self, now: float, retention: float) -> None:
        """Lets pass what was due until ``now``: the retention period (in seconds), delays and visibility timeouts."""
        while self.by_age and (self.by_age[0][2].state is State.GONE or self.by_age[0][0] + retention <= now):
            self.remove(heapq.heappop(self.by_age)[2])
        while (due := self.next_deadline()) is not None and due <= now:
            self._show(heapq.heappop(self.by_deadline)[2])

    def next_deadline(self) -> float | None:
        """When the next message becomes visible by itself."""
        while self.by_deadline:
            deadline, _, queued = self.by_deadline[0]
            if queued.state in (State.DELAYED, State.IN_FLIGHT) and queued.deadline == deadline:
                return deadline
            heapq.heappop(self.by_deadline)
        return None

    def _key(self, queued: QueuedMessage) -> str | None:
        return queued.group if self.fifo else None

    def _show(self, queued: QueuedMessage) -> None:
        self._change(queued, State.VISIBLE)
        place, key = queued.number, self._key(queued)
        if not self.fifo and queued.receive_count >= POISON_RECEIVE_COUNT:
            place = next(self.numbers)
        heapq.heappush(self.groups.setdefault(key, Group()).visible, (place, queued))
        self._settle(key)

    def _drop(self, queued: QueuedMessage) -> None:
        if queued.state is not State.GONE:
            del self.held[queued.number]
            for handle in queued.receipt_handles:
                del self.by_handle[handle]
            self._change(queued, State.GONE)

    def _change(self, queued: QueuedMessage, state: State) -> None:
        before, queued.state = queued.state, state
        self.counts[before] -= 1
        self.counts[state] += 1
        in_flight = (state is State.IN_FLIGHT) - (before is State.IN_FLIGHT)
        if in_flight:
            self.groups[self._key(queued)].in_flight += in_flight

    def _settle(self, key: str | None) -> None:
        """Opens or closes a group, after something has happened to one of its messages."""
        group = self.groups.get(key)
        if group is None:
            return
        while group.visible and group.visible[0][1].state is State.GONE:
            heapq.heappop(group.visible)
        if not group.visible or (self.fifo and group.in_flight):
            self.open.pop(key, None)
            if not group.visible and not group.in_flight:
                del self.groups[key]
        elif key not in self.open:
            self.open[key] = group
            self.ready()

    def _pushed(self, heap: list[Timed], time: float, queued: QueuedMessage) -> list[Timed]:
        """A heap with one more entry, and without those of messages that are gone when they are most of it."""
        if len(heap) > 2 * len(self.held) + 100:
            heap = [entry for entry in heap if entry[2].state is not State.GONE]
            heapq.heapify(heap)
        heapq.heappush(heap, (time, queued.number, queued))
        return heap
