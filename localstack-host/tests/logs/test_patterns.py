"""Filter patterns, with the cases of AWS's page on their syntax.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import json

import pytest
from localstack_host.logs.patterns import InvalidPattern, compile_pattern

LINES = ["ERROR WARN message", "ERROR message", "WARN message"]
ACCESS = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
TRAIL = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "ThisFlag": True,
    }
)
USERS = json.dumps(
    {
        "user": {"id": 1, "email": "John.Stiles@example.com"},
        "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
        "actions": ["GET", "PUT", "DELETE"],
        "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
    }
)
NUMBERS = json.dumps(
    {
        "latency": 1500,
        "numbers": [0.001],
        "processes": [0, 1, 2, 3, {"averageRuntime": 55.5}],
        "errorCode": 400,
    }
)


def matches(pattern: str, message: str) -> bool:
    return compile_pattern(pattern)(message) is not None


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("", [0, 1, 2]),
        ("ERROR", [0, 1]),
        ("ERROR WARN", [0]),
        ("?ERROR ?WARN", [0, 1, 2]),
        ("ERROR -WARN", [1]),
        ("-ERROR", [2]),
        ('"ERROR message"', [1]),
        ("message ?nothing", [0, 1, 2]),
        ("?ERROR ?other -WARN", [1]),
        ("error", []),
        ("%^WARN%", [2]),
        ("[w1=ERROR, w2]", [1]),
        ("[w1=ERROR || w1=WARN, w2]", [1, 2]),
        ("[w1, w2=W*, w3]", [0]),
    ],
)
def test_terms(pattern: str, matched: list[int]) -> None:
    assert [index for index, line in enumerate(LINES) if matches(pattern, line)] == matched


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("ERROR", "Exiting with ERRORCODE: -1"),
        ("ERROR Exception", "[ERROR] Caught IllegalArgumentException"),
        ("Failed to process the request", "[ERROR] Unable to continue: Failed to process the request"),
        ("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST"),
        ("%colou?r%", "the color"),
        (r'"say \"hi\""', 'they say "hi"'),
    ],
)
def test_terms_that_match(pattern: str, message: str) -> None:
    assert matches(pattern, message)


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.eventType = "UpdateTrail" }',
        "{ $.eventType = Update* }",
        "{ $.eventType = *Trail }",
        "{ $.eventType = *date* }",
        "{ $.eventType = %^Up.*Trail$% }",
        "{ $.sourceIPAddress != 123.123.* }",
        "{ $.sourceIPAddress = 111.111.* }",
        '{ $.arrayKey[0] = "value" }',
        "{ $.objectList[1].id = 2 }",
        "{ $.SomeObject IS NULL }",
        "{ $.SomeOtherObject NOT EXISTS }",
        "{ $.ThisFlag IS TRUE }",
        "{ $.ThisFlag = true }",
        "{$.eventType=UpdateTrail&&$.ThisFlag IS TRUE}",
    ],
)
def test_json_that_matches(pattern: str) -> None:
    assert matches(pattern, TRAIL)


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.eventType = "Update" }',
        "{ $.eventType = Up*Trail }",
        "{ $.sourceIPAddress != 111.111.* }",
        "{ $.arrayKey[2] = * }",
        "{ $.eventType[0] = * }",
        "{ $.objectList = 1 }",
        "{ $.objectList != 1 }",
        "{ $.SomeOtherObject != 1 }",
        "{ $.SomeOtherObject IS NULL }",
        "{ $.SomeObject NOT EXISTS }",
        "{ $.ThisFlag IS FALSE }",
        "{ $.ThisFlag > 0 }",
    ],
)
def test_json_that_does_not_match(pattern: str) -> None:
    assert not matches(pattern, TRAIL)


def test_brackets_nested_deeper_than_a_parser_goes_are_no_json() -> None:
    assert not matches("{ $.a = * }", "[" * 10_000)
    assert matches('"["', "[" * 10_000)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', False),
        (
            '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }',
            True,
        ),
        (
            (
                '{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch)'
                " && $.actions[2] = nomatch }"
            ),
            False,
        ),
        ("{ $.coordinates[1][2] = 6 }", True),
    ],
)
def test_compound_conditions(pattern: str, expected: bool) -> None:
    assert matches(pattern, USERS) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("$.latency >= 500", True),
        ("$.numbers[0] < 10e3", True),
        ("$.numbers[0] < 10e-3", True),
        ("$.processes[4].averageRuntime <= 55.5", True),
        ("$.errorCode = 400", True),
        ("$.errorCode = 400.0", True),
        ("$.errorCode != 500", True),
        ("$.latency > +1000", True),
        ("$.latency < -1", False),
        ("$.missing > 1", False),
    ],
)
def test_numbers(condition: str, expected: bool) -> None:
    assert matches(f"{{ {condition} }}", NUMBERS) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, user, username, timestamp, request, status_code, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code]", False),
        ("[..., status_code, bytes]", True),
        ("[ip, user, ..., status_code, bytes]", True),
        ("[ip, user, ...]", True),
        ("[ip, user, username, timestamp, request, status_code, bytes > 1000]", True),
        ("[ip, user, username, timestamp, request, status_code = 200, bytes]", False),
        ("[ip, user, username, timestamp, request, status_code = 4*, bytes]", True),
        ("[ip, user, username, timestamp, request = *html*, status_code = 4*, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code = 403 || status_code = 404, bytes]", True),
        ("[..., request=*.html*, status_code=4*,]", True),
        ("[..., status_code = 4* && bytes > 2000, bytes]", False),
        ("[ip=%127\\.0\\.0\\.[1-9]%, ...]", True),
        ("[one, two, three, four, five, six, seven, eight, ...]", False),
    ],
)
def test_space_delimited(pattern: str, expected: bool) -> None:
    assert matches(pattern, ACCESS) == expected


def test_values_for_metric_filters() -> None:
    fields = compile_pattern("[..., request=*.html*, status_code=4*,]")(ACCESS)
    document = compile_pattern("{ $.latency = * }")(NUMBERS)

    assert fields and document
    found = [fields.value(name) for name in ("$status_code", "$request", "$7", "$4", "$1", "$nothing")]
    assert found == [
        "404",
        "GET /index.html HTTP/1.0",
        "1534",
        "10/Oct/2000:13:25:15 -0700",
        "127.0.0.1",
        None,
    ]
    assert (document.value("$.latency"), document.value("$.numbers"), document.value("$.x")) == (
        1500,
        None,
        None,
    )


@pytest.mark.parametrize("message", ["ERROR", "", "[1, 2]", "12", '{"a": '])
def test_a_json_pattern_on_other_messages(message: str) -> None:
    assert not matches("{ $.a = 1 }", message)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("{ $.a = 1", "ends with }"),
        ("{ $.a }", "expected a condition at: $.a"),
        ("{ $.a ~ 1 }", "expected a condition at: $.a ~ 1"),
        ("{ ($.a = 1 }", "missing )"),
        ("{ $.a = 1 $.b = 2 }", "unexpected: $.b = 2"),
        ("{ $.a > high }", "compares numbers, and high is none"),
        ("{ $.a = %[% }", "regular expression"),
        ("[a, b", "ends with ]"),
        ("[..., a, ...]", "more than one ellipsis"),
        ('"open', "unbalanced quotes at"),
    ],
)
def test_invalid_patterns(pattern: str, complaint: str) -> None:
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern(pattern)

    assert complaint in str(refused.value)
