"""The comparisons of a Choice state's rules.

AWS: an operator compares values of its own type only: "Step Functions doesn't attempt to match a numeric field to a
string value"; timestamps are texts, and match comparisons of strings too. StringMatches has "*" for any characters,
also none; a backslash before it, or before a backslash, takes its meaning away, and nothing else is special. If the
input does not have the variable, or what a Path operator compares with, the execution fails; IsPresent asks for that
(https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html,
https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-choice-state.html).

LocalStack: a variable that is missing matches nothing, whatever the operator, so that a workflow with a misspelt field
goes on at Default. StringMatches takes "?" and brackets for wildcards and knows no escapes. Timestamps are those
without fraction or offset.

Here: the operators by name, and what they say of two values. A definition that compares with a literal of another type
is refused. A missing value fails with States.Runtime.

Evidence: documentation; belief for the cause (as quoted in public bug reports), for the messages about literals, that a
value of another type behind a Path is no match, that And and Or stop at the first rule that decides, and that texts are
ordered by UTF-16 code units, as in Java.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from localstack_host.stepfunctions.timestamps import nanoseconds

MISSING = "Invalid path '{}': The choice state's condition path references an invalid value."


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def is_timestamp(value: Any) -> bool:
    return nanoseconds(value) is not None


def code_units(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


TYPES: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    "String": (is_text, code_units),
    "Numeric": (is_number, lambda value: value),
    "Boolean": (is_truth, lambda value: value),
    "Timestamp": (is_timestamp, nanoseconds),
}
"""By the first word of an operator's name: what its values are, and what they are compared by."""

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "GreaterThan": lambda left, right: left > right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThanEquals": lambda left, right: left >= right,
}

IS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsBoolean": is_truth,
    "IsNumeric": is_number,
    "IsString": is_text,
    "IsTimestamp": is_timestamp,
    "IsPresent": lambda value: True,
}

SPECIAL = re.compile(r"\\([*\\])|(\*)")


@lru_cache(maxsize=1024)
def wildcards(pattern: str) -> re.Pattern[str]:
    """The regular expression of what StringMatches matches."""
    parts, start = [], 0
    for found in SPECIAL.finditer(pattern):
        parts += [re.escape(pattern[start : found.start()]), ".*" if found[2] else re.escape(found[1])]
        start = found.end()
    return re.compile("".join([*parts, re.escape(pattern[start:])]), re.DOTALL)


def holds(operator: str, variable: Any, value: Any) -> bool:
    """Whether ``operator``, without "Path" at its end, says of ``variable`` what ``value`` demands."""
    if operator in IS:
        return IS[operator](variable) is value
    if operator == "StringMatches":
        return is_text(variable) and is_text(value) and bool(wildcards(value).fullmatch(variable))
    is_type, key, order = named(operator)
    return is_type(variable) and is_type(value) and order(key(variable), key(value))


def named(operator: str) -> tuple[Callable[[Any], bool], Callable[[Any], Any], Callable[[Any, Any], bool]]:
    """
    >>> named("TimestampLessThan")[0] is is_timestamp
    True
    """
    kind = next(kind for kind in TYPES if operator.startswith(kind))
    return *TYPES[kind], ORDERS[operator.removeprefix(kind)]


def literal_problems(rule: Any, place: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the literals of a rule and of those in it, and where."""
    for field, value in rule.items() if isinstance(rule, dict) else ():
        if field in ("And", "Or", "Not"):
            for number, inner in enumerate(value if isinstance(value, list) else [value]):
                at = f"/{field}[{number}]" if isinstance(value, list) else f"/{field}"
                yield from literal_problems(inner, f"{place}{at}")
            continue
        kind = next((kind for kind in TYPES if field.startswith(kind)), None)
        if field in IS:
            expected, right = "a Boolean", is_truth(value)
        elif kind and field.endswith("Path"):
            expected, right = "a Reference Path", is_text(value) and value.startswith("$")
        elif kind:
            expected = {"Numeric": "a number", "Boolean": "a Boolean", "Timestamp": "a timestamp"}.get(kind, "a string")
            right = TYPES[kind][0](value)
        else:
            continue
        if not right:
            yield f"The value for the field '{field}' must be {expected}", f"{place}/{field}"
