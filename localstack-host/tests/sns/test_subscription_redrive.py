"""The dead-letter queue of a subscription can be taken away."""

import json

import pytest
from harness import Instance, unique


def test_the_dead_letter_queue_can_be_taken_away_from_a_subscription(localstack: Instance) -> None:
    sns = localstack.client("sns")
    _, target = localstack.create_queue()
    _, dead = localstack.create_queue()
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    subscription = sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=target,
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead})},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]

    def attributes() -> dict[str, str]:
        found: dict[str, str] = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
        return found

    assert "RedrivePolicy" in attributes()

    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="RedrivePolicy")

    assert "RedrivePolicy" not in attributes()


def test_a_subscription_that_does_not_exist_has_no_dead_letter_queue_to_take_away(
    localstack: Instance,
) -> None:
    sns = localstack.client("sns")
    arn = f"arn:aws:sns:us-east-1:000000000000:none:{'0' * 8}-0000-0000-0000-{'0' * 12}"

    with pytest.raises(sns.exceptions.NotFoundException):
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="RedrivePolicy")
