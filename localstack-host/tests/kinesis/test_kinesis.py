"""Kinesis with many writers."""

from concurrent.futures import ThreadPoolExecutor

from harness import Instance, unique


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
