"""Kinesis without Node, with records in the order of their writes.

AWS: records with one partition key are in one shard, in the order in which they were put, with sequence numbers that
increase (https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html). CreateStream takes tags
(https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html).

LocalStack: starts kinesis-mock, which needs Node. Its other implementation, moto, is for one thread (two records put
at once can get one number, and one of them is lost), counts each shard's records from 1 and drops the tags.

Here: moto, behind a lock, with sequence numbers of 56 digits that no two shards of a stream share. Not as on AWS:
records do not expire, there is no throttling except by LocalStack's KINESIS_ERROR_PROBABILITY, and a resharding moves
the records of the shards that it closes.

Evidence: documentation.
"""

import threading
import time
from typing import Any

from localstack.aws.api import RequestContext
from localstack.services.kinesis.provider import KinesisProvider as StockKinesisProvider
from localstack.services.moto import call_moto
from localstack.utils.aws.arns import kinesis_stream_arn
from moto.kinesis import models
from moto.kinesis.models import kinesis_backends

from localstack_host.patching import overrides, replace
from localstack_host.shared.arrivals import ARRIVALS

LOCK = threading.RLock()
# Sequence numbers have 56 digits, as AWS's: this, the nanosecond in which the shard was made, the shard, the record.
SEQUENCE_NUMBERS = 49 * 10**54
PER_NANOSECOND = 10**25
PER_SHARD = 10**15


class Shard(models.Shard):
    def __init__(self, shard_id: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(shard_id, *args, **kwargs)
        self.first = SEQUENCE_NUMBERS + time.time_ns() * PER_NANOSECOND + shard_id * PER_SHARD

    @overrides
    def put_record(self, partition_key: str, data: str, explicit_hash_key: str) -> str:
        number = self.get_max_sequence_number() + 1
        self.records[number] = models.Record(partition_key, data, number, explicit_hash_key)
        return str(number)

    @overrides
    def get_min_sequence_number(self) -> int:
        return self.first

    @overrides
    def get_max_sequence_number(self) -> int:
        return next(reversed(self.records)) if self.records else self.get_min_sequence_number()


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


def install() -> None:
    # patch: moto's Stream makes its shards from the name in its module and offers no way to pass one.
    replace(models, "Shard", Shard)
