"""Parameter Store: sizes, patterns, names, selectors and labels.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
"""

import re
from typing import Any

import pytest
from harness import Instance, bodies, unique


def put(localstack: Instance, name: str, value: str = "any", **settings: Any) -> dict[str, Any]:
    answer: dict[str, Any] = localstack.client("ssm").put_parameter(
        **{"Name": name, "Value": value, "Type": "String"} | settings
    )
    return answer


def refused(localstack: Instance, error: str, message: str = "") -> Any:
    """A block in which a call is refused."""
    return pytest.raises(localstack.client("ssm").exceptions.ClientError, match=rf"\({error}\).*{re.escape(message)}")


@pytest.mark.parametrize(
    ("tier", "size", "assigned"),
    [
        (None, 4096, "Standard"),
        ("Standard", 4096, "Standard"),
        ("Advanced", 1, "Advanced"),
        ("Advanced", 8192, "Advanced"),
        ("Intelligent-Tiering", 4096, "Standard"),
        ("Intelligent-Tiering", 4097, "Advanced"),
        ("Intelligent-Tiering", 8192, "Advanced"),
    ],
)
def test_sizes_and_the_tier_that_is_assigned(localstack: Instance, tier: str | None, size: int, assigned: str) -> None:
    """ "Standard parameters have a value limit of 4 KB. Advanced parameters have a value limit of 8 KB." """
    name = unique("parameter")

    assert put(localstack, name, "x" * size, **({"Tier": tier} if tier else {}))["Tier"] == assigned
    filters = [{"Key": "Name", "Values": [name]}]
    (described,) = localstack.client("ssm").describe_parameters(ParameterFilters=filters)["Parameters"]
    assert described["Tier"] == assigned


@pytest.mark.parametrize(
    ("tier", "size"),
    [(None, 4097), ("Standard", 4097), ("Advanced", 8193), ("Intelligent-Tiering", 8193), ("Standard", 9000)],
)
def test_values_that_are_too_large_for_their_tier(localstack: Instance, tier: str | None, size: int) -> None:
    name = unique("parameter")
    settings = {"Tier": tier} if tier else {}

    with refused(localstack, "ValidationException", "tier parameters support a maximum parameter value of"):
        put(localstack, name, "x" * size, **settings)

    with refused(localstack, "ParameterNotFound"):
        localstack.client("ssm").get_parameter(Name=name)


def test_an_advanced_parameter_stays_one(localstack: Instance) -> None:
    """ "you can't change an advanced parameter to a standard parameter" """
    name = unique("parameter")
    put(localstack, name, Tier="Advanced")

    assert put(localstack, name, "x" * 5000, Overwrite=True)["Tier"] == "Advanced"
    assert put(localstack, name, Overwrite=True, Tier="Intelligent-Tiering")["Tier"] == "Advanced"
    with refused(localstack, "ValidationException", "You can't downgrade a parameter"):
        put(localstack, name, Overwrite=True, Tier="Standard")


def test_a_standard_parameter_becomes_an_advanced_one(localstack: Instance) -> None:
    name = unique("parameter")
    put(localstack, name)

    assert put(localstack, name, "x" * 5000, Overwrite=True, Tier="Intelligent-Tiering")["Tier"] == "Advanced"


def test_a_value_matches_the_allowed_pattern(localstack: Instance) -> None:
    r""" "For example, for String types with values restricted to numbers, you can specify AllowedPattern=^\d+$" """
    name, pattern = unique("parameter"), r"^\d+$"
    mismatch = refused(
        localstack,
        "ParameterPatternMismatchException",
        rf"Parameter value, cannot be validated against allowedPattern: {pattern}",
    )

    with mismatch:
        put(localstack, name, "a1", AllowedPattern=pattern)
    put(localstack, name, "1", AllowedPattern=pattern)
    with mismatch:
        put(localstack, name, "a1", Overwrite=True)
    put(localstack, name, "22", Overwrite=True)
    put(localstack, name, "a1", Overwrite=True, AllowedPattern="^[a-z]")
    for kind in ("SecureString", "StringList"):
        with mismatch:
            put(localstack, unique("parameter"), "a,b", Type=kind, AllowedPattern=pattern)


def test_a_pattern_that_is_none(localstack: Instance) -> None:
    """InvalidAllowedPatternException: "The request doesn't meet the regular expression requirement." """
    with refused(localstack, "InvalidAllowedPatternException"):
        put(localstack, unique("parameter"), AllowedPattern="([")


@pytest.mark.parametrize("value", ["{{ssm:other}}", "a {{}} b", "{{ other }}"])
def test_a_value_nests_no_parameter(localstack: Instance, value: str) -> None:
    """ "You can't include values wrapped in double brackets {{}} or {{ssm:parameter-name}} in a parameter value." """
    with refused(localstack, "ValidationException", "can't nest another parameter"):
        put(localstack, unique("parameter"), value)
    put(localstack, unique("parameter"), '{"a":{"b":{}}}')


def test_policies_need_the_advanced_tier(localstack: Instance) -> None:
    """ "Standard parameters [...] can't be configured to use parameter policies." """
    policies = '[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2099-01-01T00:00:00Z"}}]'

    with refused(localstack, "ValidationException"):
        put(localstack, unique("parameter"), Policies=policies)
    for tier in ("Advanced", "Intelligent-Tiering"):
        assert put(localstack, unique("parameter"), Policies=policies, Tier=tier)["Tier"] == "Advanced"


def test_spaces_around_a_name_are_removed(localstack: Instance) -> None:
    """ "The service removes any spaces specified for the beginning or end of a parameter name." """
    name = unique("parameter")
    put(localstack, f" {name} ")

    assert localstack.client("ssm").get_parameter(Name=f" {name}:1 ")["Parameter"]["Name"] == name


@pytest.mark.parametrize("name", ["{}", "/{}", "/{}/a", "/{}/a.b-c_d/E9", "/{}" + "/a" * 14])
def test_names(localstack: Instance, name: str) -> None:
    name = name.format(unique("parameter"))
    put(localstack, name)

    assert localstack.client("ssm").get_parameter(Name=name)["Parameter"]["Name"] == name


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("a b", "ValidationException"),
        ("a/b", "ValidationException"),
        ("/a//b", "ValidationException"),
        ("/a/b/", "ValidationException"),
        ("/", "ValidationException"),
        ("/a/ü", "ValidationException"),
        ("a:b", "ValidationException"),
        ("ssm-a", "ValidationException"),
        ("/AWS/a", "AccessDeniedException"),
        ("/a" * 16, "HierarchyLevelLimitExceededException"),
    ],
)
def test_names_that_are_refused(localstack: Instance, name: str, error: str) -> None:
    """PutParameter: "a mix of letters, numbers and .-_", "a maximum of fifteen levels"."""
    with refused(localstack, error):
        put(localstack, name)


def test_a_version_and_a_label_are_the_selector(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Parameter.html"""
    ssm, name = localstack.client("ssm"), "/" + unique("path") + "/parameter"
    put(localstack, name, "one")
    put(localstack, name, "two", Overwrite=True)
    ssm.label_parameter_version(Name=name, ParameterVersion=1, Labels=["production"])
    arn = ssm.get_parameter(Name=name)["Parameter"]["ARN"]

    def found(asked: str) -> tuple[Any, ...]:
        parameter = ssm.get_parameter(Name=asked)["Parameter"]
        return tuple(parameter.get(key) for key in ("Name", "Selector", "Value", "Version"))

    assert found(name) == found(arn) == (name, None, "two", 2)
    assert found(f"{name}:1") == found(f"{arn}:1") == (name, ":1", "one", 1)
    assert found(f"{name}:production") == (name, ":production", "one", 1)
    for missing, error in (("3", "ParameterVersionNotFound"), ("test", "ParameterNotFound")):
        with refused(localstack, error):
            ssm.get_parameter(Name=f"{name}:{missing}")
    answer = ssm.get_parameters(Names=[f"{name}:production", f"{name}:2", f"{name}:3", f"{name}:test"])
    assert {parameter["Selector"]: parameter["Value"] for parameter in answer["Parameters"]} == {
        ":production": "one",
        ":2": "two",
    }
    assert sorted(answer["InvalidParameters"]) == [f"{name}:3", f"{name}:test"]


def test_several_parameters_are_in_alphabetical_order(localstack: Instance) -> None:
    """ "The results for GetParameters requests are listed in alphabetical order in query responses." """
    ssm, prefix = localstack.client("ssm"), unique("parameter")
    names = [f"{prefix}-{letter}" for letter in "hcagebdf"]
    for name in names:
        put(localstack, name, Type="SecureString")

    answer = ssm.get_parameters(Names=[*names, f"{prefix}-none"], WithDecryption=True)

    assert [parameter["Name"] for parameter in answer["Parameters"]] == sorted(names)
    assert {parameter["Value"] for parameter in answer["Parameters"]} == {"any"}
    assert answer["InvalidParameters"] == [f"{prefix}-none"]


def test_names_that_are_given_twice_or_are_too_many(localstack: Instance) -> None:
    """The first is belief."""
    ssm, name = localstack.client("ssm"), unique("parameter")
    put(localstack, name)

    with refused(localstack, "ValidationException"):
        ssm.get_parameters(Names=[name, name])
    with refused(localstack, "ValidationException"):
        ssm.get_parameters(Names=[f"{name}{place}" for place in range(11)])


def test_labels(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-labels.html"""
    ssm, name = localstack.client("ssm"), unique("parameter")
    for value in ("one", "two"):
        put(localstack, name, value, Overwrite=True)

    def label(*labels: str, **version: int) -> tuple[list[str], int]:
        answer = ssm.label_parameter_version(Name=name, Labels=labels, **version)
        return answer["InvalidLabels"], answer["ParameterVersion"]

    def labels() -> list[list[str]]:
        return [version.get("Labels", []) for version in ssm.get_parameter_history(Name=name)["Parameters"]]

    invalid = ["aws-a", "AWSa", "ssm", "SsMa", "1a", "a b", "a/b"]
    assert label(*invalid, "ok", "ok", "Ok", "a.b-c_1", ParameterVersion=1) == (invalid, 1)
    assert labels() == [["ok", "Ok", "a.b-c_1"], []]
    assert label("ok") == ([], 2)
    assert labels() == [["Ok", "a.b-c_1"], ["ok"]]
    ten = [f"l{place}" for place in range(10)]
    with refused(localstack, "ParameterVersionLabelLimitExceeded", ": A parameter version can have maximum 10 labels"):
        label(*ten, ParameterVersion=1)
    assert labels() == [["Ok", "a.b-c_1"], ["ok"]]
    label(*ten[:8], ParameterVersion=1)
    label(*ten[:8], ParameterVersion=1)
    with refused(localstack, "ParameterVersionLabelLimitExceeded"):
        label(ten[9], ParameterVersion=1)
    with refused(localstack, "ParameterVersionNotFound"):
        label("ok", ParameterVersion=3)
    with refused(localstack, "ParameterNotFound"):
        ssm.label_parameter_version(Name="none", Labels=["ok"])
    with refused(localstack, "ParameterNotFound"):
        ssm.get_parameter(Name="none")


def test_events_say_whether_a_parameter_was_created_or_updated(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-cwe.html"""
    events, name = localstack.client("events"), unique("parameter")
    url, arn = localstack.create_queue()
    rule = unique("rule")
    pattern = f'{{"source": ["aws.ssm"], "detail": {{"name": ["{name}"]}}}}'
    events.put_rule(Name=rule, EventPattern=pattern)
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])

    put(localstack, name)
    put(localstack, name, Overwrite=True)

    assert sorted(event["detail"]["operation"] for event in bodies(localstack, url, 2)) == ["Create", "Update"]
    events.remove_targets(Rule=rule, Ids=["queue"])
    events.delete_rule(Name=rule)
