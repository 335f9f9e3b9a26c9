"""Conditions of policy statements.

AWS: the operators compare texts, numbers, dates, truth values, bytes, addresses and ARNs
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html). Of several
values in the policy one has to match, of several keys or operators all; with an operator that negates, none of the
values may match. A key that the request does not have matches no operator but those that negate, with IfExists every
one. ForAllValues asks of every value of the request, and holds where there is none; ForAnyValue asks of one at least
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html).

LocalStack: has no conditions of its own; moto takes one that fails for a denial.

Here: an operator, or a value in the policy, that is none is refused when the policy is read. A value of the request
that is not of the operator's type matches nothing, and of several values without ForAllValues or ForAnyValue one has to
match.

Evidence: documentation; belief for what the request's values are not.
"""

import binascii
import ipaddress
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from localstack_host.access.context import Context
from localstack_host.access.templates import Template

type Test = Callable[[str, Context], bool]


class BadCondition(ValueError):
    """A condition that is none; the message says why."""


@dataclass(frozen=True)
class Condition:
    """One operator on one key; ``tests`` are what it makes of each value in the policy."""

    key: str
    tests: tuple[Test, ...]
    negates: bool
    if_exists: bool
    quantifier: str  # "", ForAllValues or ForAnyValue

    def holds(self, context: Context) -> bool:
        values = context.values_of(self.key)
        if not values:
            return self.if_exists or self.quantifier == "ForAllValues" or (self.negates and not self.quantifier)
        matching = [any(test(value, context) for test in self.tests) for value in values]
        if not self.quantifier:
            return any(matching) != self.negates
        found = (match != self.negates for match in matching)
        return all(found) if self.quantifier == "ForAllValues" else any(found)


@dataclass(frozen=True)
class Presence:
    """The operator Null."""

    key: str
    absent: bool

    def holds(self, context: Context) -> bool:
        return (context.values_of(self.key) is None) == self.absent


def parse(element: Any, variables: bool) -> tuple[Condition | Presence, ...]:
    """A statement's Condition. Raises BadCondition."""
    if not isinstance(element, dict) or not all(isinstance(keys, dict) for keys in element.values()):
        raise BadCondition("Condition has to be an object of operators, each with an object of keys")
    return tuple(
        _condition(operator, key, _texts(key, values), variables)
        for operator, keys in element.items()
        for key, values in keys.items()
    )


def _condition(operator: str, key: str, values: list[str], variables: bool) -> Condition | Presence:
    quantifier, colon, name = operator.rpartition(":")
    if colon and quantifier not in ("ForAllValues", "ForAnyValue"):
        raise BadCondition(f"{operator} is no operator of a condition")
    if name == "Null":
        if len(values) != 1:
            raise BadCondition(f"Null of {key} has one value, true or false")
        return Presence(key, _truth(values[0]))
    base = name.removesuffix("IfExists")
    positive = base.replace("Not", "", 1)
    if base not in OPERATORS and not (positive in OPERATORS and base in NEGATIONS):
        raise BadCondition(f"{operator} is no operator of a condition")
    test = OPERATORS[positive]
    return Condition(
        key, tuple(test(value, variables) for value in values), base in NEGATIONS, name != base, quantifier
    )


def _texts(key: str, values: Any) -> list[str]:
    """JSON's numbers and truth values stand for their texts."""
    found = values if isinstance(values, list) else [values]
    if not found or not all(isinstance(value, str | int | float | bool) for value in found):
        raise BadCondition(f"the values of {key} have to be texts, numbers or truth values")
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in found]


def _text(wildcards: bool, ignore_case: bool = False) -> Callable[[str, bool], Test]:
    def operator(value: str, variables: bool) -> Test:
        template = Template(value, wildcards, variables)
        _ = template.pieces  # raises what is wrong with it now
        return lambda found, context: template.matches(found, context, ignore_case)

    return operator


def _arn(value: str, variables: bool) -> Test:
    template = Template(value, True, variables)
    _ = template.arn_parts
    return template.matches_arn


def _compared[T](read: Callable[[str], T], compare: Callable[[T, T], bool]) -> Callable[[str, bool], Test]:
    """``compare`` gets the request's value first."""

    def operator(value: str, variables: bool) -> Test:
        wanted = read(value)

        def test(found: str, _: Context) -> bool:
            try:
                return compare(read(found), wanted)
            except BadCondition:
                return False

        return test

    return operator


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadCondition(f"{text} is no number") from None
    if not number.is_finite():
        raise BadCondition(f"{text} is no number")
    return number


def _date(text: str) -> datetime:
    """ISO 8601, or seconds since 1970."""
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise BadCondition(f"{text} is no date") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise BadCondition(f"{text} is neither true nor false")
    return text.lower() == "true"


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        raise BadCondition(f"{text} is not Base64") from None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadCondition(f"{text} is no address") from None


def _in_network(address: Any, network: Any) -> bool:
    return address.version == network.version and bool(address.subnet_of(network))


def _orders[T](prefix: str, read: Callable[[str], T]) -> Iterator[tuple[str, Callable[[str, bool], Test]]]:
    yield f"{prefix}Equals", _compared(read, lambda found, wanted: found == wanted)
    yield f"{prefix}LessThan", _compared(read, lambda found, wanted: found < wanted)  # type: ignore[operator]
    yield f"{prefix}LessThanEquals", _compared(read, lambda found, wanted: found <= wanted)  # type: ignore[operator]
    yield f"{prefix}GreaterThan", _compared(read, lambda found, wanted: found > wanted)  # type: ignore[operator]
    yield f"{prefix}GreaterThanEquals", _compared(read, lambda found, wanted: found >= wanted)  # type: ignore[operator]


OPERATORS: dict[str, Callable[[str, bool], Test]] = {
    "StringEquals": _text(wildcards=False),
    "StringEqualsIgnoreCase": _text(wildcards=False, ignore_case=True),
    "StringLike": _text(wildcards=True),
    **dict(_orders("Numeric", _number)),
    **dict(_orders("Date", _date)),
    "Bool": _compared(_truth, lambda found, wanted: found == wanted),
    "BinaryEquals": _compared(_bytes, lambda found, wanted: found == wanted),
    "IpAddress": _compared(_network, _in_network),
    "ArnEquals": _arn,
    "ArnLike": _arn,
}
NEGATIONS: Collection[str] = {
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
    "NumericNotEquals",
    "DateNotEquals",
    "NotIpAddress",
    "ArnNotEquals",
    "ArnNotLike",
}
