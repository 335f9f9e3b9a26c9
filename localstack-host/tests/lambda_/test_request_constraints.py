"""Requests that Lambda refuses before anything is done: ranges, names, reserved variables, published versions."""

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from harness import ROLE, Instance, archive

ECHO = "def handler(event, context): return event"
CREATE = {
    "Runtime": "python3.13",
    "Role": ROLE,
    "Handler": "app.handler",
    "Code": {"ZipFile": archive({"app.py": ECHO})},
}


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    """The code and the message of the error that a call must end with."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def outside(path: str, value: int, bound: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value {bound}"


@pytest.fixture(scope="module")
def function(localstack: Instance) -> str:
    return localstack.create_function(ECHO)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Timeout": 901}, outside("timeout", 901, "less than or equal to 900")),
        ({"MemorySize": 10_241}, outside("memorySize", 10_241, "less than or equal to 10240")),
        (
            {"EphemeralStorage": {"Size": 10_241}},
            outside("ephemeralStorage.size", 10_241, "less than or equal to 10240"),
        ),
    ],
)
def test_settings_out_of_range_are_refused(
    localstack: Instance, function: str, settings: dict[str, Any], message: str
) -> None:
    """A timeout of at most 900 s, 128 to 10,240 MB of memory, 512 to 10,240 MB of /tmp.

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    client, expected = localstack.client("lambda"), ("ValidationException", f"1 validation error detected: {message}")
    before = client.get_function_configuration(FunctionName=function)

    assert refused(client.create_function, FunctionName=f"{function}-refused", **CREATE | settings) == expected
    assert refused(client.update_function_configuration, FunctionName=function, **settings) == expected

    assert client.get_function_configuration(FunctionName=function)["RevisionId"] == before["RevisionId"]


@pytest.mark.parametrize(("name", "least"), [("timeout", 1), ("memorySize", 128)])
def test_what_a_client_sends_without_checking_is_refused(
    localstack: Instance, function: str, name: str, least: int
) -> None:
    client = boto3.client(
        "lambda",
        endpoint_url=localstack.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(parameter_validation=False),
    )

    refusal = refused(
        client.update_function_configuration, FunctionName=function, **{name[0].upper() + name[1:]: least - 1}
    )

    message = outside(name, least - 1, f"greater than or equal to {least}")
    assert refusal == ("ValidationException", f"1 validation error detected: {message}")


def test_each_violation_is_named(localstack: Instance, function: str) -> None:
    code, message = refused(
        localstack.client("lambda").update_function_configuration,
        FunctionName=function,
        Timeout=1000,
        MemorySize=20_000,
    )

    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: ")
    assert outside("timeout", 1000, "less than or equal to 900") in message
    assert outside("memorySize", 20_000, "less than or equal to 10240") in message


def test_the_bounds_themselves_are_taken(localstack: Instance) -> None:
    for settings in ({"Timeout": 900, "MemorySize": 10_240}, {"Timeout": 1, "MemorySize": 128}):
        name = localstack.create_function(ECHO, **settings)
        found = localstack.client("lambda").get_function_configuration(FunctionName=name)
        assert {key: found[key] for key in settings} == settings


@pytest.mark.parametrize(
    ("operation", "arguments", "path"),
    [
        ("put_function_event_invoke_config", {"MaximumRetryAttempts": 3}, "maximumRetryAttempts"),
        ("put_function_event_invoke_config", {"MaximumEventAgeInSeconds": 21_601}, "maximumEventAgeInSeconds"),
        ("create_event_source_mapping", {"ParallelizationFactor": 11}, "parallelizationFactor"),
        ("create_event_source_mapping", {"MaximumBatchingWindowInSeconds": 301}, "maximumBatchingWindowInSeconds"),
        ("create_event_source_mapping", {"MaximumRetryAttempts": 10_001}, "maximumRetryAttempts"),
        ("create_event_source_mapping", {"MaximumRecordAgeInSeconds": 604_801}, "maximumRecordAgeInSeconds"),
        (
            "create_event_source_mapping",
            {"ScalingConfig": {"MaximumConcurrency": 1001}},
            "scalingConfig.maximumConcurrency",
        ),
    ],
)
def test_numbers_of_other_requests_have_ranges_too(
    localstack: Instance, function: str, operation: str, arguments: dict[str, Any], path: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html

    https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
    """
    code, message = refused(getattr(localstack.client("lambda"), operation), FunctionName=function, **arguments)

    assert code == "ValidationException"
    assert f"at '{path}' failed to satisfy constraint: Member must have value less than or equal to" in message


@pytest.mark.parametrize(
    "name", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "LAMBDA_TASK_ROOT"]
)
def test_reserved_variables_are_refused(localstack: Instance, function: str, name: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    client, environment = localstack.client("lambda"), {"Variables": {name: "mine", "GREETING": "hello"}}

    for refusal in (
        refused(client.update_function_configuration, FunctionName=function, Environment=environment),
        refused(client.create_function, FunctionName=f"{function}-refused", **CREATE, Environment=environment),
    ):
        assert refusal[0] == "InvalidParameterValueException"
        assert refusal[1].endswith(f"Reserved keys used in this request: {name}")


@pytest.mark.parametrize("name", ["_HANDLER", "A", "1ST", "WITH-DASH"])
def test_names_of_variables_begin_with_a_letter(localstack: Instance, function: str, name: str) -> None:
    """At least two characters: letters, digits and underscores.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    code, message = refused(
        localstack.client("lambda").update_function_configuration,
        FunctionName=function,
        Environment={"Variables": {name: "x"}},
    )

    assert (code, "[a-zA-Z]([a-zA-Z0-9_])+" in message) == ("ValidationException", True)


def test_variables_that_the_runtime_does_not_reserve_are_taken(localstack: Instance) -> None:
    variables = {"AWS_LAMBDA_EXEC_WRAPPER_X": "x", "PATH_TO_IT": "p", "LANG": "C", "TZ": "UTC"}
    name = localstack.create_function(ECHO, Variables=variables)

    found = localstack.client("lambda").get_function_configuration(FunctionName=name)

    assert found["Environment"]["Variables"] == variables


def test_only_the_unpublished_version_can_be_updated(localstack: Instance) -> None:
    """Settings are locked when a version is published.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html and API_UpdateFunctionCode
    """
    client, name = localstack.client("lambda"), localstack.create_function(ECHO)
    arn = client.publish_version(FunctionName=name)["FunctionArn"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    before = client.get_function_configuration(FunctionName=name)

    for qualified in (arn, f"{name}:1", f"{name}:live"):
        for call, arguments in (
            (client.update_function_configuration, {"Timeout": 20}),
            (client.update_function_code, {"ZipFile": archive({"app.py": ECHO})}),
        ):
            assert refused(call, FunctionName=qualified, **arguments)[0] == "InvalidParameterValueException"

    assert client.get_function_configuration(FunctionName=name)["RevisionId"] == before["RevisionId"]
    updated = client.update_function_configuration(FunctionName=f"{name}:$LATEST", Timeout=20)
    assert updated["Timeout"] == 20
