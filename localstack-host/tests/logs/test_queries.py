"""Queries of CloudWatch Logs Insights.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from harness import Instance, unique, wait_until

NOW = int(time.time())
EVENTS: list[dict[str, Any]] = [
    {"level": "INFO", "service": "pay", "ms": 10, "order": {"id": "o-1", "lines": ["a", "b"]}, "ok": True},
    {"level": "ERROR", "service": "pay", "ms": 250, "order": {"id": "o-2"}, "ok": False},
    {"level": "ERROR", "service": "ship", "ms": 30, "error": "Timeout: user=ann, try:3"},
    {"level": "WARN", "service": "ship", "ms": 20},
]


@pytest.fixture(scope="module")
def log_group(localstack: Instance) -> str:
    """EVENTS a minute apart, the last one now, then a line that is not JSON."""
    name, logs = unique("/queried"), localstack.client("logs")
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="stream")
    lines = [*map(json.dumps, EVENTS), "plain text"]
    events = [
        {"timestamp": (NOW - 60 * (len(EVENTS) - 1 - at)) * 1000, "message": line} for at, line in enumerate(lines[:-1])
    ]
    events.append({"timestamp": NOW * 1000 + 1, "message": lines[-1]})
    logs.put_log_events(logGroupName=name, logStreamName="stream", logEvents=events)
    return name


def answer(localstack: Instance, log_group: str, query: str, **more: Any) -> dict[str, Any]:
    logs = localstack.client("logs")
    started = logs.start_query(
        logGroupName=log_group, startTime=NOW - 3600, endTime=int(time.time()) + 60, queryString=query, **more
    )
    return wait_until(
        lambda: (got := logs.get_query_results(queryId=started["queryId"]))["status"] == "Complete" and got
    )


def rows(localstack: Instance, log_group: str, query: str, **more: Any) -> list[dict[str, str]]:
    return [
        {field["field"]: field["value"] for field in row if field["field"] != "@ptr"}
        for row in answer(localstack, log_group, query, **more)["results"]
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # fields, filter
        ('fields service, ms | filter level = "ERROR"', [("ship", "30"), ("pay", "250")]),
        ("fields ms | filter ms > 15 and ms <= 30", [("20",), ("30",)]),
        ('fields ms | filter level like /^(?i)err/ and not (service = "pay")', [("30",)]),
        ('fields ms | filter level not like "R" or ms in [250]', [("250",), ("10",)]),
        ("fields order.id | filter ispresent(order.id)", [("o-2",), ("o-1",)]),
        ("fields order.lines.1 as second | filter ispresent(second)", [("b",)]),
        ("fields ms | filter ok = 1", [("10",)]),
        ('fields ms | filter nothing != "x"', []),
        ("filter ms = 20 | display ms * 2 + 1, toupper(service) as who", [("41", "SHIP")]),
        # stats
        ("stats count(*)", [("5",)]),
        ('filter level = "FATAL" | stats count(*) as n', [("0",)]),
        (
            "stats count(*) as n, avg(ms) as mean by service | filter ispresent(service) | sort service",
            [("pay", "2", "130"), ("ship", "2", "25")],
        ),
        (
            "stats sum(ms), min(ms), max(ms), pct(ms, 50), count_distinct(service), count(error)",
            [("310", "10", "250", "20", "2", "1")],
        ),
        (
            'filter ispresent(ms) | stats 100 * sum(level = "ERROR") / count(*) as rate',
            [("50",)],
        ),
        # sort, limit, dedup
        ("fields ms | filter ispresent(ms) | sort ms desc | limit 2", [("250",), ("30",)]),
        (
            "fields service | filter ispresent(ms) | sort service desc, ms asc | dedup service",
            [("ship",), ("pay",)],
        ),
        # parse
        (
            'parse error "user=*, try:*" as user, try | filter ispresent(user) | display user, try',
            [("ann", "3")],
        ),
        ("parse error /user=(?<who>[a-z]+)/ | filter ispresent(who) | display who", [("ann",)]),
    ],
)
def test_query(localstack: Instance, log_group: str, query: str, expected: list[tuple[Any, ...]]) -> None:
    assert [tuple(row.values()) for row in rows(localstack, log_group, query)] == expected


def test_without_fields_events_come_newest_first(localstack: Instance, log_group: str) -> None:
    found = rows(localstack, log_group, "limit 2")

    assert [row["@message"] for row in found] == ["plain text", json.dumps(EVENTS[-1])]
    assert list(found[0]) == ["@timestamp", "@message"]
    assert found[0]["@timestamp"] == time.strftime("%Y-%m-%d %H:%M:%S.001", time.gmtime(NOW))


def test_bins_of_time(localstack: Instance, log_group: str) -> None:
    found = rows(localstack, log_group, "filter ispresent(ms) | stats count(*) as n by bin(1m) | sort bin(1m)")

    assert [row["n"] for row in found] == ["1"] * 4
    assert found[-1]["bin(1m)"] == time.strftime("%Y-%m-%d %H:%M:00.000", time.gmtime(NOW))


def test_statistics_and_limit_of_the_request(localstack: Instance, log_group: str) -> None:
    found = answer(localstack, log_group, 'filter service = "pay"', limit=1)

    assert len(found["results"]) == 1
    assert found["statistics"]["recordsMatched"] == 2
    assert found["statistics"]["recordsScanned"] == 5


def test_fields_of_a_functions_report(localstack: Instance) -> None:
    function = localstack.create_function("def handler(event, context): return 1", MemorySize=128)
    localstack.invoke(function)
    query = 'filter @type = "REPORT" | stats max(@memorySize / 1000 / 1000) as mb, max(@duration) > 0 as took'

    group = f"/aws/lambda/{function}"
    wait_until(lambda: localstack.messages(function, "REPORT"))
    assert rows(localstack, group, query) == [{"mb": "128", "took": "1"}]


@pytest.mark.parametrize("query", ["frobnicate x", "filter a =", "stats nope(a)", "filter a like /(/", ""])
def test_a_malformed_query_is_refused(localstack: Instance, log_group: str, query: str) -> None:
    logs = localstack.client("logs")

    with pytest.raises((logs.exceptions.MalformedQueryException, logs.exceptions.InvalidParameterException)):
        answer(localstack, log_group, query or "|")


def test_unknown_log_groups_and_queries(localstack: Instance) -> None:
    logs = localstack.client("logs")

    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        answer(localstack, "/none", "limit 1")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_query_results(queryId="none")


ON_CALL = Path(__file__).parents[3] / "docs/on-call.md"


def test_the_queries_of_the_page_on_call_work_as_they_stand(localstack: Instance) -> None:
    """Whoever is on call pastes them: they are queries, and find what the patterns' functions log."""
    name, logs = unique("/on-call"), localstack.client("logs")
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="stream")
    lines: list[dict[str, Any]] = [
        {"message": "processed", "service": "billing", "order_id": "o-1", "correlation_id": "…"},
        {"message": "failed", "service": "billing", "order_id": "o-1", "correlation_id": "…"}
        | {"error_class": "permanent", "error": "no amount"},
        {"message": "failed", "service": "shipping", "order_id": "o-2", "correlation_id": "c-2"}
        | {"error_class": "transient", "error": "throttled"},
    ]
    events = [{"timestamp": NOW * 1000 + at, "message": json.dumps(line)} for at, line in enumerate(lines)]
    logs.put_log_events(logGroupName=name, logStreamName="stream", logEvents=events)

    journey, classes = re.findall(r"```\n((?:fields|filter) .*?)```", ON_CALL.read_text(), re.DOTALL)

    found = [(row["service"], row["message"]) for row in rows(localstack, name, journey)]
    assert found == [("billing", "processed"), ("billing", "failed")]
    counted = {(row["service"], row["error_class"]): row["failures"] for row in rows(localstack, name, classes)}
    assert counted == {("billing", "permanent"): "1", ("shipping", "transient"): "1"}
