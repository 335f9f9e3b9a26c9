"""Which log events PutLogEvents takes, and which retentions there are.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

import time
from typing import Any

import pytest
from harness import Instance, statistics, unique

HOUR = 60 * 60
DAY = 24 * HOUR


@pytest.fixture
def log_group(localstack: Instance) -> str:
    name = unique("/group")
    localstack.client("logs").create_log_group(logGroupName=name)
    localstack.client("logs").create_log_stream(logGroupName=name, logStreamName="stream")
    return name


def put(localstack: Instance, log_group: str, *ages: float) -> dict[str, int]:
    """Puts an event of each age (in seconds; negative is in the future); what is said of rejected ones."""
    events = [{"timestamp": int((time.time() - age) * 1000), "message": str(place)} for place, age in enumerate(ages)]
    answer = localstack.client("logs").put_log_events(logGroupName=log_group, logStreamName="stream", logEvents=events)
    found: dict[str, int] = answer.get("rejectedLogEventsInfo", {})
    return found


def stored(localstack: Instance, log_group: str) -> list[str]:
    answer = localstack.client("logs").get_log_events(
        logGroupName=log_group, logStreamName="stream", startFromHead=True
    )
    return [event["message"] for event in answer["events"]]


@pytest.mark.parametrize(
    ("ages", "retention", "info", "kept"),
    [
        ([0], None, {}, ["0"]),
        ([14 * DAY - HOUR], None, {}, ["0"]),
        ([14 * DAY + HOUR], None, {"tooOldLogEventEndIndex": 1}, []),
        (
            [14 * DAY + 2, 14 * DAY + 1, 14 * DAY - HOUR, 14 * DAY - HOUR],
            None,
            {"tooOldLogEventEndIndex": 2},
            ["2", "3"],
        ),
        ([-2 * HOUR + 60], None, {}, ["0"]),
        ([-2 * HOUR - 60], None, {"tooNewLogEventStartIndex": 0}, []),
        ([15 * DAY, 0, -2 * DAY], None, {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}, ["1"]),
        ([60, 0, -3 * HOUR, -4 * HOUR], None, {"tooNewLogEventStartIndex": 2}, ["0", "1"]),
        ([3 * DAY - HOUR], 3, {}, ["0"]),
        ([3 * DAY + HOUR], 3, {"expiredLogEventEndIndex": 1}, []),
        ([DAY + HOUR, DAY + 60, DAY - HOUR], 1, {"expiredLogEventEndIndex": 2}, ["2"]),
        ([14 * DAY + HOUR], 3, {"tooOldLogEventEndIndex": 1}, []),
        ([14 * DAY + 60, 14 * DAY - HOUR], 3, {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 2}, []),
        ([14 * DAY + HOUR], 30, {"tooOldLogEventEndIndex": 1}, []),
        ([14 * DAY - HOUR], 30, {}, ["0"]),
    ],
)
def test_events_that_are_rejected(
    localstack: Instance,
    log_group: str,
    ages: list[float],
    retention: int | None,
    info: dict[str, int],
    kept: list[str],
) -> None:
    """RejectedLogEventsInfo: the index of the first too new one "is inclusive", of the last too old one "exclusive"."""
    if retention:
        localstack.client("logs").put_retention_policy(logGroupName=log_group, retentionInDays=retention)

    assert put(localstack, log_group, *ages) == info
    assert stored(localstack, log_group) == kept


def test_rejected_events_are_not_counted_by_metric_filters(localstack: Instance, log_group: str) -> None:
    namespace = unique("namespace")
    localstack.client("logs").put_metric_filter(
        logGroupName=log_group,
        filterName="all",
        filterPattern="",
        metricTransformations=[{"metricName": "events", "metricNamespace": namespace, "metricValue": "1"}],
    )

    put(localstack, log_group, 60, 0, -3 * HOUR)

    assert statistics(localstack, namespace, "events") == [2]


@pytest.mark.parametrize(
    ("ages", "message"),
    [([0, 60], "must be in chronological order"), ([DAY + HOUR, 0], "cannot span more than 24 hours")],
)
def test_calls_that_are_refused(localstack: Instance, log_group: str, ages: list[float], message: str) -> None:
    """ "For valid events (within 14 days in the past to 2 hours in future), the time span in a single batch cannot
    exceed 24 hours. Otherwise, the operation fails." """
    logs = localstack.client("logs")

    with pytest.raises(logs.exceptions.InvalidParameterException, match=message):
        put(localstack, log_group, *ages)
    assert stored(localstack, log_group) == []


def test_a_stream_and_a_group_that_do_not_exist(localstack: Instance, log_group: str) -> None:
    logs = localstack.client("logs")
    event: list[Any] = [{"timestamp": 0, "message": "old"}]

    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream"):
        logs.put_log_events(logGroupName=log_group, logStreamName="other", logEvents=event)
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group"):
        logs.put_log_events(logGroupName="/none", logStreamName="stream", logEvents=event)


def test_retentions(localstack: Instance, log_group: str) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
    logs = localstack.client("logs")
    possible = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]

    for days in (0, 2, 15, 364, 1000, 3654, -1):
        with pytest.raises(logs.exceptions.InvalidParameterException, match=f"Value '{days}' at 'retentionInDays'"):
            logs.put_retention_policy(logGroupName=log_group, retentionInDays=days)
    for days in possible:
        logs.put_retention_policy(logGroupName=log_group, retentionInDays=days)

    (found,) = logs.describe_log_groups(logGroupNamePrefix=log_group)["logGroups"]
    assert found["retentionInDays"] == possible[-1]
