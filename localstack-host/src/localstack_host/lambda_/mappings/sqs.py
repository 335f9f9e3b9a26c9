"""Event source mappings of SQS queues: concurrent batches, batching windows, filters.

AWS: a mapping starts with five concurrent batches, or as many as ScalingConfig.MaximumConcurrency allows
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html). A batch is invoked when it is full, or when
MaximumBatchingWindowInSeconds have passed since its first message
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html). A message's body reaches the
function as it was sent.

LocalStack: works on one batch at a time, pauses for a second or more after an empty poll, and parses and rewrites
bodies that are JSON.

Here: one thread receives, a pool of threads invokes, as many at once as AWS would; there is no pause while messages
are left. An empty queue is not received from before a message can be received (``sqs.queues``), so that an
idle mapping costs nothing. Not as on AWS: the number of concurrent batches does not grow with the backlog.

Evidence: documentation; recordings test_report_batch_item_failures, test_message_body_and_attributes_passed_correctly,
test_fifo_message_group_parallelism.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localstack.services.lambda_.event_source_mapping import esm_worker_factory
from localstack.services.lambda_.event_source_mapping.event_processor import PartialBatchFailureError
from localstack.services.lambda_.event_source_mapping.pollers import sqs_poller
from localstack.services.lambda_.event_source_mapping.pollers.poller import parse_batch_item_failures
from localstack.services.sqs.models import sqs_stores
from localstack.utils.aws.arns import parse_arn

from localstack_host.lambda_.mappings.worker import MappingPoller
from localstack_host.patching import overrides, replace, uses
from localstack_host.shared.arrivals import ARRIVALS
from localstack_host.shared.json_text import decoded

uses(sqs_poller.SqsPoller, "filter_events", "delete_messages", "add_source_metadata", "queue_url")

LOG = logging.getLogger(__name__)

DEFAULT_CONCURRENCY = 5
# Long enough to cost little, short enough for a mapping to stop promptly.
LONG_POLL_SECONDS = 1
# Messages announce themselves. An empty queue is received from only this often, as with AWS's longest long poll
# (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html).
IDLE_SECONDS = 20
# ReceiveMessage returns at most ten; LocalStack's poller client lifts that with a header.
RECEIVE_LIMIT = 10


class SqsPoller(MappingPoller, sqs_poller.SqsPoller):
    """Receives in the thread that calls ``poll_events``, and invokes in up to ``concurrency`` others."""

    pool: ThreadPoolExecutor | None = None

    def configure(self, stopped: threading.Event, config: dict[str, Any], report: Callable[[str], None]) -> None:
        self.stopped = stopped
        self.concurrency = (config.get("ScalingConfig") or {}).get("MaximumConcurrency") or DEFAULT_CONCURRENCY

    @overrides
    def poll_events(self) -> None:
        """Returns when the mapping is stopped; raises what ReceiveMessage raises, which LocalStack backs off from."""
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="sqs-mapping")
            self.free = threading.Semaphore(self.concurrency)
        while not self.stopped.is_set():
            if not self.free.acquire(timeout=LONG_POLL_SECONDS):
                continue
            messages: list[dict[str, Any]] = []
            try:
                messages = self.collect()
            finally:
                if not messages:
                    self.free.release()
            if messages:
                self.pool.submit(self.process, messages)

    @overrides
    def close(self) -> None:
        """Waits for the batches in flight. LocalStack calls it before it says that the mapping has stopped."""
        if self.pool:
            self.pool.shutdown(wait=True)
            self.pool = None

    def collect(self) -> list[dict[str, Any]]:
        """One batch: full, or as old as the batching window; empty when there was no message."""
        if not self.worth_receiving():
            return []
        messages = self.receive(self.batch_size, LONG_POLL_SECONDS)
        end = time.monotonic() + self.maximum_batching_window
        while messages and len(messages) < self.batch_size and not self.stopped.is_set():
            left = end - time.monotonic()
            if left <= 0:
                break
            more = self.receive(self.batch_size - len(messages), LONG_POLL_SECONDS if left >= 1 else 0)
            messages += more
            if not more and left < 1:  # a long poll takes whole seconds
                self.stopped.wait(min(left, 0.1))
        return messages

    def worth_receiving(self) -> bool:
        """Waits until the queue has a message, is gone, or IDLE_SECONDS are over; false if the mapping stops."""
        arn = parse_arn(self.source_arn)
        end = time.monotonic() + IDLE_SECONDS
        while not self.stopped.is_set():
            seen, left = ARRIVALS.count(self.source_arn), end - time.monotonic()
            queue = sqs_stores[arn["account"]][arn["region"]].queues.get(arn["resource"])
            if queue is None or queue.receivable or left <= 0:
                return True
            ARRIVALS.wait(self.source_arn, seen, left, self.stopped)
        return False

    def receive(self, count: int, wait: int) -> list[dict[str, Any]]:
        response = self.source_client.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=min(count, RECEIVE_LIMIT),
            WaitTimeSeconds=wait,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            sqs_override_max_message_count=count,
        )
        return response.get("Messages", [])

    def process(self, messages: list[dict[str, Any]]) -> None:
        """Invokes with one batch; of a FIFO queue, with one message group after another."""
        groups = [messages]
        if (self.source_arn or "").endswith(".fifo"):  # the name of every FIFO queue ends so, and of no other
            groups = list(sqs_poller.split_by_message_group_id(messages).values())
        try:
            for group in groups:
                try:
                    self.handle_messages(group)
                except Exception as error:  # whatever the function raised
                    # A failed batch stays in the queue; its messages come back after their visibility timeout.
                    LOG.info("batch of %d messages from %s failed: %s", len(group), self.source_arn, error)
        finally:
            self.free.release()

    @overrides
    def handle_messages(self, messages: list[dict[str, Any]]) -> None:
        """Invokes the function with one batch and deletes what it is done with.

        LocalStack's own replaces bodies by what json.dumps makes of them.
        """
        events = sqs_poller.transform_into_events(messages)
        matching = [event for event in events if self.filter_events([{**event, "body": decoded(event["body"])}])]
        wanted = {event["messageId"] for event in matching}
        # A filter deletes what does not match:
        # https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
        self.delete_messages(messages, {event["messageId"] for event in events} - wanted)
        if not matching:
            return
        done = wanted
        try:
            self.processor.process_events_batch(self.add_source_metadata(matching))
        except PartialBatchFailureError as partial:
            report: Any = partial.partial_failure_payload
            done = wanted - set(parse_batch_item_failures(report, wanted))
        self.delete_messages(messages, done)


def install() -> None:
    # patch: the factory makes pollers from names in its module; its hook is for other services only.
    replace(esm_worker_factory, "SqsPoller", SqsPoller)
