"""Queues wait for what is due, dead-letter in one step, and keep what no dead-letter queue takes.

AWS: a message that was received maxReceiveCount times is moved to the dead-letter queue at the next receive, which
must be of the same kind (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html).
In a standard queue its retention period goes on from when it was sent, in a FIFO queue it begins with the move
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html);
in a FIFO queue, its deduplication id becomes its message id. The receipt handle of a FIFO queue's message is of no use
when the visibility timeout is over, and a receive that is repeated with its ReceiveRequestAttemptId within five
minutes has the same answer, as long as nothing has become of the messages
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html).

LocalStack: takes messages out of the queue, and then fails, with the messages lost, if the dead-letter queue is gone.
Every move begins a new age. A worker looks at every queue every second.

Here: the queues of LocalStack hold their messages in ``message_states``. Nothing runs while nothing is due: each queue
has a timer for its next message that becomes visible, which is then announced (``shared.arrivals``). All queues share
one lock, so that a message is in its queue or in the dead-letter queue at any time.

Evidence: documentation; belief that a queue whose dead-letter queue is gone delivers its messages as without one.
"""

import dataclasses
import hashlib
import threading
import time
from contextvars import ContextVar
from typing import Any

from localstack.aws.api.sqs import Message, MessageNotInflight, MessageSystemAttributeName
from localstack.services.sqs import models, provider
from localstack.services.sqs.developer_api import SqsDeveloperApi
from localstack.services.sqs.exceptions import InvalidParameterValueException, MissingRequiredParameterException
from localstack.services.sqs.models import ReceiveMessageResult, SqsQueue, sqs_stores, to_sqs_api_message
from localstack.services.sqs.utils import is_message_deduplication_id_required
from localstack.utils.aws.arns import parse_arn

from localstack_host.patching import overrides, replace
from localstack_host.shared.arrivals import ARRIVALS
from localstack_host.shared.deduplication import Deduplication
from localstack_host.shared.timers import Timer, Timers
from localstack_host.sqs.message_states import Messages, QueuedMessage, State

LOCK = threading.RLock()
# Of their own, so that slow targets of other services' timers make no message late.
DEADLINES = Timers()

# What a visibility timeout and all that is added to it may come to:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
MOST_INVISIBLE_SECONDS = 12 * 60 * 60
# The ReceiveRequestAttemptId of the request at work, which LocalStack's provider does not pass on.
ATTEMPT: ContextVar[str | None] = ContextVar("receive_request_attempt_id", default=None)

MOVED = MessageSystemAttributeName.DeadLetterQueueSourceArn
RECEIVES = MessageSystemAttributeName.ApproximateReceiveCount


class Queue(SqsQueue):
    """What LocalStack's provider asks of a queue, whatever its kind."""

    fifo = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mutex = LOCK
        self.changed = threading.Condition(LOCK)
        self.messages = Messages(self.fifo, self.announce)
        self.timer: Timer | None = None
        self.closed = False

    def announce(self) -> None:
        self.changed.notify_all()
        ARRIVALS.announce(self.arn)

    def advance(self) -> float:
        """Lets pass what was due and returns the time. Needs the lock, as all that touches messages."""
        now = time.time()
        self.messages.advance(now, self.message_retention_period)
        return now

    def plan(self) -> None:
        """Sees to it that the queue wakes when the next message becomes visible."""
        due = self.messages.next_deadline()
        if due is None or self.closed or (self.timer and self.timer.due <= due):
            return
        if self.timer:
            self.timer.cancel()
        self.timer = DEADLINES.at(due, self.wake)

    def wake(self) -> None:
        with LOCK:
            self.timer = None
            self.advance()
            self.plan()

    def add(
        self, message: Message, delay: float, group: str | None, sent: float | None = None, **attributes: str
    ) -> QueuedMessage:
        """Puts a message into the queue, which gets ``attributes`` and that of its group."""
        system: dict[str, str] = message.setdefault("Attributes", {})
        system.update(attributes if group is None else {"MessageGroupId": group, **attributes})
        system.setdefault(RECEIVES, "0")
        queued = self.messages.put(message, self.advance(), delay, sent, group)
        self.plan()
        return queued

    def bury(self, dead: QueuedMessage) -> None:
        """Takes a message that another queue's redrive policy gives up."""
        raise NotImplementedError

    def dead_letter_queue(self) -> "Queue | None":
        """None without a redrive policy, and also if the queue that it names is gone or of the other kind."""
        policy = self.redrive_policy
        if not policy:
            return None
        arn = parse_arn(policy["deadLetterTargetArn"])
        queue = sqs_stores[arn["account"]][arn["region"]].queues.get(arn["resource"])
        return queue if isinstance(queue, Queue) and queue.fifo == self.fifo else None

    @overrides
    def receive(
        self,
        num_messages: int = 1,
        wait_time_seconds: int | None = None,
        visibility_timeout: int | None = None,
        *,
        poll_empty_queue: bool = False,
    ) -> ReceiveMessageResult:
        """Dead-letters what is due before it returns; the result says nothing of these."""
        visibility = self.visibility_timeout if visibility_timeout is None else visibility_timeout
        result = ReceiveMessageResult()
        with LOCK:
            end = time.time() + (wait_time_seconds or 0)
            while not self.closed:
                now = self.advance()
                self.take(result, now, num_messages - len(result.successful), visibility)
                enough = len(result.successful) >= (num_messages if poll_empty_queue else 1)
                if enough or now >= end:
                    break
                self.changed.wait(end - now)
        return result

    def take(self, result: ReceiveMessageResult, now: float, most: int, visibility: float) -> None:
        graveyard = self.dead_letter_queue()
        limit = self.max_receive_count if graveyard else None
        received, dead = self.messages.take(now, most, visibility, limit)
        for queued in dead:
            assert graveyard is not None
            queued.message["Attributes"][MOVED] = self.arn
            graveyard.bury(queued)
        for queued in received:
            attributes = queued.message["Attributes"]
            attributes[RECEIVES] = str(int(attributes[RECEIVES]) + 1)
            handle = self.create_receipt_handle(queued)
            self.messages.know(queued, handle)
            result.successful.append(queued)
            result.receipt_handles.append(handle)
        self.plan()

    def of(self, receipt_handle: str) -> QueuedMessage | None:
        """The message that was received with the handle, if it is still in the queue.

        Raises ReceiptHandleIsInvalid for one of another queue or of none.
        """
        self.validate_receipt_handle(receipt_handle)
        self.advance()
        return self.messages.by_handle.get(receipt_handle)

    @overrides
    def update_visibility_timeout(self, receipt_handle: str, visibility_timeout: int) -> None:
        with LOCK:
            queued = self.of(receipt_handle)
            if queued is None:
                raise InvalidParameterValueException(
                    f"Value {receipt_handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist "
                    "or is not available for visibility timeout change."
                )
            if queued.state is not State.IN_FLIGHT:
                raise MessageNotInflight("The specified message isn't in flight.")
            now = time.time()
            if visibility_timeout and now + visibility_timeout > (queued.last_received or now) + MOST_INVISIBLE_SECONDS:
                raise InvalidParameterValueException(
                    f"Value {visibility_timeout} for parameter VisibilityTimeout is invalid. Reason: Total "
                    f"VisibilityTimeout for the message is beyond the limit [{MOST_INVISIBLE_SECONDS} seconds]."
                )
            self.messages.hide(queued, now, visibility_timeout)
            self.plan()

    @overrides
    def remove(self, receipt_handle: str) -> None:
        with LOCK:
            queued = self.of(receipt_handle)
            if queued is not None:
                self.check_removal(queued, receipt_handle)
                self.messages.remove(queued)

    def check_removal(self, queued: QueuedMessage, receipt_handle: str) -> None:
        """Raises what a receipt handle that is of no use any more gives."""

    @overrides
    def clear(self) -> None:
        with LOCK:
            self.messages.clear()

    @overrides
    def shutdown(self) -> None:
        with LOCK:
            self.closed = True
            if self.timer:
                self.timer.cancel()
            self.changed.notify_all()

    def count(self, state: State) -> int:
        with LOCK:
            self.advance()
            return self.messages.counts[state]

    @property
    def receivable(self) -> bool:
        """Whether a receive would find a message now, if only one for the dead-letter queue."""
        with LOCK:
            self.advance()
            return bool(self.messages.open)

    approximate_number_of_messages: Any = overrides(property(lambda self: self.count(State.VISIBLE)))
    approximate_number_of_messages_not_visible: Any = overrides(property(lambda self: self.count(State.IN_FLIGHT)))
    approximate_number_of_messages_delayed: Any = overrides(property(lambda self: self.count(State.DELAYED)))


class StandardQueue(Queue, models.StandardQueue):
    @overrides
    def put(
        self,
        message: Message,
        visibility_timeout: int | None = None,
        message_deduplication_id: str | None = None,
        message_group_id: str | None = None,
        delay_seconds: int | None = None,
    ) -> QueuedMessage:
        if message_deduplication_id:
            raise not_for_this_kind("MessageDeduplicationId", message_deduplication_id)
        with LOCK:
            return self.add(message, self.delay_seconds if delay_seconds is None else delay_seconds, message_group_id)

    def bury(self, dead: QueuedMessage) -> None:
        self.add(dead.message, self.delay_seconds, dead.group, sent=dead.sent)


class FifoQueue(Queue, models.FifoQueue):
    fifo = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent: Deduplication[QueuedMessage] = Deduplication()
        self.attempts: Deduplication[Attempt] = Deduplication()

    @overrides
    def put(
        self,
        message: Message,
        visibility_timeout: int | None = None,
        message_deduplication_id: str | None = None,
        message_group_id: str | None = None,
        delay_seconds: int | None = None,
    ) -> QueuedMessage:
        """Returns the first message of a deduplication id for a duplicate, with the checksums of the duplicate."""
        if delay_seconds:
            raise not_for_this_kind("DelaySeconds", delay_seconds)
        if not message_group_id:
            raise MissingRequiredParameterException("The request must contain the parameter MessageGroupId.")
        if not message_deduplication_id and is_message_deduplication_id_required(self):
            raise InvalidParameterValueException(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly"
            )
        identifier = message_deduplication_id or hashlib.sha256(message["Body"].encode()).hexdigest()
        key = (message_group_id if self.deduplication_scope == "messageGroup" else None, identifier)
        with LOCK:
            now = time.time()
            if first := self.sent.first(key, now):
                message["MessageId"] = first.message_id
                return dataclasses.replace(first, message={**message, "Attributes": first.message["Attributes"]})
            queued = self.append(message, message_group_id, identifier)
            self.sent.add(key, queued, now)
            return queued

    def append(self, message: Message, group: str | None, identifier: str) -> QueuedMessage:
        number = str(self.next_sequence_number())
        return self.add(message, self.delay_seconds, group, MessageDeduplicationId=identifier, SequenceNumber=number)

    def bury(self, dead: QueuedMessage) -> None:
        self.append(dead.message, dead.group, dead.message_id)

    def check_removal(self, queued: QueuedMessage, receipt_handle: str) -> None:
        if queued.state is not State.IN_FLIGHT or receipt_handle != queued.receipt_handles[-1]:
            raise InvalidParameterValueException(
                f"Value {receipt_handle} for parameter ReceiptHandle is invalid. "
                "Reason: The receipt handle has expired."
            )

    @overrides
    def receive(
        self,
        num_messages: int = 1,
        wait_time_seconds: int | None = None,
        visibility_timeout: int | None = None,
        **kw: Any,
    ) -> ReceiveMessageResult:
        """A request that is repeated has the same answer; each repetition begins the visibility timeout anew."""
        identifier = ATTEMPT.get()
        visibility = self.visibility_timeout if visibility_timeout is None else visibility_timeout
        with LOCK:
            attempt = identifier and self.attempts.first(identifier, self.advance())
            if attempt and attempt.stands:
                for queued in attempt.result.successful:
                    self.messages.hide(queued, time.time(), visibility)
                self.plan()
                attempt.note()
                return attempt.result
        result = super().receive(num_messages, wait_time_seconds, visibility_timeout, **kw)
        if identifier and result.successful:
            with LOCK:
                self.attempts.add(identifier, Attempt(result), time.time())
        return result

    def delay_anew(self) -> None:
        """The queue's delay has changed: it is that of the messages that are there, too."""
        with LOCK:
            self.messages.delay(self.advance(), self.delay_seconds)
            self.plan()

    @overrides
    def clear(self) -> None:
        with LOCK:
            super().clear()
            self.sent.clear()
            self.attempts.clear()


class Attempt:
    """What a receive got, which it gets again as long as nothing has become of any of it."""

    def __init__(self, result: ReceiveMessageResult) -> None:
        self.result = result
        self.note()

    def note(self) -> None:
        self.deadlines = [queued.deadline for queued in self.result.successful]

    @property
    def stands(self) -> bool:
        messages = self.result.successful
        in_flight = all(queued.state is State.IN_FLIGHT for queued in messages)
        handles = [queued.receipt_handles[-1] for queued in messages]
        return (
            in_flight
            and handles == self.result.receipt_handles
            and self.deadlines == [queued.deadline for queued in messages]
        )


def not_for_this_kind(parameter: str, value: Any) -> InvalidParameterValueException:
    return InvalidParameterValueException(
        f"Value {value} for parameter {parameter} is invalid. Reason: The request include parameter that is not valid "
        "for this queue type."
    )


def listed(self: SqsDeveloperApi, queue: Queue, show_invisible: bool = False, show_delayed: bool = False) -> list[Any]:
    """What ``/_aws/sqs/messages`` shows: the messages that could be received, and others if they are asked for."""
    with LOCK:
        queue.advance()
        held = sorted(queue.messages.held.values(), key=lambda one: one.number)
        blocked = {one.group for one in held if one.state is State.IN_FLIGHT} if queue.fifo else set()
        found = []
        for one in held:
            hidden = one.state is State.IN_FLIGHT or one.group in blocked
            if show_delayed if one.state is State.DELAYED else show_invisible or not hidden:
                shown: Any = to_sqs_api_message(one, ["All"], ["All"])
                if show_invisible:
                    shown["Attributes"]["IsVisible"] = str(not hidden).lower()
                if show_delayed:
                    shown["Attributes"]["IsDelayed"] = str(one.state is State.DELAYED).lower()
                found.append({**shown, "ReceiptHandle": "SQS/BACKDOOR/ACCESS"})
        return found


def nothing_to_update(self: provider.QueueUpdateWorker) -> None:
    """A queue updates itself when it is used."""


def install() -> None:
    # patch: the provider makes queues from the names in its module.
    replace(provider, "StandardQueue", StandardQueue)
    replace(provider, "FifoQueue", FifoQueue)
    # patch: the provider starts a thread that looks at every queue every second.
    replace(provider.QueueUpdateWorker, "start", nothing_to_update)
    # patch: the developer endpoint reads the attributes of LocalStack's own queues.
    replace(SqsDeveloperApi, "_collect_messages", listed)
