"""RedriveAllowPolicy of a queue, and the RedrivePolicy of an SNS subscription."""

import json

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
