"""A message that a move task redrives is a new message: what it keeps, and what it does not."""

import json
from typing import Any

import pytest
from harness import Instance, depth, unique, wait_until

FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}


def dead_lettered(localstack: Instance, fifo: bool, **message: Any) -> tuple[str, str, str]:
    """Sends a message that is received once and then dead-lettered: the urls of both queues, the second's ARN."""
    sqs = localstack.client("sqs")
    suffix, kind = (".fifo", FIFO) if fifo else ("", {})
    dlq_url, dlq_arn = localstack.create_queue(unique("dead") + suffix, **kind)
    redrive = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": 1})
    url, _ = localstack.create_queue(unique("source") + suffix, VisibilityTimeout="0", RedrivePolicy=redrive, **kind)
    sqs.send_message(QueueUrl=url, **message)
    assert sqs.receive_message(QueueUrl=url)["Messages"]
    wait_until(lambda: "Messages" not in sqs.receive_message(QueueUrl=url) and depth(localstack, dlq_url) == 1)
    return url, dlq_url, dlq_arn


def next_message(localstack: Instance, url: str, **request: Any) -> dict[str, Any]:
    """One message, with all its attributes, once there is one."""
    sqs = localstack.client("sqs")

    def message() -> Any:
        answer = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"], **request)
        return answer.get("Messages")

    found: list[dict[str, Any]] = wait_until(message)
    return found[0]


@pytest.mark.parametrize("to", ["source", "another"])
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "FIFO"])
def test_a_redriven_message_is_a_new_message(localstack: Instance, fifo: bool, to: str) -> None:
    """All redriven messages are considered new messages with a new messageID and enqueueTime
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html)."""
    sqs = localstack.client("sqs")
    group = {"MessageGroupId": "a"} if fifo else {}
    attribute = {"DataType": "String", "StringValue": "kept"}
    url, dlq_url, dlq_arn = dead_lettered(
        localstack, fifo, MessageBody="order", MessageAttributes={"trace": attribute}, **group
    )
    request = {"SourceArn": dlq_arn}
    if to == "another":
        name = unique("another") + (".fifo" if fifo else "")
        url, request["DestinationArn"] = localstack.create_queue(name, **(FIFO if fifo else {}))
    dead = next_message(localstack, dlq_url, VisibilityTimeout=0)

    sqs.start_message_move_task(**request)

    new = next_message(localstack, url)
    assert new["MessageId"] != dead["MessageId"]
    assert int(new["Attributes"]["SentTimestamp"]) > int(dead["Attributes"]["SentTimestamp"])
    assert new["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in new["Attributes"]
    assert new["Body"] == dead["Body"]
    assert new["MessageAttributes"] == dead["MessageAttributes"]
    assert new["Attributes"].get("MessageGroupId") == group.get("MessageGroupId")
    assert depth(localstack, dlq_url) == 0


def states(localstack: Instance, dlq_arn: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = localstack.client("sqs").list_message_move_tasks(SourceArn=dlq_arn)["Results"]
    return results


def test_a_task_whose_destination_is_gone_fails_and_keeps_the_message(localstack: Instance) -> None:
    """Recorded on AWS: Status FAILED, FailureReason AWS.SimpleQueueService.NonExistentQueue."""
    sqs = localstack.client("sqs")
    _, dlq_url, dlq_arn = dead_lettered(localstack, False, MessageBody="order")
    gone, _ = localstack.create_queue()
    for number in range(3):
        sqs.send_message(QueueUrl=dlq_url, MessageBody=str(number))
    destination = sqs.get_queue_attributes(QueueUrl=gone, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    sqs.start_message_move_task(SourceArn=dlq_arn, DestinationArn=destination, MaxNumberOfMessagesPerSecond=1)
    sqs.delete_queue(QueueUrl=gone)

    wait_until(lambda: states(localstack, dlq_arn)[0]["Status"] == "FAILED")
    assert states(localstack, dlq_arn)[0]["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    moved = states(localstack, dlq_arn)[0]["ApproximateNumberOfMessagesMoved"]
    wait_until(lambda: depth(localstack, dlq_url) == 4 - moved)


def test_a_cancelled_task_stops_and_keeps_the_rest(localstack: Instance) -> None:
    """Cancelling stops the task; messages that were moved stay moved
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CancelMessageMoveTask.html)."""
    sqs = localstack.client("sqs")
    url, dlq_url, dlq_arn = dead_lettered(localstack, False, MessageBody="order")
    for number in range(9):
        sqs.send_message(QueueUrl=dlq_url, MessageBody=str(number))
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    task = sqs.start_message_move_task(SourceArn=dlq_arn, DestinationArn=arn, MaxNumberOfMessagesPerSecond=1)
    sqs.cancel_message_move_task(TaskHandle=task["TaskHandle"])

    wait_until(lambda: states(localstack, dlq_arn)[0]["Status"] == "CANCELLED")
    moved = states(localstack, dlq_arn)[0]["ApproximateNumberOfMessagesMoved"]
    assert moved < 10
    assert depth(localstack, dlq_url) == 10 - moved
