"""A FIFO topic accepts a duplicate and does not deliver it.

Standard queues are subscribed: a FIFO queue would drop the duplicates itself. On the virtual clock.
"""

from typing import Any

import pytest
from harness import Lab, unique


class Topic:
    def __init__(self, lab: Lab, **attributes: str) -> None:
        self.lab, self.sns = lab, lab.instance.client("sns")
        fifo = {"FifoTopic": "true", **attributes}
        self.arn = self.sns.create_topic(Name=unique("topic") + ".fifo", Attributes=fifo)["TopicArn"]
        self.url = self.subscribed()

    def subscribed(self) -> str:
        url, queue = self.lab.instance.create_queue()
        raw = {"RawMessageDelivery": "true"}
        self.sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=queue, Attributes=raw)
        return url

    def publish(self, body: str, group: str = "a", **more: Any) -> None:
        assert self.sns.publish(TopicArn=self.arn, Message=body, MessageGroupId=group, **more)["MessageId"]

    def delivered(self, url: str = "") -> list[str]:
        """What was delivered until now: what is published last, as a mark, comes last."""
        mark, found = unique("mark"), []
        self.publish(mark, "mark", MessageDeduplicationId=mark)
        sqs, url = self.lab.instance.client("sqs"), url or self.url
        while mark not in found:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
            for message in answer.get("Messages", []):
                found.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return sorted(body for body in found if not body.startswith("mark"))


def test_a_duplicate_is_not_delivered_for_five_minutes(lab: Lab) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html"""
    topic = Topic(lab)
    topic.publish("first", MessageDeduplicationId="one")
    topic.publish("second", MessageDeduplicationId="one")
    late = topic.subscribed()
    topic.publish("third", "b", MessageDeduplicationId="one")
    assert topic.delivered() == ["first"]
    assert topic.delivered(late) == []
    lab.pass_time(301)

    topic.publish("fourth", MessageDeduplicationId="one")

    assert topic.delivered() == ["fourth"]


def test_the_body_is_the_identifier_with_content_based_deduplication(lab: Lab) -> None:
    """The attributes are not in its hash, and an identifier that is given comes before it."""
    topic = Topic(lab, ContentBasedDeduplication="true")
    topic.publish("same")
    topic.publish("same", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    topic.publish("same", MessageDeduplicationId="another")
    topic.publish("other")

    assert topic.delivered() == ["other", "same", "same"]


@pytest.mark.parametrize(("scope", "expected"), [("Topic", ["1"]), ("MessageGroup", ["1", "2"])])
def test_an_identifier_counts_in_its_scope(lab: Lab, scope: str, expected: list[str]) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/fifo-high-throughput.html"""
    topic = Topic(lab, FifoThroughputScope=scope)
    topic.publish("1", "a", MessageDeduplicationId="one")
    topic.publish("2", "b", MessageDeduplicationId="one")
    topic.publish("3", "a", MessageDeduplicationId="one")

    assert topic.delivered() == expected


def test_duplicates_in_a_batch_succeed_and_are_not_delivered(lab: Lab) -> None:
    topic = Topic(lab)
    topic.publish("1", MessageDeduplicationId="one")
    entries: Any = [
        {"Id": str(number), "Message": str(number), "MessageGroupId": "a", "MessageDeduplicationId": identifier}
        for number, identifier in ((2, "one"), (3, "two"), (4, "two"), (5, "three"))
    ]

    answer = topic.sns.publish_batch(TopicArn=topic.arn, PublishBatchRequestEntries=entries)

    assert len(answer["Successful"]) == 4
    assert topic.delivered() == ["1", "3", "5"]


def test_a_topic_that_is_made_again_remembers_nothing(lab: Lab) -> None:
    topic = Topic(lab)
    topic.publish("1", MessageDeduplicationId="one")
    assert topic.delivered() == ["1"]
    topic.sns.delete_topic(TopicArn=topic.arn)
    name = topic.arn.rpartition(":")[2]
    topic.arn = topic.sns.create_topic(Name=name, Attributes={"FifoTopic": "true"})["TopicArn"]
    topic.url = topic.subscribed()

    topic.publish("2", MessageDeduplicationId="one")

    assert topic.delivered() == ["2"]
