"""GetMetricData computes expressions, GetMetricStatistics percentiles, and both refuse queries that AWS refuses.

AWS: each query either names a metric or is an expression over the Ids of others; only those with ReturnData, which is
true by default, are returned; an expression that results in an array returns a result per time series, with one Id and
labels "in the format Expression-Label Metric-Label"
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html). MaxDatapoints is the number of
data points of the answer, beyond which it is paginated
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html). GetMetricStatistics takes
Statistics or ExtendedStatistics, "but not both"
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html). Both round StartTime
down: to the minute, or to the period if that is shorter, and to 5 minutes after 15 days, to an hour after 63.

LocalStack: a query with an expression is a 500, and so is one with a statistic that does not exist, or with
ExtendedStatistics; ReturnData is ignored; periods begin at StartTime as it is; MaxDatapoints counts by query,
and the token that continues is that of the last query alone.

Here: the provider computes every query of a request together, with ``metric_math``. Statistics other than the five and
percentiles (trimmed and winsorized means, counts and sums within bounds) are refused.

Evidence: documentation; belief for the label of an expression without one, which is its Id, for how data points fill a
page (query after query), and for the reasons of refusals beyond their "Error in expression".
"""

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.cloudwatch import (
    GetMetricDataOutput,
    GetMetricStatisticsOutput,
    InvalidParameterCombinationException,
    InvalidParameterValueException,
    MetricDataQuery,
    ScanBy,
)
from localstack.services.cloudwatch.provider_v2 import LABEL_DIFFERENTIATORS, ValidationException

from localstack_host.cloudwatch.alarm_history import position
from localstack_host.cloudwatch.metric_database import PERCENTILE, ExactMetrics, MetricDatabase, is_statistic
from localstack_host.cloudwatch.metric_math import Evaluation, InvalidExpression, Series, parse
from localstack_host.patching import overrides

ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
MAXIMUM_DATAPOINTS = 100_800
SHORT_PERIODS = (1, 5, 10, 20, 30)  # seconds
DAY = 24 * 60 * 60


def rounded(start: datetime, periods: Iterable[int]) -> int:
    """The Unix time that AWS takes for a StartTime, for metrics of ``periods`` (seconds)."""
    age = time.time() - start.timestamp()
    shortest = min(periods, default=60)
    step = 3600 if age > 63 * DAY else 300 if age > 15 * DAY else min(shortest, 60)
    return int(start.timestamp()) // step * step


def evaluation(
    database: MetricDatabase,
    account: str,
    region: str,
    queries: Sequence[MetricDataQuery],
    start: int,
    end: int,
) -> Evaluation:
    """What computes the results of ``queries`` from ``start`` (inclusive) to ``end`` (Unix times).

    Raises ValidationException for queries that are not valid, whatever the data.
    """
    check(queries)
    labels = metric_labels(queries)
    metrics, expressions, periods = {}, {}, {}
    for query in queries:
        id = query["Id"]
        if "Expression" in query:
            expressions[id] = parsed(query)
            if query.get("Period"):
                periods[id] = query["Period"]
            continue
        wanted = query["MetricStat"]
        metric = wanted["Metric"] | {name: wanted.get(name) for name in ("Stat", "Period", "Unit")}
        found = database.statistic(account, region, metric, start, end)
        period = wanted["Period"]
        points = {start + slot * period: float(found[slot]) for slot in sorted(found)}
        metrics[id] = Series(points, labels[id], period)
    return Evaluation(start, end, metrics, expressions, periods)


def check(queries: Sequence[MetricDataQuery]) -> None:
    for number, query in enumerate(queries, 1):
        if not ID.fullmatch(query["Id"]):
            raise ValidationException(
                f"The value {query['Id']} for parameter MetricDataQueries.member.{number}.Id is not matching the "
                "expected pattern ^[a-z][a-zA-Z0-9_]*$."
            )
        of_metric = query.get("MetricStat") or {}
        period = of_metric.get("Period") or query.get("Period")
        if period and period % 60 and period not in SHORT_PERIODS:
            raise ValidationException(
                f"The value {period} for parameter MetricDataQueries.member.{number} is not a valid period: it must be "
                "1, 5, 10, 20, 30 or a multiple of 60."
            )
        statistic = of_metric.get("Stat")
        if statistic is not None and not is_statistic(statistic):
            raise ValidationException(
                f"The value {statistic} for parameter MetricDataQueries.member.{number}.MetricStat.Stat is not "
                "supported."
            )
        if ("Expression" in query) == ("MetricStat" in query):
            raise ValidationException(
                f"The parameter MetricDataQueries.member.{number} must have exactly one of Expression and MetricStat."
            )
    ids = Counter(query["Id"] for query in queries)
    if several := sorted(id for id, count in ids.items() if count > 1):
        raise ValidationException(f"The values for parameter Id in MetricDataQueries are not unique: {several[0]}.")


def parsed(query: MetricDataQuery) -> Any:
    try:
        return parse(query["Expression"])
    except InvalidExpression as error:
        error.expression = query["Id"]
        raise refusal(error) from error


def refusal(error: InvalidExpression) -> ValidationException:
    return ValidationException(f"Error in expression '{error.expression}': {error}")


def metric_labels(queries: Sequence[MetricDataQuery]) -> dict[str, str]:
    """The labels of metrics by Id; what differs between them is part of each, as LocalStack has recorded on AWS."""
    of_metrics = [query for query in queries if "MetricStat" in query]
    added = [
        name for name in LABEL_DIFFERENTIATORS if len({str(query["MetricStat"][name]) for query in of_metrics}) > 1
    ]
    return {
        query["Id"]: " ".join(
            [
                query.get("Label") or query["MetricStat"]["Metric"]["MetricName"],
                *(str(query["MetricStat"][name]) for name in added),
            ]
        )
        for query in of_metrics
    }


def labelled(query: MetricDataQuery, found: Series, several: bool) -> str:
    if "MetricStat" in query:
        return found.label
    own = query.get("Label", query["Id"])
    return " ".join(filter(None, [own, found.label])) if several else own


class MetricMath(ExactMetrics):
    @overrides
    def get_metric_data(
        self,
        context: RequestContext,
        metric_data_queries: list[MetricDataQuery],
        start_time: datetime,
        end_time: datetime,
        next_token: str | None = None,
        scan_by: str | None = None,
        max_datapoints: int | None = None,
        **kwargs: Any,
    ) -> GetMetricDataOutput:
        if start_time >= end_time:
            raise ValidationException("The parameter StartTime must be less than the parameter EndTime.")
        periods = [query["MetricStat"]["Period"] for query in metric_data_queries if "MetricStat" in query]
        start, end = rounded(start_time, periods), int(end_time.timestamp())
        computed = evaluation(
            self.cloudwatch_database, context.account_id, context.region, metric_data_queries, start, end
        )
        results: list[tuple[MetricDataQuery, str, list[tuple[int, float]]]] = []
        for query in metric_data_queries:
            if not query.get("ReturnData", True):
                continue
            try:
                several = isinstance(computed.value(query["Id"]), list)
                series = computed.result(query["Id"])
            except InvalidExpression as error:
                raise refusal(error) from error
            for one in series:
                points = list(one.points.items())
                if scan_by != ScanBy.TimestampAscending:
                    points.reverse()
                results.append((query, labelled(query, one, several), points))
        return page(results, position(next_token), max_datapoints or MAXIMUM_DATAPOINTS)

    @overrides
    def get_metric_statistics(
        self,
        context: RequestContext,
        namespace: str,
        metric_name: str,
        start_time: datetime,
        end_time: datetime,
        period: int,
        dimensions: Any = None,
        statistics: list[str] | None = None,
        extended_statistics: list[str] | None = None,
        unit: str | None = None,
        **kwargs: Any,
    ) -> GetMetricStatisticsOutput:
        if bool(statistics) == bool(extended_statistics):
            raise InvalidParameterCombinationException(
                "Exactly one of the parameters Statistics and ExtendedStatistics must be specified."
            )
        for name in extended_statistics or []:
            if not PERCENTILE.fullmatch(name):
                raise InvalidParameterValueException(
                    f"The value {name} for parameter ExtendedStatistics is not supported."
                )
        answer = super().get_metric_statistics(
            context,
            namespace,
            metric_name,
            datetime.fromtimestamp(rounded(start_time, [period]), UTC),
            end_time,
            period,
            dimensions,
            statistics or ["SampleCount"],
            unit=unit,
            **kwargs,
        )
        if extended_statistics:
            end = int(end_time.timestamp())
            for point in answer["Datapoints"]:
                given = "NULL_VALUE" if point["Unit"] == "None" else point["Unit"]
                metric = {"Namespace": namespace, "MetricName": metric_name, "Dimensions": dimensions, "Unit": given}
                at = int(point["Timestamp"])
                percentiles = {
                    name: self.cloudwatch_database.statistic(
                        context.account_id,
                        context.region,
                        metric | {"Period": period, "Stat": name},
                        at,
                        min(at + period, end),
                    ).get(0)
                    for name in extended_statistics
                }
                del point["SampleCount"]
                point["ExtendedStatistics"] = {name: value for name, value in percentiles.items() if value is not None}
        return answer


def page(
    results: Iterable[tuple[MetricDataQuery, str, list[tuple[int, float]]]], skip: int, most: int
) -> GetMetricDataOutput:
    """The answer that begins with data point ``skip`` of all, and has ``most`` of them."""
    answer, passed, room = [], 0, most
    for query, label, points in results:
        first = max(skip - passed, 0)
        passed += len(points)
        if first and first >= len(points):
            continue  # it was complete before this page
        shown = list(islice(points, first, first + room))
        room -= len(shown)
        answer.append(
            {
                "Id": query["Id"],
                "Label": label,
                "StatusCode": "Complete" if first + len(shown) == len(points) else "PartialData",
                "Timestamps": [datetime.fromtimestamp(at, UTC) for at, _ in shown],
                "Values": [value for _, value in shown],
            }
        )
    more = {"NextToken": str(skip + most)} if skip + most < passed else {}
    return GetMetricDataOutput(MetricDataResults=answer, Messages=[], **more)
