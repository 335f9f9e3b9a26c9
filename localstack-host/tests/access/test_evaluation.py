"""What policies decide together, and documents that are no policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
"""

import json
from typing import Any

import pytest
from localstack_host.access.context import Context
from localstack_host.access.evaluation import Policies, decide
from localstack_host.access.policies import Caller, MalformedPolicy, Policy, Request, read

ACCOUNT = "123456789012"
QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/billing"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/billing/one"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
BILLING = Caller(ACCOUNT, SESSION, ROLE)
CALLERS = {"session": BILLING, "root": Caller(ACCOUNT, ROOT), "service": Caller(service="sns.amazonaws.com")}


def policy(*statements: dict[str, Any], of_a_resource: bool = False) -> Policy:
    found = [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*", **statement} for statement in statements]
    return read(json.dumps({"Version": "2012-10-17", "Statement": found}), "test", of_a_resource)


ALLOW = policy({})
OTHER = policy({"Action": "sqs:DeleteMessage"})
DENY = policy({"Effect": "Deny", "Action": "sqs:Send*"})


def by(principal: Any, effect: str = "Allow", **more: Any) -> Policy:
    return policy({"Principal": principal, "Effect": effect, **more}, of_a_resource=True)


@pytest.mark.parametrize(
    ("caller", "policies", "decision"),
    [
        ("session", Policies(), "implicitDeny none"),
        ("session", Policies([ALLOW]), "allowed identity"),
        ("session", Policies([OTHER]), "implicitDeny none"),
        ("session", Policies([ALLOW, DENY]), "explicitDeny identity"),
        ("session", Policies([ALLOW], boundary=[ALLOW]), "allowed identity"),
        ("session", Policies([ALLOW], boundary=[OTHER]), "implicitDeny boundary"),
        ("session", Policies([ALLOW], boundary=[]), "implicitDeny boundary"),
        ("session", Policies([ALLOW], boundary=[ALLOW, DENY]), "explicitDeny boundary"),
        ("session", Policies([], boundary=[ALLOW]), "implicitDeny none"),
        ("session", Policies([ALLOW], session=[OTHER]), "implicitDeny session"),
        ("session", Policies([ALLOW], session=[ALLOW]), "allowed identity"),
        # a policy of the resource that names the session
        ("session", Policies(resource=[by({"AWS": SESSION})]), "allowed resource"),
        ("session", Policies(resource=[by({"AWS": SESSION})], boundary=[OTHER], session=[]), "allowed resource"),
        ("session", Policies([DENY], resource=[by({"AWS": SESSION})]), "explicitDeny identity"),
        # its role, or everybody
        ("session", Policies(resource=[by({"AWS": [ROLE]})]), "allowed resource"),
        ("session", Policies(resource=[by({"AWS": ROLE})], boundary=[OTHER]), "implicitDeny boundary"),
        ("session", Policies(resource=[by("*")]), "allowed resource"),
        (
            "session",
            Policies(resource=[by("*", Condition={"Bool": {"aws:SecureTransport": "true"}})]),
            "implicitDeny none",
        ),
        # its account, which leaves it to the identity's policies
        ("session", Policies(resource=[by({"AWS": ROOT})]), "implicitDeny none"),
        ("session", Policies(resource=[by({"AWS": ACCOUNT})]), "implicitDeny none"),
        ("session", Policies([ALLOW], resource=[by({"AWS": ROOT})]), "allowed identity"),
        ("session", Policies([ALLOW], resource=[by({"AWS": f"{ROLE}-2"})]), "allowed identity"),
        # denials of the resource
        ("session", Policies([ALLOW], resource=[by("*", "Deny")]), "explicitDeny resource"),
        ("session", Policies([ALLOW], resource=[by({"AWS": ROOT}, "Deny")]), "explicitDeny resource"),
        ("session", Policies([ALLOW], resource=[by({"Service": "sns.amazonaws.com"}, "Deny")]), "allowed identity"),
        ("root", Policies(), "allowed root"),
        ("root", Policies(resource=[by("*", "Deny")]), "explicitDeny resource"),
        ("root", Policies(resource=[by({"AWS": ROLE}, "Deny")]), "allowed root"),
        ("service", Policies([ALLOW]), "implicitDeny none"),
        ("service", Policies(resource=[by({"Service": "sns.amazonaws.com"})]), "allowed resource"),
        ("service", Policies(resource=[by({"Service": "events.amazonaws.com"})]), "implicitDeny none"),
        ("service", Policies(resource=[by({"AWS": ROOT})]), "implicitDeny none"),
        ("service", Policies(resource=[by("*")]), "allowed resource"),
    ],
)
def test_a_decision(caller: str, policies: Policies, decision: str) -> None:
    found = decide(Request("sqs:SendMessage", QUEUE, CALLERS[caller], Context({})), policies)

    assert f"{found.outcome} {found.source}" == decision
    assert bool(found.statements) == (found.outcome == "explicitDeny" or found.source in ("identity", "resource"))


def test_whom_not_principal_names_is_not_meant() -> None:
    statement = {"Effect": "Deny", "Action": "sqs:*", "Resource": "*", "NotPrincipal": {"AWS": [ROLE, ROOT]}}
    denied = read(json.dumps({"Version": "2012-10-17", "Statement": statement}), "", True)

    def outcome(caller: Caller) -> str:
        return decide(Request("sqs:SendMessage", QUEUE, caller, Context({})), Policies([ALLOW], [denied])).outcome

    assert outcome(BILLING) == "allowed"
    assert outcome(Caller(ACCOUNT, SESSION.replace("billing", "other"), f"{ROLE}-2")) == "explicitDeny"


@pytest.mark.parametrize(
    ("statement", "action", "resource", "outcome"),
    [
        ({"Action": "SQS:sendmessage"}, "sqs:SendMessage", QUEUE, "allowed"),
        ({"Action": ["sqs:Get*", "sqs:Send?essage"]}, "sqs:SendMessage", QUEUE, "allowed"),
        ({"Action": "*"}, "sqs:SendMessage", QUEUE, "allowed"),
        ({"Action": None, "NotAction": "sqs:Send*"}, "sqs:SendMessage", QUEUE, "implicitDeny"),
        ({"Action": None, "NotAction": "sqs:Get*"}, "sqs:SendMessage", QUEUE, "allowed"),
        ({"Resource": None, "NotResource": QUEUE}, "sqs:SendMessage", QUEUE, "implicitDeny"),
        ({"Resource": None, "NotResource": f"{QUEUE}-2"}, "sqs:SendMessage", QUEUE, "allowed"),
        ({"Resource": f"{QUEUE}?"}, "sqs:SendMessage", QUEUE, "implicitDeny"),
        ({"Resource": QUEUE.replace("orders", "${a:Key}")}, "sqs:SendMessage", QUEUE, "allowed"),
        ({"Condition": {"StringEquals": {"a:Key": "orders"}}}, "sqs:SendMessage", QUEUE, "allowed"),
        ({"Condition": {"StringEquals": {"a:Key": "bills"}}}, "sqs:SendMessage", QUEUE, "implicitDeny"),
    ],
)
def test_what_a_statement_is_about(statement: dict[str, Any], action: str, resource: str, outcome: str) -> None:
    content = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"} | statement
    written = {name: value for name, value in content.items() if value is not None}
    identity = read(json.dumps({"Version": "2012-10-17", "Statement": written}))
    request = Request(action, resource, BILLING, Context({"a:Key": "orders"}))

    assert decide(request, Policies([identity])).outcome == outcome


def test_variables_are_of_the_newer_version_alone() -> None:
    statement = {"Effect": "Allow", "Action": "sqs:*", "Resource": QUEUE.replace("orders", "${a:Key}")}
    request = Request("sqs:SendMessage", QUEUE, BILLING, Context({"a:Key": "orders"}))

    for version, outcome in (("2012-10-17", "allowed"), ("2008-10-17", "implicitDeny")):
        identity = read(json.dumps({"Version": version, "Statement": statement}))
        assert decide(request, Policies([identity])).outcome == outcome


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        {"Version": "2020-01-01"},
        {"Statements": []},
        {"Statement": []},
        {"Statement": "all"},
        {"Effect": "allow"},
        {"Actions": "sqs:*"},
        {"NotAction": "sqs:*"},
        {"Action": "send"},
        {"Action": "sqs:Send Message"},
        {"Action": []},
        {"Action": None},
        {"Resource": "orders"},
        {"Resource": "arn:aws:sqs"},
        {"Resource": 5},
        {"Resource": "arn:aws:sqs:::${a b}"},
        {"Principal": "*"},
        {"Condition": {"StringSame": {"a": "b"}}},
    ],
)
def test_what_is_no_policy_is_refused(document: Any) -> None:
    if isinstance(document, dict) and not {"Version", "Statement", "Statements"} & document.keys():
        statement = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"} | document
        document = {"Version": "2012-10-17", "Statement": statement}

    with pytest.raises(MalformedPolicy):
        read(document if isinstance(document, str) else json.dumps(document))


@pytest.mark.parametrize(
    "principal",
    [None, "all", {}, {"aws": "*"}, {"AWS": []}, {"AWS": f"{ROLE}-*"}, {"Service": 5}, ["*"]],
)
def test_a_principal_that_is_none_is_refused(principal: Any) -> None:
    with pytest.raises(MalformedPolicy):
        by(principal)
