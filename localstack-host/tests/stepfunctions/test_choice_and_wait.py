"""Choice rules and Wait states: types, timestamps, wildcards, what is missing, and the moment at which a wait ends."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.stepfunctions.choice_rules import holds, wildcards
from localstack_host.stepfunctions.timestamps import nanoseconds, written
from state_machines import PASS, choice, create, end, machine, run, start

OF_A_KIND: dict[str, tuple[Any, Any]] = {
    "String": ("a", "b"),
    "Numeric": (1, 2.5),
    "Timestamp": ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000001Z"),
}
HOLDS = {  # for smaller and smaller, smaller and larger, larger and smaller
    "Equals": (True, False, False),
    "LessThan": (False, True, False),
    "GreaterThan": (False, False, True),
    "LessThanEquals": (True, True, False),
    "GreaterThanEquals": (True, False, True),
}


@pytest.mark.parametrize(("kind", "comparison"), list(itertools.product(OF_A_KIND, HOLDS)))
def test_an_operator_compares_values_of_its_type(kind: str, comparison: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html"""
    smaller, larger = OF_A_KIND[kind]
    pairs = ((smaller, smaller), (smaller, larger), (larger, smaller))

    assert tuple(holds(f"{kind}{comparison}", *pair) for pair in pairs) == HOLDS[comparison]


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        *(("StringEquals", "1"), ("NumericEquals", 1), ("BooleanEquals", True), ("NumericLessThanEquals", 1)),
        *(("StringMatches", "*"), ("TimestampEquals", "2026-01-01T00:00:00Z"), ("StringGreaterThanEquals", "")),
    ],
)
def test_a_value_of_another_type_does_not_match(operator: str, value: Any) -> None:
    """ "Step Functions doesn't attempt to match a numeric field to a string value."

    https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
    """
    values: list[Any] = [None, True, 1, "1", [], {}]
    others = [other for other in values if type(other) is not type(value)]

    assert [other for other in others if holds(operator, other, value) or holds(operator, value, other)] == []


def test_a_text_that_is_no_timestamp_is_none_to_both_sides() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html"""
    assert not holds("TimestampLessThan", "2026", "2026-01-01T00:00:00Z")
    assert not holds("TimestampGreaterThan", "2026-01-01T00:00:00Z", "2025")
    assert holds("StringLessThan", "2026", "2026-01-01T00:00:00Z")


KINDS_OF_VALUE: list[tuple[Any, set[str]]] = [
    (None, {"IsNull"}),
    (False, {"IsBoolean"}),
    (0, {"IsNumeric"}),
    (0.5, {"IsNumeric"}),
    ("", {"IsString"}),
    ("2026-01-01T00:00:00+01:00", {"IsString", "IsTimestamp"}),
    ([], set()),
    ({}, set()),
]


@pytest.mark.parametrize(("value", "expected"), KINDS_OF_VALUE)
def test_what_a_value_is(value: Any, expected: set[str]) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html"""
    questions = {"IsNull", "IsBoolean", "IsNumeric", "IsString", "IsTimestamp"}

    assert {question for question in questions if holds(question, value, True)} == expected
    assert {question for question in questions if holds(question, value, False)} == questions - expected


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("log-*.txt", ["log-a.txt", "log-.txt", "log-a\n.txt"], ["log-a_txt", "a-log-a.txt"]),
        ("*", ["", "a"], []),
        ("a?[b]", ["a?[b]"], ["axb", "a?b"]),
        (r"a\*b", ["a*b"], ["ab", "axb", r"a\*b"]),
        (r"a\\b", [r"a\b"], [r"a\\b", "ab"]),
        (r"a\\*", ["a\\", r"a\b"], ["a", "a*"]),
        ("**a**", ["a", "bab"], ["b"]),
    ],
)
def test_only_stars_are_wildcards(pattern: str, matching: list[str], others: list[str]) -> None:
    """ "No characters other than "*" have any special meaning during matching."

    https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
    """
    assert [text for text in matching + others if holds("StringMatches", text, pattern)] == matching


@given(st.lists(st.text(alphabet="ab?[].\\*", max_size=3), min_size=1, max_size=4), st.text(max_size=3))
def test_a_pattern_matches_itself_with_anything_for_its_stars(parts: list[str], anything: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html"""
    literal = [part.replace("\\", r"\\").replace("*", r"\*") for part in parts]

    assert wildcards("*".join(literal)).fullmatch(anything.join(parts))
    assert bool(wildcards("".join(literal)).fullmatch(anything)) == (anything == "".join(parts))


NO_TIMESTAMPS: list[Any] = [None, 1, True, [], {}]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T02:00:01+02:00", 1),
        ("1969-12-31T23:30:00.25-00:30", 0.25),
        ("2016-03-14T01:59:00.123456789Z", 1457920740.123456789),
        *(
            (text, None)
            for text in ("2016-03-14", "2016-03-14 01:59:00Z", "2016-03-14T01:59:00", "2016-03-14T01:59:00z")
        ),
        *((text, None) for text in ("2016-13-14T01:59:00Z", "2016-03-14T25:59:00Z", "14-03-2016T01:59:00Z", "", "now")),
        *((text, None) for text in ("2016-03-14T01:59:00.Z", "2016-03-14T01:59:00+25:00", "2016-03-14T01:59:00+0100")),
        *((value, None) for value in NO_TIMESTAMPS),
    ],
)
def test_a_timestamp(text: Any, seconds: float | None) -> None:
    """Those with "T" and with "Z" or an offset, also with fractions of a second.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
    """
    assert nanoseconds(text) == (None if seconds is None else pytest.approx(seconds * 10**9, abs=200))


MOMENTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1))


@given(MOMENTS, st.integers(-23 * 60, 23 * 60), MOMENTS)
def test_timestamps_are_ordered_by_the_moment_whatever_their_offset(
    moment: datetime, minutes: int, other: datetime
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html"""
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    local = (moment + timedelta(minutes=minutes)).isoformat() + f"{sign}{size // 60:02}:{size % 60:02}"

    assert holds("TimestampEquals", local, f"{moment.isoformat()}Z")
    assert holds("TimestampLessThan", local, f"{other.isoformat()}Z") == (moment < other)


@given(MOMENTS)
def test_what_is_written_is_a_timestamp_of_milliseconds(moment: datetime) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"""
    moment = moment.replace(tzinfo=UTC)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    assert len(written(moment)) == len("2026-01-02T03:04:05.678Z")
    assert nanoseconds(written(moment)) == expected * 10**6


PATHS = {
    "equal": {"Variable": "$.a", "NumericEqualsPath": "$.b", "Next": "Yes"},
    "greater": {"Variable": "$.a", "NumericGreaterThanPath": "$.b", "Next": "Yes"},
    "variable": {"Variable": "$limit", "NumericLessThanPath": "$.a", "Next": "Yes"},
    "of a variable": {"Variable": "$.a", "NumericGreaterThanPath": "$limit", "Next": "Yes"},
    "context": {"Variable": "$.a", "NumericEqualsPath": "$$.Execution.Input.a", "Next": "Yes"},
    "present": {
        "And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "NumericEquals": 3}],
        "Next": "Yes",
    },
    "absent": {"Or": [{"Variable": "$.x", "IsPresent": False}, {"Variable": "$.x", "IsNull": True}], "Next": "Yes"},
    "not": {"Not": {"Variable": "$.x", "IsPresent": True}, "Next": "Yes"},
    "absent variable": {"Variable": "$undefined", "IsPresent": False, "Next": "Yes"},
    "absent context": {"Variable": "$$.Execution.Nothing", "IsPresent": False, "Next": "Yes"},
}
MISSING = {
    "StringEquals": {"Variable": "$.x", "StringEquals": "a", "Next": "Yes"},
    "IsNull": {"Variable": "$.x", "IsNull": True, "Next": "Yes"},
    "IsString": {"Variable": "$.x", "IsString": False, "Next": "Yes"},
    "not": {"Not": {"Variable": "$.x", "NumericEquals": 1}, "Next": "Yes"},
    "path": {"Variable": "$.a", "NumericEqualsPath": "$.x", "Next": "Yes"},
    "and": {"And": [{"Variable": "$.a", "NumericEquals": 3}, {"Variable": "$.x", "IsNull": True}], "Next": "Yes"},
    "variable": {"Variable": "$undefined", "NumericEquals": 1, "Next": "Yes"},
    "context": {"Variable": "$$.Execution.x", "NumericEquals": 1, "Next": "Yes"},
}


def chosen(localstack: Instance, rule: dict[str, Any], value: Any) -> dict[str, Any]:
    first = {"Type": "Pass", "Assign": {"limit": 2}, "Next": "C"}
    return run(localstack, machine(A=first, C=choice(rule, Default="No"), Yes=PASS, No={"Type": "Fail"}), value)


@pytest.mark.parametrize("rule", PATHS.values(), ids=PATHS)
def test_a_rule_holds(localstack: Instance, rule: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html"""
    value = {"a": 3, "b": 2} if rule is PATHS["greater"] else {"a": 3, "b": 3}

    assert chosen(localstack, rule, value)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("rule", MISSING.values(), ids=MISSING)
def test_a_missing_variable_fails_the_execution(localstack: Instance, rule: dict[str, Any]) -> None:
    """ "If the state input doesn't contain the $.type field, the execution fails": it does not go on at Default.

    https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-choice-state.html
    """
    failed = chosen(localstack, rule, {"a": 3})

    assert (failed["status"], failed["error"]) == ("FAILED", "States.Runtime")
    assert "the state 'C' (entered at the event id #4). Invalid path '$" in failed["cause"]
    assert "The choice state's condition path references an invalid value." in failed["cause"]


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"Variable": "$.a", "NumericEquals": "1"}, "NumericEquals"),
        ({"Variable": "$.a", "StringEquals": 1}, "StringEquals"),
        ({"Variable": "$.a", "BooleanEquals": "true"}, "BooleanEquals"),
        ({"Variable": "$.a", "TimestampEquals": "2026"}, "TimestampEquals"),
        ({"And": [{"Variable": "$.a", "IsNull": "true"}, {"Variable": "$.a", "IsPresent": True}]}, "And[0]/IsNull"),
        ({"Not": {"Variable": "$.a", "NumericEqualsPath": "b"}}, "Not/NumericEqualsPath"),
    ],
)
def test_a_literal_of_another_type_is_refused(localstack: Instance, rule: dict[str, Any], field: str) -> None:
    """ "For each operator, the corresponding value must be of the appropriate type."

    https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
    """
    definition = machine(C=choice({**rule, "Next": "A"}, Default="A"), A=PASS)

    with pytest.raises(ClientError, match="InvalidDefinition"):
        create(localstack, definition)

    validated = localstack.client("stepfunctions").validate_state_machine_definition(definition=json.dumps(definition))
    assert validated["result"] == "FAIL"
    for found in validated["diagnostics"]:
        # LocalStack's grammar refuses a timestamp that is none, and a path that is none, in words of its own.
        assert found["location"] == f"/States/C/Choices[0]/{field}" or "NumericEqualsPath" in field


def test_a_wait_ends_at_its_moment(localstack: Instance) -> None:
    """A fraction of a second and an offset count: not before, and not a second after.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
    """
    wait = {"Type": "Wait", "TimestampPath": "$.until", "End": True}
    arn = create(localstack, machine(W=wait))
    moment = datetime.now(UTC) + timedelta(seconds=2.5)
    until = (moment + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.%f+02:00")

    ended = end(localstack, start(localstack, arn, {"until": until}))

    assert ended["status"] == "SUCCEEDED"
    assert ended["stopDate"] >= moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_a_moment_in_the_definition(localstack: Instance) -> None:
    """One with a fraction and an offset is taken, and in the past ends at once; what is no timestamp is refused.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
    """
    wait = {"Type": "Wait", "Timestamp": "2016-08-18T17:33:00.5+02:00", "End": True}

    assert run(localstack, machine(W=wait))["status"] == "SUCCEEDED"
    with pytest.raises(ClientError, match="InvalidDefinition"):
        create(localstack, machine(W={**wait, "Timestamp": "2016-08-18 17:33:00"}))


def test_the_time_of_the_context_object_is_a_timestamp(localstack: Instance) -> None:
    """A Wait until $$.State.EnteredTime ends at once, and a Choice takes it for a timestamp.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
    """
    rules = [
        {"Variable": "$$.State.EnteredTime", "TimestampGreaterThanEqualsPath": "$$.Execution.StartTime"},
        {"Variable": "$$.State.EnteredTime", "IsTimestamp": True},
        {"Variable": "$$.State.EnteredTime", "StringMatches": "????-*"},
    ]
    definition = machine(
        W={"Type": "Wait", "TimestampPath": "$$.State.EnteredTime", "Next": "C"},
        C=choice({"And": [*rules[:2], {"Not": rules[2]}], "Next": "A"}),
        A={"Type": "Pass", "Parameters": {"at.$": "$$.State.EnteredTime"}, "End": True},
    )

    ended = run(localstack, definition)

    assert ended["status"] == "SUCCEEDED", ended
    assert len(json.loads(ended["output"])["at"]) == len("2026-01-02T03:04:05.678Z")


@pytest.mark.parametrize(
    ("path", "value", "cause"),
    [
        ("TimestampPath", 5, "The TimestampPath parameter does not reference a valid ISO-8601 extended offset"),
        ("TimestampPath", "2016-12-05T21:29:29", "The TimestampPath parameter does not reference a valid ISO-8601"),
        ("SecondsPath", True, "The SecondsPath parameter cannot be parsed as a long value: $.w == true"),
        ("SecondsPath", "1", "The SecondsPath parameter cannot be parsed as a long value: $.w == 1"),
        ("SecondsPath", -1, "The SecondsPath parameter references a negative value: $.w == -1"),
    ],
)
def test_what_is_no_moment_fails_the_execution(localstack: Instance, path: str, value: Any, cause: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html"""
    failed = run(localstack, machine(W={"Type": "Wait", path: "$.w", "End": True}), {"w": value})

    assert (failed["status"], failed["error"]) == ("FAILED", "States.Runtime")
    assert cause in failed["cause"]
