"""Metric filters, filter patterns and embedded metrics in CloudWatch Logs."""

import gzip
import json
import time
from typing import Any

import pytest
from harness import ROLE, Instance, of_stream, statistics, unique, wait_until


@pytest.fixture
def log_group(localstack: Instance) -> str:
    name = unique("/group")
    localstack.client("logs").create_log_group(logGroupName=name)
    localstack.client("logs").create_log_stream(logGroupName=name, logStreamName="stream")
    return name


def put(localstack: Instance, log_group: str, *messages: str) -> None:
    events = [{"timestamp": int(time.time() * 1000), "message": message} for message in messages]
    localstack.client("logs").put_log_events(logGroupName=log_group, logStreamName="stream", logEvents=events)


def put_filter(localstack: Instance, log_group: str, pattern: str, **transformation: Any) -> None:
    localstack.client("logs").put_metric_filter(
        logGroupName=log_group,
        filterName=unique("filter"),
        filterPattern=pattern,
        metricTransformations=[transformation],
    )


def test_metric_filters_count_their_pattern_in_their_group(localstack: Instance, log_group: str) -> None:
    namespace, other = unique("namespace"), unique("/other")
    localstack.client("logs").create_log_group(logGroupName=other)
    localstack.client("logs").create_log_stream(logGroupName=other, logStreamName="stream")
    put_filter(
        localstack,
        log_group,
        "ERROR",
        metricName="errors",
        metricNamespace=namespace,
        metricValue="1",
        defaultValue=0,
    )
    put_filter(
        localstack,
        log_group,
        '{ $.level = "WARN" && $.ms > 100 }',
        metricName="slow",
        metricNamespace=namespace,
        metricValue="$.ms",
        dimensions={"service": "$.service"},
    )
    put_filter(
        localstack,
        log_group,
        "[kind=GET, ms]",
        metricName="gets",
        metricNamespace=namespace,
        metricValue="$ms",
    )

    warning = {"level": "WARN", "service": "pay"}
    put(
        localstack,
        log_group,
        "ERROR a",
        "fine",
        json.dumps(warning | {"ms": 250}),
        json.dumps(warning | {"ms": 50}),
    )
    put(localstack, log_group, "GET 30", "GET none", "PUT 40")
    put(localstack, other, "ERROR elsewhere")

    assert statistics(localstack, namespace, "errors") == [1]
    assert statistics(localstack, namespace, "errors", "SampleCount") == [7]
    assert statistics(localstack, namespace, "slow", service="pay") == [250]
    assert statistics(localstack, namespace, "gets") == [30]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("ERROR", ["ERROR a"]), ("{ $.ms > 100 }", ['{"ms": 250}']), ("", 3), ("-ERROR -ms", ["fine"])],
)
def test_filter_log_events(localstack: Instance, log_group: str, pattern: str, expected: Any) -> None:
    put(localstack, log_group, "ERROR a", "fine", '{"ms": 250}')

    found = localstack.client("logs").filter_log_events(logGroupName=log_group, filterPattern=pattern)["events"]

    assert (len(found) if isinstance(expected, int) else [event["message"] for event in found]) == expected


def test_an_invalid_pattern_is_refused(localstack: Instance, log_group: str) -> None:
    logs = localstack.client("logs")

    with pytest.raises(logs.exceptions.InvalidParameterException, match="expected a condition at"):
        put_filter(localstack, log_group, "{ $.a ~ 1 }", metricName="m", metricNamespace="n", metricValue="1")
    with pytest.raises(logs.exceptions.InvalidParameterException, match="Invalid filter pattern"):
        logs.filter_log_events(logGroupName=log_group, filterPattern="{ $.a")
    with pytest.raises(logs.exceptions.InvalidParameterException, match="Invalid filter pattern"):
        subscribe(localstack, log_group, "{ $.a")


def subscribe(localstack: Instance, log_group: str, pattern: str) -> str:
    """Sends what matches to a new stream; returns the stream's name."""
    kinesis, stream = localstack.client("kinesis"), unique("stream")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    localstack.client("logs").put_subscription_filter(
        logGroupName=log_group, filterName="wanted", filterPattern=pattern, destinationArn=arn, roleArn=ROLE
    )
    return stream


def test_a_subscription_gets_what_matches(localstack: Instance, log_group: str) -> None:
    stream = subscribe(localstack, log_group, "{ $.ms > 100 }")

    put(localstack, log_group, '{"ms": 50}', '{"ms": 250}')

    (record,) = wait_until(lambda: of_stream(localstack, stream))
    sent = json.loads(gzip.decompress(record["Data"]))
    assert [event["message"] for event in sent["logEvents"]] == ['{"ms": 250}']


def test_an_unknown_group_publishes_nothing(localstack: Instance) -> None:
    with pytest.raises(localstack.client("logs").exceptions.ResourceNotFoundException):
        put(localstack, unique("/nowhere"), "ERROR")


def test_embedded_metrics_of_a_function(localstack: Instance) -> None:
    namespace = unique("namespace")
    source = """
import json, time
def handler(event, context):
    metrics = [{"Name": "latency", "Unit": "Milliseconds"}, {"Name": "count"}]
    directive = {"Namespace": event, "Dimensions": [["service"], []], "Metrics": metrics}
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": aws, "service": "pay", "latency": [10, 30], "count": 2}))
    print(json.dumps({"_aws": "nonsense"}))
"""
    localstack.invoke(localstack.create_function(source), namespace)

    latency = wait_until(lambda: statistics(localstack, namespace, "latency", service="pay"))
    assert latency == [40]
    assert statistics(localstack, namespace, "latency", "Maximum", service="pay") == [30]
    assert statistics(localstack, namespace, "count") == [2]
