"""DynamoDB Streams: what a write leaves in the stream, and how it is read.

AWS: each write that changes an item leaves one record, in the order of the writes of that item, with the images that
the stream's view type names; a write that changes nothing leaves none
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html). A cancelled transaction leaves none.
Records are kept for 24 hours, also after the stream was disabled or its table deleted. The time of a record is
rounded down to the second
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html). A deletion by Time to
Live carries userIdentity
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).

LocalStack: takes the records from DynamoDB Local, which needs Java, through a Kinesis stream, which needs Node.
moto's own streams have records without effect, keep those of a cancelled transaction, two for an upsert, and no API.

Here: a class in the place of moto's stream keeps the records, and a provider serves them as the four operations of
the API. Not as on AWS: a stream has one shard, which never closes, and iterators do not expire.

Evidence: documentation; recording for fields and SizeBytes (TestDynamoDBEventSourceMapping
test_dynamodb_event_filter[content_multiple_filters] and test_dynamodb_report_batch_item_failure_scenarios).
"""

import base64
import itertools
import threading
import uuid
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.dynamodbstreams import DynamodbstreamsApi, ResourceNotFoundException
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models import table as moto_table

from localstack_host.patching import overrides, replace
from localstack_host.shared.arrivals import ARRIVALS

RETENTION = timedelta(hours=24)
MAXIMUM_RECORDS = 1000  # of one GetRecords
TIME_TO_LIVE = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}

# Sequence numbers are at least 21 digits long, all of one length here so that they also sort as text.
sequence_numbers = itertools.count(100_000_000_000_000_000_001)
STREAMS: list["Stream"] = []
held = threading.local()


@dataclass
class Change:
    stream: "Stream"
    old: dict[str, Any] | None
    new: dict[str, Any] | None


@contextmanager
def one_write(by: dict[str, str] | None = None) -> Iterator[None]:
    """Holds the records of the calls in the block back until it ends; drops them if it raises.

    ``by`` is the userIdentity of the records.
    """
    outer, held.changes = getattr(held, "changes", None), []
    try:
        yield
        changes: list[Change] = held.changes
    finally:
        held.changes = outer
    if outer is not None:
        outer.extend(changes)
        return
    for change in changes:
        change.stream.write(change, by)


class Stream(moto_table.StreamShard):
    """A stream and its one shard. moto calls ``add`` after each change; callers hold the lock of ``provider``."""

    def __init__(self, account_id: str, table: Any) -> None:
        super().__init__(account_id, table)
        self.view = table.stream_specification["StreamViewType"]
        self.label = table.latest_stream_label
        self.arn = f"{table.table_arn}/stream/{self.label}"
        self.records: list[dict[str, Any]] = []
        STREAMS.append(self)

    def __deepcopy__(self, memo: Any) -> "Stream":
        return self  # a backup of the table is not another stream

    @property
    def enabled(self) -> bool:
        tables = dynamodb_backends[self.account_id][self.table.region_name].tables
        return (
            tables.get(self.table.name) is self.table
            and self.table.stream_shard is self
            and bool((self.table.stream_specification or {}).get("StreamEnabled"))
        )

    @overrides
    def add(self, old: Any, new: Any) -> None:
        with one_write():
            # moto goes on to change the item that it passes here.
            images = [item and deepcopy(item.to_json()["Attributes"]) for item in (old, new)]
            held.changes.append(Change(self, *images))

    def write(self, change: Change, by: dict[str, str] | None) -> None:
        old, new = change.old, change.new
        if not self.enabled or old == new:
            return
        self.trim()
        image = new if new is not None else old
        assert image is not None
        keys = {key["AttributeName"]: image[key["AttributeName"]] for key in self.table.schema}
        data = {
            "ApproximateCreationDateTime": datetime.now(UTC).replace(microsecond=0),
            "Keys": keys,
            "SequenceNumber": str(next(sequence_numbers)),
            "StreamViewType": self.view,
        }
        if new is not None and self.view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
            data["NewImage"] = new
        if old is not None and self.view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
            data["OldImage"] = old
        data["SizeBytes"] = sum(
            size(value) for name in ("Keys", "NewImage", "OldImage") for value in [data.get(name, {})]
        )
        record = {
            "eventID": uuid.uuid4().hex,
            "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.table.region_name,
            "dynamodb": data,
        }
        self.records.append(record | ({"userIdentity": by} if by else {}))
        ARRIVALS.announce(self.arn)

    def trim(self) -> None:
        """Drops what is older than RETENTION."""
        oldest = datetime.now(UTC) - RETENTION
        count = bisect_left(self.records, oldest, key=lambda record: record["dynamodb"]["ApproximateCreationDateTime"])
        del self.records[:count]

    def read(self, start: int, limit: int) -> list[dict[str, Any]]:
        """Records from the sequence number ``start`` on, or from the oldest."""
        self.trim()
        at = bisect_left(self.records, start, key=sequence_number)
        return self.records[at : at + limit]

    def following(self) -> int:
        """A sequence number after that of every record."""
        return sequence_number(self.records[-1]) + 1 if self.records else 0


def sequence_number(record: dict[str, Any]) -> int:
    return int(record["dynamodb"]["SequenceNumber"])


def size(attributes: dict[str, Any]) -> int:
    """Bytes of attributes in DynamoDB's JSON, without their overhead in an index.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + value_size(value) for name, value in attributes.items())


def value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            digits = len(content.lstrip("-").replace(".", "").strip("0"))
            return (digits + 1) // 2 + 1 + content.startswith("-")
        case "B":
            return len(content if isinstance(content, bytes) else base64.b64decode(content))  # bytes: inside L and M
        case "SS" | "NS" | "BS":
            return sum(value_size({kind[0]: element}) for element in content)
        case "L":
            return 3 + sum(1 + value_size(element) for element in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_size(part) for name, part in content.items())
    return 1  # BOOL, NULL


def with_bytes(value: Any) -> Any:
    """Attributes as LocalStack serializes them: binary values as bytes, which moto keeps in Base64."""
    if isinstance(value, list):
        return [with_bytes(element) for element in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        if isinstance(value.get("B"), str):
            return {"B": base64.b64decode(value["B"])}
        if isinstance(value.get("BS"), list):
            return {"BS": [base64.b64decode(element) for element in value["BS"]]}
    return {name: with_bytes(part) for name, part in value.items()}


class StreamsProvider(DynamodbstreamsApi):
    def __init__(self, lock: Any) -> None:
        """``lock`` protects the tables."""
        self.lock = lock

    @overrides
    def list_streams(self, context: RequestContext, table_name: str | None = None, **kwargs: Any) -> dict[str, Any]:
        return {
            "Streams": [
                {"StreamArn": stream.arn, "TableName": stream.table.name, "StreamLabel": stream.label}
                for stream in STREAMS
                if stream.account_id == context.account_id
                and stream.table.region_name == context.region
                and table_name in (None, stream.table.name)
            ]
        }

    @overrides
    def describe_stream(self, context: RequestContext, stream_arn: str, **kwargs: Any) -> dict[str, Any]:
        with self.lock:
            stream = find(stream_arn)
            first = sequence_number(stream.records[0]) if stream.records else stream.starting_sequence_number
            return {
                "StreamDescription": {
                    "StreamArn": stream.arn,
                    "StreamLabel": stream.label,
                    "StreamStatus": "ENABLED" if stream.enabled else "DISABLED",
                    "StreamViewType": stream.view,
                    "CreationRequestDateTime": stream.created_on.replace(tzinfo=UTC),
                    "TableName": stream.table.name,
                    "KeySchema": stream.table.schema,
                    "Shards": [{"ShardId": stream.id, "SequenceNumberRange": {"StartingSequenceNumber": str(first)}}],
                }
            }

    @overrides
    def get_shard_iterator(
        self,
        context: RequestContext,
        stream_arn: str,
        shard_id: str,
        shard_iterator_type: str,
        sequence_number: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        with self.lock:
            stream = find(stream_arn)
            if shard_id != stream.id:
                raise ResourceNotFoundException(f"Requested resource not found: Shard: {shard_id} not found")
            start = {
                "TRIM_HORIZON": 0,
                "LATEST": stream.following(),
                "AT_SEQUENCE_NUMBER": int(sequence_number or 0),
                "AFTER_SEQUENCE_NUMBER": int(sequence_number or 0) + 1,
            }[shard_iterator_type]
        return {"ShardIterator": f"{stream_arn}|{start}"}

    @overrides
    def get_records(
        self, context: RequestContext, shard_iterator: str, limit: int | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        stream_arn, _, start = shard_iterator.rpartition("|")
        with self.lock:
            found = find(stream_arn).read(int(start), min(limit or MAXIMUM_RECORDS, MAXIMUM_RECORDS))
        following = sequence_number(found[-1]) + 1 if found else int(start)
        return {"Records": with_bytes(found), "NextShardIterator": f"{stream_arn}|{following}"}


def find(stream_arn: str) -> Stream:
    """Raises ResourceNotFoundException if there is no such stream."""
    for stream in STREAMS:
        if stream.arn == stream_arn:
            return stream
    raise ResourceNotFoundException(f"Requested resource not found: Stream: {stream_arn} not found")


def install() -> None:
    # patch: moto's Table makes its stream from the name in its module and offers no way to pass one.
    replace(moto_table, "StreamShard", Stream)
