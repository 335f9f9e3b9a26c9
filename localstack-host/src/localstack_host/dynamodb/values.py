"""Attribute values in DynamoDB's JSON: what is one, their one spelling, and their order.

AWS: a number has up to 38 digits and a magnitude of 1E-130 to 9.99…E+125, beyond which there is an error, and its
leading and trailing zeros are trimmed; a set is not empty and has no element twice; NULL is true; lists and maps nest
up to 32 levels
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html). Binary values and strings are
ordered by their bytes.

LocalStack: moto keeps numbers as they were spelled, so that 1 and 1.0 are two keys and two elements, counts in floats,
takes 39 digits, and orders binary values by their Base64.

Here: each value has one spelling, which it gets as it comes in (``normal``), so that two values are the same exactly
if they are equal in Python: numbers without exponent, plus sign and zeros at the ends, sets in order, Base64 with its
padding bits zero. Numbers are counted in exact decimals.

Evidence: documentation; belief for the wording of the messages and for +1, .5, 1. and 0E999, which are numbers (as
quoted, and run on AWS, by the public tests of other implementations), and for a negative zero, which is zero.
"""

import base64
import re
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

Value = dict[str, Any]  # of one entry: {type: content}
Attributes = Mapping[str, Value]

TYPES = ("S", "N", "B", "SS", "NS", "BS", "M", "L", "BOOL", "NULL")
ORDERED = ("S", "N", "B")
DIGITS = 38
LARGEST_EXPONENT, SMALLEST_EXPONENT = 125, -130
LEVELS = 32

NORMAL_INTEGER = re.compile(r"-?[1-9][0-9]{0,37}|0")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?)[0-9]+)?", re.ASCII)
EXACT = Context(prec=400)  # more digits than lie between the largest and the smallest number

NOT_NUMERIC = "The parameter cannot be converted to a numeric value"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
TOO_PRECISE = "Attempting to store more than 38 significant digits in a Number"
INVALID = "One or more parameter values were invalid: "


class ValidationError(Exception):
    """What AWS answers with a ValidationException, or as the reason of a cancelled transaction."""


class SerializationError(Exception):
    """What AWS answers with a SerializationException."""


def number(text: str) -> str:
    """The one spelling of a number. Raises ValidationError if ``text`` is none, or out of range or precision."""
    if not text:
        raise ValidationError(NOT_NUMERIC)
    if NORMAL_INTEGER.fullmatch(text):
        return text
    found = NUMBER.fullmatch(text)
    if not found:
        raise ValidationError(f"{NOT_NUMERIC}: {text}")
    try:
        return _spelled(Decimal(text), TOO_PRECISE)
    except InvalidOperation:  # the exponent has more digits than Decimal takes
        if not re.search("[1-9]", re.split("[eE]", text)[0]):
            return "0"
        raise ValidationError(UNDERFLOW if found[1] == "-" else OVERFLOW) from None


def _spelled(exact: Decimal, too_precise: str) -> str:
    if not exact:
        return "0"
    if exact.adjusted() > LARGEST_EXPONENT:
        raise ValidationError(OVERFLOW)
    if exact.adjusted() < SMALLEST_EXPONENT:
        raise ValidationError(UNDERFLOW)
    text = format(exact, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if len(text.lstrip("-").replace(".", "").strip("0")) > DIGITS:
        raise ValidationError(too_precise)
    return text


def plus(first: str, second: str, sign: int = 1) -> str:
    """The sum, or with a ``sign`` of -1 the difference, of two numbers.

    Raises ValidationError if it is out of range, or needs more than 38 digits, which AWS calls an overflow.
    """
    operand = Decimal(second) if sign > 0 else Decimal(second).copy_negate()
    return _spelled(EXACT.add(Decimal(first), operand), OVERFLOW)


def binary(content: str | bytes) -> str:
    """The one spelling of a binary value, in Base64; bytes are the value. Raises SerializationError if it is none."""
    try:
        decoded = content if isinstance(content, bytes) else base64.b64decode(content, validate=True)
    except ValueError:
        raise SerializationError(f"'{content!s}' can not be converted to a Blob: it is not in Base64") from None
    return base64.b64encode(decoded).decode()


def normal(value: Any, level: int = 0) -> Value:
    """The one spelling of a value. Raises ValidationError or SerializationError if it is none."""
    if not isinstance(value, dict) or not value:
        raise ValidationError("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    if len(value) > 1:
        raise ValidationError(
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes"
        )
    if level > LEVELS:
        raise ValidationError("Nesting Levels have exceeded supported limits")
    ((kind, content),) = value.items()
    match kind:
        case "S" if isinstance(content, str):
            return value
        case "N" if isinstance(content, str):
            return {"N": number(content)}
        case "B" if isinstance(content, str | bytes):
            return {"B": binary(content)}
        case "BOOL" if isinstance(content, bool):
            return value
        case "NULL" if isinstance(content, bool):
            if not content:
                raise ValidationError(f"{INVALID}Null attribute value types must have the value of true")
            return value
        case "M" if isinstance(content, dict):
            return {"M": {name: normal(part, level + 1) for name, part in content.items()}}
        case "L" if isinstance(content, list):
            return {"L": [normal(part, level + 1) for part in content]}
        case "SS" | "NS" | "BS" if isinstance(content, list):
            return {kind: elements(kind, content)}
    if kind not in TYPES:
        raise ValidationError("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    raise SerializationError(f"An attribute value of type {kind} has the wrong JSON type")


def elements(kind: str, content: list[Any]) -> list[str]:
    """The one spelling of a set's content. Raises ValidationError if it is empty or has an element twice."""
    if not content:
        name = {"SS": "An string set ", "NS": "An number set ", "BS": "Binary sets should"}[kind]
        raise ValidationError(f"{INVALID}{name} {'not be' if kind == 'BS' else 'may not be'} empty")
    spelled = [normal({kind[0]: element})[kind[0]] for element in content]
    unique = set(spelled)
    if len(unique) < len(spelled):
        if kind == "NS":
            raise ValidationError("Input collection contains duplicates")
        of_type = "of type BS " if kind == "BS" else " "
        raise ValidationError(f"{INVALID}Input collection [{', '.join(content)}]{of_type}contains duplicates.")
    return in_order(kind, unique)


def in_order(kind: str, content: set[str]) -> list[str]:
    return sorted(content, key=lambda element: position({kind[0]: element}))


def normal_item(attributes: Mapping[str, Any]) -> dict[str, Value]:
    """The one spelling of each. Raises ValidationError or SerializationError."""
    return {name: normal(value) for name, value in attributes.items()}


def kind_of(value: Value) -> str:
    return next(iter(value))


def position(value: Value) -> Any:
    """Where a string, number or binary value is among those of its type: for comparisons in Python."""
    ((kind, content),) = value.items()
    if kind == "N":
        return Decimal(content)
    return base64.b64decode(content) if kind == "B" else content


def size(value: Value) -> int | None:
    """What the function ``size`` gives: characters, bytes or elements; None for what has no size."""
    ((kind, content),) = value.items()
    if kind in ("N", "BOOL", "NULL"):
        return None
    return len(base64.b64decode(content)) if kind == "B" else len(content)
