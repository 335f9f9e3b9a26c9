"""The age of a queue's oldest message."""

import time
from typing import Any

from harness import Instance, statistics, wait_until


def test_age_of_the_oldest_message(localstack: Instance) -> None:
    url, _ = localstack.create_queue()
    name = url.rsplit("/", 1)[1]
    sqs = localstack.client("sqs")

    def age() -> float:
        return max(
            statistics(localstack, "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName=name),
            default=0,
        )

    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="old")

    wait_until(lambda: age() >= 2)
    assert age() <= time.monotonic() - sent + 1


def test_a_message_received_three_times_no_longer_counts_for_the_age(localstack: Instance) -> None:
    url, _ = localstack.create_queue(VisibilityTimeout="0")
    name = url.rsplit("/", 1)[1]
    sqs = localstack.client("sqs")
    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(3):
        assert sqs.receive_message(QueueUrl=url)["Messages"]
    counted = time.monotonic() - sent

    def metric(of: str, statistic: str) -> list[Any]:
        return statistics(localstack, "AWS/SQS", of, statistic, QueueName=name)

    wait_until(lambda: metric("ApproximateAgeOfOldestMessage", "SampleCount")[0:] >= [counted + 4])
    assert metric("ApproximateNumberOfMessagesVisible", "Maximum") == [1]
    assert metric("ApproximateAgeOfOldestMessage", "Maximum")[0] <= counted + 1
