"""SimulatePrincipalPolicy evaluates the policies of a role, user or group.

AWS: decides about each action and resource as about a request, by the identity's policies and those in the request,
within its permissions boundary or the one in the request, with the resource's policy and the keys of conditions that
the request gives; it names the keys that were missing. Without resources the simulation is about "*"
(https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html).

LocalStack: compares actions and resources letter by letter, so that a resource such as "arn:aws:s3:::bucket/*" allows
nothing, ignores Deny, answers explicitDeny for what no statement mentions, and fails without resources.

Here: the simulator in LocalStack's place decides by ``access.evaluation``. A role that is simulated calls as one of its
sessions. Not as on AWS: MatchedStatements is empty, and ResourceHandlingOption has no effect. Calls are still never
refused: this answers questions only.

Evidence: documentation.
"""

from collections.abc import Iterable
from typing import Any

from localstack.aws.api.iam import InvalidInputException
from localstack.services.iam.provider import IamProvider as StockIamProvider
from localstack.services.iam.resources.policy_simulator import BasicIAMPolicySimulator

from localstack_host.access.context import Context
from localstack_host.access.evaluation import Policies, decide
from localstack_host.access.policies import Caller, MalformedPolicy, Policy, Request, read
from localstack_host.patching import overrides, swap


class PolicySimulator(BasicIAMPolicySimulator):
    @overrides
    def simulate_principal_policy(self, context: Any, request: Any) -> Any:
        source, backend = request["PolicySourceArn"], self.get_iam_backend(context)
        of_the_source = self.get_policies_from_principal(backend, source)
        is_role = ":role/" in source
        if is_role:
            del of_the_source[0]  # its trust policy
        boundary = request.get("PermissionsBoundaryPolicyInputList") or _boundary(backend, source)
        of_the_resource = [request["ResourcePolicy"]] if request.get("ResourcePolicy") else []
        policies = Policies(
            _read([*of_the_source, *(request.get("PolicyInputList") or [])]),
            _read(of_the_resource, of_a_resource=True),
            _read(boundary) if boundary else None,
        )
        arn = request.get("CallerArn") or ("" if is_role else source)
        caller = Caller(context.account_id, arn, source if is_role else "")
        keys = {entry["ContextKeyName"]: entry["ContextKeyValues"] for entry in request.get("ContextEntries") or []}
        results = [
            _result(Request(action, resource, caller, Context(keys)), policies)
            for action in request["ActionNames"]
            for resource in request.get("ResourceArns") or ["*"]
        ]
        return {"IsTruncated": False, "EvaluationResults": results}


def _result(request: Request, policies: Policies) -> dict[str, Any]:
    decision = decide(request, policies)
    result: dict[str, Any] = {
        "EvalActionName": request.action,
        "EvalResourceName": request.resource,
        "EvalDecision": decision.outcome,
        "MatchedStatements": [],
        "MissingContextValues": sorted(request.context.missing),
    }
    if policies.boundary is not None:
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": decision.source != "boundary"}
    return result


def _boundary(backend: Any, source: str) -> list[str]:
    """The document of the permissions boundary of a role or user; none for a group."""
    kind, _, name = source.rpartition(":")[2].partition("/")
    found = {"role": backend.get_role, "user": backend.get_user}.get(kind)
    arn = getattr(found(name.rpartition("/")[2]), "permissions_boundary_arn", None) if found else None
    return [backend.get_policy(arn).document] if arn else []


def _read(documents: Iterable[str], of_a_resource: bool = False) -> list[Policy]:
    try:
        return [read(document, of_a_resource=of_a_resource) for document in documents]
    except MalformedPolicy as error:
        raise InvalidInputException(str(error)) from None


class IamProvider(StockIamProvider):
    def __init__(self) -> None:
        super().__init__()
        swap(self, "policy_simulator", PolicySimulator())
