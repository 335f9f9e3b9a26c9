"""Hash keys, splits, merges and changes of the count, without a service."""

import itertools
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.kinesis.shards import HASH_KEYS, CannotReshard, Shards, hash_key

COUNTS = st.integers(1, 12)
KEYS = st.integers(0, HASH_KEYS - 1)


@st.composite
def resharded(draw: st.DrawFn) -> Shards:
    """Shards after some splits, merges and changes of the count, with records written in between."""
    shards = Shards(draw(COUNTS))
    for step in draw(st.lists(st.sampled_from(["write", "split", "merge", "rescale"]), max_size=8)):
        some = draw(st.sampled_from(shards.open()))
        if step == "write":
            shards.of_key(draw(KEYS)).add(int)
        elif step == "split" and some.end - some.start > 3:
            shards.split(some, draw(st.integers(some.start + 2, some.end - 1)))
        elif step == "merge" and some is not shards.open()[-1]:
            shards.merge(some, shards.open()[shards.open().index(some) + 1])
        elif step == "rescale":
            present = len(shards.open())
            shards.rescale(draw(st.integers(-(-present // 2), 2 * present)))
    return shards


@given(resharded(), KEYS)
def test_each_hash_key_belongs_to_one_open_shard(shards: Shards, key: int) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html"""
    opened = shards.open()

    assert (opened[0].start, opened[-1].end) == (0, HASH_KEYS - 1)
    assert all(lower.end + 1 == upper.start for lower, upper in itertools.pairwise(opened))
    assert [shard for shard in opened if shard.start <= key <= shard.end] == [shards.of_key(key)]
    for bound in (opened[0].end, opened[-1].start, HASH_KEYS - 1):
        assert shards.of_key(bound).closed is None


@given(resharded())
def test_children_cover_their_parents_and_come_after_them(shards: Shards) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html"""
    for shard in shards.values():
        children = shards.children(shard)
        assert (shard.closed is None) == (not children)
        for child in children:
            assert child.first > shard.last
            if len(child.parents) == 1:
                assert shard.start <= child.start <= child.end <= shard.end
            else:
                parents = [shards[parent] for parent in child.parents]
                assert child.start == min(parent.start for parent in parents)
                assert child.end == max(parent.end for parent in parents)


@given(COUNTS, st.data())
def test_a_change_of_the_count_makes_shards_of_one_size(count: int, data: st.DataObject) -> None:
    """Up to double and down to half of the open shards.

    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html
    """
    shards = Shards(count)
    shards.split(shards.open()[0], 1000)
    present = count + 1
    target = data.draw(st.integers(-(-present // 2), 2 * present))

    shards.rescale(target)

    sizes = [shard.end - shard.start + 1 for shard in shards.open()]
    assert len(sizes) == target
    assert sum(sizes) == HASH_KEYS
    assert max(sizes) - min(sizes) <= 1
    with pytest.raises(CannotReshard):
        shards.rescale(2 * target + 1)
    with pytest.raises(CannotReshard):
        shards.rescale((target - 1) // 2)


@given(st.text(max_size=20))
def test_the_hash_key_of_a_partition_key_is_its_md5(text: str) -> None:
    assert 0 <= hash_key(text, None) < HASH_KEYS
    assert hash_key(text, "7") == 7
    assert hash_key("a", None) == 0x0CC175B9C0F1B6A831C399E269772661  # RFC 1321, A.5


@pytest.mark.parametrize("key", ["-1", "07", str(HASH_KEYS), "1.0", "x", "\u0661"])
def test_an_explicit_hash_key_is_a_number_below_2_to_the_128(key: str) -> None:
    with pytest.raises(ValueError, match="Invalid hash key"):
        hash_key("a", key)


def test_what_cannot_be_split_or_merged() -> None:
    shards = Shards(3)
    first, second, third = shards.open()
    refused: list[tuple[Any, ...]] = [
        (shards.split, first, 1),
        (shards.split, first, first.end),
        (shards.split, second, 5),
        (shards.merge, first, third),
        (shards.merge, first, first),
    ]
    for change, *arguments in refused:
        with pytest.raises(CannotReshard):
            change(*arguments)
    assert shards.open() == [first, second, third]

    shards.merge(second, first)  # the lower one second, too

    for change, *arguments in ((shards.split, first, 5), (shards.merge, first, third), (shards.merge, third, second)):
        with pytest.raises(CannotReshard, match="already been merged or split"):
            change(*arguments)


@given(resharded())
def test_the_records_of_a_shard_are_read_in_order_from_any_place(shards: Shards) -> None:
    for shard in shards.values():
        assert shard.records == list(range(shard.first + 1, shard.last + 1))
        assert shard.after(0, 1000) == shard.records
        for number in shard.records:
            assert shard.after(number, 1) == shard.records[shard.records.index(number) + 1 :][:1]
        assert shard.after(shard.last, 1000) == []


@given(st.lists(st.integers(0, 20), max_size=10), st.integers(0, 25), st.integers(0, 25))
def test_records_expire_by_their_age_and_keep_their_numbers(times: list[int], early: int, late: int) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html"""
    (shard,) = Shards(1).values()
    for at in sorted(times):
        shard.add(partial(lambda at, number: (at, number), at))
    every, last = list(shard.records), shard.last

    for horizon in sorted((early, late)):
        shard.expire(horizon, lambda record: float(record[0]))

        left = [record for record in every if record[0] >= horizon]
        assert shard.after(0, 100) == left
        assert shard.last == last
        for at, number in left:
            assert shard.after(number - 1, 1) == [(at, number)]
        assert shard.before(0, lambda record: float(record[0])) == last - len(left)
    assert shard.add(lambda number: (30, number)) == last + 1


def test_a_closed_shard_is_listed_as_long_as_its_records_may_be_there() -> None:
    shards = Shards(1)
    (parent,) = shards.open()
    children = list(shards.split(parent, 1000))
    parent.opened, parent.closed = 10.0, 20.0
    for child in children:
        child.opened = 20.0

    def listed(horizon: float) -> list[Any]:
        return list(shards.filtered("FROM_TRIM_HORIZON", None, 0.0, horizon))

    assert listed(15) == [parent, *children]
    assert listed(25) == children
    assert list(shards.filtered("AT_TRIM_HORIZON", None, 0.0, 15)) == [parent]
    assert list(shards.filtered("AT_TRIM_HORIZON", None, 0.0, 25)) == children
    assert list(shards.filtered("AT_TIMESTAMP", None, 15.0, 5)) == [parent]
