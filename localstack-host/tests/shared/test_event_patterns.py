"""Event patterns: AWS's documented and recorded cases, and properties against a slow reading of the documentation.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html and
https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
"""

import ipaddress
import itertools
import json
import math
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from localstack_host.shared.event_patterns import EVENTS, SNS, Dialect, InvalidPattern, compiled


def matches(pattern: Any, event: Any, dialect: Dialect = EVENTS) -> bool:
    return compiled(json.dumps(pattern), dialect).matches(event)


def reason(pattern: Any, dialect: Dialect = EVENTS) -> str:
    with pytest.raises(InvalidPattern) as refused:
        compiled(pattern if isinstance(pattern, str) else json.dumps(pattern), dialect)
    return str(refused.value)


@pytest.mark.parametrize(
    ("alternative", "matching", "others"),
    [
        pytest.param("a", ["a", ["b", "a"], [["a"]]], ["A", "", None, 1, ["b"], [], {}, {"a": "a"}], id="equals"),
        pytest.param("", [""], [None, " ", [], {}], id="empty"),
        pytest.param(None, [None, [None]], ["", "null", False, 0, [], {}], id="null"),
        pytest.param(True, [True], [1, 1.0, "true", "True", False], id="true"),
        pytest.param(False, [False], [0, 0.0, -0.0, "", None], id="false"),
        pytest.param(1, [1, 1.0, 1e0], [True, "1", 2], id="one"),
        pytest.param(0, [0, 0.0, -0.0], [False, None, ""], id="zero"),
        pytest.param(300, [300, 300.0, 3.0e2], ["300", 300.1], id="300 is 300.0, as recorded"),
        pytest.param(123456789012, [123456789012], ["123456789012", 123456789013], id="an account, beyond numeric"),
        pytest.param({"prefix": "a"}, ["a", "ab"], ["ba", "A", "", 5, None, True, {}, [5]], id="prefix"),
        pytest.param({"prefix": ""}, ["", "a"], [5, None, False], id="prefix of any string"),
        pytest.param({"suffix": ".png"}, ["a.png", ".png"], ["a.PNG", "png", 5, None, True, [5]], id="suffix"),
        pytest.param(
            {"prefix": {"equals-ignore-case": "Ab"}}, ["abc", "AB"], ["b", 5, None, True], id="prefix, any case"
        ),
        pytest.param(
            {"suffix": {"equals-ignore-case": "Ab"}}, ["cAB", "ab"], ["a", 5, None, True], id="suffix, any case"
        ),
        pytest.param({"equals-ignore-case": "Alice"}, ["alice", "ALICE"], ["al", 5, None, True, [5]], id="any case"),
        pytest.param({"wildcard": "*"}, ["", "a", "a\nb"], [5, None, True, []], id="star alone"),
        pytest.param({"wildcard": "a*"}, ["a", "ab", "a*"], ["", "ba", 5], id="a star may stand for nothing"),
        pytest.param({"wildcard": "a*b*c"}, ["abc", "axbxc", "abbcc"], ["ac", "abcd", "xabc"], id="two stars"),
        pytest.param({"wildcard": "ab*ba"}, ["abba", "abxba"], ["aba", "ab", "ba"], id="the ends do not overlap"),
        pytest.param({"wildcard": r"a\*b"}, ["a*b"], ["ab", "axb", r"a\*b"], id="an asterisk"),
        pytest.param({"wildcard": r"a\\*"}, ["a\\", "a\\b"], ["a", "ab", "a*"], id="a backslash, and a star"),
        pytest.param({"wildcard": "a.c"}, ["a.c"], ["abc", "a.cd"], id="no star, and nothing else is special"),
        pytest.param({"exists": True}, [1, None, "", False, [1]], [[], {}, [{}], {"a": 1}, [{"a": 1}]], id="exists"),
        pytest.param({"exists": False}, [[], {}, {"a": 1}], [1, None, "", False, [1]], id="does not exist"),
        pytest.param({"anything-but": "a"}, ["b", 1, None, True, ["a", "b"]], ["a", [], {}], id="anything but"),
        pytest.param(
            {"anything-but": ["a", "b"]}, ["c", 1, None, ["a", "c"]], ["a", "b", ["a", "b"]], id="but several"
        ),
        pytest.param({"anything-but": 1}, [2, "1", True, None], [1, 1.0], id="but a number"),
        pytest.param({"anything-but": [100, 0]}, [101, 100.1, "100", [100, 50]], [100, 1e2, 0], id="but numbers"),
        pytest.param({"anything-but": {"prefix": "a"}}, ["b", "", 5, None], ["a", "ab"], id="but a prefix"),
        pytest.param({"anything-but": {"prefix": ["a", "b"]}}, ["c", 5], ["a", "bc"], id="but prefixes"),
        pytest.param({"anything-but": {"suffix": "a"}}, ["b", 5, None], ["a", "ba"], id="but a suffix"),
        pytest.param({"anything-but": {"suffix": ["a", "b"]}}, ["c", 5], ["a", "cb"], id="but suffixes"),
        pytest.param({"anything-but": {"equals-ignore-case": "a"}}, ["b", 5, None], ["a", "A"], id="but in any case"),
        pytest.param({"anything-but": {"equals-ignore-case": ["a", "B"]}}, ["c"], ["A", "b"], id="but several in any"),
        pytest.param(
            {"anything-but": {"wildcard": "*/lib/*"}}, ["a", 5, None], ["/lib/", "a/lib/b"], id="but a wildcard"
        ),
        pytest.param({"anything-but": {"wildcard": ["a*", "*b"]}}, ["c", ""], ["a", "cb"], id="but wildcards"),
        pytest.param({"numeric": ["=", 3.018e2]}, [301.8], [301, "301.8", None, True], id="numeric equals"),
        pytest.param({"numeric": ["=", 1]}, [1, 1.0], [True, "1"], id="true is no number"),
        pytest.param({"numeric": [">", 0, "<=", 5]}, [5, 0.000001, 3], [0, 5.000001, "3", None, True], id="range"),
        pytest.param(
            {"numeric": ["<", 10]}, [9, -5e9], [10, 10.5, "9", -5000000001], id="what is out of range matches none"
        ),
        pytest.param({"numeric": ["=", 0.3]}, [0.3, 0.1 + 0.2], [0.300001], id="six decimal places"),
        pytest.param(
            {"cidr": "10.0.0.0/24"}, ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "a", 10, None, "::1"], id="cidr"
        ),
        pytest.param(
            {"cidr": "2001:db8::/32"}, ["2001:db8::1", "2001:0DB8:1::"], ["2001:db9::", "10.0.0.1"], id="IPv6"
        ),
        pytest.param("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::2", 1], id="an address, however it is written"),
        pytest.param("10.0.0.1", ["10.0.0.1"], ["10.0.0.10", "10.0.0.1 "], id="an IPv4 address"),
    ],
)
def test_an_alternative(alternative: Any, matching: list[Any], others: list[Any]) -> None:
    """What each operator matches; a value of another type is no match and no error
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html)."""
    pattern = {"detail": {"field": [alternative]}}

    assert [value for value in matching if not matches(pattern, {"detail": {"field": value}})] == []
    assert [value for value in others if matches(pattern, {"detail": {"field": value}})] == []
    assert matches(pattern, {"detail": {}}) is (alternative == {"exists": False})


EMPLOYEES = {
    "employees": [
        {"firstName": "Anna", "lastName": "Smith", "tags": ["a", "b"]},
        {"firstName": "Peter", "lastName": "Jones", "tags": ["c"]},
    ]
}


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"employees": {"firstName": ["Anna"]}}, EMPLOYEES, True),
        ({"employees": {"firstName": ["Anna"], "lastName": ["Smith"]}}, EMPLOYEES, True),
        ({"employees": {"firstName": ["Anna"], "lastName": ["Jones"]}}, EMPLOYEES, False),
        ({"employees": {"firstName": ["Anna", "Peter"], "lastName": ["Jones"]}}, EMPLOYEES, True),
        ({"employees": {"lastName": ["Jones"], "tags": ["a"]}}, EMPLOYEES, False),
        ({"employees": {"lastName": ["Jones"], "tags": ["c"]}}, EMPLOYEES, True),
        ({"employees": {"firstName": ["Anna"], "age": [{"exists": False}]}}, EMPLOYEES, True),
        ({"employees": {"firstName": [{"exists": False}]}}, EMPLOYEES, False),
        ({"a": {"b": [1], "c": [2]}}, {"a": [[{"b": 1}], [{"c": 2}]]}, False),
        ({"a": {"b": [1], "c": [2]}}, {"a": [[{"b": 1, "c": 2}], [{}]]}, True),
        ({"a": {"x": [1]}, "b": {"x": [2]}}, {"a": [{"x": 0}, {"x": 1}], "b": [{"x": 2}, {"x": 0}]}, True),
        ({"tags": ["a"], "other": ["x"]}, {"tags": ["b", "a"], "other": ["x", "y"]}, True),
    ],
)
def test_conditions_on_an_array_hold_for_one_element(pattern: Any, event: Any, expected: bool) -> None:
    """ "Any two fields" must not be "within JSON objects that are in different elements of the same array"
    (https://github.com/aws/event-ruler#json-array-matching)."""
    assert matches(pattern, event) is expected


@pytest.mark.parametrize(
    "pattern", [{"a.b": {"c": [1]}}, {"a": {"b.c": [1]}}, {"a": {"b": {"c": [1]}}}, {"a.b.c": [1]}]
)
@pytest.mark.parametrize("event", [{"a.b": {"c": 1}}, {"a": {"b.c": 1}}, {"a": {"b": {"c": 1}}}, {"a.b.c": 1}])
def test_dots_join_names(pattern: Any, event: Any) -> None:
    """ "EventBridge uses dot (.) as the joining character"
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html)."""
    assert matches(pattern, event)
    assert not matches(pattern, json.loads(json.dumps(event).replace("1", "2")))


def test_the_last_of_two_patterns_for_one_field_counts() -> None:
    """ "If multiple patterns match the same JSON field, EventBridge only uses the last one"
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html)."""
    assert matches({"a": {"b": [1]}, "a.b": [2]}, {"a": {"b": 2}})
    assert not matches({"a": {"b": [1]}, "a.b": [2]}, {"a": {"b": 1}})


def test_or_has_branches() -> None:
    """$or is true when one of its objects is; the fields beside it must match too
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html)."""
    pattern = {
        "source": ["aws.cloudwatch"],
        "$or": [{"metric": ["CPU"]}, {"detail": {"$or": [{"count": [{"numeric": [">", 5]}]}, {"state": ["on"]}]}}],
    }
    assert matches(pattern, {"source": "aws.cloudwatch", "metric": "CPU"})
    assert matches(pattern, {"source": "aws.cloudwatch", "detail": {"count": 6}})
    assert matches(pattern, {"source": "aws.cloudwatch", "metric": "x", "detail": {"state": "on"}})
    assert not matches(pattern, {"source": "aws.cloudwatch", "detail": {"count": 5, "state": "off"}})
    assert not matches(pattern, {"source": "other", "metric": "CPU"})
    assert matches({"$or": {"a": [1]}}, {"$or": {"a": 1}}), "with an object behind it, it is a field"


def test_or_has_a_thousand_combinations_at_most() -> None:
    """A pattern with more than 1,000 combinations of $or is refused
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html)."""
    ten = {"$or": [{f"a{number}": [1]} for number in range(10)]}
    compiled(json.dumps({"a": ten, "b": ten, "c": ten}))
    assert "too complex" in reason({"a": ten, "b": ten, "c": ten, "d": {"$or": [{"x": [1]}, {"y": [1]}]}})


ANYTHING_BUT = "Value of anything-but must be an array or single string/number value."
INSIDE = "Inside anything but list, start|null|boolean is not supported."
MIXED = "Inside anything but list, either all values are number or string, mixed type is not supported"
IGNORED_CASE = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
AFFIX = "prefix/suffix match pattern must be a string"
ONE_KEY = "Only one key allowed in match expression"


@pytest.mark.parametrize(
    ("alternatives", "expected"),
    [
        ([], "Empty arrays are not allowed"),
        ([["a"]], "Match value must be String, number, true, false, or null"),
        ([{}], "Match expression name not found"),
        ([{"unknown": 1}], "Unrecognized match type unknown"),
        ([{"EXISTS": True}], "Unrecognized match type EXISTS"),
        ([{"prefix": "a", "suffix": "b"}], ONE_KEY),
        ([{"prefix": 1}], "prefix match pattern must be a string"),
        ([{"prefix": ["a"]}], "prefix match pattern must be a string"),
        ([{"suffix": 1}], "suffix match pattern must be a string"),
        ([{"suffix": None}], "suffix match pattern must be a string"),
        ([{"equals-ignore-case": ["a"]}], "equals-ignore-case match pattern must be a string"),
        ([{"equals-ignore-case": {"prefix": "a"}}], "equals-ignore-case match pattern must be a string"),
        ([{"exists": "no"}], "exists match pattern must be either true or false."),
        ([{"exists": None}], "exists match pattern must be either true or false."),
        ([{"cidr": ["bad"]}], "prefix match pattern must be a string"),
        ([{"cidr": "bad-filter"}], "Malformed CIDR, one '/' required"),
        ([{"cidr": "10.0.0.0/8/8"}], "Malformed CIDR, one '/' required"),
        ([{"cidr": "xx.11.xx/8"}], "Nonstandard IP address: xx.11.xx"),
        ([{"cidr": "xxxx:db8:1234:1a00::/64"}], "Nonstandard IP address: xxxx:db8:1234:1a00::"),
        ([{"cidr": "10.0.0.0/xx"}], "Malformed CIDR, mask bits must be an integer"),
        ([{"cidr": "10.0.0.0/-1"}], "Malformed CIDR, mask bits must not be negative"),
        ([{"cidr": "10.0.0.0/32"}], "IPv4 mask bits must be < 32"),
        ([{"cidr": "::/128"}], "IPv6 mask bits must be < 128"),
        ([{"numeric": 5}], "Value of numeric must be an array."),
        ([{"numeric": []}], "Invalid member in numeric match: ]"),
        ([{"numeric": [1, "<="]}], "Invalid member in numeric match: 1"),
        ([{"numeric": ["operator"]}], "Unrecognized numeric range operator: operator"),
        ([{"numeric": ["=", "000"]}], "Value of equals must be numeric"),
        ([{"numeric": [">="]}], "Value of >= must be numeric"),
        ([{"numeric": ["=", True]}], "Value of equals must be numeric"),
        ([{"numeric": ["<", 100, ">", 10]}], "Too many elements in numeric expression"),
        ([{"numeric": [">", 20, 30]}], "Bad value in numeric range: 30"),
        ([{"numeric": [">", 0, ">", 0]}], "Bad numeric range operator: >"),
        ([{"numeric": [">", 0, "<"]}], "Value of < must be numeric"),
        ([{"numeric": [">", 3, "<", 1]}], "Bottom must be less than top"),
        ([{"numeric": [">", 20, "<", 30, "<", 50]}], "Too many terms in numeric range expression"),
        ([{"anything-but": None}], ANYTHING_BUT),
        ([{"anything-but": True}], ANYTHING_BUT),
        ([{"anything-but": ["stopped", None]}], INSIDE),
        ([{"anything-but": ["a", 1]}], MIXED),
        ([{"anything-but": []}], MIXED),
        ([{"anything-but": {}}], "Anything-But expression name not found"),
        ([{"anything-but": {"exists": False}}], "Unsupported anything-but pattern: exists"),
    ],
)
@pytest.mark.parametrize("dialect", [EVENTS, SNS], ids=["EventBridge", "SNS"])
def test_what_is_refused(alternatives: list[Any], expected: str, dialect: Dialect) -> None:
    """AWS's reasons, as recorded (TestEventPattern::test_event_pattern, TestSNSFilterPolicyConditions) or in the source
    of AWS's Event Ruler (https://github.com/aws/event-ruler)."""
    assert reason({"a": {"b": alternatives}}, dialect) == expected


@pytest.mark.parametrize(
    ("alternative", "expected", "of_sns"),
    [
        ({"prefix": {"suffix": "a"}}, "Unsupported prefix pattern: suffix", "prefix match pattern must be a string"),
        (
            {"prefix": {"equals-ignore-case": 1}},
            "equals-ignore-case match pattern must be a string",
            "prefix match pattern must be a string",
        ),
        ({"suffix": {"x": "a"}}, "Unsupported suffix pattern: x", "suffix match pattern must be a string"),
        ({"wildcard": 123}, "wildcard match pattern must be a string", "Unrecognized match type wildcard"),
        ({"wildcard": ["a"]}, "wildcard match pattern must be a string", "Unrecognized match type wildcard"),
        (
            {"wildcard": "arn:aws:events:us-east-1:**:event-bus/*"},
            "Consecutive wildcard characters at pos 26",
            "Unrecognized match type wildcard",
        ),
        ({"wildcard": r"a\b"}, "Invalid escape character at pos 2", "Unrecognized match type wildcard"),
        ({"wildcard": "a\\"}, "Invalid escape character at pos 2", "Unrecognized match type wildcard"),
        (
            {"wildcard": "*:*:*:*:*:event-bus/*"},
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
            "wildcard character",
            "Unrecognized match type wildcard",
        ),
        ({"anything-but": {"prefix": 123}}, AFFIX, "prefix match pattern must be a string"),
        ({"anything-but": {"prefix": ""}}, "Null prefix/suffix not allowed", "Null prefix/suffix not allowed"),
        ({"anything-but": {"prefix": [1, "a"]}}, AFFIX, "prefix match pattern must be a string"),
        (
            {"anything-but": {"prefix": {"equals-ignore-case": "a"}}},
            ANYTHING_BUT,
            "prefix match pattern must be a string",
        ),
        ({"anything-but": {"suffix": 123}}, AFFIX, "Unsupported anything-but pattern: suffix"),
        (
            {"anything-but": {"wildcard": 123}},
            "wildcard match pattern must be a string",
            "Unsupported anything-but pattern: wildcard",
        ),
        (
            {"anything-but": {"equals-ignore-case": 1}},
            IGNORED_CASE,
            "Unsupported anything-but pattern: equals-ignore-case",
        ),
        (
            {"anything-but": {"equals-ignore-case": [1]}},
            IGNORED_CASE,
            "Unsupported anything-but pattern: equals-ignore-case",
        ),
        (
            {"numeric": ["=", 5e9 + 1]},
            "Value must be between -5.0E9 and 5.0E9, inclusive",
            "Value must be between -1.0E9 and 1.0E9, inclusive",
        ),
    ],
)
def test_what_the_services_refuse_differently(alternative: Any, expected: str, of_sns: str) -> None:
    """SNS has no wildcards and fewer forms of the others, as recorded
    (test_validate_policy_nested_anything_but_operator, test_validate_policy_string_operators)."""
    assert reason({"a": [alternative]}) == expected
    assert reason({"a": [alternative]}, SNS) == of_sns


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": "me"}, '"source" must be an object or an array'),
        ({"a": {"b": 5}}, '"b" must be an object or an array'),
        ({"a": None}, '"a" must be an object or an array'),
        ({}, "Empty objects are not allowed"),
        ({"a": {}}, "Empty objects are not allowed"),
        (["not", "a", "dict"], "Filter is not an object"),
        ("{'bad': 'quotation'}", "Filter is not valid JSON"),
        ('{"a": [NaN]}', "Filter is not valid JSON"),
        ("[" * 100_000, "Filter is not valid JSON"),
        ('{"a":' * 500 + "[1]" + "}" * 500, "Filter is nested too deep"),
        ({"$or": [{"a": [1]}]}, "Unrecognized match type a"),
        ({"$or": [{"a": [1]}, 5, []]}, "Unrecognized match type a"),
        ({"$or": [{"a": [1]}, {}]}, "Empty objects are not allowed"),
    ],
)
def test_a_pattern_that_is_none(pattern: Any, expected: str) -> None:
    """As recorded: TestEventPattern::test_invalid_json_event_pattern, string_nolist_EXC."""
    assert reason(pattern) == expected


def test_in_sns_null_and_the_empty_string_do_not_exist() -> None:
    """exists true: "The key must have a non-null and non-empty value"
    (https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html)."""
    nothing: list[Any] = [None, "", []]
    for value in nothing:
        assert not matches({"a": [{"exists": True}]}, {"a": value}, SNS)
    assert matches({"a": [{"exists": True}]}, {"a": "x"}, SNS)


@pytest.mark.parametrize("event", [None, 5, "text", [], [{"a": 1}], True])
def test_what_is_no_object_matches_nothing(event: Any) -> None:
    """Only objects are events (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html)."""
    assert not compiled('{"a": [{"exists": false}]}').matches(event)


def test_an_event_that_is_nested_deeper_than_any_pattern_is_no_error() -> None:
    event: Any = 1
    for _ in range(900):
        event = {"a": [event]}
    assert not matches({"a": {"a": {"b": [1]}}}, event)


def test_many_objects_take_no_time() -> None:
    """The objects of arrays are not tried in every combination."""
    fields = [f"f{number}" for number in range(8)]
    pattern = {field: {"x": [{"exists": True}]} for field in fields} | {"z": ["no"]}
    event = {field: [{"x": number} for number in range(50)] for field in fields} | {"z": "yes"}

    assert not matches(pattern, event)
    assert matches(pattern, event | {"z": "no"})


# A slow reading of the documentation, which shares no code with what it tests.

NAMES = st.sampled_from(["a", "b", "c.d", "$or"])
TEXT = st.text(alphabet="abA*\\./:1é", max_size=4)
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.5, 9e-7, 0.1 + 0.2, 5e9, 5e9 + 1, 1e300, 10**30]))
LEAVES = st.one_of(TEXT, NUMBERS, st.booleans(), st.none(), st.sampled_from(["10.0.0.1", "::1", "0:0::1", "10.0.0.9"]))
EVENT = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=8,
    ),
    max_size=3,
)
SOME_TEXT = st.text(alphabet="abA*./:1é", min_size=1, max_size=3)
GLOB = st.lists(st.sampled_from(["a", "b", "A", r"\*", r"\\", ".", "*"]), max_size=6).map("".join)
GLOB = GLOB.filter(lambda text: "**" not in text.replace("\\\\", "").replace("\\*", "") and text.count("*") < 5)
NUMBER_BOUND = st.integers(-3, 3) | st.just(0) | st.sampled_from([0.5, -2.5])
OPERATORS = st.one_of(
    st.fixed_dictionaries({"prefix": TEXT | st.fixed_dictionaries({"equals-ignore-case": TEXT})}),
    st.fixed_dictionaries({"suffix": TEXT | st.fixed_dictionaries({"equals-ignore-case": TEXT})}),
    st.fixed_dictionaries({"equals-ignore-case": TEXT}),
    st.fixed_dictionaries({"wildcard": GLOB}),
    st.fixed_dictionaries({"exists": st.just(True)}),
    st.fixed_dictionaries({"cidr": st.sampled_from(["10.0.0.0/29", "::/64", "0.0.0.0/0"])}),
    st.builds(
        lambda sign, bound: {"numeric": [sign, bound]}, st.sampled_from(["<", "<=", "=", ">", ">="]), NUMBER_BOUND
    ),
    st.builds(lambda bottom: {"numeric": [">", bottom, "<=", bottom + 2]}, NUMBER_BOUND),
    st.fixed_dictionaries(
        {
            "anything-but": st.one_of(
                TEXT,
                NUMBER_BOUND,
                st.lists(TEXT, min_size=1, max_size=3),
                st.lists(NUMBER_BOUND, min_size=1, max_size=3),
                st.fixed_dictionaries({"prefix": SOME_TEXT | st.lists(SOME_TEXT, max_size=2)}),
                st.fixed_dictionaries({"suffix": SOME_TEXT | st.lists(SOME_TEXT, max_size=2)}),
                st.fixed_dictionaries({"equals-ignore-case": TEXT | st.lists(TEXT, max_size=2)}),
                st.fixed_dictionaries({"wildcard": GLOB | st.lists(GLOB, max_size=2)}),
            )
        }
    ),
)
ALTERNATIVES = st.lists(LEAVES | OPERATORS, min_size=1, max_size=3)


def objects(fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.dictionaries(st.sampled_from(["a", "b", "c.d"]), fields, min_size=1, max_size=3)
    either = st.builds(lambda one, two, rest: {"$or": [one, two]} | rest, names, names, names | st.just({}))
    return names | either


PATTERNS = objects(st.recursive(ALTERNATIVES, objects, max_leaves=5))

# Few names and values, so that patterns and events meet: fields of objects within arrays, and arrays of those.
ONE = st.sampled_from([1, 2])
OBJECTS: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries({"x": ONE | st.just([])}, optional={"y": ONE, "z": ONE}), min_size=1, max_size=3
)
NESTED = st.lists(st.fixed_dictionaries({"x": ONE, "in": OBJECTS | st.lists(OBJECTS, max_size=2)}), max_size=2)
ARRAYS = st.fixed_dictionaries({"a": OBJECTS | NESTED}, optional={"b": OBJECTS | ONE})
SIMPLE = st.lists(ONE | st.just({"anything-but": 1}), min_size=1, max_size=1)
NAMED = st.sets(st.sampled_from(["a.x", "a.y", "a.z", "a.in.x", "a.in.y", "b.x", "b.y", "b"]), min_size=2, max_size=4)
STRUCTURES = NAMED.flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(sorted(names), SIMPLE)))
STRUCTURES = STRUCTURES | st.builds(lambda one, two: {"$or": [one, two]}, STRUCTURES, STRUCTURES)


def expected_match(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Every choice of one element for each array of containers, every branch of $or, every value."""
    return any(
        all(holds(alternatives, values.get(name, [])) for name, alternatives in branch.items())
        for values in map(flat, chosen(event))
        for branch in branches(pattern)
    )


def chosen(value: Any) -> list[Any]:
    if isinstance(value, dict):
        combinations = itertools.product(*(chosen(inner) for inner in value.values()))
        return [dict(zip(value, combination, strict=True)) for combination in combinations]
    if not isinstance(value, list):
        return [value]
    leaves = [inner for inner in value if not isinstance(inner, dict | list)]
    containers = [inner for inner in value if isinstance(inner, dict | list)]
    return [[*leaves, one] for container in containers for one in chosen(container)] or [leaves]


def flat(value: Any, path: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if not isinstance(value, dict | list):
        return {".".join(path): [value]}
    inner = value.items() if isinstance(value, dict) else [(None, element) for element in value]
    for key, part in inner:
        for name, values in flat(part, path if key is None else (*path, key)).items():
            found.setdefault(name, []).extend(values)
    return found


def branches(pattern: dict[str, Any], path: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{}]
    for key, value in pattern.items():
        if key == "$or":
            adding = [branch for alternative in value for branch in branches(alternative, path)]
        elif isinstance(value, dict):
            adding = branches(value, (*path, key))
        else:
            adding = [{".".join((*path, key)): value}]
        found = [one | other for one in found for other in adding]
    return found


def holds(alternatives: list[Any], values: list[Any]) -> bool:
    return any(
        (not values if alternative == {"exists": False} else any(accepts(alternative, value) for value in values))
        for alternative in alternatives
    )


def number(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -5e9 <= value <= 5e9:
        return None
    return Fraction(math.trunc(Fraction(repr(value)) * 10**6), 10**6)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        try:
            return ipaddress.ip_address(one) == ipaddress.ip_address(other)
        except ValueError:
            return one == other
    known = number(one), number(other)
    if None not in known:
        return known[0] == known[1]
    return isinstance(one, bool) == isinstance(other, bool) and type(one) is type(other) and bool(one == other)


def accepts(alternative: Any, value: Any) -> bool:
    if not isinstance(alternative, dict):
        return equal(alternative, value)
    ((name, argument),) = alternative.items()
    if name == "exists":
        return True
    if name == "anything-but":
        inner = argument
        wrap = None
        if isinstance(argument, dict):
            ((wrap, inner),) = argument.items()
        several = inner if isinstance(inner, list) else [inner]
        if wrap:
            return not any(accepts({wrap: one}, value) for one in several)
        return not any(type_equal(one, value) for one in several)
    if name == "numeric":
        known = number(value)
        signs = {"<": "__lt__", "<=": "__le__", "=": "__eq__", ">": "__gt__", ">=": "__ge__"}
        pairs = zip(argument[::2], argument[1::2], strict=True)
        return known is not None and all(getattr(known, signs[sign])(Fraction(repr(bound))) for sign, bound in pairs)
    if not isinstance(value, str):
        return False
    if isinstance(argument, dict):
        argument, value = argument["equals-ignore-case"].lower(), value.lower()
    if name == "cidr":
        try:
            return ipaddress.ip_address(value) in ipaddress.ip_network(argument)
        except ValueError:
            return False
    if name == "wildcard":
        parts = re.findall(r"\\[*\\]|\*|.", argument, re.DOTALL)
        text = "".join(".*" if part == "*" else re.escape(part[-1]) for part in parts)
        return re.fullmatch(text, value, re.DOTALL) is not None
    if name == "equals-ignore-case":
        return bool(value.lower() == argument.lower())
    return bool(value.startswith(argument) if name == "prefix" else value.endswith(argument))


def type_equal(one: Any, value: Any) -> bool:
    return one == value if isinstance(one, str) else equal(one, value)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(ALTERNATIVES, st.lists(LEAVES, min_size=1, max_size=2))
def test_every_alternative_matches_what_the_documentation_says(alternatives: list[Any], values: list[Any]) -> None:
    """One field's (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html)."""
    assert matches({"a": alternatives}, {"a": values}) is holds(alternatives, values)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(GLOB | st.sampled_from(["*ab*ab*", "*a*ab", "ab*ba", "*a*a*a"]), st.text(alphabet="aab*\\.", max_size=7))
def test_every_wildcard_is_the_regular_expression(wildcard: str, text: str) -> None:
    """A star is any number of characters
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html)."""
    assert matches({"a": [{"wildcard": wildcard}]}, {"a": text}) is accepts({"wildcard": wildcard}, text)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(STRUCTURES, ARRAYS)
def test_every_structure_matches_what_the_documentation_says(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """Against every choice of elements of arrays (https://github.com/aws/event-ruler#json-array-matching)."""
    assert matches(pattern, event) is expected_match(pattern, event)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(PATTERNS, EVENT, NAMES)
def test_a_missing_field_is_all_that_exists_false_matches(
    pattern: dict[str, Any], event: dict[str, Any], name: str
) -> None:
    """exists false and exists true are opposites of a field that is in no array
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html)."""
    assume(name != "$or")
    there, missing = {name: [{"exists": True}]}, {name: [{"exists": False}]}
    assert matches(there, event) is not matches(missing, event)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                NAMES
                | st.sampled_from(
                    ["prefix", "suffix", "anything-but", "numeric", "exists", "cidr", "wildcard", "equals-ignore-case"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    ),
    EVENT,
    st.sampled_from([EVENTS, SNS]),
)
def test_any_json_is_a_pattern_or_refused(pattern: Any, event: dict[str, Any], dialect: Dialect) -> None:
    """Nothing but InvalidPattern is raised for a pattern, and nothing for an event."""
    try:
        matcher = compiled(json.dumps(pattern), dialect)
    except InvalidPattern as error:
        assert str(error)
    else:
        assert matcher.matches(event) in (True, False)
