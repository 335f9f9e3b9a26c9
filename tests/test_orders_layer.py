"""The fields of an order: what is read, what is refused, and with which words."""

import json
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def orders(handlers_layer: ModuleType) -> Any:
    return handlers_layer.orders


def order(text: str) -> dict[str, Any]:
    """An order whose field is written so in JSON, as the layer decodes it."""
    decoded: dict[str, Any] = json.loads(f'{{"field": {text}}}', parse_float=Decimal)
    return decoded


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("120.1", "120.10"),
        ("120.10", "120.10"),
        ("120.100", "120.10"),
        ("120", "120.00"),
        ("1e2", "100.00"),
        ("0.01", "0.01"),
        ("1000000000", "1000000000.00"),
        ('"120.1"', "120.10"),
        ('"0.10"', "0.10"),
    ],
)
def test_an_amount_is_what_was_written_to_the_cent(orders: Any, text: str, amount: str) -> None:
    assert str(orders.amount(order(text), "field")) == amount


@pytest.mark.parametrize("cents", [1, 10, 12010, 12345678901, 99999999999, 100000000000])
def test_an_amount_that_has_been_a_float_is_exact(orders: Any, cents: int) -> None:
    text = f"{cents // 100}.{cents % 100:02}"

    assert orders.amount({"amount": json.loads(text)}) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0"),
        ("-1", "-1"),
        ("-0.0", "-0.0"),
        ("0.001", "0.001"),
        ("120.105", "120.105"),
        ("12345678901234567.89", "12345678901234567.89"),
        ("1000000000.01", "1000000000.01"),
        ("1e27", "1E+27"),
        ("1e400", "1E+400"),
        ("1e-400", "1E-400"),
        ("1" * 4000, "1" * 40 + "..."),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("null", "null"),
        ("true", "true"),
        ("[]", "an array"),
        ('{"a": 1}', "an object"),
        ('""', '""'),
        ('"one hundred"', '"one hundred"'),
        ('"1_000"', '"1_000"'),
        ('" 1"', '" 1"'),
        ('"1\\n"', '"1\\n"'),
        ('"+1"', '"+1"'),
        ('"1e2"', '"1e2"'),
        ('"NaN"', '"NaN"'),
        ('"\uff11\uff12"', '"\\uff11\\uff12"'),
        ('"\u0661"', '"\\u0661"'),
    ],
)
def test_an_amount_that_is_none_is_refused_by_name_value_and_rule(orders: Any, text: str, shown: str) -> None:
    with pytest.raises(orders.PermanentError) as refused:
        orders.amount(order(text), "field")

    rule = "a number above 0 and up to 1000000000, with at most two decimals"
    assert str(refused.value) == f"field is {shown}, and has to be {rule}"


@pytest.mark.parametrize("text", ["o-1", "x" * 512, "\u00fc" * 256, "a b", "\U0001f600", "None", "0"])
def test_an_identifier_is_read_as_it_is(orders: Any, text: str) -> None:
    assert orders.identifier({"order_id": text}, "order_id") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("null", "null"),
        ("5", "5"),
        ("2.5", "2.5"),
        ("true", "true"),
        ("[]", "an array"),
        ('{"a": 1}', "an object"),
        ('""', '""'),
        ('" "', '" "'),
        ('"\\ud800"', '"\\ud800"'),
        (f'"{"x" * 513}"', f'"{"x" * 40}"... (513 characters)'),
        (f'"{"\u00fc" * 257}"', f'"{"\\u00fc" * 40}"... (257 characters)'),
    ],
)
def test_an_identifier_that_is_none_is_refused_by_name_value_and_rule(orders: Any, text: str, shown: str) -> None:
    with pytest.raises(orders.PermanentError) as refused:
        orders.identifier(order(text), "field")

    assert str(refused.value) == f"field is {shown}, and has to be text of 1 to 512 bytes in UTF-8"


@pytest.mark.parametrize("text", ["1", "1000000"])
def test_a_quantity_is_a_whole_number(orders: Any, text: str) -> None:
    assert orders.quantity(order(text), "field") == int(text)


@pytest.mark.parametrize(
    "text", ["0", "-1", "1000001", "2.9", "2.0", "1e2", "true", "null", '"2"', '"a dozen"', "[]", "NaN"]
)
def test_a_quantity_that_is_none_is_refused(orders: Any, text: str) -> None:
    with pytest.raises(orders.PermanentError, match=r"^field is .*, and has to be a whole number from 1 to 1000000$"):
        orders.quantity(order(text), "field")


@pytest.mark.parametrize("field", ["identifier", "amount", "quantity"])
def test_a_field_that_is_not_there_is_missing(orders: Any, field: str) -> None:
    with pytest.raises(orders.PermanentError, match=r"^field is missing, and has to be "):
        getattr(orders, field)({}, "field")
