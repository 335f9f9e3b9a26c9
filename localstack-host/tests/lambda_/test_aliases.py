"""Aliases that divide the invocations between two versions, and what may not be done to them."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance, archive, unique, wait_until

VERSION = """
def handler(event, context):
    print("served", context.function_version, context.log_stream_name, context.invoked_function_arn)
    return {version}
"""


@pytest.fixture(scope="module")
def function(localstack: Instance) -> str:
    """A function with two published versions, which return 1 and 2, and a third with another role."""
    name = two_versions(localstack)
    client = localstack.client("lambda")
    client.update_function_configuration(FunctionName=name, Role="arn:aws:iam::000000000000:role/other")
    publish(localstack, name)
    return name


def two_versions(localstack: Instance) -> str:
    name = localstack.create_function(VERSION.format(version=1))
    publish(localstack, name)
    code = archive({"app.py": VERSION.format(version=2)})
    localstack.client("lambda").update_function_code(FunctionName=name, ZipFile=code)
    publish(localstack, name)
    return name


def publish(localstack: Instance, name: str) -> None:
    """Publishes what there is when it is in force, and waits until it can be invoked."""
    client = localstack.client("lambda")
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    version = client.publish_version(FunctionName=name)["Version"]
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version, WaiterConfig={"Delay": 1})


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    """The code and the message of the error that a call must end with."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def served(localstack: Instance, function: str, alias: str) -> tuple[str, Any]:
    """The version that the reply names, and what that version returned."""
    reply = localstack.client("lambda").invoke(FunctionName=function, Qualifier=alias)
    return reply["ExecutedVersion"], json.loads(reply["Payload"].read())


def test_a_weighted_alias_is_served_by_both_versions(localstack: Instance, function: str) -> None:
    """Lambda distributes the traffic by chance, by the weights; reply and log name the version.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    client = localstack.client("lambda")
    client.create_alias(FunctionName=function, Name="canary", FunctionVersion="1")
    assert served(localstack, function, "canary") == ("1", 1)

    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    updated = client.update_alias(FunctionName=function, Name="canary", RoutingConfig=weights)

    assert (updated["FunctionVersion"], updated["RoutingConfig"]) == ("1", weights)
    assert client.get_alias(FunctionName=function, Name="canary")["RoutingConfig"] == weights
    seen: set[tuple[str, Any]] = set()

    def both() -> bool:
        seen.add(served(localstack, function, "canary"))
        return len(seen) > 1

    wait_until(both, every=0)
    assert seen == {("1", 1), ("2", 2)}

    def logged() -> dict[str, list[str]]:
        """A line of each version; empty while one is missing."""
        lines = {line.split()[1]: line.split() for line in localstack.messages(function, "served")}
        return lines if lines.keys() >= {"1", "2"} else {}

    lines = wait_until(logged)
    for version in ("1", "2"):
        stream, arn = lines[version][2:]
        assert f"[{version}]" in stream
        assert arn.endswith(f":{function}:canary")


def test_an_asynchronous_invocation_is_routed_too(localstack: Instance, function: str) -> None:
    client = localstack.client("lambda")
    client.create_alias(
        FunctionName=function,
        Name="asynchronous",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}},
    )

    client.invoke(FunctionName=function, Qualifier="asynchronous", InvocationType="Event")

    (line,) = wait_until(lambda: localstack.messages(function, '"asynchronous"'))
    assert line.startswith("served 2 ")


def test_the_steps_of_a_canary_release(localstack: Instance, function: str) -> None:
    """A weight of 0 or 1 sends none or all; an empty RoutingConfig ends the routing, and nothing else is changed.

    https://docs.aws.amazon.com/lambda/latest/api/API_AliasRoutingConfiguration.html
    """
    client = localstack.client("lambda")
    client.create_alias(FunctionName=function, Name="steps", FunctionVersion="1", Description="of a release")
    for weight, expected in ((0.0, "1"), (1.0, "2")):
        weights = {"AdditionalVersionWeights": {"2": weight}}
        client.update_alias(FunctionName=function, Name="steps", RoutingConfig=weights)
        assert {served(localstack, function, "steps")[0] for _ in range(10)} == {expected}

    before = client.get_alias(FunctionName=function, Name="steps")
    client.update_alias(FunctionName=function, Name="steps", FunctionVersion="2", RoutingConfig={})

    after = client.get_alias(FunctionName=function, Name="steps")
    assert (after["FunctionVersion"], after["Description"]) == ("2", "of a release")
    assert "RoutingConfig" not in after
    assert after["RevisionId"] != before["RevisionId"]
    assert served(localstack, function, "steps") == ("2", 2)


@pytest.mark.parametrize(
    ("version", "weights", "code", "message"),
    [
        ("1", {"2": 0.5, "3": 0.1}, "InvalidParameterValueException", "cannot be greater than 1"),
        ("1", {"2": 1.1}, "ValidationException", "Member must have value less than or equal to 1.0"),
        ("1", {"1": 0.5}, "InvalidParameterValueException", "already included in routing configuration"),
        ("1", {"other": 0.5}, "ValidationException", "Member must satisfy regular expression pattern: [0-9]+"),
        ("1", {"9": 0.5}, "ResourceNotFoundException", "Function not found"),
        ("1", {"3": 0.5}, "InvalidParameterValueException", "the same execution role"),
        ("$LATEST", {"2": 0.5}, "InvalidParameterValueException", "$LATEST is not supported"),
        ("9", {}, "ResourceNotFoundException", "Function not found"),
    ],
)
def test_versions_that_do_not_go_together_are_refused(
    localstack: Instance, function: str, version: str, weights: dict[str, float], code: str, message: str
) -> None:
    """At most two versions, both published, with one execution role and dead-letter queue, and weights from 0 to 1.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    client = localstack.client("lambda")
    alias = unique("refused")
    wanted = {"FunctionVersion": version, "RoutingConfig": {"AdditionalVersionWeights": weights}}

    created = refused(client.create_alias, FunctionName=function, Name=alias, **wanted)
    client.create_alias(FunctionName=function, Name=alias, FunctionVersion="2")
    updated = refused(client.update_alias, FunctionName=function, Name=alias, **wanted)

    assert created == updated
    assert created[0] == code
    assert message in created[1]
    assert client.get_alias(FunctionName=function, Name=alias)["FunctionVersion"] == "2"


def test_an_alias_keeps_its_weights_when_its_version_changes(localstack: Instance, function: str) -> None:
    client = localstack.client("lambda")
    client.create_alias(
        FunctionName=function,
        Name="kept",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}},
    )

    code, message = refused(client.update_alias, FunctionName=function, Name="kept", FunctionVersion="2")

    assert (code, "already included" in message) == ("InvalidParameterValueException", True)


def test_a_version_that_an_alias_refers_to_is_not_deleted(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html"""
    name, client = two_versions(localstack), localstack.client("lambda")
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=routing)

    for arguments in ({"Qualifier": "1"}, {"Qualifier": "2"}, {"FunctionName": f"{name}:1"}):
        assert refused(client.delete_function, **{"FunctionName": name} | arguments) == (
            "ResourceConflictException",
            "Unable to delete version because the following aliases reference it: [live]",
        )

    assert served(localstack, name, "live")[0] in ("1", "2")
    client.delete_alias(FunctionName=name, Name="live")
    client.delete_function(FunctionName=name, Qualifier="1")
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST", "2"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="2")
    client.delete_function(FunctionName=name)
    assert refused(client.get_function, FunctionName=name)[0] == "ResourceNotFoundException"
