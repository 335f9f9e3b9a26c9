"""What becomes of messages in a queue: groups that wait, dead letters, and the end of the retention period.

On the virtual clock: what takes AWS a minute takes a moment here.
"""

import json
import urllib.parse
import urllib.request
from typing import Any

import pytest
from harness import Instance, Lab, unique

FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
KINDS = pytest.mark.parametrize("fifo", [False, True], ids=["standard", "FIFO"])


class Queue:
    """A queue and the requests that the tests make of it."""

    def __init__(self, instance: Instance, fifo: bool = False, **attributes: str) -> None:
        self.sqs, self.fifo = instance.client("sqs"), fifo
        name, kind = (unique("queue") + ".fifo", FIFO) if fifo else (unique("queue"), {})
        self.url, self.arn = instance.create_queue(name, **kind, **attributes)

    def send(self, *bodies: str, group: str = "a") -> None:
        for body in bodies:
            self.sqs.send_message(
                QueueUrl=self.url, MessageBody=body, **({"MessageGroupId": group} if self.fifo else {})
            )

    def receive(self, most: int = 10, **request: Any) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=most, MessageSystemAttributeNames=["All"], **request
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def bodies(self, most: int = 10, **request: Any) -> list[str]:
        return [message["Body"] for message in self.receive(most, **request)]

    def hide(self, message: dict[str, Any], seconds: int) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def delete(self, message: dict[str, Any]) -> None:
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def set(self, **attributes: str) -> None:
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

    def counts(self) -> list[int]:
        """Visible, in flight, delayed."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return [int(found[name]) for name in names]


def redrive(dead: Queue, receives: int = 1) -> str:
    return json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": receives})


def test_a_group_that_waits_keeps_no_other_group_waiting(lab: Lab) -> None:
    """While messages of a group are invisible no more of that group are returned; those of others are
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html)."""
    queue = Queue(lab.instance, fifo=True)
    queue.send("slow", group="slow")
    queue.send("quick", group="quick")

    assert queue.bodies(1, VisibilityTimeout=600) == ["slow"]
    assert queue.bodies(1, VisibilityTimeout=1) == ["quick"]
    lab.pass_time(2)

    assert queue.bodies() == ["quick"]


def test_a_poison_message_is_dead_lettered_while_another_group_waits(lab: Lab) -> None:
    dead = Queue(lab.instance, fifo=True)
    queue = Queue(lab.instance, fifo=True, RedrivePolicy=redrive(dead), VisibilityTimeout="1")
    queue.send("slow", group="slow")
    queue.send("poison", "next", group="quick")
    assert queue.bodies(1, VisibilityTimeout=600) == ["slow"]
    assert queue.bodies(1) == ["poison"]
    lab.pass_time(2)

    assert queue.bodies(1) == ["next"]
    assert dead.bodies() == ["poison"]


def test_a_group_waits_for_all_of_its_messages_in_flight(lab: Lab) -> None:
    """No more messages of a group are returned until those that were received are deleted or visible again
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html)."""
    queue = Queue(lab.instance, fifo=True)
    queue.send("1", "2", "3", "4")
    first, second, third = queue.receive(3)

    queue.hide(third, 0)
    assert queue.bodies() == []
    queue.delete(first)
    assert queue.bodies() == []
    queue.hide(second, 0)

    assert queue.bodies() == ["2", "3", "4"]


def test_a_receipt_handle_of_a_fifo_queue_is_of_no_use_after_its_visibility_timeout(lab: Lab) -> None:
    """A consumer that tries to delete a message after its visibility timeout gets an error
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html)."""
    queue = Queue(lab.instance, fifo=True)
    queue.send("order")
    (late,) = queue.receive(VisibilityTimeout=1)
    lab.pass_time(2)

    with pytest.raises(queue.sqs.exceptions.ClientError, match=r"InvalidParameterValue.*receipt handle has expired"):
        queue.delete(late)
    (again,) = queue.receive()
    with pytest.raises(queue.sqs.exceptions.ClientError, match=r"InvalidParameterValue.*receipt handle has expired"):
        queue.delete(late)
    queue.delete(again)
    assert queue.counts() == [0, 0, 0]


@KINDS
def test_messages_stay_when_their_dead_letter_queue_is_gone(lab: Lab, fifo: bool) -> None:
    """Belief, and what public bug reports say of AWS: they are delivered as without one."""
    dead = Queue(lab.instance, fifo)
    queue = Queue(lab.instance, fifo, RedrivePolicy=redrive(dead), VisibilityTimeout="0")
    queue.send("order")
    dead.sqs.delete_queue(QueueUrl=dead.url)

    assert [queue.bodies() for _ in range(3)] == [["order"]] * 3


@KINDS
def test_a_dead_letter_is_moved_at_the_receive_after_the_last(lab: Lab, fifo: bool) -> None:
    """When the ReceiveCount exceeds maxReceiveCount, the message is moved; it counts receives across queues
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html,
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html). In a FIFO queue its
    deduplication id becomes its message id."""
    dead = Queue(lab.instance, fifo)
    queue = Queue(lab.instance, fifo, RedrivePolicy=redrive(dead, 2), VisibilityTimeout="1")
    queue.send("order")
    for _ in range(2):
        (message,) = queue.receive()
        lab.pass_time(2)
        assert (queue.counts(), dead.counts()) == ([1, 0, 0], [0, 0, 0])

    assert queue.receive() == []

    (letter,) = dead.receive()
    assert letter["MessageId"] == message["MessageId"]
    attributes = letter["Attributes"]
    assert attributes["ApproximateReceiveCount"] == "3"
    assert attributes["DeadLetterQueueSourceArn"] == queue.arn
    assert attributes.get("MessageDeduplicationId") == (message["MessageId"] if fifo else None)


@KINDS
def test_a_message_is_gone_after_the_retention_period_in_whatever_state(lab: Lab, fifo: bool) -> None:
    """MessageRetentionPeriod: the seconds for which SQS retains a message
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html)."""
    queue = Queue(lab.instance, fifo, MessageRetentionPeriod="60")
    queue.send("visible", group="a")
    queue.send("in flight", group="b")
    queue.set(DelaySeconds="90")
    queue.send("delayed", group="c")
    assert queue.bodies(1, VisibilityTimeout=600)
    lab.pass_time(30)
    assert queue.counts() == [1, 1, 1]

    lab.pass_time(31)

    assert queue.counts() == [0, 0, 0]
    assert queue.receive() == []


def test_a_longer_retention_period_is_one_for_messages_that_are_there(lab: Lab) -> None:
    """Belief: "the change can take up to 15 minutes and will impact existing messages in the queue"
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html) is at once."""
    queue = Queue(lab.instance, MessageRetentionPeriod="60")
    queue.send("order")
    queue.set(MessageRetentionPeriod="120")
    lab.pass_time(90)

    assert queue.bodies() == ["order"]


@pytest.mark.parametrize(("fifo", "left"), [(False, [0, 0, 0]), (True, [1, 0, 0])], ids=["standard", "FIFO"])
def test_the_age_of_a_dead_letter(lab: Lab, fifo: bool, left: list[int]) -> None:
    """Standard: the expiration of a message is always based on its original enqueue timestamp. FIFO: the timestamp
    resets with the move
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html)."""
    dead = Queue(lab.instance, fifo, MessageRetentionPeriod="120")
    queue = Queue(lab.instance, fifo, RedrivePolicy=redrive(dead), VisibilityTimeout="0")
    queue.send("order")
    assert queue.bodies() == ["order"]
    lab.pass_time(90)
    assert queue.bodies() == []
    assert dead.counts() == [1, 0, 0]

    lab.pass_time(60)

    assert dead.counts() == left


@KINDS
def test_a_long_poll_ends_when_a_message_becomes_visible(lab: Lab, fifo: bool) -> None:
    """A long poll responds when a message is available
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html)."""
    queue = Queue(lab.instance, fifo, VisibilityTimeout="2")
    queue.send("order")
    assert queue.bodies() == ["order"]
    sent = lab.page.now()

    assert queue.bodies(WaitTimeSeconds=20) == ["order"]
    assert lab.page.now() - sent < 10


@KINDS
def test_a_purged_queue_has_none_of_its_messages_and_takes_new_ones(lab: Lab, fifo: bool) -> None:
    """Those that wait and those in flight, whose group is free again.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
    """
    queue = Queue(lab.instance, fifo)
    queue.send("in flight", "waiting")
    assert queue.bodies(1) == ["in flight"]

    queue.sqs.purge_queue(QueueUrl=queue.url)
    queue.send("new")

    assert queue.bodies() == ["new"]


def test_a_deduplication_id_is_remembered_for_five_minutes_whatever_becomes_of_its_message(lab: Lab) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html"""
    queue = Queue(lab.instance, fifo=True)
    queue.send("one")
    (first,) = queue.receive()
    queue.delete(first)
    lab.pass_time(290)
    queue.send("one")
    assert queue.counts() == [0, 0, 0]

    lab.pass_time(20)
    queue.send("one")

    assert queue.bodies() == ["one"]


@pytest.mark.parametrize(("scope", "expected"), [("queue", ["one"]), ("messageGroup", ["one", "one"])])
def test_a_deduplication_id_counts_in_its_scope(lab: Lab, scope: str, expected: list[str]) -> None:
    """In the queue, or with high throughput in the message group; another group's message does not make it forgotten.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html
    """
    queue = Queue(lab.instance, fifo=True, DeduplicationScope=scope)

    for group in ("a", "b", "a"):
        queue.send("one", group=group)

    assert queue.bodies() == expected


def test_the_developer_endpoint_lists_what_it_is_asked_for(lab: Lab) -> None:
    """LocalStack's own: messages without receiving them."""
    queue = Queue(lab.instance, fifo=True)
    queue.send("1", "2", group="a")
    queue.send("3", group="b")
    queue.set(DelaySeconds="90")
    queue.send("4", group="c")
    assert queue.bodies(1) == ["1"]

    def listed(**parameters: str) -> set[str]:
        return {message["Body"] for message in peek(lab, queue.url, **parameters)}

    assert listed() == {"3"}
    assert listed(ShowInvisible="true") == {"1", "2", "3"}
    assert listed(ShowDelayed="true") == {"3", "4"}


def peek(lab: Lab, url: str, **parameters: str) -> list[dict[str, Any]]:
    place = "/".join(["us-east-1", *url.rsplit("/", 2)[1:]])
    request = urllib.request.Request(
        f"{lab.instance.endpoint}/_aws/sqs/messages/{place}?{urllib.parse.urlencode(parameters)}",
        headers={"Content-Type": "application/x-amz-json-1.0"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: list[dict[str, Any]] = json.load(answer).get("Messages", [])
    return found
