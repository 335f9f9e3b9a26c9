"""Faults of the infrastructure, which undo themselves: what is changed, and what is there again afterwards."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lab import faults
from lab.deployment import Deployment
from lab.targets import Target

ROLE = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    target = Target("endpoint", "moto", None, "us-east-1", "test")
    with mock_aws():
        yield Deployment("queue-buffer", target, "queue-buffer")


@pytest.fixture
def function(deployment: Deployment) -> str:
    """The name of a function with a timeout of 2 s and two variables."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("app.py", "def handler(event, context): ...")
    role = deployment.target.client("iam").create_role(RoleName="warehouse", AssumeRolePolicyDocument=ROLE)
    deployment.target.client("lambda").create_function(
        FunctionName="warehouse", Runtime="python3.13", Handler="app.handler", Timeout=2, Role=role["Role"]["Arn"],
        Code={"ZipFile": archive.getvalue()}, Environment={"Variables": {"TABLE_NAME": "t", "BACKOFF": "60"}},
    )  # fmt: skip
    return "warehouse"


def configuration(deployment: Deployment, function: str) -> dict[str, Any]:
    got = deployment.target.client("lambda").get_function_configuration(FunctionName=function)
    return {"Timeout": got["Timeout"], **got["Environment"]["Variables"]}


def test_a_functions_configuration_is_changed_and_comes_back_also_after_an_error(
    deployment: Deployment, function: str
) -> None:
    before = configuration(deployment, function)

    variables = {"Variables": {"BACKOFF": None, "MORE": "1"}}
    with pytest.raises(RuntimeError), faults.function_changed(deployment, function, Timeout=5, Environment=variables):
        assert configuration(deployment, function) == {"Timeout": 5, "TABLE_NAME": "t", "MORE": "1"}
        raise RuntimeError

    assert configuration(deployment, function) == before


def test_a_mappings_settings_are_changed_and_come_back_also_after_an_error(
    deployment: Deployment, function: str
) -> None:
    client = deployment.target.client("lambda")
    queue = deployment.target.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:{queue.rsplit('/', 1)[1]}"
    mapping = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=function, BatchSize=10)["UUID"]

    def batch_size() -> int:
        return int(client.get_event_source_mapping(UUID=mapping)["BatchSize"])

    with pytest.raises(RuntimeError), faults.mapping_changed(deployment, mapping, BatchSize=1):
        assert batch_size() == 1
        raise RuntimeError

    assert batch_size() == 10


def test_rules_are_in_force_together_and_leave_those_that_were_there(deployment: Deployment) -> None:
    deployment.__dict__["outputs"] = {"faults_parameter": "/queue-buffer/faults"}
    before = {"function": "warehouse", "mode": "crash", "probability": 0.1}
    parameter = {"Name": "/queue-buffer/faults", "Type": "String", "Value": json.dumps({"rules": [before]})}
    deployment.target.client("ssm").put_parameter(**parameter)
    more = [{"function": "warehouse", "mode": mode} for mode in ("exception", "timeout")]

    with faults.in_force(deployment, *more):
        assert faults.rules(deployment) == [before, *more]
    assert faults.rules(deployment) == [before]


def test_a_visibility_timeout_is_changed_and_comes_back(deployment: Deployment) -> None:
    sqs = deployment.target.client("sqs")
    url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]

    def timeout() -> str:
        got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
        return str(got["Attributes"]["VisibilityTimeout"])

    with faults.visibility_timeout(deployment, url, 3):
        assert timeout() == "3"
    assert timeout() == "60"


def test_a_topic_is_gone_and_comes_back_as_it_was(deployment: Deployment) -> None:
    sns = deployment.target.client("sns")
    key = {"KmsMasterKeyId": "alias/aws/sns"}
    arn = sns.create_topic(Name="customers", Attributes=key, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]

    with faults.topic_deleted(deployment, arn):
        assert sns.list_topics()["Topics"] == []

    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["KmsMasterKeyId"] == "alias/aws/sns"
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_definition_is_changed_and_comes_back(deployment: Deployment) -> None:
    client = deployment.target.client("stepfunctions")
    before = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    role = "arn:aws:iam::123456789012:role/any"
    arn = client.create_state_machine(name="order", definition=before, roleArn=role)["stateMachineArn"]

    def definition() -> str:
        return str(client.describe_state_machine(stateMachineArn=arn)["definition"])

    with faults.definition_changed(deployment, arn, lambda machine: machine["States"]["A"].update(Comment="changed")):
        assert json.loads(definition())["States"]["A"]["Comment"] == "changed"
    assert definition() == before
