"""Attribute values: DynamoDB's documented ranges, and properties of numbers against exact fractions.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

import base64
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.dynamodb.values import (
    OVERFLOW,
    TOO_PRECISE,
    UNDERFLOW,
    SerializationError,
    ValidationError,
    normal,
    number,
    plus,
    position,
)

LARGEST, SMALLEST = Fraction(10) ** 126 - Fraction(10) ** 88, Fraction(1, 10**130)


@pytest.mark.parametrize(
    ("spelling", "spelled"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("0001.2300", "1.23"),
        ("1E+2", "100"),
        ("1e2", "100"),
        ("-17.4E37", "-174" + "0" * 36),
        ("+3", "3"),
        (".123", "0.123"),
        ("1.", "1"),
        ("-0", "0"),
        ("0.00", "0"),
        ("0e1000", "0"),
        ("0e" + "9" * 30, "0"),
        ("1E-3", "0.001"),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("9.9999999999999999999999999999999999999E+125", "9" * 38 + "0" * 88),
        ("1" * 38, "1" * 38),
        ("1" + "0" * 60, "1" + "0" * 60),
        ("1." + "0" * 60, "1"),
    ],
)
def test_a_number_has_one_spelling(spelling: str, spelled: str) -> None:
    """'Leading and trailing zeroes are trimmed', and what SDKs send with an exponent is the same number."""
    assert number(spelling) == spelled
    assert number(spelled) == spelled


@pytest.mark.parametrize(
    ("spelling", "reason"),
    [
        ("1E+126", OVERFLOW),
        ("-1E+126", OVERFLOW),
        ("1e" + "9" * 30, OVERFLOW),
        ("1E-131", UNDERFLOW),
        ("0.9E-130", UNDERFLOW),
        ("1e-" + "9" * 30, UNDERFLOW),
        ("1" * 39, TOO_PRECISE),
        ("3.14159265358979323846264338327950288419", TOO_PRECISE),
        *((text, "cannot be converted to a numeric value") for text in ("", "NaN", "Infinity", "-Infinity", "dog")),
        *(
            (text, "cannot be converted to a numeric value")
            for text in (" 1", "1 ", "1_0", "0x1", "1e", ".", "--1", "\u0661")
        ),
    ],
)
def test_what_is_no_number_is_refused(spelling: str, reason: str) -> None:
    """'Numbers can have up to 38 digits of precision. Exceeding this results in an exception', as does the range."""
    with pytest.raises(ValidationError, match=reason):
        number(spelling)


def fractions_of(digits: int, exponent: int) -> Fraction:
    return Fraction(digits) * Fraction(10) ** exponent


NUMBERS = st.builds(
    lambda digits, exponent: f"{digits}E{exponent}", st.integers(-(10**38) + 1, 10**38 - 1), st.integers(-130, 88)
)
SPELLINGS = st.sampled_from([str, lambda text: format(Decimal(text), "f"), lambda text: text.replace("E", ".000e")])


@given(NUMBERS, SPELLINGS, NUMBERS, SPELLINGS)
def test_numbers_are_the_same_exactly_if_they_are_equal(first: str, spell: Any, second: str, spell_too: Any) -> None:
    one, two = number(spell(first)), number(spell_too(second))

    assert Fraction(one) == Fraction(Decimal(first))
    assert number(spell_too(first)) == one
    assert (one == two) == (Fraction(one) == Fraction(two))
    assert (position({"N": one}) < position({"N": two})) == (Fraction(one) < Fraction(two))


@given(NUMBERS, NUMBERS, st.sampled_from([1, -1]))
def test_sums_and_differences_are_exact_or_refused(first: str, second: str, sign: int) -> None:
    """ADD and SET count in DynamoDB's numbers: 0.3 - 0.1 is 0.2.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
    """
    one, two = number(first), number(second)
    exact = Fraction(one) + sign * Fraction(two)

    try:
        found = plus(one, two, sign)
    except ValidationError as error:
        significant = exact * 10**130
        while significant and significant % 10 == 0:
            significant /= 10
        assert abs(exact) > LARGEST or abs(significant) >= 10**38
        assert str(error) == OVERFLOW
    else:
        assert Fraction(found) == exact
        assert number(found) == found


def test_a_difference_may_be_too_small() -> None:
    """A result below 1E-130, which is not zero, is out of range."""
    with pytest.raises(ValidationError, match="underflow"):
        plus("0." + "0" * 129 + "12", "0." + "0" * 129 + "11", -1)


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ({"S": ""}, {"S": ""}),
        ({"BOOL": False}, {"BOOL": False}),
        ({"NULL": True}, {"NULL": True}),
        ({"NS": ["10", "9.0", "-1"]}, {"NS": ["-1", "9", "10"]}),
        ({"SS": ["b", "", "a"]}, {"SS": ["", "a", "b"]}),
        ({"BS": ["/w==", "AA=="]}, {"BS": ["AA==", "/w=="]}),
        ({"B": "AB=="}, {"B": "AA=="}),
        ({"L": [{"N": "1.0"}, {"M": {"x": {"N": "2E1"}}}]}, {"L": [{"N": "1"}, {"M": {"x": {"N": "20"}}}]}),
        ({"L": []}, {"L": []}),
        ({"M": {}}, {"M": {}}),
    ],
)
def test_a_value_has_one_spelling(value: Any, spelled: Any) -> None:
    """Sets have no order; binary values are bytes, however they were sent; lists and maps may be empty."""
    assert normal(value) == spelled


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "is empty"),
        ({"S": "a", "N": "1"}, "more than one datatypes"),
        ({"NULL": False}, "must have the value of true"),
        ({"SS": []}, "may not be empty"),
        ({"NS": []}, "may not be empty"),
        ({"BS": []}, "not be empty"),
        ({"SS": ["a", "a"]}, "duplicates"),
        ({"NS": ["1", "1.0"]}, "duplicates"),
        ({"BS": ["AA==", "AB=="]}, "duplicates"),
        ({"NS": ["1", "x"]}, "numeric value: x"),
        ({"L": [{"N": "x"}]}, "numeric value: x"),
        ({"M": {"a": {"SS": []}}}, "may not be empty"),
    ],
)
def test_what_is_no_value_is_refused(value: Any, reason: str) -> None:
    """'Each value within a set must be unique', and 'DynamoDB does not support empty sets'."""
    with pytest.raises(ValidationError, match=reason):
        normal(value)


@pytest.mark.parametrize("value", [{"N": 1}, {"S": 1}, {"BOOL": "true"}, {"L": {}}, {"M": []}, {"SS": "a"}, {"B": "?"}])
def test_json_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(SerializationError):
        normal(value)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


def test_values_nest_up_to_32_levels() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-attributes"""
    assert normal(nested(32)) == nested(32)
    for levels in (33, 20_000):
        with pytest.raises(ValidationError, match="Nesting Levels"):
            normal(nested(levels))


@given(st.binary(), st.binary())
def test_binary_values_are_in_the_order_of_their_bytes(first: bytes, second: bytes) -> None:
    """'DynamoDB treats each byte of the binary data as unsigned when it compares binary values.'"""
    one, two = (normal({"B": base64.b64encode(content).decode()}) for content in (first, second))

    assert (one == two) == (first == second)
    assert (position(one) < position(two)) == (first < second)
