"""Kinesis with many writers, and while its shards are split and merged."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import Instance, run, unique


def test_kinesis_keeps_the_order_of_each_key_with_many_writers(localstack: Instance) -> None:
    client = localstack.client("kinesis")
    stream = unique("stream")
    client.create_stream(StreamName=stream, ShardCount=2, Tags={"team": "lab"})

    def write(key: str) -> None:
        for number in range(40):
            client.put_record(StreamName=stream, PartitionKey=key, Data=str(number).encode())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, "abcdef"))

    found: dict[str, list[int]] = {}
    numbers = []
    for shard in client.describe_stream(StreamName=stream)["StreamDescription"]["Shards"]:
        at = client.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        of_shard = client.get_records(ShardIterator=at)["Records"]
        assert len(of_shard) > 0
        in_order = [record["SequenceNumber"] for record in of_shard]
        assert in_order == sorted(in_order)  # as text, too
        numbers += in_order
        for record in of_shard:
            found.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
    assert found == {key: list(range(40)) for key in "abcdef"}
    assert len(set(numbers)) == 240
    assert {len(number) for number in numbers} == {56}
    assert client.list_tags_for_stream(StreamName=stream)["Tags"] == [{"Key": "team", "Value": "lab"}]


# Hash keys
LOW, HIGH, MIDDLE = "0", str(2**128 - 1), str(2**127)


@pytest.fixture
def stream(localstack: Instance) -> str:
    """A stream with one shard and the record "before"."""
    client, name = localstack.client("kinesis"), unique("stream")
    client.create_stream(StreamName=name, ShardCount=1)
    client.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    put(localstack, name, "before", LOW)
    return name


def put(localstack: Instance, stream: str, data: str, hash_key: str) -> dict[str, Any]:
    found: dict[str, Any] = localstack.client("kinesis").put_record(
        StreamName=stream, PartitionKey="key", ExplicitHashKey=hash_key, Data=data.encode()
    )
    return found


def active(localstack: Instance, stream: str) -> None:
    """Waits for the end of a change."""
    localstack.client("kinesis").get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})


def listed(localstack: Instance, stream: str, **arguments: Any) -> list[dict[str, Any]]:
    """All pages; a page after the first is asked for by its token alone."""
    client = localstack.client("kinesis")
    page = client.list_shards(StreamName=stream, **arguments)
    found: list[dict[str, Any]] = page["Shards"]
    while token := page.get("NextToken"):
        page = client.list_shards(NextToken=token, MaxResults=arguments["MaxResults"])
        found += page["Shards"]
    return found


def read_to_the_end(localstack: Instance, stream: str, shard: str) -> tuple[list[str], dict[str, Any]]:
    """The data of a closed shard, and the answer without a further iterator."""
    client, found = localstack.client("kinesis"), []
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    while iterator:
        answer = client.get_records(ShardIterator=iterator, Limit=1)
        found += [record["Data"].decode() for record in answer["Records"]]
        iterator = answer.get("NextShardIterator")
    return found, answer


def test_a_split_closes_the_parent_and_writes_go_to_the_children(localstack: Instance, stream: str) -> None:
    """The parent keeps its records and ends; the children have its hash keys and name it.

    https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html
    """
    (parent,) = listed(localstack, stream)

    localstack.client("kinesis").split_shard(
        StreamName=stream, ShardToSplit=parent["ShardId"], NewStartingHashKey=MIDDLE
    )
    active(localstack, stream)

    closed, lower, upper = listed(localstack, stream)
    assert closed["ShardId"] == parent["ShardId"]
    assert "EndingSequenceNumber" in closed["SequenceNumberRange"]
    assert [child["ParentShardId"] for child in (lower, upper)] == [parent["ShardId"]] * 2
    assert lower["HashKeyRange"] == {"StartingHashKey": LOW, "EndingHashKey": str(2**127 - 1)}
    assert upper["HashKeyRange"] == {"StartingHashKey": MIDDLE, "EndingHashKey": HIGH}
    assert all("EndingSequenceNumber" not in child["SequenceNumberRange"] for child in (lower, upper))
    for key, child in ((LOW, lower), (str(2**127 - 1), lower), (MIDDLE, upper), (HIGH, upper)):
        record = put(localstack, stream, "after", key)
        assert record["ShardId"] == child["ShardId"]
        assert int(record["SequenceNumber"]) > int(closed["SequenceNumberRange"]["EndingSequenceNumber"])
    found, last = read_to_the_end(localstack, stream, parent["ShardId"])
    assert found == ["before"]
    assert last["ChildShards"] == [
        {"ShardId": child["ShardId"], "ParentShards": [parent["ShardId"]], "HashKeyRange": child["HashKeyRange"]}
        for child in (lower, upper)
    ]
    summary = localstack.client("kinesis").describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2


def test_a_merge_closes_both_parents(localstack: Instance, stream: str) -> None:
    """Also when the shard to merge is the upper one.

    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_MergeShards.html
    """
    client, (first,) = localstack.client("kinesis"), listed(localstack, stream)
    client.split_shard(StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey=MIDDLE)
    active(localstack, stream)
    _, lower, upper = (shard["ShardId"] for shard in listed(localstack, stream))
    put(localstack, stream, "low", LOW)
    put(localstack, stream, "high", HIGH)

    client.merge_shards(StreamName=stream, ShardToMerge=upper, AdjacentShardToMerge=lower)
    active(localstack, stream)

    merged = listed(localstack, stream)[-1]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (upper, lower)
    assert merged["HashKeyRange"] == {"StartingHashKey": LOW, "EndingHashKey": HIGH}
    assert put(localstack, stream, "after", LOW)["ShardId"] == merged["ShardId"]
    for shard, data in ((lower, "low"), (upper, "high")):
        found, last = read_to_the_end(localstack, stream, shard)
        assert found == [data]
        assert [child["ShardId"] for child in last["ChildShards"]] == [merged["ShardId"]]


def test_the_count_can_be_doubled_and_halved(localstack: Instance, stream: str) -> None:
    """https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html"""
    client = localstack.client("kinesis")

    def update(count: int) -> dict[str, Any]:
        found: dict[str, Any] = client.update_shard_count(
            StreamName=stream, TargetShardCount=count, ScalingType="UNIFORM_SCALING"
        )
        active(localstack, stream)
        return found

    answer = update(2)

    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (1, 2)
    lower, upper = listed(localstack, stream, ShardFilter={"Type": "AT_LATEST"})
    assert put(localstack, stream, "low", LOW)["ShardId"] == lower["ShardId"]
    assert put(localstack, stream, "high", HIGH)["ShardId"] == upper["ShardId"]
    with pytest.raises(client.exceptions.LimitExceededException):
        update(5)
    update(1)
    (only,) = listed(localstack, stream, ShardFilter={"Type": "AT_LATEST"})
    assert {only["ParentShardId"], only["AdjacentParentShardId"]} == {lower["ShardId"], upper["ShardId"]}
    assert read_to_the_end(localstack, stream, lower["ShardId"])[0] == ["low"]


def test_shards_are_listed_by_filter_and_page(localstack: Instance, stream: str) -> None:
    """https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ShardFilter.html"""
    client, (first,) = localstack.client("kinesis"), listed(localstack, stream)
    client.split_shard(StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey=MIDDLE)
    active(localstack, stream)
    parent, lower, upper = every = listed(localstack, stream, MaxResults=1)

    def filtered(kind: str, **values: Any) -> list[dict[str, Any]]:
        return listed(localstack, stream, ShardFilter={"Type": kind} | values)

    assert filtered("AT_LATEST") == [lower, upper]
    assert filtered("AT_TRIM_HORIZON") == [parent]
    assert filtered("FROM_TRIM_HORIZON") == every
    assert filtered("AFTER_SHARD_ID", ShardId=lower["ShardId"]) == [upper]
    created = client.describe_stream(StreamName=stream)["StreamDescription"]["StreamCreationTimestamp"]
    assert filtered("FROM_TIMESTAMP", Timestamp=created) == every
    assert listed(localstack, stream, ExclusiveStartShardId=parent["ShardId"]) == [lower, upper]
    token = client.list_shards(StreamName=stream, MaxResults=1)["NextToken"]
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.list_shards(StreamName=stream, NextToken=token)
    pages = client.get_paginator("describe_stream").paginate(StreamName=stream, PaginationConfig={"PageSize": 2})
    assert [shard for page in pages for shard in page["StreamDescription"]["Shards"]] == every


def test_what_cannot_be_resharded_is_refused(localstack: Instance, stream: str) -> None:
    """https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SplitShard.html"""
    client, (first,) = localstack.client("kinesis"), listed(localstack, stream)
    shard, errors = first["ShardId"], client.exceptions
    for key in ("0", "1", HIGH, "-5", "x"):
        with pytest.raises(errors.InvalidArgumentException):
            client.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=key)
    with pytest.raises(errors.ResourceNotFoundException):
        client.split_shard(StreamName=stream, ShardToSplit="shardId-000000000007", NewStartingHashKey=MIDDLE)
    with pytest.raises(errors.ResourceNotFoundException):
        client.split_shard(StreamName=unique("none"), ShardToSplit=shard, NewStartingHashKey=MIDDLE)
    client.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=MIDDLE)
    active(localstack, stream)
    with pytest.raises(errors.InvalidArgumentException, match="already been merged or split"):
        client.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=MIDDLE)
    with pytest.raises(errors.InvalidArgumentException):
        put(localstack, stream, "x", str(2**128))


def test_each_kind_of_iterator(localstack: Instance, stream: str) -> None:
    """An iterator knows its stream, and says where it begins.

    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html
    """
    client, (shard,) = localstack.client("kinesis"), listed(localstack, stream)
    arn = client.describe_stream(StreamName=stream)["StreamDescription"]["StreamARN"]
    second = put(localstack, stream, "second", LOW)["SequenceNumber"]

    def data(kind: str, **where: Any) -> list[str]:
        iterator = client.get_shard_iterator(StreamARN=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **where)
        records = client.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        return [record["Data"].decode() for record in records]

    assert data("TRIM_HORIZON") == ["before", "second"]
    assert data("LATEST") == []
    assert data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=second) == ["second"]
    assert data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=second) == []
    now = datetime.now(UTC)
    assert data("AT_TIMESTAMP", Timestamp=now - timedelta(hours=1)) == ["before", "second"]
    assert data("AT_TIMESTAMP", Timestamp=now + timedelta(seconds=2)) == []
    with pytest.raises(client.exceptions.InvalidArgumentException):
        data("AT_SEQUENCE_NUMBER")
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.get_records(ShardIterator="none")


def test_a_subscription_ends_with_its_shard(localstack: Instance, stream: str) -> None:
    """The last event names the children, and says nothing to continue from.

    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShardEvent.html
    """
    client, (shard,) = localstack.client("kinesis"), listed(localstack, stream)
    arn = client.describe_stream(StreamName=stream)["StreamDescription"]["StreamARN"]
    consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName="reader")["Consumer"]["ConsumerARN"]
    client.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=MIDDLE)

    events = client.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=shard["ShardId"], StartingPosition={"Type": "TRIM_HORIZON"}
    )["EventStream"]

    found = [event["SubscribeToShardEvent"] for event in events]
    assert [record["Data"] for event in found for record in event["Records"]] == [b"before"]
    assert len(found[-1]["ChildShards"]) == 2


AGED = """
from localstack_host.kinesis import provider
from moto.kinesis import models
provider.install()
backend = models.kinesis_backends["000000000000"]["us-east-1"]
stream = backend.create_stream("aged", 1)
(shard,) = stream.shards.values()
for hours in (49, 25, 23):
    stream.put_record("key", None, "AAAA")
    shard.records[-1].created_at -= hours * 3600
for retention in (72, 48, 24):
    stream.retention_period_hours = retention
    found = provider.read(stream, shard, shard.first, 10)
    print(*(int(record["SequenceNumber"]) - shard.first for record in found["Records"]))
"""


def test_a_record_is_kept_for_the_retention_period() -> None:
    """24 hours, or more if the stream says so.

    https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html
    """
    done = run(AGED)

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["1 2 3", "2 3", "3"]
