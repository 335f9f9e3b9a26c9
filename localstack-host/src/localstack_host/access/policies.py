"""Policy documents: read, refused when they are none, and held against a request.

AWS: a document has a Version and Statements; a statement has an Effect, Action or NotAction, in a policy of an identity
Resource or NotResource, in one of a resource Principal or NotPrincipal, and may have a Sid and a Condition
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html). Actions are compared regardless of
case (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html). The principal of an
account stands for whoever the account lets, "*" for everybody; in a principal's ARN "*" is no wildcard
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html). IAM refuses what is no
policy (MalformedPolicyDocument).

LocalStack: stores what it gets; moto checks the grammar of identities' policies only.

Here: an element that is not in the grammar is refused by its name, and so is an operator, a variable or a value that is
none: nothing is passed over that could have meant a denial.

Evidence: documentation.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from localstack_host.access.conditions import BadCondition, Condition, Presence, parse
from localstack_host.access.context import Context
from localstack_host.access.templates import ARN_PARTS, BadTemplate, Template

type Effect = Literal["Allow", "Deny"]
VERSIONS = ("2008-10-17", "2012-10-17")
WITH_VARIABLES = "2012-10-17"
ELEMENTS = {
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition",
}  # fmt: skip
KINDS_OF_PRINCIPALS = ("AWS", "Service", "Federated", "CanonicalUser")


class MalformedPolicy(ValueError):
    """A document that is no policy; the message says what is wrong with it."""


@dataclass(frozen=True)
class Caller:
    """Who makes a request: root, a user, a session of a role, or a service.

    arn: that of the session for a role's; empty for a service
    role: the ARN of the session's role
    service: its principal, such as sns.amazonaws.com
    """

    account: str = ""
    arn: str = ""
    role: str = ""
    service: str = ""

    @property
    def is_root(self) -> bool:
        return self.arn.endswith(":root")


@dataclass(frozen=True)
class Request:
    """An action on a resource, by somebody; ``action`` is such as sqs:SendMessage, ``resource`` an ARN or "*"."""

    action: str
    resource: str
    caller: Caller
    context: Context


@dataclass(frozen=True)
class Choice:
    """An element of a statement that covers what one of its templates matches, or, negated, what none does."""

    templates: tuple[Template, ...]
    negated: bool


# How a statement names a caller: by itself, as everybody or by its role, or by its account.
type Naming = Literal["itself", "everybody", "account"]


@dataclass(frozen=True)
class Principals:
    """The principals of a statement by kind; everybody is {"AWS": ("*",)}."""

    names: dict[str, tuple[str, ...]]
    negated: bool

    def naming(self, caller: Caller) -> Naming | None:
        """How they name the caller; None if they do not."""
        found = self._naming(caller)
        if self.negated:  # who is named by the account alone is meant all the same
            return "everybody" if found in (None, "account") else None
        return found

    def _naming(self, caller: Caller) -> Naming | None:
        names = self.names.get("AWS", ())
        if caller.service:
            return "itself" if caller.service in self.names.get("Service", ()) or "*" in names else None
        if caller.arn in names:
            return "itself"
        if "*" in names or (caller.role and caller.role in names):
            return "everybody"
        whole = (caller.account, f"arn:aws:iam::{caller.account}:root")
        return "account" if any(name in whole for name in names) else None


@dataclass(frozen=True)
class Statement:
    sid: str
    effect: Effect
    actions: Choice
    resources: Choice | None
    principals: Principals | None
    conditions: tuple[Condition | Presence, ...]

    def applies(self, request: Request) -> bool:
        """Whether it is about this request; who makes it is another question."""
        return (
            self._covers_action(request)
            and self._covers_resource(request)
            and all(condition.holds(request.context) for condition in self.conditions)
        )

    def _covers_action(self, request: Request) -> bool:
        covered = any(
            action.matches(request.action, request.context, ignore_case=True) for action in self.actions.templates
        )
        return covered != self.actions.negated

    def _covers_resource(self, request: Request) -> bool:
        if self.resources is None:
            return True
        covered = any(resource.matches_arn(request.resource, request.context) for resource in self.resources.templates)
        return covered != self.resources.negated


@dataclass(frozen=True)
class Policy:
    """``name`` is for who is told that it decided."""

    name: str
    statements: tuple[Statement, ...]


def read(document: str, name: str = "", of_a_resource: bool = False) -> Policy:
    """A policy from its JSON. ``of_a_resource``: it has principals. Raises MalformedPolicy."""
    try:
        content = json.loads(document)
    except (ValueError, RecursionError):
        raise MalformedPolicy("The policy is not in the valid JSON format.") from None
    if not isinstance(content, dict) or (unknown := content.keys() - {"Version", "Id", "Statement"}):
        raise MalformedPolicy(f"unknown element {sorted(unknown)[0]}" if isinstance(content, dict) else "no object")
    version = content.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise MalformedPolicy(f"Version is {version!r}: it is one of {', '.join(VERSIONS)}")
    statements = _listed(content.get("Statement"))
    if not statements:
        raise MalformedPolicy("the policy has no Statement")
    return Policy(name, tuple(_statement(each, version == WITH_VARIABLES, of_a_resource) for each in statements))


def _statement(content: Any, variables: bool, of_a_resource: bool) -> Statement:
    if not isinstance(content, dict):
        raise MalformedPolicy("a Statement is no object")
    if unknown := sorted(content.keys() - ELEMENTS):
        raise MalformedPolicy(f"unknown element {unknown[0]}")
    if content.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy("Effect has to be Allow or Deny")
    has_principal = "Principal" in content or "NotPrincipal" in content
    if has_principal != of_a_resource:
        raise MalformedPolicy(
            "a policy of a resource needs a Principal" if of_a_resource else "a policy of an identity has no Principal"
        )
    try:
        return Statement(
            str(content.get("Sid", "")),
            content["Effect"],
            _choice(content, "Action", variables=False),
            _resources(content, variables, of_a_resource),
            _principals(content) if has_principal else None,
            parse(content["Condition"], variables) if "Condition" in content else (),
        )
    except (BadCondition, BadTemplate) as error:
        raise MalformedPolicy(str(error)) from None


def _choice(content: dict[str, Any], element: str, variables: bool) -> Choice:
    negated = f"Not{element}" in content
    if negated == (element in content):
        raise MalformedPolicy(f"a statement has {element} or Not{element}")
    texts = _listed(content[f"Not{element}" if negated else element])
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise MalformedPolicy(f"{element} has to be a text or a list of them")
    if element == "Action":
        for text in texts:
            if text != "*" and not re.fullmatch(r"[\w-]+:[\w*?-]+", text):
                raise MalformedPolicy(f"{text} is no action: it is a service's prefix, a colon and a name")
    return Choice(tuple(Template(text, True, variables) for text in texts), negated)


def _resources(content: dict[str, Any], variables: bool, of_a_resource: bool) -> Choice | None:
    if of_a_resource and "Resource" not in content and "NotResource" not in content:
        return None  # as in a trust policy: it is about what it belongs to
    found = _choice(content, "Resource", variables)
    for template in found.templates:
        if template.text != "*" and len(template.arn_parts) != ARN_PARTS:
            raise MalformedPolicy(f'Resource {template.text} must be in ARN format or "*".')
    return found


def _principals(content: dict[str, Any]) -> Principals:
    negated = "NotPrincipal" in content
    if negated and "Principal" in content:
        raise MalformedPolicy("a statement has Principal or NotPrincipal")
    element = content["NotPrincipal" if negated else "Principal"]
    if element == "*":
        return Principals({"AWS": ("*",)}, negated)
    if not isinstance(element, dict) or not element:
        raise MalformedPolicy('Principal has to be "*" or an object')
    names = {}
    for kind, values in element.items():
        texts = _listed(values)
        if kind not in KINDS_OF_PRINCIPALS or not texts or not all(isinstance(text, str) for text in texts):
            raise MalformedPolicy(f"Invalid principal in policy: {kind}")
        if kind == "AWS" and (bad := [text for text in texts if "*" in text and text != "*"]):
            raise MalformedPolicy(f"Invalid principal in policy: {bad[0]}: * stands alone")
        names[kind] = tuple(texts)
    return Principals(names, negated)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def applying(policies: Collection[Policy], request: Request, effect: Effect) -> list[tuple[Policy, Statement]]:
    """The statements of an effect that are about a request."""
    return [
        (policy, statement)
        for policy in policies
        for statement in policy.statements
        if statement.effect == effect and statement.applies(request)
    ]
