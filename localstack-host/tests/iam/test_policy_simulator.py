"""What a role's policies allow, by SimulatePrincipalPolicy."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from harness import Instance, unique

BUCKET = "arn:aws:s3:::bucket"
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
READ = {
    "Effect": "Allow",
    "Action": ["s3:Get*", "s3:ListBucket"],
    "Resource": [BUCKET, f"{BUCKET}/incoming/*"],
}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def simulate(localstack: Instance) -> Callable[..., str]:
    """The decisions on an action and a resource, for a role with these statements."""
    iam = localstack.client("iam")

    def simulate(action: str, resource: str | None, *statements: dict[str, Any]) -> str:
        name = unique("role")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
        about = {"ResourceArns": [resource]} if resource else {}
        answer = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=[action], **about)
        (result,) = answer["EvaluationResults"]
        found: str = result["EvalDecision"]
        return found

    return simulate


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
@pytest.mark.parametrize(
    ("action", "resource", "more", "decision"),
    [
        ("s3:GetObject", f"{BUCKET}/incoming/a/b.json", {}, "allowed"),
        ("S3:getobject", f"{BUCKET}/incoming/a.json", {}, "allowed"),
        ("s3:GetObject", f"{BUCKET}/Incoming/a.json", {}, "implicitDeny"),
        ("s3:GetObject", f"{BUCKET}/outgoing/a.json", {}, "implicitDeny"),
        ("s3:PutObject", f"{BUCKET}/incoming/a.json", {}, "implicitDeny"),
        ("s3:ListBucket", BUCKET, {}, "allowed"),
        ("sts:AssumeRole", "*", {}, "implicitDeny"),
        ("s3:GetObject", f"{BUCKET}/incoming/a.json", {"Action": "s3:*", "Resource": "*"}, "explicitDeny"),
        (
            "s3:GetObject",
            f"{BUCKET}/incoming/a.json",
            {"Action": "s3:GetObject?", "Resource": "*"},
            "allowed",
        ),
        (
            "s3:GetObject",
            f"{BUCKET}/incoming/a.json",
            {"NotAction": "s3:Put*", "Resource": "*"},
            "explicitDeny",
        ),
        (
            "s3:GetObject",
            f"{BUCKET}/incoming/a.json",
            {"Action": "*", "NotResource": f"{BUCKET}/*"},
            "allowed",
        ),
        (
            "s3:GetObject",
            f"{BUCKET}/incoming/a.json",
            {"Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            "allowed",
        ),
    ],
)
def test_a_deny_wins_over_an_allow_and_nothing_is_allowed_by_default(
    simulate: Callable[..., str], action: str, resource: str, more: dict[str, Any], decision: str
) -> None:
    assert simulate(action, resource, READ, *([{"Effect": "Deny", **more}] if more else [])) == decision


def test_without_resources_the_question_is_about_all(simulate: Callable[..., str]) -> None:
    assert simulate("s3:GetObject", None, READ) == "implicitDeny"
    assert simulate("s3:GetObject", None, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}) == "allowed"


def test_conditions_boundaries_and_resource_policies_take_part(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html"""
    iam, name = localstack.client("iam"), unique("role")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
    tagged = READ | {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(tagged))

    def simulated(**more: Any) -> dict[str, Any]:
        answer = iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["s3:GetObject"], ResourceArns=[f"{BUCKET}/incoming/a"], **more
        )
        (result,) = answer["EvaluationResults"]
        found: dict[str, Any] = result
        return found

    def team(name: str) -> list[dict[str, Any]]:
        return [{"ContextKeyName": "aws:principaltag/TEAM", "ContextKeyValues": [name], "ContextKeyType": "string"}]

    without = simulated()
    assert (without["EvalDecision"], without["MissingContextValues"]) == ("implicitDeny", ["aws:PrincipalTag/team"])
    assert simulated(ContextEntries=team("blue"))["EvalDecision"] == "implicitDeny"
    assert simulated(ContextEntries=team("red"))["EvalDecision"] == "allowed"

    bounded = simulated(
        ContextEntries=team("red"),
        PermissionsBoundaryPolicyInputList=[document({"Effect": "Allow", "Action": "sqs:*", "Resource": "*"})],
    )
    assert bounded["EvalDecision"] == "implicitDeny"
    assert bounded["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}

    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"{BUCKET}/*"}
    assert simulated(ResourcePolicy=document(everybody))["EvalDecision"] == "allowed"
    assert simulated(ResourcePolicy=document(everybody | {"Effect": "Deny"}))["EvalDecision"] == "explicitDeny"


def test_the_boundary_of_a_role_bounds_it(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
    iam, name = localstack.client("iam"), unique("role")
    allowed = document({"Effect": "Allow", "Action": "sqs:*", "Resource": "*"})
    boundary = iam.create_policy(PolicyName=name, PolicyDocument=allowed)["Policy"]["Arn"]
    trust = document(TRUST)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)["Role"]["Arn"]
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=everything)

    answer = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["sqs:SendMessage", "s3:GetObject"])

    decisions = [result["EvalDecision"] for result in answer["EvaluationResults"]]
    assert decisions == ["allowed", "implicitDeny"]


def test_a_policy_that_is_none_is_refused(localstack: Instance) -> None:
    iam, name = localstack.client("iam"), unique("role")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]

    with pytest.raises(iam.exceptions.InvalidInputException, match="StringSame"):
        iam.simulate_principal_policy(
            PolicySourceArn=role,
            ActionNames=["s3:GetObject"],
            PolicyInputList=[document(READ | {"Condition": {"StringSame": {"a": "b"}}})],
        )
