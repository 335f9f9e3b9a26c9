"""SimulatePrincipalPolicy evaluates the policies of a role, user or group.

AWS: an explicit Deny that matches the action and the resource wins over every Allow, and without an Allow the decision
is implicitDeny (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). In actions
and resources "*" stands for any text and "?" for one character, and actions are compared regardless of case
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html). Without resources the
simulation is about "*" (https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html).

LocalStack: compares actions and resources letter by letter, so that a resource such as "arn:aws:s3:::bucket/*" allows
nothing, ignores Deny, answers explicitDeny for what no statement mentions, and fails without resources.

Here: the simulator in LocalStack's place decides by ``decision``. A statement with a condition takes no part, as on AWS
without a value for its key; neither does the trust policy, which has no resource. Permissions boundaries and policies
of resources are not evaluated. Calls are still never refused: this answers questions only.

Evidence: documentation.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from localstack.services.iam.provider import IamProvider as StockIamProvider
from localstack.services.iam.resources.policy_simulator import BasicIAMPolicySimulator

from localstack_host.patching import overrides, swap


def decision(statements: Iterable[dict[str, Any]], action: str, resource: str) -> str:
    """What the statements of all policies together decide: allowed, explicitDeny or implicitDeny.

    >>> allow = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::bucket/*"}
    >>> decision([allow], "s3:GetObject", "arn:aws:s3:::bucket/key")
    'allowed'
    >>> decision([allow], "s3:PutObject", "arn:aws:s3:::bucket/key")
    'implicitDeny'
    """
    effects = {statement["Effect"] for statement in statements if _applies(statement, action, resource)}
    return "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"


def _applies(statement: dict[str, Any], action: str, resource: str) -> bool:
    if statement.get("Condition"):
        return False
    about_action = _covers(statement, "Action", action, re.IGNORECASE)
    return about_action and _covers(statement, "Resource", resource)


def _covers(statement: dict[str, Any], element: str, name: str, flags: int = 0) -> bool:
    """Whether ``Action`` or ``Resource`` of a statement, or their ``Not``, cover a name."""
    if element in statement:
        return any(_matches(pattern, name, flags) for pattern in _listed(statement[element]))
    excluded = statement.get(f"Not{element}")
    return excluded is not None and not any(_matches(pattern, name, flags) for pattern in _listed(excluded))


def _matches(pattern: str, name: str, flags: int) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name, flags | re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class PolicySimulator(BasicIAMPolicySimulator):
    @overrides
    def simulate_principal_policy(self, context: Any, request: Any) -> Any:
        policies = self.get_policies_from_principal(self.get_iam_backend(context), request["PolicySourceArn"])
        policies += request.get("PolicyInputList") or []
        statements = [each for policy in policies for each in _listed(json.loads(policy)["Statement"])]
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": decision(statements, action, resource),
                "MatchedStatements": [],
            }
            for action in request["ActionNames"]
            for resource in request.get("ResourceArns") or ["*"]
        ]
        return {"IsTruncated": False, "EvaluationResults": results}


class IamProvider(StockIamProvider):
    def __init__(self) -> None:
        super().__init__()
        swap(self, "policy_simulator", PolicySimulator())
