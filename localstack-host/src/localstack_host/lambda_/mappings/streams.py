"""Event source mappings of DynamoDB and Kinesis streams: checkpoints, retries, bisection, windows.

AWS: a mapping reads each shard in order and goes on behind the last record that is done with, also after it was
disabled or changed (https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html). A failing
batch is retried until it succeeds, MaximumRetryAttempts is reached or its records are older than
MaximumRecordAgeInSeconds; then its metadata goes to the on-failure destination. Throttled invocations do not count,
and BisectBatchOnFunctionError splits a batch without using up retries
(https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html and
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html). With ReportBatchItemFailures the lowest
reported sequence number is the new checkpoint
(https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html). ParallelizationFactor
works on several batches of a shard at once and keeps the order per partition key or item
(https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html). Tumbling windows carry a state from one invocation
to the next (https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html). IteratorAge is, for each
batch that is sent, the age of its last record in milliseconds, and DestinationDeliveryFailures counts the attempts to
send to the destination that fail (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html).
Filters on Kinesis look at the data as JSON, and the function gets it as it was
(https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html). After a resharding the records of a parent
come before those of its children
(https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html).

LocalStack: starts again from StartingPosition when a mapping is disabled and enabled or changed, and loses the batch
that it was retrying. It ignores BisectBatchOnFunctionError, ParallelizationFactor, TumblingWindowInSeconds and
StartingPositionTimestamp, believes every DynamoDB record to be new, drops userIdentity, counts throttles as retries,
counts on after a partial success, rewrites filtered Kinesis data, publishes neither IteratorAge nor
DestinationDeliveryFailures, says "No records processed" for ever, and reads the shards that a resharding makes from
StartingPosition.

Here: a mapping has a thread per shard and unit of ParallelizationFactor, each with a checkpoint that lives as long as
the mapping; a shard's threads start when its parents have been read to their ends. Not as on AWS: ages below 60 seconds
are accepted, which is the way to see one within a test; a window is closed as soon as its time is over, where AWS waits
for up to two minutes for further records; a change of ParallelizationFactor can deliver records again.

Evidence: recording (TestKinesisSource and TestDynamoDBEventSourceMapping: *_report_batch_item_failures,
*_report_batch_item_failure_scenarios, *_on_failure_destination*, test_kinesis_maximum_record_age_exceeded*,
test_disabled_dynamodb_event_source_mapping, test_kinesis_event_filtering_json_pattern); documentation for bisection,
windows, throttles and checkpoints; belief for the length of the pauses between retries, for a partial response in a
window, whose state is kept, and for the end of a closed shard, which ends its window.
"""

import base64
import contextlib
import json
import logging
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError
from localstack.services.lambda_.event_source_mapping import esm_worker_factory
from localstack.services.lambda_.event_source_mapping.pipe_utils import to_json_str
from localstack.services.lambda_.event_source_mapping.pollers import dynamodb_poller, kinesis_poller, stream_poller
from localstack.services.lambda_.event_source_mapping.pollers.poller import (
    EmptyPollResultsException,
    get_batch_item_failures,
)
from localstack.utils.aws.arns import parse_arn
from localstack.utils.backoff import ExponentialBackoff
from localstack.utils.strings import long_uid

from localstack_host.lambda_ import metrics
from localstack_host.lambda_.mappings.worker import MappingPoller
from localstack_host.patching import overrides, replace, uses
from localstack_host.shared.arrivals import ARRIVALS

uses(
    stream_poller.StreamPoller,
    *("transform_into_events", "filter_events", "add_source_metadata", "send_events_to_dlq"),
    *("get_sequence_number", "get_approximate_arrival_time", "source_client", "processor", "esm_uuid"),
)

LOG = logging.getLogger(__name__)

# Records announce themselves; this is only for what LocalStack might do past the providers.
READ_AGAIN_SECONDS = 20
# After a stream could not be read, for example because it is gone.
PAUSE_SECONDS = 2
MAXIMUM_STATE_BYTES = 1024 * 1024
UNLIMITED = -1

Event = dict[str, Any]


@dataclass
class Window:
    """A tumbling window. Times are seconds since the epoch."""

    start: int
    end: int
    state: Any = field(default_factory=dict)


@dataclass
class Position:
    """How far one lane of a shard has come."""

    iterator: str  # where the mapping began to read
    done: str | None = None  # the sequence number of the last record that is done with
    window: Window | None = None
    ended: bool = False  # whether the shard is closed and all of it done with


@dataclass(frozen=True)
class Answer:
    """What came of an invocation.

    ``failed_from`` is the index of the first record that failed, None after a success; ``reported`` says whether the
    function named that record itself.
    """

    failed_from: int | None
    reported: bool
    context: dict[str, Any]  # requestContext.requestId and responseContext of an on-failure record
    state: Any = None


# Of each mapping and shard, one for each lane. By UUID, which LocalStack keeps when it makes a new poller.
POSITIONS: dict[str, dict[str, list[Position]]] = {}


class StreamPoller(MappingPoller, stream_poller.StreamPoller):
    """In front of LocalStack's pollers, which know how a record becomes an event and an on-failure record."""

    stream_arn_parameter: str
    sequence_number_parameter: str

    def configure(self, stopped: threading.Event, config: dict[str, Any], report: Callable[[str], None]) -> None:
        self.stopped, self.config, self.report = stopped, config, report
        self.starting = threading.Lock()
        self.started: set[str] = set()
        self.threads: list[threading.Thread] = []

    @overrides
    def poll_events(self) -> None:
        """Returns when the mapping is stopped."""
        self.started, self.threads = set(), []
        self.start_lanes()
        if not self.threads:
            raise EmptyPollResultsException(service="stream", source_arn=self.source_arn)
        for thread in self.threads:  # the list grows: a lane starts those of the next shards before it ends
            thread.join()

    def start_lanes(self) -> None:
        """Starts to read the shards whose parents are done with. Called again when a lane has come to its end."""
        with self.starting:
            shards = self.shards_of_stream()
            positions = self.positions(list(shards))
            for shard_id, parents in shards.items():
                waits = any(not ended(positions[parent]) for parent in parents if parent in shards)
                if shard_id in self.started or ended(positions[shard_id]) or waits:
                    continue
                self.started.add(shard_id)
                for number in range(len(positions[shard_id])):
                    lane = Lane(self, shard_id, number, positions[shard_id])
                    thread = threading.Thread(target=lane.run, daemon=True, name="stream-mapping")
                    self.threads.append(thread)
                    thread.start()

    def shards_of_stream(self) -> dict[str, list[str]]:
        """The parents of each shard."""
        found: dict[str, list[str]] = {}
        where = {self.stream_arn_parameter: self.source_arn}
        while True:
            page = self.source_client.describe_stream(**where)["StreamDescription"]
            for shard in page["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                found[shard["ShardId"]] = [parent for parent in parents if parent]
            if not (page.get("HasMoreShards") or page.get("LastEvaluatedShardId")):
                return found
            where["ExclusiveStartShardId"] = page["Shards"][-1]["ShardId"]

    def forget(self) -> None:
        POSITIONS.pop(self.esm_uuid, None)

    def positions(self, shard_ids: list[str]) -> dict[str, list[Position]]:
        """The positions in each shard; of shards and lanes that were not read yet, new ones.

        The mapping's first shards begin at its StartingPosition; those that a resharding made afterwards, with their
        oldest record, whenever they are found.
        """
        known = POSITIONS.setdefault(self.esm_uuid, {})
        factor = self.config.get("ParallelizationFactor") or 1
        new = [shard_id for shard_id in shard_ids if shard_id not in known]
        first = not known
        iterators = {
            shard_id: self.first_iterator(shard_id)
            if first
            else self.shard_iterator(shard_id, ShardIteratorType="TRIM_HORIZON")
            for shard_id in new
        }
        known |= {shard_id: [Position(iterator) for _ in range(factor)] for shard_id, iterator in iterators.items()}
        for shard_id, positions in known.items():
            if len(positions) != factor and not ended(positions):
                last = min(positions, key=lambda position: int(position.done or 0))
                known[shard_id] = [Position(last.iterator, last.done) for _ in range(factor)]
        return known

    def first_iterator(self, shard_id: str) -> str:
        starting = self.config["StartingPosition"]
        at = {"Timestamp": self.config["StartingPositionTimestamp"]} if starting == "AT_TIMESTAMP" else {}
        return self.shard_iterator(shard_id, ShardIteratorType=starting, **at)

    def iterator_after(self, shard_id: str, sequence_number: str) -> str:
        return self.shard_iterator(
            shard_id,
            ShardIteratorType="AFTER_SEQUENCE_NUMBER",
            **{self.sequence_number_parameter: sequence_number},
        )

    def shard_iterator(self, shard_id: str, **where: Any) -> str:
        arn = {self.stream_arn_parameter: self.source_arn}
        return self.source_client.get_shard_iterator(ShardId=shard_id, **arn, **where)["ShardIterator"]

    def read(self, iterator: str, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Records, and the iterator of those that follow; None if the shard is closed and none will."""
        response = self.source_client.get_records(ShardIterator=iterator, Limit=limit, **self.of_stream())
        return response["Records"], response.get("NextShardIterator")

    def of_stream(self) -> dict[str, str]:
        """What GetRecords wants to know of the stream."""
        raise NotImplementedError

    def sequence_number_of(self, record: dict[str, Any]) -> str:
        raise NotImplementedError

    def order_key(self, record: dict[str, Any]) -> str:
        """Records with the same one are never in two batches at once."""
        raise NotImplementedError

    def filtered_as(self, event: Event) -> Event:
        """What a filter pattern looks at."""
        return event

    def publish(self, metric: str, value: float, unit: str) -> None:
        """A metric of the function that is invoked."""
        function = parse_arn(self.processor.sender.target_arn)
        name = function["resource"].split(":")[1]  # function:name or function:name:alias
        metrics.put(function["account"], function["region"], name, metric, value, unit)

    def failure_context(self, condition: str, invocations: int, answer: Answer | None) -> dict[str, Any]:
        """What an on-failure record says beside where the records are."""
        context = {
            "requestContext": {
                "requestId": answer.context["requestId"] if answer else long_uid(),
                "functionArn": self.processor.sender.target_arn,
                "condition": condition,
                "approximateInvokeCount": max(invocations, 1),
            }
        }
        if answer and condition == "RetryAttemptsExhausted":
            context["responseContext"] = answer.context["responseContext"]
        return context

    def events(self, records: list[dict[str, Any]], shard_id: str) -> list[Event]:
        """What the function gets of ``records``: those that match a filter."""
        events = self.transform_into_events(records, shard_id)
        matching = [event for event in events if self.filter_events([self.filtered_as(event)])]
        return self.add_source_metadata(matching)


class Lane:
    """Reads one shard, or a part of its keys, and invokes the function with one batch at a time."""

    def __init__(self, mapping: StreamPoller, shard_id: str, number: int, positions: list[Position]) -> None:
        self.mapping, self.shard_id, self.number = mapping, shard_id, number
        self.lanes, self.position = len(positions), positions[number]
        self.stopped = mapping.stopped
        config = mapping.config
        self.batch_size = config["BatchSize"]
        self.batching_window = config.get("MaximumBatchingWindowInSeconds") or 0
        self.retries = config.get("MaximumRetryAttempts", UNLIMITED)
        self.maximum_age = config.get("MaximumRecordAgeInSeconds", UNLIMITED)
        self.bisect = bool(config.get("BisectBatchOnFunctionError"))
        self.window_seconds = config.get("TumblingWindowInSeconds") or 0
        self.reports_failures = "ReportBatchItemFailures" in (config.get("FunctionResponseTypes") or [])
        self.iterator: str | None = None
        self.at_end, self.seen = False, 0  # whether all was read, and how much had arrived by then
        self.closed = False  # whether all was read of a shard that is closed

    def run(self) -> None:
        """Returns when the mapping is stopped, or the shard has come to its end and what follows it is being read."""
        while not self.stopped.is_set():
            try:
                if not self.position.ended:
                    self.work()
                if self.position.ended:
                    self.mapping.start_lanes()
                    return
            except Exception as error:  # the thread must outlive whatever a client raises
                LOG.warning("mapping of %s, %s: %s", self.mapping.source_arn, self.shard_id, error)
                self.iterator, self.at_end, self.closed = None, False, False
                self.stopped.wait(PAUSE_SECONDS)

    def work(self) -> None:
        events, last = self.collect()
        if not self.process(events):
            return  # stopped on the way; what is done with is in the position
        if last is not None:
            self.position.done = last
        window = self.position.window
        if window and (self.closed or (last is None and time.time() >= window.end)) and not self.finish(window):
            return
        self.position.ended = self.closed

    # reading

    def collect(self) -> tuple[list[Event], str | None]:
        """A batch: full, or as old as the batching window; and the sequence number of the last record read.

        Without either when the mapping was stopped, or the tumbling window is over, while there was nothing to read.
        """
        events: list[Event] = []
        last, end = None, None
        while self.worth_reading(end):
            self.seen = ARRIVALS.count(self.mapping.source_arn)
            limit = self.batch_size - len(events)
            records = self.read(limit)
            self.at_end = len(records) < limit
            if records:
                last = self.mapping.sequence_number_of(records[-1])
                mine = [record for record in records if self.is_mine(record)]
                events += self.mapping.events(mine, self.shard_id)
            if len(events) == self.batch_size:
                break
            if events and end is None:
                end = time.monotonic() + self.batching_window
            if last is not None and not events and self.at_end:
                break
        return events, last

    def worth_reading(self, end: float | None) -> bool:
        """Waits for records behind those that were read, until ``end``, the tumbling window or the mapping ends."""
        again = time.monotonic() + READ_AGAIN_SECONDS
        while not (self.stopped.is_set() or self.closed):
            now = time.monotonic()
            if end is not None and now >= end:
                return False
            if not self.at_end or ARRIVALS.count(self.mapping.source_arn) != self.seen or now >= again:
                return True
            if self.position.window and time.time() >= self.position.window.end:
                return False
            left = (again if end is None else min(end, again)) - now
            if self.position.window:
                left = min(left, self.position.window.end - time.time())
            ARRIVALS.wait(self.mapping.source_arn, self.seen, left, self.stopped)
        return False

    def read(self, limit: int) -> list[dict[str, Any]]:
        if self.iterator is None:
            done = self.position.done
            self.iterator = self.mapping.iterator_after(self.shard_id, done) if done else self.position.iterator
        records, self.iterator = self.mapping.read(self.iterator, limit)
        self.closed = self.iterator is None
        return records

    def is_mine(self, record: dict[str, Any]) -> bool:
        key = self.mapping.order_key(record).encode()
        return self.lanes == 1 or zlib.crc32(key) % self.lanes == self.number

    # invoking

    def process(self, events: list[Event]) -> bool:
        """Whether all of ``events`` are done with; otherwise the mapping was stopped."""
        if not self.window_seconds:
            return self.deliver(events)
        for start, group in groupby(events, key=self.window_of):
            window = self.position.window
            if window and window.start != start and not self.finish(window):
                return False
            if not self.deliver(list(group)):
                return False
        return True

    def window_of(self, event: Event) -> int:
        arrival = int(self.mapping.get_approximate_arrival_time(event))
        return arrival - arrival % self.window_seconds

    def deliver(self, events: list[Event]) -> bool:
        """Invokes with ``events`` until each is done with: processed, or discarded. False when stopped before."""
        pending = [events] if events else []
        while pending:
            batch = pending.pop(0)
            invocations, answer, pauses = 0, None, ExponentialBackoff()
            while batch:
                if self.stopped.is_set():
                    return False
                if expired := self.count_expired(batch):
                    self.discard(batch[:expired], "RecordAgeExceeded", invocations, answer)
                    batch = batch[expired:]
                    continue
                try:
                    answer = self.invoke(batch)
                except ClientError as refused:  # the function was not invoked
                    if refused.response["Error"]["Code"] == "RequestTooLargeException" and len(batch) > 1:
                        pending[:0] = halves(batch)
                        break
                    LOG.info("batch from %s not accepted: %s", self.mapping.source_arn, refused)
                    self.stopped.wait(pauses.next_backoff())
                    continue
                invocations += 1
                self.mapping.report("OK" if answer.failed_from is None else "PROBLEM: Function call failed")
                if answer.failed_from is None:
                    self.done_with(batch)
                    break
                if answer.failed_from > 0:
                    self.done_with(batch[: answer.failed_from])
                    batch = batch[answer.failed_from :]
                    invocations, pauses = 0, ExponentialBackoff()
                elif self.bisect and len(batch) > 1 and not answer.reported:
                    pending[:0] = halves(batch)
                    break
                elif self.retries != UNLIMITED and invocations > self.retries:
                    self.discard(batch, "RetryAttemptsExhausted", invocations, answer)
                    break
                else:
                    self.stopped.wait(pauses.next_backoff())
        return True

    def count_expired(self, batch: list[Event]) -> int:
        """How many at the beginning of ``batch`` are too old."""
        if self.maximum_age == UNLIMITED:
            return 0
        oldest = time.time() - self.maximum_age
        arrivals = map(self.mapping.get_approximate_arrival_time, batch)
        return next((index for index, arrival in enumerate(arrivals) if arrival > oldest), len(batch))

    def done_with(self, events: list[Event]) -> None:
        self.position.done = self.mapping.get_sequence_number(events[-1])

    def discard(self, events: list[Event], condition: str, invocations: int, answer: Answer | None) -> None:
        context = self.mapping.failure_context(condition, invocations, answer)
        try:
            self.mapping.send_events_to_dlq(self.shard_id, events, context=context)
        except Exception as error:  # a destination that is gone must not block the shard
            LOG.warning("on-failure destination of %s: %s", self.mapping.source_arn, error)
            self.mapping.publish("DestinationDeliveryFailures", 1, "Count")
        self.done_with(events)

    def invoke(self, batch: list[Event]) -> Answer:
        """Raises ClientError if the function could not be invoked."""
        self.publish_age(batch[-1])
        if not self.window_seconds:
            return self.call(batch, {"Records": batch})
        start = self.window_of(batch[0])
        window = self.position.window = self.position.window or Window(start, start + self.window_seconds)
        answer = self.call(batch, {"Records": batch} | self.window_fields(window))
        if answer.failed_from != 0:
            window.state = answer.state
            if len(json.dumps(window.state)) > MAXIMUM_STATE_BYTES:
                self.finish(window, early=True)
        return answer

    def publish_age(self, last: Event) -> None:
        age = max(time.time() - self.mapping.get_approximate_arrival_time(last), 0)
        self.mapping.publish("IteratorAge", age * 1000, "Milliseconds")

    def finish(self, window: Window, early: bool = False) -> bool:
        """The last invocation of a window, repeated until it succeeds. False when the mapping was stopped."""
        payload = {"Records": []} | self.window_fields(window)
        payload |= {"isFinalInvokeForWindow": True, "isWindowTerminatedEarly": early}
        pauses = ExponentialBackoff()
        while not self.stopped.is_set():
            with contextlib.suppress(ClientError):
                if self.call([], payload).failed_from is None:
                    self.position.window = None
                    return True
            self.stopped.wait(pauses.next_backoff())
        return False

    def window_fields(self, window: Window) -> dict[str, Any]:
        return {
            "window": {"start": timestamp(window.start), "end": timestamp(window.end)},
            "state": window.state,
            "shardId": self.shard_id,
            "eventSourceARN": self.mapping.source_arn,
            "isFinalInvokeForWindow": False,
            "isWindowTerminatedEarly": False,
        }

    def call(self, batch: list[Event], payload: dict[str, Any]) -> Answer:
        sender = self.mapping.processor.sender
        response = sender.target_client.invoke(FunctionName=sender.target_arn, Payload=to_json_str(payload))
        context = {
            "requestId": response["ResponseMetadata"]["RequestId"],
            "responseContext": {
                "statusCode": response["StatusCode"],
                "executedVersion": response.get("ExecutedVersion", "$LATEST"),
                "functionError": response.get("FunctionError"),
            },
        }
        failure = Answer(0, False, context)
        try:
            result = json.loads(response["Payload"].read() or b"null")
        except ValueError:
            result = None if not self.reports_failures else failure
        if result is failure or "FunctionError" in response:
            return failure
        state = None
        if self.window_seconds:
            if not isinstance(result, dict) or "state" not in result:
                return failure
            state = result["state"]
        if not self.reports_failures:
            return Answer(None, False, context, state)
        numbers = [self.mapping.get_sequence_number(event) for event in batch]
        try:
            failed = get_batch_item_failures(result, set(numbers))
        except (AttributeError, TypeError):  # not of the documented shape
            failed = None
        if failed is None:
            return failure
        first = min(map(numbers.index, failed), default=None)
        return Answer(first, first is not None, context, state)


def ended(positions: list[Position]) -> bool:
    return all(position.ended for position in positions)


def halves(batch: list[Event]) -> list[list[Event]]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]


def timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class DynamoDBPoller(StreamPoller, dynamodb_poller.DynamoDBPoller):
    stream_arn_parameter = "StreamArn"
    sequence_number_parameter = "SequenceNumber"

    def of_stream(self) -> dict[str, str]:
        return {}

    def sequence_number_of(self, record: dict[str, Any]) -> str:
        return record["dynamodb"]["SequenceNumber"]

    def order_key(self, record: dict[str, Any]) -> str:
        return to_json_str(sorted(record["dynamodb"]["Keys"].items()))

    @overrides
    def get_approximate_arrival_time(self, event: Event) -> float:
        return event["dynamodb"]["ApproximateCreationDateTime"]

    @overrides
    def transform_into_events(self, records: list[dict[str, Any]], shard_id: str) -> list[Event]:
        events = super().transform_into_events(records, shard_id)
        for event, record in zip(events, records, strict=True):
            if identity := record.get("userIdentity"):
                event["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
        return events


class KinesisPoller(StreamPoller, kinesis_poller.KinesisPoller):
    stream_arn_parameter = "StreamARN"
    sequence_number_parameter = "StartingSequenceNumber"

    def of_stream(self) -> dict[str, str]:
        return {"StreamARN": self.source_arn}

    def sequence_number_of(self, record: dict[str, Any]) -> str:
        return record["SequenceNumber"]

    def order_key(self, record: dict[str, Any]) -> str:
        return record["PartitionKey"]

    def filtered_as(self, event: Event) -> Event:
        try:
            return {**event, "data": json.loads(base64.b64decode(event.get("kinesis", event)["data"]))}
        except (ValueError, RecursionError):
            return event


def install() -> None:
    # patch: the factory makes pollers from names in its module; its hook is for other services only.
    replace(esm_worker_factory, "DynamoDBPoller", DynamoDBPoller)
    replace(esm_worker_factory, "KinesisPoller", KinesisPoller)
