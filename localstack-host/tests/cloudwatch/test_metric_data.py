"""GetMetricData with expressions, and alarms on them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import Instance, bodies, unique, wait_until

NAMESPACE = unique("math")
# Whole minutes some time ago, so that no period is cut.
START = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


def publish(localstack: Instance, metric: str, *values: float | None, start: datetime = START) -> None:
    """A data point of each value but None, a minute apart."""
    localstack.client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {"MetricName": metric, "Timestamp": start + timedelta(minutes=minute), "Value": value}
            for minute, value in enumerate(values)
            if value is not None
        ],
    )


def query(id: str, metric: str, **settings: Any) -> dict[str, Any]:
    statistic = {"Metric": {"Namespace": NAMESPACE, "MetricName": metric}, "Period": 60, "Stat": "Sum"}
    return {"Id": id, "MetricStat": statistic} | settings


def data(localstack: Instance, *queries: dict[str, Any], **settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = localstack.client("cloudwatch").get_metric_data(
        **{
            "MetricDataQueries": queries,
            "StartTime": START,
            "EndTime": START + timedelta(minutes=5),
            "ScanBy": "TimestampAscending",
        }
        | settings
    )
    return found


@pytest.fixture(scope="module")
def errors_and_requests(localstack: Instance) -> tuple[dict[str, Any], dict[str, Any]]:
    errors, requests = unique("errors"), unique("requests")
    publish(localstack, errors, 1, None, 3, 4)
    publish(localstack, requests, 4, 4, 4, 0)
    return query("errors", errors, ReturnData=False), query("requests", requests, ReturnData=False)


def test_an_expression_is_computed_of_queries_that_are_not_returned(
    localstack: Instance, errors_and_requests: tuple[dict[str, Any], ...]
) -> None:
    """MetricDataQuery: "ReturnData: whether to return the timestamps and raw data values of this metric"."""
    rate = {"Id": "rate", "Expression": "100 * errors / requests", "Label": "error rate"}
    doubled = {"Id": "doubled", "Expression": "rate * 2"}

    results = data(localstack, doubled, rate, *errors_and_requests)["MetricDataResults"]

    assert [(one["Id"], one["Label"], one["StatusCode"], one["Values"]) for one in results] == [
        ("doubled", "doubled", "Complete", [50, 0, 150]),
        ("rate", "error rate", "Complete", [25, 0, 75]),
    ]
    assert results[0]["Timestamps"] == [START + timedelta(minutes=minute) for minute in range(3)]


def test_an_expression_of_the_newest_first(
    localstack: Instance, errors_and_requests: tuple[dict[str, Any], ...]
) -> None:
    """ScanBy: "TimestampDescending returns the newest data first" """
    filled = {"Id": "e", "Expression": "FILL(errors, 0)"}

    (result,) = data(localstack, filled, *errors_and_requests, ScanBy="TimestampDescending")["MetricDataResults"]

    assert result["Values"] == [0, 4, 3, 0, 1]


def test_an_array_is_a_result_per_time_series(
    localstack: Instance, errors_and_requests: tuple[dict[str, Any], ...]
) -> None:
    """ "the legend captions for those time series are in the format Expression-Label Metric-Label" """
    running = {"Id": "e", "Expression": "RUNNING_SUM(METRICS())", "Label": "running"}
    errors, requests = ({**one, "Label": one["Id"]} for one in errors_and_requests)

    results = data(localstack, running, errors, requests)["MetricDataResults"]

    assert [(one["Id"], one["Label"], one["Values"]) for one in results] == [
        ("e", "running errors", [1, 4, 8]),
        ("e", "running requests", [4, 8, 12, 12]),
    ]


def test_pages_have_max_datapoints_of_all_results(
    localstack: Instance, errors_and_requests: tuple[dict[str, Any], ...]
) -> None:
    """MaxDatapoints: "The maximum number of data points the request should return before paginating." """
    queries = [{"Id": "a", "Expression": "errors"}, {"Id": "b", "Expression": "requests"}, *errors_and_requests]
    pages: list[list[Any]] = []
    token: dict[str, str] = {}
    while not pages or token:
        answer = data(localstack, *queries, MaxDatapoints=3, **token)
        pages.append([(one["Id"], one["StatusCode"], one["Values"]) for one in answer["MetricDataResults"]])
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else {}

    assert pages == [
        [("a", "Complete", [1, 3, 4]), ("b", "PartialData", [])],
        [("b", "PartialData", [4, 4, 4])],
        [("b", "Complete", [0])],
    ]


@pytest.mark.parametrize(("period", "seconds"), [(60, 0), (300, 0), (30, 30), (10, 40), (1, 41)])
def test_the_start_is_rounded_down(localstack: Instance, period: int, seconds: int) -> None:
    """StartTime: "Round down to the nearest whole minute"; "If you set Period to 5, 10, 20, or 30, the start time of
    your request is rounded down to the nearest time that corresponds to even [...] divisions of a minute." """
    cloudwatch, one = localstack.client("cloudwatch"), query("a", unique("metric"))
    metric, within = one["MetricStat"]["Metric"], START + timedelta(seconds=41)
    cloudwatch.put_metric_data(
        Namespace=NAMESPACE, MetricData=[{"MetricName": metric["MetricName"], "Timestamp": within, "Value": 1}]
    )
    one["MetricStat"]["Period"] = period

    (result,) = data(localstack, one, StartTime=within)["MetricDataResults"]
    (point,) = cloudwatch.get_metric_statistics(
        **metric, Period=period, Statistics=["Sum"], StartTime=within, EndTime=START + timedelta(minutes=10)
    )["Datapoints"]

    assert result["Timestamps"] == [point["Timestamp"]] == [START + timedelta(seconds=seconds)]


M1 = query("m1", "any", ReturnData=False)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([{"Id": "e1", "Expression": "m1 +"}, M1], "Error in expression 'e1'"),
        ([{"Id": "e1", "Expression": "m2"}, M1], "Error in expression 'e1': .*m2"),
        ([{"Id": "e1", "Expression": "AVG(m1)"}, M1], "Error in expression 'e1': the result is a scalar"),
        ([{"Id": "e1", "Expression": "e2"}, {"Id": "e2", "Expression": "e1"}], "Error in expression 'e1'"),
        ([{"Id": "e1", "Expression": "SEARCH('{AWS/SQS}', 'Sum')"}], "SEARCH is not supported here"),
        ([{"Id": "e1", "Expression": "SELECT AVG(a) FROM b"}], "Metrics Insights queries are not supported here"),
        ([{"Id": "E1", "Expression": "m1"}, M1], "The value E1 .* is not matching the expected pattern"),
        ([M1, M1], "not unique"),
        ([{"Id": "e1"}], "exactly one of Expression and MetricStat"),
        ([M1 | {"Expression": "m1"}], "exactly one of Expression and MetricStat"),
        *(
            (
                [{"Id": "a", "MetricStat": M1["MetricStat"] | {"Stat": name}}],
                rf"The value {re.escape(name)} for .*Stat ",
            )
            for name in ("tm90", "TM(10%:90%)", "IQM", "p101", "Median", "sum")
        ),
    ],
)
def test_queries_that_are_refused(localstack: Instance, queries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(localstack.client("cloudwatch").exceptions.ClientError, match=message) as refused:
        data(localstack, *queries)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_percentiles_of_get_metric_statistics(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html"""
    cloudwatch, metric = localstack.client("cloudwatch"), unique("metric")
    publish(localstack, metric, *range(1, 11))
    cloudwatch.put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[{"MetricName": metric, "Timestamp": START, "Unit": "Seconds", "Values": [3, 1, 2]}],
    )
    asked = {
        "Namespace": NAMESPACE,
        "MetricName": metric,
        "Period": 300,
        "StartTime": START,
        "EndTime": START + timedelta(minutes=10),
    }

    points = cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p50", "p90"])["Datapoints"]

    points.sort(key=lambda point: (point["Unit"], point["Timestamp"]))
    assert points == [
        {"Timestamp": START, "Unit": "None", "ExtendedStatistics": {"p50": 3, "p90": 5}},
        {"Timestamp": START + timedelta(minutes=5), "Unit": "None", "ExtendedStatistics": {"p50": 8, "p90": 10}},
        {"Timestamp": START, "Unit": "Seconds", "ExtendedStatistics": {"p50": 2, "p90": 3}},
    ]
    for both in ({}, {"Statistics": ["Sum"], "ExtendedStatistics": ["p90"]}):
        with pytest.raises(cloudwatch.exceptions.InvalidParameterCombinationException):
            cloudwatch.get_metric_statistics(**asked, **both)
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException, match="IQM"):
        cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["IQM"])


def put_alarm(localstack: Instance, **settings: Any) -> str:
    name = unique("alarm")
    localstack.client("cloudwatch").put_metric_alarm(
        **{
            "AlarmName": name,
            "EvaluationPeriods": 1,
            "Threshold": 10,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }
        | settings
    )
    return name


def described(localstack: Instance, alarm: str) -> dict[str, Any]:
    found: dict[str, Any] = localstack.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
    return found


def test_an_alarm_on_an_expression_follows_it_and_notifies(localstack: Instance) -> None:
    """ "One item in the Metrics array is the expression that the alarm watches. This expression [is] designated by
    having ReturnData set to true." """
    url, arn = localstack.create_queue()
    topic = localstack.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    localstack.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    errors, requests = unique("errors"), unique("requests")
    metrics = [
        {"Id": "rate", "Expression": "100 * errors / requests", "Label": "error rate", "ReturnData": True},
        query("errors", errors, ReturnData=False),
        query("requests", requests, ReturnData=False),
    ]
    now = datetime.now(UTC) - timedelta(seconds=5)
    publish(localstack, errors, 1, start=now)
    publish(localstack, requests, 20, start=now)
    alarm = put_alarm(localstack, Metrics=metrics, AlarmActions=[topic])
    wait_until(lambda: described(localstack, alarm)["StateValue"] == "OK")

    publish(localstack, errors, 8, start=now)

    wait_until(lambda: described(localstack, alarm)["StateValue"] == "ALARM")
    (message,) = bodies(localstack, url)
    trigger = json.loads(message["Message"])["Trigger"]
    assert [one["Id"] for one in trigger["Metrics"]] == ["rate", "errors", "requests"]
    assert "MetricName" not in trigger
    assert json.loads(described(localstack, alarm)["StateReasonData"])["recentDatapoints"] == [45]


def test_a_function_that_an_alarm_notifies_gets_the_metrics(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html"""
    function = localstack.create_function(
        "def handler(event, context): print(__import__('json').dumps(event['alarmData']['configuration']['metrics']))"
    )
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    metrics = [{"Id": "e1", "Expression": "m1 * 2", "ReturnData": True}, M1]
    of_math = put_alarm(localstack, Metrics=metrics, AlarmActions=[arn], TreatMissingData="ignore")
    of_percentile = put_alarm(
        localstack,
        Namespace=NAMESPACE,
        MetricName="any",
        Dimensions=[{"Name": "queue", "Value": "orders"}],
        Period=60,
        ExtendedStatistic="p90",
        AlarmActions=[arn],
        TreatMissingData="ignore",
    )

    for alarm in (of_math, of_percentile):
        localstack.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="test")

    def received() -> list[Any]:
        return [json.loads(line) for line in localstack.messages(function) if line.startswith("[")]

    wait_until(lambda: len(received()) == 2)
    math, percentile = sorted(received(), key=len, reverse=True)
    metric = {"namespace": NAMESPACE, "name": "any", "dimensions": {}}
    assert math == [
        {"id": "e1", "expression": "m1 * 2", "returnData": True},
        {"id": "m1", "metricStat": {"metric": metric, "period": 60, "stat": "Sum"}, "returnData": False},
    ]
    assert [one["metricStat"] for one in percentile] == [
        {"metric": metric | {"dimensions": {"queue": "orders"}}, "period": 60, "stat": "p90"}
    ]


RETURNED = {"Id": "e1", "Expression": "m1", "ReturnData": True}
ONE_METRIC = {"Namespace": NAMESPACE, "MetricName": "any", "Period": 60, "Statistic": "Sum"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Metrics": [RETURNED, query("m1", "any")]}, "Exactly one element of the metrics list should return data"),
        ({"Metrics": [M1]}, "Exactly one element of the metrics list should return data"),
        ({"Metrics": [RETURNED, M1], "MetricName": "any"}, "MetricName and Metrics are mutually exclusive"),
        ({"Metrics": [RETURNED, M1], "Period": 60}, "Period and Metrics are mutually exclusive"),
        ({"Metrics": [RETURNED]}, "Error in expression 'e1'"),
        ({"Metrics": [RETURNED | {"Expression": "METRICS()"}, M1]}, "must be a single time series"),
        ({"Metrics": [RETURNED | {"Expression": "AVG(m1)"}, M1]}, "the result is a scalar"),
        ({"Metrics": [RETURNED | {"Expression": "SEARCH('a', 'Sum')"}]}, "SEARCH is not supported here"),
        (
            {"Metrics": [RETURNED] + [query(f"m{place}", "any", ReturnData=False) for place in range(11)]},
            "more than 10 elements with MetricStat",
        ),
        ({"Metrics": [RETURNED, M1], "ThresholdMetricId": "e1"}, "anomaly detection"),
        ({}, "MetricName is required"),
        ({name: ONE_METRIC[name] for name in ("Namespace", "MetricName", "Statistic")}, "Period is required"),
        (ONE_METRIC | {"ComparisonOperator": "Bigger"}, "'Bigger' at 'comparisonOperator'"),
        (ONE_METRIC | {"ComparisonOperator": "GreaterThanUpperThreshold"}, "anomaly detection"),
        (ONE_METRIC | {"DatapointsToAlarm": 2}, "DatapointsToAlarm must be less"),
        (ONE_METRIC | {"Period": 300, "EvaluationPeriods": 289}, "cannot be checked across more than a day"),
        (ONE_METRIC | {"Period": 3600, "EvaluationPeriods": 169}, "cannot be checked across more than 7 days"),
        ({"Metrics": [RETURNED, M1], "EvaluationPeriods": 1441}, "cannot be checked across more than a day"),
        (ONE_METRIC | {"ExtendedStatistic": "p90"}, "Exactly one of Statistic and ExtendedStatistic"),
        (ONE_METRIC | {"Statistic": ""}, "Statistic"),
    ],
)
def test_alarms_that_are_refused(localstack: Instance, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(localstack.client("cloudwatch").exceptions.ClientError, match=message) as refused:
        put_alarm(localstack, **settings)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize("statistic", ["tm90", "p101", "pfoo", "IQM"])
def test_an_extended_statistic_of_an_alarm_is_a_percentile(localstack: Instance, statistic: str) -> None:
    one = {name: value for name, value in ONE_METRIC.items() if name != "Statistic"}

    with pytest.raises(localstack.client("cloudwatch").exceptions.InvalidParameterValueException, match=statistic):
        put_alarm(localstack, **one, ExtendedStatistic=statistic)


@pytest.mark.parametrize(("period", "periods"), [(300, 288), (3600, 168), (86400, 7)])
def test_the_longest_time_that_an_alarm_looks_at(localstack: Instance, period: int, periods: int) -> None:
    """EvaluationPeriods: "An alarm's total current evaluation period can be no longer than seven days"; a day, of
    periods that are less than an hour."""
    put_alarm(localstack, **ONE_METRIC | {"Period": period, "EvaluationPeriods": periods})
