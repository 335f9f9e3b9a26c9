"""AWS SDK integrations: their names of services, actions and errors.

https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
"""

import json
from typing import Any

import pytest
from harness import Instance, unique
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.stepfunctions.aws_sdk_names import boto_name, exception, prefix, words
from state_machines import PASS, create, machine, run

DOCUMENTED = {  # the service's id, and its "Exception prefix" in the documentation's table
    "ACM PCA": "AcmPca",
    "API Gateway": "ApiGateway",
    "AmplifyUIBuilder": "AmplifyUiBuilder",
    "ApiGatewayV2": "ApiGatewayV2",
    "Application Auto Scaling": "ApplicationAutoScaling",
    "Application Discovery Service": "ApplicationDiscovery",
    "CloudHSM V2": "CloudHsmV2",
    "CloudWatch": "CloudWatch",
    "CloudWatch Logs": "CloudWatchLogs",
    "Cognito Identity Provider": "CognitoIdentityProvider",
    "Database Migration Service": "DatabaseMigration",
    "Directory Service": "Directory",
    "DocDB": "DocDb",
    "DynamoDB": "DynamoDb",
    "DynamoDB Streams": "DynamoDbStreams",
    "EC2": "Ec2",
    "EC2 Instance Connect": "Ec2InstanceConnect",
    "Elastic Load Balancing v2": "ElasticLoadBalancingV2",
    "EventBridge": "EventBridge",
    "FSx": "FSx",
    "Inspector2": "Inspector2",
    "IoT": "Iot",
    "IoTSiteWise": "IoTSiteWise",
    "KMS": "Kms",
    "Kinesis": "Kinesis",
    "Lambda": "Lambda",
    "MTurk": "MTurk",
    "Route53Resolver": "Route53Resolver",
    "S3": "S3",
    "S3 Control": "S3Control",
    "SESv2": "SesV2",
    "SFN": "Sfn",
    "SNS": "Sns",
    "SQS": "Sqs",
    "SSM": "Ssm",
    "STS": "Sts",
    "SageMaker A2I Runtime": "SageMakerA2IRuntime",
    "Secrets Manager": "SecretsManager",
    "WAFV2": "Wafv2",
    "XRay": "XRay",
    "identitystore": "Identitystore",
    "mq": "Mq",
}


@pytest.mark.parametrize(("service_id", "expected"), DOCUMENTED.items())
def test_the_prefix_of_a_service(service_id: str, expected: str) -> None:
    """The table's column "Exception prefix"; in lower case it is the service's name in a Resource.

    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    assert prefix(service_id) == expected


@pytest.mark.parametrize(
    ("service_id", "error", "expected"),
    [
        ("ACM PCA", "ResourceNotFoundException", "AcmPca.ResourceNotFoundException"),
        ("S3", "BucketAlreadyExists", "S3.BucketAlreadyExistsException"),
        ("KMS", "KMSInvalidStateException", "Kms.KmsInvalidStateException"),
        ("SQS", "QueueDoesNotExist", "Sqs.QueueDoesNotExistException"),
        ("SFN", "ExecutionAlreadyExists", "Sfn.ExecutionAlreadyExistsException"),
        ("DynamoDB", None, "DynamoDb.DynamoDbException"),
    ],
)
def test_the_name_of_an_error(service_id: str, error: str | None, expected: str) -> None:
    """The first two are the documentation's.

    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    assert exception(service_id, error) == expected


@given(st.text(alphabet="abcDEFvV019 -", max_size=12))
def test_words_keep_all_letters(name: str) -> None:
    """Only what separates words is lost, and a word is not split twice."""
    assert "".join(words(name)) == name.replace(" ", "").replace("-", "")
    assert [word for word in words(name) if words(word) != [word] and "v" not in word.lower()] == []


def test_a_service_has_one_name() -> None:
    """A service is known by AWS's name only: "eventbridge", not boto3's "events".

    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    known = ["events", "logs", "sqs", "resource-groups", "stepfunctions", "cognito-idp"]
    names = ["eventbridge", "cloudwatchlogs", "sqs", "resourcegroups", "sfn", "cognitoidentityprovider"]

    assert [boto_name(name, known) for name in names] == known
    assert [name for name in (*known, "nothing") if boto_name(name, known)] == ["sqs"]


def task(action: str, **parameters: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:{action}", "Parameters": parameters, "End": True}


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (task("sqs:getQueueUrl", QueueName="missing"), "Sqs.QueueDoesNotExistException"),
        (task("dynamodb:getItem", TableName="missing", Key={}), "DynamoDb.ResourceNotFoundException"),
        (task("cloudwatchlogs:deleteLogGroup", LogGroupName="gone"), "CloudWatchLogs.ResourceNotFoundException"),
        (task("eventbridge:describeRule", Name="missing"), "EventBridge.ResourceNotFoundException"),
        (task("sfn:describeActivity", ActivityArn="arn:aws:states:us-east-1:000000000000:activity:gone"), "Sfn."),
        (task("s3:getObject", Bucket="missing-bucket-of-nobody", Key="k"), "S3.NoSuchBucketException"),
        (task("ssm:getParameter", Name="missing"), "Ssm.ParameterNotFoundException"),
        (task("lambda:getFunction", FunctionName="missing"), "Lambda.ResourceNotFoundException"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_is_caught_by_its_name(localstack: Instance, state: dict[str, Any], error: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html"""
    error = "Sfn.ActivityDoesNotExistException" if error == "Sfn." else error
    definition = machine(T={**state, "Catch": [{"ErrorEquals": [error], "Next": "Caught"}]}, Caught=PASS)

    caught = run(localstack, definition)

    assert caught["status"] == "SUCCEEDED", caught
    found = json.loads(caught["output"])
    assert found["Error"] == error
    assert f"(Service: {error.partition('.')[0]}, Status Code: 4" in found["Cause"]


def test_a_service_is_called_by_its_name(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html"""
    group = unique("/group/")
    entry = {"Source": "test", "DetailType": "d", "Detail": {"a": 1}}
    definition = machine(
        A={**task("cloudwatchlogs:createLogGroup", LogGroupName=group), "End": False, "Next": "B"},
        B=task("eventbridge:putEvents", Entries=[entry]),
    )
    del definition["States"]["A"]["End"]

    ended = run(localstack, definition)

    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["FailedEntryCount"] == 0
    found = localstack.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [one["logGroupName"] for one in found] == [group]


@pytest.mark.parametrize("action", ["events:putEvents", "logs:createLogGroup", "nothing:putItem", "sqs:sendNothing"])
def test_a_service_or_an_action_that_there_is_not_is_refused(localstack: Instance, action: str) -> None:
    """The message is a belief.

    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    client = localstack.client("stepfunctions")

    with pytest.raises(client.exceptions.InvalidDefinition, match=f"aws-sdk:{action} is not recognized"):
        create(localstack, machine(T=task(action)))
