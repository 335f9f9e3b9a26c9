"""Alarms are checked when they are saved, and those on metric math said in full when they notify.

AWS: an alarm is on one metric, with MetricName, Period and a statistic, or has Metrics, and not both. Of Metrics, at
most 10 metrics and 10 expressions, one has ReturnData, and results in a single time series. An alarm looks back for a
day at most, or for seven if its periods are of an hour or more
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html). A notification has the
Metrics, in a function's event with names in lower case and dimensions as an object
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html).

LocalStack: saves whatever it gets; a function that an alarm on metric math or on a percentile notifies is not invoked,
for a KeyError; the message to a topic does not name what is watched.

Here: the provider checks; LocalStack's messages get the Metrics. An alarm on anomaly detection is refused: nothing here
would evaluate it.

Evidence: documentation; belief for the reasons of refusals, of which "Exactly one element of the metrics list should
return data" is one that users of AWS report, and for the place of Metrics in the message to a topic.
"""

import json
import operator
import uuid
from collections.abc import Sequence
from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.cloudwatch import InvalidParameterValueException, MetricDataQuery, PutMetricAlarmInput
from localstack.services.cloudwatch import provider_v2
from localstack.services.cloudwatch.provider_v2 import ValidationException

from localstack_host.cloudwatch.metric_data import MetricMath, evaluation, refusal
from localstack_host.cloudwatch.metric_database import is_statistic
from localstack_host.cloudwatch.metric_math import DEFAULT_PERIOD, InvalidExpression
from localstack_host.patching import overrides, replace

OF_ONE_METRIC = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
MAXIMUM_OF_A_KIND = 10


DAY = 24 * 60 * 60
LONGEST, LONGEST_OF_HOURS = (
    DAY,
    7 * DAY,
)  # seconds that an alarm looks at, of periods of less than an hour and of others
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
OF_ANOMALIES = ("LessThanLowerOrGreaterThanUpperThreshold", "LessThanLowerThreshold", "GreaterThanUpperThreshold")


def watched(queries: Sequence[MetricDataQuery]) -> MetricDataQuery:
    """The one whose result the alarm watches. Raises ValidationException unless there is one."""
    returned = [query for query in queries if query.get("ReturnData", True)]
    if len(returned) != 1:
        raise ValidationException("Exactly one element of the metrics list should return data.")
    return returned[0]


def statistic(alarm: Any) -> str:
    """Of an alarm on one metric."""
    found: str = alarm.get("Statistic") or alarm["ExtendedStatistic"]
    return found


def period_of(alarm: Any) -> int:
    """Seconds; of an alarm on metric math the longest of its metrics."""
    if "Metrics" not in alarm:
        return int(alarm["Period"])
    metrics = [query["MetricStat"]["Period"] for query in alarm["Metrics"] if "MetricStat" in query]
    return int(max(metrics, default=watched(alarm["Metrics"]).get("Period") or DEFAULT_PERIOD))


class CheckedAlarms(MetricMath):
    @overrides
    @handler("PutMetricAlarm", expand=False)
    def put_metric_alarm(self, context: RequestContext, request: PutMetricAlarmInput) -> None:
        comparison = request["ComparisonOperator"]
        if "ThresholdMetricId" in request or comparison in OF_ANOMALIES:
            raise ValidationException("Alarms on anomaly detection (ThresholdMetricId) are not supported here")
        if comparison not in COMPARISONS:
            raise ValidationException(
                f"1 validation error detected: Value '{comparison}' at 'comparisonOperator' failed to satisfy "
                f"constraint: Member must satisfy enum value set: [{', '.join([*COMPARISONS, *OF_ANOMALIES])}]"
            )
        if request.get("DatapointsToAlarm", 1) > request["EvaluationPeriods"]:
            raise ValidationException("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
        if "Threshold" not in request:
            raise ValidationException("The parameter Threshold is required for this alarm.")
        if "Metrics" in request:
            self.check(context, request)
        else:
            missing = [name for name in ("MetricName", "Namespace", "Period") if not request.get(name)]
            if missing:
                raise ValidationException(f"The parameter {missing[0]} is required without a Metrics list.")
            if bool(request.get("Statistic")) == bool(request.get("ExtendedStatistic")):
                raise ValidationException("Exactly one of Statistic and ExtendedStatistic must be specified.")
            if not is_statistic(statistic(request)):
                raise InvalidParameterValueException(
                    f"The value {statistic(request)} for parameter ExtendedStatistic is not supported."
                )
        period = period_of(request)
        longest = LONGEST_OF_HOURS if period >= 3600 else LONGEST
        if request["EvaluationPeriods"] * period > longest:
            time = "a day" if longest == LONGEST else "7 days"
            raise ValidationException(
                f"Metrics cannot be checked across more than {time} (EvaluationPeriods * Period must be <= {longest})."
            )
        super().put_metric_alarm(context, request)

    def check(self, context: RequestContext, request: PutMetricAlarmInput) -> None:
        queries = request["Metrics"]
        if both := [name for name in OF_ONE_METRIC if request.get(name)]:
            raise ValidationException(f"The parameters {both[0]} and Metrics are mutually exclusive.")
        for kind in ("MetricStat", "Expression"):
            if sum(kind in query for query in queries) > MAXIMUM_OF_A_KIND:
                raise ValidationException(f"The metrics list has more than {MAXIMUM_OF_A_KIND} elements with {kind}.")
        result = watched(queries)["Id"]
        try:
            # without any time there are no data points, and the kinds of values are the same
            evaluation(self.cloudwatch_database, context.account_id, context.region, queries, 0, 0).single(result)
        except InvalidExpression as error:
            raise refusal(error) from error


def for_function(alarm: Any) -> list[dict[str, Any]]:
    """The ``metrics`` of the event of a function that an alarm notifies."""
    given = alarm.alarm
    queries = given.get("Metrics") or [
        {
            "Id": str(uuid.uuid4()),
            "MetricStat": {
                "Metric": {name: given.get(name) for name in ("Namespace", "MetricName", "Dimensions")},
                "Period": given["Period"],
                "Stat": statistic(given),
                "Unit": given.get("Unit"),
            },
        }
    ]
    return [in_lower_case(query) for query in queries]


def in_lower_case(query: Any) -> dict[str, Any]:
    found = {name[0].lower() + name[1:]: value for name, value in query.items() if name != "MetricStat"}
    if of_metric := query.get("MetricStat"):
        metric = of_metric["Metric"]
        found["metricStat"] = {
            "metric": {
                "namespace": metric["Namespace"],
                "name": metric["MetricName"],
                "dimensions": {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []},
            },
            "period": of_metric["Period"],
            "stat": of_metric["Stat"],
            **({"unit": of_metric["Unit"]} if of_metric.get("Unit") else {}),
        }
    return found | {"returnData": query.get("ReturnData", True)}


def install() -> None:
    # patch: SetAlarmState calls these functions of its module by name, and publishes what they return.
    replace(provider_v2, "create_metric_data_query_from_alarm", for_function)

    def message_to_function(alarm: Any, *previous: Any) -> str:
        message = json.loads(to_function(alarm, *previous))
        message["alarmData"]["configuration"]["metrics"] = for_function(alarm)
        return json.dumps(message)

    def message_to_topic(alarm: Any, *previous: Any) -> str:
        message = json.loads(to_topic(alarm, *previous))
        if metrics := alarm.alarm.get("Metrics"):
            for name in ("MetricName", "Namespace", "Dimensions", "Unit"):
                message["Trigger"].pop(name, None)
            message["Trigger"]["Metrics"] = metrics
        return json.dumps(message)

    # patch: as above.
    to_function = replace(provider_v2, "create_message_response_update_state_lambda", message_to_function)
    # patch: as above.
    to_topic = replace(provider_v2, "create_message_response_update_state_sns", message_to_topic)
