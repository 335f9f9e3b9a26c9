"""Metric filters, filter patterns and the embedded metric format.

AWS: a metric filter publishes a value for each log event of its own log group that matches its pattern: a constant
or a field of the event, with dimensions from fields, and a default value for events that do not match
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html). FilterLogEvents and subscription
filters use the same patterns. A log event in the embedded metric format becomes metrics
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

LocalStack: every metric filter counts every event of every log group; patterns match everything; the embedded
metric format is stored as text.

Here: the provider publishes metrics when events are put, and refuses a pattern that cannot be parsed when it is
given. The patterns are those of ``patterns``.

Evidence: documentation; belief for the text of the refusal.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.logs import InvalidParameterException
from localstack.aws.connect import connect_to
from localstack.services.logs import provider
from localstack.services.logs.models import get_moto_logs_backend
from localstack.services.moto import call_moto

from localstack_host.logs.event_times import accepted
from localstack_host.logs.patterns import InvalidPattern, compile_pattern
from localstack_host.patching import overrides, replace

LOG = logging.getLogger(__name__)

Metric = tuple[str, dict[str, Any]]  # namespace, MetricDatum


def from_metric_filter(metric_filter: dict[str, Any], message: str) -> Iterator[Metric]:
    """What one metric filter, as DescribeMetricFilters returns it, publishes for one log event."""
    match = compile_pattern(metric_filter.get("filterPattern") or "")(message)
    for transformation in metric_filter["metricTransformations"]:
        datum: dict[str, Any] = {"MetricName": transformation["metricName"]}
        if unit := transformation.get("unit"):
            datum["Unit"] = unit
        value: Any = transformation.get("defaultValue")
        if match:
            value = transformation.get("metricValue") or "1"
            if value.startswith("$"):
                value = match.value(value)
            dimensions = transformation.get("dimensions") or {}
            found = {name: match.value(selector) for name, selector in dimensions.items()}
            datum["Dimensions"] = [{"Name": k, "Value": str(v)} for k, v in found.items() if v is not None]
        try:
            yield transformation["metricNamespace"], datum | {"Value": float(value)}
        except (TypeError, ValueError):
            continue  # no default value, or a field that is no number: nothing is published


def from_embedded_metrics(message: str) -> Iterator[Metric]:
    """What a log event in the embedded metric format publishes; nothing for any other."""
    if '"_aws"' not in message:
        return
    try:
        document = json.loads(message)
        directives = document["_aws"]["CloudWatchMetrics"]
        at = document["_aws"].get("Timestamp", time.time() * 1000) / 1000
        for directive in directives:
            for names in directive.get("Dimensions") or [[]]:
                dimensions = [{"Name": name, "Value": str(document[name])} for name in names if name in document]
                for metric in directive["Metrics"]:
                    values = document.get(metric["Name"])
                    values = values if isinstance(values, list) else [values]
                    if not values or not all(is_number(value) for value in values):
                        continue
                    yield (
                        directive["Namespace"],
                        {
                            "MetricName": metric["Name"],
                            "Values": values,
                            "Counts": [1] * len(values),
                            "Unit": metric.get("Unit", "None"),
                            "Timestamp": at,
                            "Dimensions": dimensions,
                        },
                    )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        LOG.debug("not in the embedded metric format: %s", error)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def require_valid(pattern: str | None) -> None:
    try:
        compile_pattern(pattern or "")
    except InvalidPattern as error:
        raise InvalidParameterException(f"Invalid filter pattern: {error}") from error


class MetricFilters(provider.LogsProvider):
    # Handlers with expand=False take the request as one argument, unlike the methods that they override.
    @overrides
    @handler("PutLogEvents", expand=False)
    def put_log_events(self, context: RequestContext, request: Any) -> Any:
        response = call_moto(context)  # first: an unknown log group publishes nothing
        log_group = request["logGroupName"]
        filters = get_moto_logs_backend(context.account_id, context.region).filters.metric_filters
        own = [one for one in list(filters) if one["logGroupName"] == log_group]
        stored = accepted(request["logEvents"], response.get("rejectedLogEventsInfo") or {})
        publish(context, log_group, metrics(own, [event["message"] for event in stored]))
        return response

    @overrides
    @handler("PutMetricFilter", expand=False)
    def put_metric_filter(self, context: RequestContext, request: Any) -> None:
        require_valid(request.get("filterPattern"))
        call_moto(context)

    @overrides
    @handler("PutSubscriptionFilter", expand=False)
    def put_subscription_filter(self, context: RequestContext, request: Any) -> None:
        require_valid(request.get("filterPattern"))
        call_moto(context)

    @overrides
    @handler("FilterLogEvents", expand=False)
    def filter_log_events(self, context: RequestContext, request: Any) -> Any:
        require_valid(request.get("filterPattern"))
        return call_moto(context)


def metrics(filters: list[dict[str, Any]], messages: Iterable[str]) -> Iterator[Metric]:
    for message in messages:
        for metric_filter in filters:
            yield from from_metric_filter(metric_filter, message)
        yield from from_embedded_metrics(message)


def publish(context: RequestContext, log_group: str, published: Iterable[Metric]) -> None:
    by_namespace: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for namespace, datum in published:
        by_namespace[namespace].append(datum)
    for namespace, data in by_namespace.items():
        client = connect_to(aws_access_key_id=context.account_id, region_name=context.region).cloudwatch
        try:
            client.put_metric_data(Namespace=namespace, MetricData=data)
        except Exception as error:  # a metric must not fail the log
            LOG.warning("metrics of log group %s not published: %s", log_group, error)


def pattern_matcher(pattern: str) -> Callable[[str, dict[str, Any]], bool]:
    match = compile_pattern(pattern or "")
    return lambda _, event: match(event["message"]) is not None


def install() -> None:
    # patch: this is the place that LocalStack names for it ("Can be patched by plugins"); it is a module's function.
    replace(provider, "get_pattern_matcher", pattern_matcher)
