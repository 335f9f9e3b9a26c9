"""Alarms and the metrics that they look at: composite alarms, missing data, updates, percentiles, tags."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import Instance, statistics, unique, wait_until

NAMESPACE = unique("alarms")


def publish(localstack: Instance, metric: str, *values: float, seconds_ago: int = 5, **dimensions: str) -> None:
    localstack.client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                "Timestamp": datetime.now(UTC) - timedelta(seconds=seconds_ago),
                "Value": value,
            }
            for value in values
        ],
    )


def put_alarm(localstack: Instance, metric: str, **settings: Any) -> str:
    name = settings.pop("AlarmName", unique("alarm"))
    statistic = {} if "ExtendedStatistic" in settings else {"Statistic": "Maximum"}
    localstack.client("cloudwatch").put_metric_alarm(
        **{
            "AlarmName": name,
            "Namespace": NAMESPACE,
            "MetricName": metric,
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 10,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        | statistic
        | settings
    )
    found: str = name
    return found


def idle_alarm(localstack: Instance) -> str:
    """One whose state only SetAlarmState changes."""
    name = put_alarm(localstack, unique("never"), TreatMissingData="ignore")
    set_state(localstack, name, "OK")
    return name


def set_state(localstack: Instance, alarm: str, state: str) -> None:
    localstack.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="test")


def put_composite(localstack: Instance, rule: str, **settings: Any) -> str:
    name: str = settings.pop("AlarmName", unique("composite"))
    localstack.client("cloudwatch").put_composite_alarm(AlarmName=name, AlarmRule=rule, **settings)
    return name


def state(localstack: Instance, alarm: str) -> str:
    answer = localstack.client("cloudwatch").describe_alarms(
        AlarmNames=[alarm], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return str((answer["MetricAlarms"] + answer["CompositeAlarms"])[0]["StateValue"])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('ALARM("{a}")', "ALARM"),
        ("ALARM({a}) AND ALARM({o})", "OK"),
        ("ALARM({a}) AND NOT ALARM({o})", "ALARM"),
        ("ALARM({o}) OR INSUFFICIENT_DATA({i})", "ALARM"),
        ("(ALARM({a}) OR ALARM({o})) AND OK({i})", "OK"),
        ("OK({o}) OR ALARM({o}) AND FALSE", "ALARM"),
        ("NOT (OK({o}) AND TRUE)", "OK"),
        ('ALARM("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{a}")', "ALARM"),
        ("TRUE", "ALARM"),
        ("FALSE", "OK"),
    ],
)
def test_rules_of_composite_alarms(localstack: Instance, rule: str, expected: str) -> None:
    a, o, i = (idle_alarm(localstack) for _ in range(3))
    set_state(localstack, a, "ALARM")
    set_state(localstack, i, "INSUFFICIENT_DATA")

    assert state(localstack, put_composite(localstack, rule.format(a=a, o=o, i=i))) == expected


def test_a_composite_alarm_follows_its_children_at_once_and_notifies(localstack: Instance) -> None:
    sqs, sns = localstack.client("sqs"), localstack.client("sns")
    url, arn = localstack.create_queue()
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    first, second = idle_alarm(localstack), idle_alarm(localstack)
    inner = put_composite(localstack, f"ALARM({first}) AND ALARM({second})")
    outer = put_composite(localstack, f"ALARM({inner})", AlarmActions=[topic])

    set_state(localstack, first, "ALARM")
    assert state(localstack, outer) == "OK"
    set_state(localstack, second, "ALARM")
    assert state(localstack, outer) == "ALARM"

    (message,) = wait_until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    assert outer in message["Body"]
    set_state(localstack, first, "OK")
    assert state(localstack, outer) == "OK"


def test_a_cycle_of_composite_alarms_ends(localstack: Instance) -> None:
    child = idle_alarm(localstack)
    one = put_composite(localstack, f"ALARM({child})")
    other = put_composite(localstack, f"NOT ALARM({one})")
    put_composite(localstack, f"ALARM({child}) OR ALARM({other})", AlarmName=one)

    set_state(localstack, child, "ALARM")

    assert state(localstack, one) == "ALARM"


@pytest.mark.parametrize("rule", ["ALARM(a", "ALARM(a) XOR OK(b)", "", "ALARM()"])
def test_a_rule_that_cannot_be_parsed_is_refused(localstack: Instance, rule: str) -> None:
    with pytest.raises(localstack.client("cloudwatch").exceptions.ClientError):
        put_composite(localstack, rule or " ")


def test_children_of_a_composite_alarm_exist(localstack: Instance) -> None:
    cloudwatch, child = localstack.client("cloudwatch"), idle_alarm(localstack)

    with pytest.raises(cloudwatch.exceptions.ClientError, match=r"alarms \[none\] in the alarm rule do not exist"):
        put_composite(localstack, f"ALARM({child}) OR ALARM(none)")
    composite = put_composite(localstack, f"ALARM({child})")
    with pytest.raises(cloudwatch.exceptions.ClientError, match=f"Cannot delete {child} as there are composite"):
        cloudwatch.delete_alarms(AlarmNames=[child])
    cloudwatch.delete_alarms(AlarmNames=[composite])
    cloudwatch.delete_alarms(AlarmNames=[child])


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [("missing", "INSUFFICIENT_DATA"), ("ignore", "ALARM"), ("breaching", "ALARM"), ("notBreaching", "OK")],
)
def test_a_metric_without_data(localstack: Instance, treatment: str, expected: str) -> None:
    alarm = put_alarm(localstack, unique("never"), TreatMissingData=treatment)
    set_state(localstack, alarm, "OK" if treatment == "breaching" else "ALARM")

    wait_until(lambda: state(localstack, alarm) == expected)


def test_two_of_three_data_points(localstack: Instance) -> None:
    metric = unique("metric")
    publish(localstack, metric, 20, seconds_ago=130)
    publish(localstack, metric, 1, seconds_ago=70)
    publish(localstack, metric, 20)
    two = put_alarm(localstack, metric, EvaluationPeriods=3, DatapointsToAlarm=2)
    three = put_alarm(localstack, metric, EvaluationPeriods=3, DatapointsToAlarm=3)

    wait_until(lambda: (state(localstack, two), state(localstack, three)) == ("ALARM", "OK"))


def test_an_update_leaves_the_state_unchanged(localstack: Instance) -> None:
    alarm = idle_alarm(localstack)
    set_state(localstack, alarm, "ALARM")

    put_alarm(localstack, "other", AlarmName=alarm, TreatMissingData="ignore")

    assert state(localstack, alarm) == "ALARM"


def test_an_alarm_on_a_percentile(localstack: Instance) -> None:
    metric = unique("metric")
    publish(localstack, metric, *range(1, 21))
    p90 = put_alarm(localstack, metric, ExtendedStatistic="p90", Threshold=17.5)
    p50 = put_alarm(localstack, metric, ExtendedStatistic="p50", Threshold=17.5)

    wait_until(lambda: (state(localstack, p90), state(localstack, p50)) == ("ALARM", "OK"))


def test_a_metric_is_exactly_its_dimensions(localstack: Instance) -> None:
    """LocalStack alone counts the metrics of orders-dlq as those of orders."""
    metric = unique("metric")
    publish(localstack, metric, 1, queue="orders")
    publish(localstack, metric, 2, queue="orders-dlq")
    publish(localstack, metric, 4, queue="orders", stage="test")
    publish(localstack, metric, 8)

    assert statistics(localstack, NAMESPACE, metric, queue="orders") == [1]
    assert statistics(localstack, NAMESPACE, metric, queue="orders-dlq") == [2]
    assert statistics(localstack, NAMESPACE, metric, stage="test", queue="orders") == [4]
    assert statistics(localstack, NAMESPACE, metric) == [8]


def test_statistics_of_values_and_of_statistic_sets_add_up(localstack: Instance) -> None:
    metric, cloudwatch = unique("metric"), localstack.client("cloudwatch")
    cloudwatch.put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {"MetricName": metric, "Values": [1, 2], "Counts": [2, 1]},
            {
                "MetricName": metric,
                "StatisticValues": {"SampleCount": 3, "Sum": 30, "Minimum": 5, "Maximum": 15},
            },
        ],
    )

    def of(statistic: str) -> list[Any]:
        return statistics(localstack, NAMESPACE, metric, statistic)

    expected = {"Sum": 34, "SampleCount": 6, "Minimum": 1, "Maximum": 15}
    assert {name: of(name) for name in expected} == {name: [value] for name, value in expected.items()}
    assert of("Average") == [pytest.approx(34 / 6)]


def test_an_alarm_has_the_tags_that_it_was_created_with(localstack: Instance) -> None:
    cloudwatch = localstack.client("cloudwatch")
    alarm = put_alarm(localstack, "any", Tags=[{"Key": "team", "Value": "pay"}])
    arn = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["AlarmArn"]

    put_alarm(localstack, "any", AlarmName=alarm, Tags=[{"Key": "team", "Value": "ship"}])

    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "pay"}]


def test_a_dashboard_that_does_not_exist_is_not_found(localstack: Instance) -> None:
    """The error at which Terraform creates the dashboard again."""
    cloudwatch = localstack.client("cloudwatch")
    name = unique("dashboard")

    # The code of DashboardNotFoundError in the service's model
    with pytest.raises(cloudwatch.exceptions.ClientError, match="ResourceNotFound"):
        cloudwatch.get_dashboard(DashboardName=name)
    cloudwatch.put_dashboard(DashboardName=name, DashboardBody='{"widgets":[]}')
    assert cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"] == '{"widgets":[]}'
