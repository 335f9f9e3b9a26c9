"""What all policies together decide about a request within one account.

AWS: an explicit Deny in any policy decides. Without one, a request of root is allowed; a service needs the policy of
the resource; a user or a session of a role is allowed by an identity's policy, within the permissions boundary and the
session's policies, or by the policy of the resource: one that names the user or the session itself allows by itself,
one that names the role or everybody within boundary and session's policies, and one that names the account leaves the
decision to the identity's policies
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html). All else is denied implicitly.

LocalStack: allows every request; moto can decide on identities' policies alone.

Here: ``decide``. It knows one account, and neither policies of organizations nor those of VPC endpoints.

Evidence: documentation; belief that everybody in a resource's policy is bounded as a role is.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from localstack_host.access.policies import Naming, Policy, Request, Statement, applying

type Outcome = Literal["allowed", "explicitDeny", "implicitDeny"]
type Source = Literal["root", "identity", "resource", "boundary", "session", "none"]


@dataclass(frozen=True)
class Policies:
    """What may say something about a request. A boundary, or session's policies, of None do not bound."""

    identity: Collection[Policy] = ()
    resource: Collection[Policy] = ()
    boundary: Collection[Policy] | None = None
    session: Collection[Policy] | None = None


@dataclass(frozen=True)
class Decision:
    """What is decided, by which kind of policies, and the statements that say it.

    Of an implicit denial ``source`` is the kind that did not allow it though others did, or "none".
    """

    outcome: Outcome
    source: Source
    statements: list[tuple[Policy, Statement]] = field(default_factory=list)


def decide(request: Request, policies: Policies) -> Decision:
    """Raises UnknownKey as the request's context does."""
    bounds: dict[Source, Collection[Policy] | None] = {"boundary": policies.boundary, "session": policies.session}
    named = _named(policies.resource, request)
    kinds: dict[Source, Collection[Policy]] = {"identity": policies.identity}
    kinds |= {source: bound for source, bound in bounds.items() if bound is not None}
    denials: list[tuple[Source, list[tuple[Policy, Statement]]]] = [
        (source, applying(found, request, "Deny")) for source, found in kinds.items()
    ]
    denials.append(("resource", [each for naming, each in named if naming and each[1].effect == "Deny"]))
    for source, statements in denials:
        if statements:
            return Decision("explicitDeny", source, statements)
    if request.caller.is_root:
        return Decision("allowed", "root")

    by_resource = [(naming, each) for naming, each in named if naming and each[1].effect == "Allow"]
    itself = [each for naming, each in by_resource if naming == "itself"]
    if itself or request.caller.service:
        return Decision("allowed", "resource", itself) if itself else Decision("implicitDeny", "none")
    everybody = [each for naming, each in by_resource if naming == "everybody"]
    by_identity = applying(policies.identity, request, "Allow")
    if not everybody and not by_identity:
        return Decision("implicitDeny", "none")
    for source, bound in bounds.items():
        if bound is not None and not applying(bound, request, "Allow"):
            return Decision("implicitDeny", source)
    if by_identity:
        return Decision("allowed", "identity", by_identity)
    return Decision("allowed", "resource", everybody)


def _named(policies: Collection[Policy], request: Request) -> list[tuple[Naming | None, tuple[Policy, Statement]]]:
    """The statements of a resource's policies that are about the request, and how each names the caller."""
    found = [*applying(policies, request, "Allow"), *applying(policies, request, "Deny")]
    return [
        (statement.principals.naming(request.caller) if statement.principals else None, (policy, statement))
        for policy, statement in found
    ]
