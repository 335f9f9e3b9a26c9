"""The history of alarms.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html
"""

import json
from datetime import datetime, timedelta
from typing import Any

from harness import Instance, unique


def changed(localstack: Instance, *states: str) -> tuple[str, list[datetime]]:
    """A new alarm that went through ``states``, and when each began."""
    cloudwatch, alarm, times = localstack.client("cloudwatch"), unique("alarm"), []
    cloudwatch.put_metric_alarm(
        AlarmName=alarm,
        Namespace="history",
        MetricName=unique("never"),
        Period=60,
        Statistic="Sum",
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    for state in states:
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="test")
        (found,) = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        times.append(found["StateUpdatedTimestamp"])
    return alarm, times


def test_a_change_has_its_own_time_in_the_history(localstack: Instance) -> None:
    """ "Timestamp: The time stamp for the alarm history item." """
    cloudwatch = localstack.client("cloudwatch")
    alarm, times = changed(localstack, "OK", "ALARM", "OK")

    def items(**settings: Any) -> list[tuple[str, datetime]]:
        answer = cloudwatch.describe_alarm_history(AlarmName=alarm, **settings)
        return [
            (json.loads(item["HistoryData"])["newState"]["stateValue"], item["Timestamp"])
            for item in answer["AlarmHistoryItems"]
        ]

    expected = list(zip(("OK", "ALARM", "OK"), times, strict=True))
    assert times == sorted(times)
    assert items() == items(HistoryItemType="StateUpdate") == expected[::-1]
    assert items(ScanBy="TimestampAscending") == expected
    assert items(ScanBy="TimestampAscending", MaxRecords=2) == expected[:2]
    assert items(StartDate=times[0] - timedelta(hours=1), EndDate=times[2] + timedelta(hours=1)) == expected[::-1]
    assert items(StartDate=times[2] + timedelta(hours=1)) == items(EndDate=times[0] - timedelta(hours=1)) == []
    assert items(HistoryItemType="Action") == items(AlarmTypes=["CompositeAlarm"]) == []


def test_the_history_is_read_page_by_page(localstack: Instance) -> None:
    """MaxRecords: "The maximum number of alarm history records to retrieve." """
    cloudwatch = localstack.client("cloudwatch")
    alarm, _ = changed(localstack, "OK", "ALARM", "OK")

    pages = cloudwatch.get_paginator("describe_alarm_history").paginate(
        AlarmName=alarm, PaginationConfig={"PageSize": 2}
    )

    assert [len(page["AlarmHistoryItems"]) for page in pages] == [2, 1]
