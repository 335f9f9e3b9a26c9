"""Kinesis without Node, with records in the order of their writes.

AWS: records with one partition key are in one shard, in the order in which they were put, with sequence numbers that
increase (https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html). CreateStream takes tags
(https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html). An iterator knows its stream
(https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html).

LocalStack: starts kinesis-mock, which needs Node. Its other implementation, moto, is for one thread (two records put
at once can get one number, and one of them is lost), counts each shard's records from 1, drops the tags, ignores what
ListShards is to filter by, and needs the stream's name for an iterator that was made with its ARN.

Here: moto, behind a lock, with the shards of ``shards``, and what reads them. Not as on AWS: iterators do
not expire, a resharding is done when its request is answered, and there is no throttling except by LocalStack's
KINESIS_ERROR_PROBABILITY.

Evidence: documentation.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

from localstack.aws.api import RequestContext
from localstack.aws.api.kinesis import (
    InvalidArgumentException,
    LimitExceededException,
    ResourceNotFoundException,
    ValidationException,
)
from localstack.services.kinesis.provider import KinesisProvider as StockKinesisProvider
from localstack.services.moto import call_moto, call_moto_with_request
from localstack.utils.aws.arns import kinesis_stream_arn
from moto.kinesis import models
from moto.kinesis.exceptions import ConsumerNotFound, InvalidArgumentError, StreamNotFoundError
from moto.kinesis.models import kinesis_backends

from localstack_host.kinesis.shards import CannotReshard, Shard, Shards, hash_key, parsed_hash_key
from localstack_host.patching import overrides, replace
from localstack_host.shared.arrivals import ARRIVALS

LOCK = threading.RLock()
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
MOST_RECORDS, MOST_BYTES = 10_000, 10 * 2**20
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html and API_DescribeStream
LISTED_SHARDS, DESCRIBED_SHARDS = 1_000, 100
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html
SUBSCRIPTION_SECONDS, EVENT_SECONDS = 300, 5


class Stream(models.Stream):
    shards: Shards  # type: ignore[assignment]  # of moto's own uses only those of to_json() are left

    @overrides
    def init_shards(self, shard_count: int) -> None:
        self.shards = Shards(shard_count)

    @overrides
    def put_record(self, partition_key: str, explicit_hash_key: str | None, data: str) -> tuple[str, str]:
        """The sequence number and the shard; ``data`` is Base64."""
        try:
            shard = self.shards.of_key(hash_key(partition_key, explicit_hash_key))
        except ValueError as error:
            raise InvalidArgumentError(str(error)) from error
        number = shard.add(lambda number: models.Record(partition_key, data, number, explicit_hash_key or ""))
        return str(number), shard.id

    @overrides
    def to_json_summary(self) -> dict[str, Any]:
        summary = super().to_json_summary()
        summary["StreamDescriptionSummary"]["OpenShardCount"] = len(self.shards.open())
        return summary

    @property
    def horizon(self) -> float:
        """When the oldest record that is kept can have been written."""
        return time.time() - (self.retention_period_hours or 24) * 3600

    def expire(self) -> None:
        horizon = self.horizon
        for shard in self.shards.values():
            shard.expire(horizon, written)

    def shard(self, shard_id: str) -> Shard:
        """Raises ResourceNotFoundException if there is none."""
        if shard_id not in self.shards:
            raise ResourceNotFoundException(
                f"Could not find shard {shard_id} in stream {self.stream_name} under account {self.account_id}."
            )
        return self.shards[shard_id]


class KinesisProvider(StockKinesisProvider):
    """Everything that is neither here nor LocalStack's own is moto's (``one_at_a_time``)."""

    def __init__(self) -> None:
        """LocalStack's makes a manager for the servers that are not needed here."""

    @overrides
    def on_before_stop(self) -> None: ...

    @overrides
    def create_stream(
        self, context: RequestContext, stream_name: str, tags: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        with LOCK:
            call_moto(context)
            if tags:
                backend = kinesis_backends[context.account_id][context.region]
                backend.add_tags_to_stream(None, stream_name, tags)

    # writing

    @overrides
    def put_record(self, context: RequestContext, **request: Any) -> Any:
        return self.put(context, super().put_record, request)

    @overrides
    def put_records(self, context: RequestContext, **request: Any) -> Any:
        return self.put(context, super().put_records, request)

    def put(self, context: RequestContext, stock: Any, request: dict[str, Any]) -> Any:
        try:
            return stock(context, **request)  # raises the errors of KINESIS_ERROR_PROBABILITY
        except NotImplementedError:
            pass
        with LOCK:
            response = call_moto(context)
        name = request.get("stream_name") or ""
        ARRIVALS.announce(request.get("stream_arn") or kinesis_stream_arn(name, context.account_id, context.region))
        return response

    # resharding

    @overrides
    def split_shard(
        self, context: RequestContext, shard_to_split: str, new_starting_hash_key: str, **stream: Any
    ) -> None:
        def split(found: Stream) -> None:
            found.shards.split(found.shard(shard_to_split), parsed_hash_key(new_starting_hash_key))

        self.reshard(context, stream, split)

    @overrides
    def merge_shards(
        self, context: RequestContext, shard_to_merge: str, adjacent_shard_to_merge: str, **stream: Any
    ) -> None:
        def merge(found: Stream) -> None:
            found.shards.merge(found.shard(shard_to_merge), found.shard(adjacent_shard_to_merge))

        self.reshard(context, stream, merge)

    @overrides
    def update_shard_count(self, context: RequestContext, target_shard_count: int, **stream: Any) -> dict[str, Any]:
        before = 0

        def rescale(found: Stream) -> None:
            nonlocal before
            before = len(found.shards.open())
            found.shards.rescale(target_shard_count)

        found = self.reshard(context, stream, rescale, LimitExceededException)
        return {
            "StreamName": found.stream_name,
            "StreamARN": found.arn,
            "CurrentShardCount": before,
            "TargetShardCount": target_shard_count,
        }

    def reshard(
        self,
        context: RequestContext,
        stream: dict[str, Any],
        change: Callable[[Stream], None],
        refusal: type[Exception] = InvalidArgumentException,
    ) -> Stream:
        """Raises ``refusal`` where the shards do not allow the change."""
        with LOCK:
            found = find(context, **stream)
            if found.stream_mode["StreamMode"] == "ON_DEMAND":
                raise ValidationException(
                    f"Request is invalid. Stream {found.stream_name} under account {context.account_id} "
                    "is in On-Demand mode."
                )
            try:
                change(found)
            except (CannotReshard, ValueError) as error:
                raise refusal(str(error)) from error
        ARRIVALS.announce(found.arn)  # who waits for records of a closed shard has come to its end
        return found

    # reading

    @overrides
    def describe_stream(
        self,
        context: RequestContext,
        limit: int | None = None,
        exclusive_start_shard_id: str | None = None,
        **stream: Any,
    ) -> Any:
        names = {"StreamName": stream.get("stream_name"), "StreamARN": stream.get("stream_arn")}
        with LOCK:
            response = call_moto_with_request(context, {name: value for name, value in names.items() if value})
            found = find(context, **stream)
            kept = {shard.id for shard in found.shards.kept(found.horizon)}
        description: dict[str, Any] = cast(Any, response)["StreamDescription"]
        wanted = [
            shard
            for shard in description["Shards"]
            if shard["ShardId"] in kept and shard["ShardId"] > (exclusive_start_shard_id or "")
        ]
        description["Shards"] = wanted[: limit or DESCRIBED_SHARDS]
        description["HasMoreShards"] = len(description["Shards"]) < len(wanted)
        return response

    @overrides
    def list_shards(
        self,
        context: RequestContext,
        next_token: str | None = None,
        exclusive_start_shard_id: str | None = None,
        max_results: int | None = None,
        shard_filter: dict[str, Any] | None = None,
        **stream: Any,
    ) -> dict[str, Any]:
        """A token is the stream's name, the last shard that was listed, and the filter."""
        most = max_results or LISTED_SHARDS
        wanted = {"Type": "FROM_TRIM_HORIZON"} | (shard_filter or {})
        if next_token:
            if stream.get("stream_name") or exclusive_start_shard_id:
                raise InvalidArgumentException("NextToken and StreamName cannot be provided together.")
            stream["stream_name"], exclusive_start_shard_id, wanted = decoded(next_token)
        at = wanted.get("Timestamp") or 0.0
        at = at.timestamp() if isinstance(at, datetime) else at
        with LOCK:
            found = find(context, **stream)
            shards = [
                shard
                for shard in found.shards.filtered(wanted["Type"], wanted.get("ShardId"), at, found.horizon)
                if shard.id > (exclusive_start_shard_id or "")
            ]
        response: dict[str, Any] = {"Shards": [shard.to_json() for shard in shards[:most]]}
        if len(shards) > most:
            response["NextToken"] = encoded(found.stream_name, shards[most - 1].id, wanted | {"Timestamp": at})
        return response

    @overrides
    def get_shard_iterator(
        self,
        context: RequestContext,
        shard_id: str,
        shard_iterator_type: str,
        starting_sequence_number: str | None = None,
        timestamp: datetime | None = None,
        **stream: Any,
    ) -> dict[str, Any]:
        with LOCK:
            found = find(context, **stream)
            shard = found.shard(shard_id)
            number = position(shard, shard_iterator_type, starting_sequence_number, timestamp)
        return {"ShardIterator": encoded(found.stream_name, shard_id, number)}

    @overrides
    def get_records(
        self, context: RequestContext, shard_iterator: str, limit: int | None = None, **stream: Any
    ) -> dict[str, Any]:
        name, shard_id, number = decoded(shard_iterator)
        with LOCK:
            found = find(context, name)
            return read(found, found.shard(shard_id), number, limit or MOST_RECORDS)

    @overrides
    def subscribe_to_shard(
        self,
        context: RequestContext,
        consumer_arn: str,
        shard_id: str,
        starting_position: dict[str, Any],
        **kwargs: Any,
    ) -> Any:
        try:
            backend = kinesis_backends[context.account_id][context.region]
            arn = backend.describe_stream_consumer("", "", consumer_arn).stream_arn
        except ConsumerNotFound as error:
            raise ResourceNotFoundException(f"Consumer {consumer_arn} not found.") from error
        where = (starting_position["Type"], starting_position.get("SequenceNumber"), starting_position.get("Timestamp"))
        with LOCK:
            number = position(find(context, stream_arn=arn).shard(shard_id), *where)

        def events() -> Iterator[dict[str, Any]]:
            end, following, never = time.time() + SUBSCRIPTION_SECONDS, number, threading.Event()
            while time.time() < end:
                seen = ARRIVALS.count(arn)
                try:
                    with LOCK:
                        found = find(context, stream_arn=arn)
                        answer = read(found, found.shard(shard_id), following, MOST_RECORDS)
                except ResourceNotFoundException:  # deleted in between
                    return
                iterator = answer.pop("NextShardIterator", None)
                if iterator:
                    *_, following = decoded(iterator)
                    answer["ContinuationSequenceNumber"] = str(following)
                yield {"SubscribeToShardEvent": answer}
                if not iterator:
                    return
                if not answer["Records"]:
                    ARRIVALS.wait(arn, seen, EVENT_SECONDS, never)

        return {"EventStream": events()}


def find(context: RequestContext, stream_name: str | None = None, stream_arn: str | None = None, **_: Any) -> Stream:
    """Raises ResourceNotFoundException if there is no such stream."""
    backend = kinesis_backends[context.account_id][context.region]
    try:
        return cast(Stream, backend.describe_stream(stream_arn, stream_name))
    except StreamNotFoundError as error:
        name = stream_name or (stream_arn or "").rpartition("/")[2]
        raise ResourceNotFoundException(f"Stream {name} under account {context.account_id} not found.") from error


def read(stream: Stream, shard: Shard, number: int, limit: int) -> dict[str, Any]:
    """What GetRecords answers about the records behind a sequence number."""
    stream.expire()
    number = max(number, shard.first + shard.expired)
    records: list[dict[str, Any]] = []
    size = 0
    for record in shard.after(number, limit):
        data = base64.b64decode(record.data)
        size += len(data) + len(record.partition_key)
        if records and size > MOST_BYTES:
            break
        number = record.sequence_number
        at = datetime.fromtimestamp(record.created_at, UTC)
        records.append(
            {
                "Data": data,
                "PartitionKey": record.partition_key,
                "SequenceNumber": str(number),
                "ApproximateArrivalTimestamp": at,
            }
        )
    behind = 0.0
    if number < shard.last:
        reached = records[-1]["ApproximateArrivalTimestamp"].timestamp() if records else shard.opened
        behind = max(shard.records[-1].created_at - reached, 0.0)
    answer: dict[str, Any] = {"Records": records, "MillisBehindLatest": int(behind * 1000)}
    if shard.closed is None or number < shard.last:
        answer["NextShardIterator"] = encoded(stream.stream_name, shard.id, number)
    else:
        answer["ChildShards"] = [
            {"ShardId": child.id, "ParentShards": list(child.parents), "HashKeyRange": child.hash_key_range()}
            for child in stream.shards.children(shard)
        ]
    return answer


def written(record: models.Record) -> float:
    """When a record was put, in seconds since the epoch."""
    return record.created_at


def position(shard: Shard, kind: str, sequence_number: str | None, at: datetime | None) -> int:
    """The sequence number behind which an iterator of this kind begins.

    Raises InvalidArgumentException for a kind that lacks what it needs.
    """
    try:
        match kind:
            case "TRIM_HORIZON":
                return shard.first
            case "LATEST":
                return shard.last
            case "AT_SEQUENCE_NUMBER" if sequence_number:
                return int(sequence_number) - 1
            case "AFTER_SEQUENCE_NUMBER" if sequence_number:
                return int(sequence_number)
            case "AT_TIMESTAMP" if at:
                return shard.before(at.timestamp(), written)
    except ValueError as error:
        raise InvalidArgumentException(f"StartingSequenceNumber {sequence_number} is not a number.") from error
    raise InvalidArgumentException(f"Must either specify what {kind} begins at, or another ShardIteratorType.")


def encoded(*parts: Any) -> str:
    return base64.b64encode(json.dumps(parts).encode()).decode()


def decoded(token: str) -> tuple[str, str, Any]:
    """Raises InvalidArgumentException for what ``encoded`` did not make."""
    try:
        name, shard_id, rest = json.loads(base64.b64decode(token, validate=True))
    except (ValueError, TypeError) as error:
        raise InvalidArgumentException("Invalid ShardIterator or NextToken.") from error
    return name, shard_id, rest


def install() -> None:
    # patch: moto's backend makes its streams from the name in its module and offers no way to pass one.
    replace(models, "Stream", Stream)
