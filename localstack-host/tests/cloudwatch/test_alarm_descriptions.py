"""Which alarms DescribeAlarms returns.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

from collections.abc import Iterator
from typing import Any

import pytest
from harness import Instance, unique

PREFIX = unique("described")
TOPIC = f"arn:aws:sns:us-east-1:000000000000:{PREFIX}"
BOTH = ["MetricAlarm", "CompositeAlarm"]


@pytest.fixture(scope="module", autouse=True)
def alarms(localstack: Instance) -> Iterator[None]:
    """a and b (in ALARM, with an action), of which c and, of c, d are composites."""
    cloudwatch = localstack.client("cloudwatch")
    for name, settings in {"a": {}, "b": {"AlarmActions": [TOPIC]}}.items():
        cloudwatch.put_metric_alarm(
            AlarmName=f"{PREFIX}-{name}",
            Namespace="described",
            MetricName=unique("never"),
            Period=60,
            Statistic="Sum",
            EvaluationPeriods=1,
            Threshold=10,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
            ActionsEnabled=False,
            **settings,
        )
        state = "ALARM" if name == "b" else "OK"
        cloudwatch.set_alarm_state(AlarmName=f"{PREFIX}-{name}", StateValue=state, StateReason="test")
    cloudwatch.put_composite_alarm(AlarmName=f"{PREFIX}-c", AlarmRule=f"ALARM({PREFIX}-a) OR OK({PREFIX}-b)")
    cloudwatch.put_composite_alarm(AlarmName=f"{PREFIX}-d", AlarmRule=f"OK({PREFIX}-c)", OKActions=[TOPIC])
    yield
    for name in ("d", "c", "a", "b"):
        cloudwatch.delete_alarms(AlarmNames=[f"{PREFIX}-{name}"])


def described(localstack: Instance, **selection: Any) -> str:
    """The last letters of the alarms that are described."""
    answer = localstack.client("cloudwatch").describe_alarms(**selection)
    names = [alarm["AlarmName"] for type in ("MetricAlarms", "CompositeAlarms") for alarm in answer[type]]
    return "".join(sorted(name[-1] for name in names if name.startswith(PREFIX)))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"AlarmNamePrefix": PREFIX}, "ab"),
        ({"AlarmNamePrefix": PREFIX, "AlarmTypes": ["CompositeAlarm"]}, "cd"),
        ({"AlarmNamePrefix": PREFIX, "AlarmTypes": BOTH}, "abcd"),
        ({"AlarmNamePrefix": PREFIX, "AlarmTypes": BOTH, "StateValue": "ALARM"}, "bd"),
        ({"AlarmNames": [f"{PREFIX}-a", f"{PREFIX}-c", "none"]}, "a"),
        ({"AlarmNames": [f"{PREFIX}-a", f"{PREFIX}-b"], "StateValue": "OK"}, "a"),
        ({"ActionPrefix": TOPIC}, "b"),
        ({"ActionPrefix": TOPIC, "AlarmTypes": BOTH}, "bd"),
        ({"ActionPrefix": TOPIC, "AlarmTypes": BOTH, "StateValue": "OK"}, ""),
        ({"ChildrenOfAlarmName": f"{PREFIX}-c"}, "ab"),
        ({"ChildrenOfAlarmName": f"{PREFIX}-d"}, "c"),
        ({"ChildrenOfAlarmName": f"{PREFIX}-a"}, ""),
        ({"ParentsOfAlarmName": f"{PREFIX}-a"}, "c"),
        ({"ParentsOfAlarmName": f"{PREFIX}-c"}, "d"),
    ],
)
def test_selections(localstack: Instance, selection: dict[str, Any], expected: str) -> None:
    """AlarmTypes: "If you omit this parameter, only metric alarms are returned, even if composite alarms exist" """
    assert described(localstack, **selection) == expected


def test_children_and_parents_are_described_with_a_few_fields(localstack: Instance) -> None:
    """ "Only the Alarm Name, ARN, StateValue [...], and StateUpdatedTimestamp information are returned" """
    cloudwatch = localstack.client("cloudwatch")

    (child,) = cloudwatch.describe_alarms(ChildrenOfAlarmName=f"{PREFIX}-d")["CompositeAlarms"]
    (parent,) = cloudwatch.describe_alarms(ParentsOfAlarmName=f"{PREFIX}-c")["CompositeAlarms"]

    assert sorted(child) == ["AlarmArn", "AlarmName", "StateUpdatedTimestamp", "StateValue"]
    assert sorted(parent) == ["AlarmArn", "AlarmName"]


def test_pages(localstack: Instance) -> None:
    pages = localstack.client("cloudwatch").get_paginator("describe_alarms")

    found = [
        [alarm["AlarmName"][-1] for type in ("MetricAlarms", "CompositeAlarms") for alarm in page[type]]
        for page in pages.paginate(AlarmNamePrefix=PREFIX, AlarmTypes=BOTH, PaginationConfig={"PageSize": 3})
    ]

    assert found == [["a", "b", "c"], ["d"]]


@pytest.mark.parametrize(
    "selection",
    [
        {"AlarmNames": ["a"], "AlarmNamePrefix": "a"},
        {"ChildrenOfAlarmName": "a", "StateValue": "OK"},
        {"ChildrenOfAlarmName": "a", "ParentsOfAlarmName": "a"},
    ],
)
def test_selections_that_are_refused(localstack: Instance, selection: dict[str, Any]) -> None:
    """ "If you specify this parameter, you cannot specify" others."""
    with pytest.raises(localstack.client("cloudwatch").exceptions.ClientError, match="ValidationError"):
        described(localstack, **selection)
