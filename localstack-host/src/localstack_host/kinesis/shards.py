"""The shards of a Kinesis stream: hash keys, splits and merges, and the records of each.

AWS: a shard has a range of hash keys, and a record goes to the open shard whose range has its key. A split or merge
closes the parents, whose records stay in them, and new records go to the children; a reader that has come to the end
of a closed shard gets no further iterator, and the children's names
(https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html,
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html). UpdateShardCount makes shards of one size
by splits and merges (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html). Records are
kept for the stream's retention period, 24 hours to 365 days, and a closed shard is gone when its records are
(https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html).

LocalStack: moto's streams send every later record to the closed shard, whose iterator does not end; a split or merge
moves the records of the parents; the last hash key of each shard belongs to none, and fails the request; a merge with
the lower neighbour is refused. Records are kept for ever.

Here: the shards of one stream without anything of a service, for ``provider``. A count that is no multiple is reached
by splits at the new boundaries and merges of what lies between them.

Evidence: documentation; messages as in public emulators of Kinesis; belief for the parents after a change of the count
that is neither a doubling nor a halving, and for the error of a count that is too far from the present one.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

HASH_KEYS = 2**128
# Sequence numbers have 56 digits, as AWS's: this, the nanosecond in which the shard was made, the shard, the record.
SEQUENCE_NUMBERS = 49 * 10**54
PER_NANOSECOND = 10**25
PER_SHARD = 10**15


class CannotReshard(Exception):
    """The shards do not allow what was asked for; the message says why."""


@dataclass(eq=False)
class Shard:
    """Hash keys from ``start`` to ``end``, both included; times are seconds since the epoch.

    ``first`` is the sequence number before that of the first record; records follow one another without gaps. The first
    ``expired`` of them are not kept any more.
    """

    number: int
    start: int
    end: int
    parents: tuple[str, ...] = ()
    opened: float = field(default_factory=time.time)
    closed: float | None = None
    records: list[Any] = field(default_factory=list)
    expired: int = 0
    first: int = field(init=False)

    def __post_init__(self) -> None:
        self.first = SEQUENCE_NUMBERS + time.time_ns() * PER_NANOSECOND + self.number * PER_SHARD

    @property
    def id(self) -> str:
        return f"shardId-{self.number:012}"

    @property
    def last(self) -> int:
        """The sequence number of the last record; that of the shard's beginning if it has none."""
        return self.first + self.expired + len(self.records)

    def add(self, record: Callable[[int], Any]) -> int:
        """Appends what ``record`` makes of the sequence number, and returns the number."""
        number = self.last + 1
        self.records.append(record(number))
        return number

    def after(self, sequence_number: int, limit: int) -> list[Any]:
        """At most ``limit`` records behind a sequence number, which need not be one of this shard's."""
        begin = max(sequence_number - self.first - self.expired, 0)
        return self.records[begin : begin + limit]

    def before(self, at: float, written: Callable[[Any], float]) -> int:
        """The sequence number before that of the oldest record written at a time or later."""
        return self.first + self.expired + bisect_left(self.records, at, key=written)

    def expire(self, horizon: float, written: Callable[[Any], float]) -> None:
        """Forgets the records written before a time; ``written`` says when one was."""
        count = self.before(horizon, written) - self.first - self.expired
        del self.records[:count]
        self.expired += count

    def was_open(self, at: float) -> bool:
        return self.opened <= at and (self.closed is None or self.closed > at)

    def to_json(self) -> dict[str, Any]:
        """As DescribeStream and ListShards tell it."""
        numbers = {"StartingSequenceNumber": str(self.first)}
        if self.closed is not None:
            numbers["EndingSequenceNumber"] = str(self.last)
        found = {"ShardId": self.id, "HashKeyRange": self.hash_key_range(), "SequenceNumberRange": numbers}
        names = ("ParentShardId", "AdjacentParentShardId")
        return found | dict(zip(names, self.parents, strict=False))

    def hash_key_range(self) -> dict[str, str]:
        return {"StartingHashKey": str(self.start), "EndingHashKey": str(self.end)}


class Shards(dict[str, Shard]):
    """All shards of a stream by their ids, the closed ones too, in the order in which they were made."""

    def __init__(self, count: int) -> None:
        super().__init__()
        starts = boundaries(count)
        for start, following in zip(starts, [*starts[1:], HASH_KEYS], strict=True):
            self.make(start, following - 1)

    def make(self, start: int, end: int, *parents: Shard) -> Shard:
        now = time.time()
        shard = Shard(len(self), start, end, tuple(parent.id for parent in parents), opened=now)
        for parent in parents:
            parent.closed = now
        self[shard.id] = shard
        return shard

    def open(self) -> list[Shard]:
        """By their hash keys."""
        return sorted((shard for shard in self.values() if shard.closed is None), key=lambda shard: shard.start)

    def of_key(self, hash_key: int) -> Shard:
        """The open shard of a key from 0 to HASH_KEYS - 1."""
        return next(shard for shard in self.values() if shard.closed is None and shard.start <= hash_key <= shard.end)

    def children(self, shard: Shard) -> list[Shard]:
        return [child for child in self.values() if shard.id in child.parents]

    def split(self, shard: Shard, at: int) -> tuple[Shard, Shard]:
        """Raises CannotReshard if the shard is closed, or ``at`` would leave one of the two with a single key."""
        require_open(shard)
        if not shard.start + 1 < at < shard.end:
            raise CannotReshard(
                f"NewStartingHashKey {at} used in SplitShard() on {shard.id} is not both greater than one plus the "
                f"shard's StartingHashKey {shard.start} and less than the shard's EndingHashKey {shard.end}."
            )
        return self.make(shard.start, at - 1, shard), self.make(at, shard.end, shard)

    def merge(self, shard: Shard, adjacent: Shard) -> Shard:
        """Raises CannotReshard if one of the two is closed or they have no common boundary."""
        require_open(shard)
        require_open(adjacent)
        lower, upper = sorted((shard, adjacent), key=lambda one: one.start)
        if lower.end + 1 != upper.start:
            raise CannotReshard(f"Shards {shard.id} and {adjacent.id} are not an adjacent pair eligible for merging.")
        return self.make(lower.start, upper.end, shard, adjacent)

    def rescale(self, count: int) -> None:
        """Makes ``count`` open shards of one size.

        Raises CannotReshard for more than twice, or less than half, of those that are open.
        """
        present = len(self.open())
        if not present <= 2 * count <= 4 * present:
            raise CannotReshard(
                f"UpdateShardCount cannot scale to less than half or more than double your current open shard count. "
                f"Current open shard count: {present} Target shard count: {count}"
            )
        starts = boundaries(count)
        for start in starts:
            shard = self.of_key(start)
            if shard.start != start:
                self.split(shard, start)
        for start, following in zip(starts, [*starts[1:], HASH_KEYS], strict=True):
            shard, *others = [shard for shard in self.open() if start <= shard.start < following]
            for other in others:
                shard = self.merge(shard, other)

    def kept(self, horizon: float) -> list[Shard]:
        """Without those that were closed before any record that is still there was written."""
        return [shard for shard in self.values() if shard.closed is None or shard.closed > horizon]

    def filtered(self, kind: str, after: str | None, at: float, horizon: float) -> Iterator[Shard]:
        """Those that a ShardFilter of ListShards asks for.

        ``at`` is its timestamp; ``horizon`` that of the oldest record that the stream may still have.

        https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ShardFilter.html
        """
        at = max(horizon if kind.endswith("TRIM_HORIZON") else at, self["shardId-000000000000"].opened)
        for shard in self.kept(horizon):
            wanted = {
                "AFTER_SHARD_ID": shard.id > (after or ""),
                "AT_LATEST": shard.closed is None,
                "AT_TRIM_HORIZON": shard.was_open(at),
                "AT_TIMESTAMP": shard.was_open(at),
                "FROM_TRIM_HORIZON": shard.closed is None or shard.closed > at,
                "FROM_TIMESTAMP": shard.closed is None or shard.closed > at,
            }
            if wanted[kind]:
                yield shard


def hash_key(partition_key: str, explicit: str | None) -> int:
    """Raises ValueError for an explicit key that is none."""
    if explicit:
        return parsed_hash_key(explicit)
    return int.from_bytes(md5(partition_key.encode(), usedforsecurity=False).digest())


def parsed_hash_key(text: str) -> int:
    """Raises ValueError."""
    if not re.fullmatch("0|[1-9][0-9]{0,38}", text) or int(text) >= HASH_KEYS:
        raise ValueError(f"Invalid hash key {text}: a number from 0 to 2^128 - 1 is expected.")
    return int(text)


def boundaries(count: int) -> list[int]:
    """The first hash keys of ``count`` shards of one size."""
    return [number * HASH_KEYS // count for number in range(count)]


def require_open(shard: Shard) -> None:
    if shard.closed is not None:
        raise CannotReshard(
            f"Shard {shard.id} has already been merged or split, and thus is not eligible for merging or splitting."
        )
