"""Conditions: operators, keys that are missing, and several values.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.access.conditions import NEGATIONS, OPERATORS, BadCondition, parse
from localstack_host.access.context import Context

QUEUE = "arn:aws:sqs:eu-west-1:1:orders"


def holds(operator: str, wanted: Any, found: Any = None) -> bool:
    """Whether a condition on one key holds; without ``found`` the request does not have the key."""
    context = Context({} if found is None else {"a:Key": found, "a:Name": "ann"})
    return all(condition.holds(context) for condition in parse({operator: {"A:key": wanted}}, variables=True))


@pytest.mark.parametrize(
    ("operator", "wanted", "found", "expected"),
    [
        ("StringEquals", "red", "red", True),
        ("StringEquals", "red", "Red", False),
        ("StringEquals", "r*", "red", False),
        ("StringEquals", ["blue", "red"], "red", True),
        ("StringEquals", "${a:Name}", "ann", True),
        ("StringEquals", "${a:None}", "", False),
        ("StringEquals", True, "true", True),
        ("StringNotEquals", "red", "red", False),
        ("StringNotEquals", ["blue", "red"], "red", False),
        ("StringNotEquals", ["blue", "red"], "green", True),
        ("StringEqualsIgnoreCase", "RED", "red", True),
        ("StringNotEqualsIgnoreCase", "RED", "red", False),
        ("StringLike", "r?d*", "red", True),
        ("StringLike", "R*", "red", False),
        ("StringNotLike", "r*", "red", False),
        ("NumericEquals", "1", "1.0", True),
        ("NumericEquals", 1, "2", False),
        ("NumericNotEquals", "1", "1.0", False),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "9", False),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("NumericEquals", "10", "ten", False),
        ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+00:30", True),
        ("DateLessThan", "2026-01-01T00:00:00Z", "1767225600", False),
        ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", True),
        ("DateNotEquals", "1767225600", "2026-01-01T00:00:00Z", False),
        ("Bool", "true", "true", True),
        ("Bool", True, "false", False),
        ("Bool", "true", "yes", False),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("BinaryEquals", "QmluYXJ5", "AAAA", False),
        ("IpAddress", "203.0.113.0/24", "203.0.113.7", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.7", False),
        ("IpAddress", "203.0.113.7", "203.0.113.7", True),
        ("IpAddress", "203.0.113.0/24", "2001:db8::1", False),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.7", False),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
        ("ArnEquals", "arn:aws:sqs:*:1:*", QUEUE, True),
        ("ArnLike", "arn:aws:sqs:*:orders", QUEUE, False),
        ("ArnNotLike", "arn:aws:sqs:*:1:*", QUEUE, False),
        ("ArnNotEquals", "arn:aws:sqs:*:2:*", QUEUE, True),
        ("Null", "true", "x", False),
        ("Null", False, "x", True),
    ],
)
def test_an_operator(operator: str, wanted: Any, found: str, expected: bool) -> None:
    assert holds(operator, wanted, found) == expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAllValues:StringNotEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", True),
        ("ArnNotLike", True),
        ("Bool", False),
    ],
)
def test_a_key_that_is_missing(operator: str, expected: bool) -> None:
    assert holds(operator, "true") == expected


def test_null_asks_whether_a_key_is_missing() -> None:
    assert holds("Null", "true")
    assert not holds("Null", "false")


@pytest.mark.parametrize(
    ("operator", "found", "expected"),
    [
        ("ForAllValues:StringEquals", ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "c"], False),
        ("ForAllValues:StringEquals", [], True),
        ("ForAllValues:StringNotEquals", ["c", "d"], True),
        ("ForAllValues:StringNotEquals", ["c", "a"], False),
        ("ForAnyValue:StringEquals", ["c", "a"], True),
        ("ForAnyValue:StringEquals", ["c", "d"], False),
        ("ForAnyValue:StringNotEquals", ["a", "c"], True),
        ("ForAnyValue:StringNotEquals", ["a", "b"], False),
        ("StringEquals", ["c", "a"], True),
        ("StringNotEquals", ["c", "a"], False),
    ],
)
def test_several_values_of_the_request(operator: str, found: list[str], expected: bool) -> None:
    assert holds(operator, ["a", "b"], found) == expected


def test_all_operators_and_keys_have_to_hold() -> None:
    context = Context({"a": "1", "b": "2"})

    def all_hold(element: Any) -> bool:
        return all(condition.holds(context) for condition in parse(element, variables=True))

    assert all_hold({"StringEquals": {"a": "1", "b": "2"}, "NumericLessThan": {"a": "2"}})
    assert not all_hold({"StringEquals": {"a": "1", "b": "3"}})
    assert not all_hold({"StringEquals": {"a": "1"}, "NumericLessThan": {"a": "1"}})


@pytest.mark.parametrize(
    "element",
    [
        [],
        {"StringEquals": "a"},
        {"StringSame": {"a": "1"}},
        {"stringEquals": {"a": "1"}},
        {"NotStringEquals": {"a": "1"}},
        {"NumericNotLessThan": {"a": "1"}},
        {"ForSomeValues:StringEquals": {"a": "1"}},
        {"StringEquals": {"a": []}},
        {"StringEquals": {"a": {"b": "c"}}},
        {"NumericEquals": {"a": "one"}},
        {"NumericEquals": {"a": "NaN"}},
        {"DateEquals": {"a": "tomorrow"}},
        {"Bool": {"a": "yes"}},
        {"BinaryEquals": {"a": "%"}},
        {"IpAddress": {"a": "203.0.113.0/33"}},
        {"Null": {"a": ["true", "false"]}},
        {"NullIfExists": {"a": "true"}},
    ],
)
def test_a_condition_that_is_none_is_refused(element: Any) -> None:
    with pytest.raises(BadCondition):
        parse(element, variables=True)


TEXTS = st.lists(st.sampled_from(["1", "2", "true", "2026-01-01T00:00:00Z", QUEUE]), min_size=1, max_size=3)


@given(st.sampled_from(sorted(NEGATIONS)), st.data(), TEXTS)
def test_a_negation_is_the_opposite_where_the_request_has_the_key(
    negation: str, data: st.DataObject, found: list[str]
) -> None:
    positive = negation.replace("Not", "", 1)
    of_the_type = {"N": ["1", "2"], "D": ["1", "2026-01-01T00:00:00Z"], "I": ["203.0.113.7", "::1"]}
    wanted = data.draw(st.lists(st.sampled_from(of_the_type.get(positive[0], [QUEUE, "1", "true"])), min_size=1))

    assert holds(negation, wanted, found) != holds(positive, wanted, found)


@given(st.sampled_from(sorted({*OPERATORS} - {"Bool", "BinaryEquals"})), TEXTS)
def test_for_all_values_holds_exactly_if_it_holds_for_each(operator: str, found: list[str]) -> None:
    wanted = "203.0.113.7" if operator == "IpAddress" else "1"

    assert holds(f"ForAllValues:{operator}", wanted, found) == all(holds(operator, wanted, one) for one in found)
    assert holds(f"ForAnyValue:{operator}", wanted, found) == any(holds(operator, wanted, one) for one in found)
