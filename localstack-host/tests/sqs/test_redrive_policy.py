"""What the RedrivePolicy and the RedriveAllowPolicy of a queue may say."""

import json
from collections.abc import Callable

import pytest
from harness import Instance, unique


def redrive_to(arn: str) -> str:
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})


def test_redrive_allow_policy_can_be_taken_away(localstack: Instance) -> None:
    sqs = localstack.client("sqs")
    url, arn = localstack.create_queue(RedriveAllowPolicy='{"redrivePermission":"denyAll"}')

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedriveAllowPolicy": ""})

    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert "RedriveAllowPolicy" not in attributes
    localstack.create_queue(RedrivePolicy=redrive_to(arn))


def test_deny_all_refuses_every_source_queue(localstack: Instance) -> None:
    sqs = localstack.client("sqs")
    _, dead = localstack.create_queue(RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    source, _ = localstack.create_queue()

    with pytest.raises(sqs.exceptions.ClientError, match=r"InvalidParameterValue.*RedrivePolicy is invalid"):
        localstack.create_queue(RedrivePolicy=redrive_to(dead))
    with pytest.raises(sqs.exceptions.ClientError, match=r"InvalidParameterValue.*RedrivePolicy is invalid"):
        sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": redrive_to(dead)})


def test_by_queue_allows_the_queues_that_it_names(localstack: Instance) -> None:
    sqs = localstack.client("sqs")
    url, dead = localstack.create_queue()
    name = unique("source")
    allowed = dead.rsplit(":", 1)[0] + f":{name}"  # need not exist yet
    policy = {"redrivePermission": "byQueue", "sourceQueueArns": [allowed]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedriveAllowPolicy": json.dumps(policy)})

    localstack.create_queue(name, RedrivePolicy=redrive_to(dead))
    with pytest.raises(sqs.exceptions.ClientError, match="does not allow"):
        localstack.create_queue(RedrivePolicy=redrive_to(dead))


@pytest.mark.parametrize(
    "policy",
    [
        "no JSON",
        "[" * 10_000,
        '{"redrivePermission":"all"}',
        '{"redrivePermission":"byQueue"}',
        '{"redrivePermission":"denyAll","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:a"]}',
    ],
)
def test_a_redrive_allow_policy_that_is_none_is_refused(localstack: Instance, policy: str) -> None:
    with pytest.raises(localstack.client("sqs").exceptions.ClientError, match="RedriveAllowPolicy is invalid"):
        localstack.create_queue(RedriveAllowPolicy=policy)


def other_kind(localstack: Instance) -> str:
    return redrive_to(localstack.create_queue(unique("dead") + ".fifo", FifoQueue="true")[1])


def gone(localstack: Instance) -> str:
    url, arn = localstack.create_queue()
    localstack.client("sqs").delete_queue(QueueUrl=url)
    return redrive_to(arn)


def elsewhere(localstack: Instance) -> str:
    return redrive_to(localstack.create_queue()[1].replace("us-east-1", "eu-west-1"))


def receives(count: object) -> Callable[[Instance], str]:
    def policy(localstack: Instance) -> str:
        return json.dumps({"deadLetterTargetArn": localstack.create_queue()[1], "maxReceiveCount": count})

    return policy


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (other_kind, "must be same type of queue as the source"),
        (gone, "Dead letter target does not exist"),
        (elsewhere, "account and Region"),
        (lambda _: redrive_to("queue"), "account and Region"),
        (receives(0), "maxReceiveCount"),
        (receives(1001), "maxReceiveCount"),
        (receives("some"), "maxReceiveCount"),
        (lambda _: '{"maxReceiveCount":3}', "deadLetterTargetArn"),
        (lambda localstack: json.dumps({"deadLetterTargetArn": localstack.create_queue()[1]}), "maxReceiveCount"),
    ],
)
def test_a_redrive_policy_that_cannot_work_is_refused_and_not_kept(
    localstack: Instance, policy: Callable[[Instance], str], reason: str
) -> None:
    """The dead-letter queue of a FIFO queue must also be FIFO, that of a standard queue also standard; both are in one
    account and Region; maxReceiveCount is 1 to 1,000
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue.html)."""
    sqs, name, text = localstack.client("sqs"), unique("source"), policy(localstack)
    url, _ = localstack.create_queue()

    with pytest.raises(sqs.exceptions.ClientError, match=f"InvalidParameterValue.*RedrivePolicy is invalid.*{reason}"):
        localstack.create_queue(name, RedrivePolicy=text)
    with pytest.raises(sqs.exceptions.ClientError, match=f"InvalidParameterValue.*RedrivePolicy is invalid.*{reason}"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": text})

    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=name)
    assert "RedrivePolicy" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
