"""Fault rules as data: parsed and validated here for the Lambda layer that obeys them and the lab that stores them.

The document is JSON, `{"rules": [rule, ...]}`, in a standard SSM parameter. A rule:

    function       short name of the Lambda function that it acts on, for example "billing"
    mode           exception | latency | timeout | crash | fail_after_commit | dependency | malformed_response
    when           optional, a JMESPath expression over the payload, which is an SQS record's body decoded from
                   JSON, or else the event; the rule acts where it is true
    probability    optional, 0 to 1: how often it acts where it could
    receive_count  optional, from 1: acts only on an SQS record with this ApproximateReceiveCount
    id             optional, given by the lab: the function's log says with it which rule acted

and the parameters of its mode:

    exception, fail_after_commit   error (optional: a builtin such as "ValueError", or "module.Name"),
                                   message (optional)
    latency                        seconds, at (optional)
    timeout, crash                 at (optional)
    dependency                     service (boto3's name of it), operation (optional, for example "Publish"),
                                   error (throttling | server_error | access_denied | timeout)
    malformed_response             response (any JSON): what the function answers instead

`at` is where in the work the rule acts: at its "start" (without it), at its "end", when all is done and nothing
reported, or at a call to AWS, such as "dynamodb.UpdateItem", right before it is first sent.

Standard library and jmespath only.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html (4 KB)
MAX_PARAMETER_BYTES = 4096
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
MAX_FUNCTION_SECONDS = 900
# A function re-reads the parameter when its copy is this old: the longest that a stored change takes to act.
FAULT_RULES_TTL_SECONDS = 1.0
# The same on AWS, where all environments of an account share 40 reads a second:
# https://docs.aws.amazon.com/general/latest/gr/ssm.html
FAULT_RULES_TTL_SECONDS_ON_AWS = 5.0

# The codes with which AWS's services refuse a call because there were too many.
THROTTLED = (
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
)

DEPENDENCY_ERRORS = ("throttling", "server_error", "access_denied", "timeout")

# Parameters of each mode; the required ones first.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "exception": (),
    "latency": ("seconds",),
    "timeout": (),
    "crash": (),
    "fail_after_commit": (),
    "dependency": ("service", "error"),
    "malformed_response": ("response",),
}
_OPTIONAL: dict[str, tuple[str, ...]] = {
    "exception": ("error", "message"),
    "fail_after_commit": ("error", "message"),
    "dependency": ("operation",),
    "latency": ("at",),
    "timeout": ("at",),
    "crash": ("at",),
}
MODES = tuple(_REQUIRED)


class InvalidRule(ValueError):
    """A fault rule that cannot be obeyed. The message names the field: `rules[0].mode: 'boom' is not one of ...`."""


@dataclass(frozen=True)
class Rule:
    """One validated fault rule; the module's docstring describes the fields."""

    function: str
    mode: str
    when: str | None = None
    probability: float | None = None
    receive_count: int | None = None
    error: str | None = None
    message: str | None = None
    seconds: float | None = None
    service: str | None = None
    operation: str | None = None
    at: str | None = None
    response: Any = None
    id: str | None = None

    @property
    def call(self) -> tuple[str, str | None] | None:
        """The service and operation at whose calls the rule acts (None: every operation); None if at no call."""
        if self.mode == "dependency":
            return str(self.service), self.operation
        service, dot, operation = (self.at or "").partition(".")
        return (service, operation) if dot else None


def parse(text: str) -> list[Rule]:
    """The rules of a document, in its order. Raises InvalidRule."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidRule(f"rules: not JSON: {error}") from error
    if not isinstance(document, dict) or set(document) != {"rules"} or not isinstance(document["rules"], list):
        raise InvalidRule('rules: the document is not of the form {"rules": [...]}')
    return [_rule(raw, f"rules[{index}]") for index, raw in enumerate(document["rules"])]


def dump(rules: list[Rule]) -> str:
    """The document of the rules, as `parse` reads it. Raises InvalidRule when a standard parameter cannot hold it."""
    text = json.dumps({"rules": [_fields(rule) for rule in rules]}, separators=(",", ":"))
    # json.dumps escapes what is not ASCII: characters are bytes.
    if len(text) > MAX_PARAMETER_BYTES:
        raise InvalidRule(
            f"rules: {len(text)} bytes, and a standard SSM parameter holds {MAX_PARAMETER_BYTES}: "
            "use fewer rules or a shorter response"
        )
    return text


def matches(rule: Rule, payload: Any, receive_count: int | None) -> bool:
    """Whether the rule's `when` and `receive_count` hold; chance is the caller's.

    `when` is true as JMESPath has it (null, false, "", [] and {} are not). An expression that does not fit the
    payload, such as `contains(goods, 'x')` where there are no goods, does not match.
    """
    if rule.receive_count is not None and rule.receive_count != receive_count:
        return False
    if rule.when is None:
        return True
    try:
        value = jmespath.search(rule.when, payload)
    except Exception:  # Not only JMESPathError: to_string() of a deeply nested payload is a RecursionError.
        return False
    return value is not None and value is not False and value != "" and value != [] and value != {}


def _fields(rule: Rule) -> dict[str, Any]:
    required = _REQUIRED[rule.mode]
    values = {field.name: getattr(rule, field.name) for field in fields(rule)}
    # A null response is one of the answers worth trying, so it is kept.
    return {name: value for name, value in values.items() if value is not None or name in required}


def _rule(raw: Any, where: str) -> Rule:
    if not isinstance(raw, dict):
        raise InvalidRule(f"{where}: {raw!r} is not an object")
    mode = raw.get("mode")
    if mode not in MODES:
        raise InvalidRule(f"{where}.mode: {mode!r} is not one of {', '.join(MODES)}")
    required, optional = ("function", "mode", *_REQUIRED[mode]), _OPTIONAL.get(mode, ())
    known = (*required, *optional, "when", "probability", "receive_count", "id")
    for name in raw:
        if name not in known:
            raise InvalidRule(f"{where}.{name}: not a field of mode {mode}, which has {', '.join(known)}")
    for name in required:
        if name not in raw:
            raise InvalidRule(f"{where}.{name}: missing, mode {mode} needs it")
    for name, value in raw.items():
        is_valid, expected = _CHECKS["dependency.error" if (mode, name) == ("dependency", "error") else name]
        if not is_valid(value):
            raise InvalidRule(f"{where}.{name}: {value!r} is not {expected}")
    return Rule(**raw)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_jmespath(value: Any) -> bool:
    try:
        jmespath.compile(value)
    except (JMESPathError, TypeError, AttributeError):
        return False
    return _is_text(value)


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "function": (_is_text, "the short name of a function"),
    "mode": (_is_text, "a mode"),
    "when": (
        _is_jmespath,
        "a JMESPath expression; literals are written as order_id == 'o-1' or amount > `100`",
    ),
    "probability": (lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1"),
    "receive_count": (lambda value: type(value) is int and value >= 1, "a whole number from 1"),
    "error": (
        lambda value: isinstance(value, str) and all(part.isidentifier() for part in value.split(".")),
        'the name of an exception, such as "ValueError" or "module.Name"',
    ),
    "message": (_is_text, "a text"),
    "seconds": (
        lambda value: _is_number(value) and 0 < value <= MAX_FUNCTION_SECONDS,
        f"a number of seconds above 0 and up to {MAX_FUNCTION_SECONDS}, the longest that a function can run",
    ),
    "service": (_is_text, 'a boto3 service name, such as "sns"'),
    "operation": (_is_text, 'an API operation, such as "Publish"'),
    "at": (
        lambda value: isinstance(value, str) and re.fullmatch(r"start|end|[a-z0-9-]+\.[A-Z]\w+", value) is not None,
        '"start", "end" or a call such as "dynamodb.UpdateItem"',
    ),
    "dependency.error": (lambda value: value in DEPENDENCY_ERRORS, f"one of {', '.join(DEPENDENCY_ERRORS)}"),
    "response": (lambda value: True, "JSON"),
    "id": (_is_text, "a text"),
}
