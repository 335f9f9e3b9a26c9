"""Metrics of functions and queues, and alarms on them."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import PYTHON, Gate, Instance, unique, wait_until
from test_logs import statistics


def test_duration_and_throttles_of_a_function(localstack: Instance, gate: Gate) -> None:
    client = localstack.client("lambda")
    source = f"from time import sleep\ndef handler(event, context):\n    {gate.wait}\n    sleep(0.5)"
    function = localstack.create_function(source, Timeout=60)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(localstack.invoke, function)
        with gate.held(1):
            for _ in range(2):
                with pytest.raises(client.exceptions.TooManyRequestsException):
                    localstack.invoke(function)
        running.result()
    milliseconds = (time.monotonic() - began) * 1000

    def metric(name: str, statistic: str = "Sum") -> list:
        return statistics(localstack, "AWS/Lambda", name, statistic, FunctionName=function)

    wait_until(lambda: metric("Throttles") == [2])
    (duration,) = wait_until(lambda: metric("Duration", "Maximum"))
    assert 500 <= duration < milliseconds
    wait_until(lambda: metric("Invocations") == [1])


def test_age_of_the_oldest_message(localstack: Instance) -> None:
    url, _ = localstack.create_queue()
    name = url.rsplit("/", 1)[1]
    sqs = localstack.client("sqs")

    def age() -> float:
        return max(
            statistics(localstack, "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName=name),
            default=0,
        )

    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="old")

    wait_until(lambda: age() >= 2)
    assert age() <= time.monotonic() - sent + 1


def test_a_message_received_three_times_no_longer_counts_for_the_age(localstack: Instance) -> None:
    url, _ = localstack.create_queue(VisibilityTimeout="0")
    name = url.rsplit("/", 1)[1]
    sqs = localstack.client("sqs")
    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(3):
        assert sqs.receive_message(QueueUrl=url)["Messages"]
    counted = time.monotonic() - sent

    def metric(of: str, statistic: str) -> list:
        return statistics(localstack, "AWS/SQS", of, statistic, QueueName=name)

    wait_until(lambda: metric("ApproximateAgeOfOldestMessage", "SampleCount")[0:] >= [counted + 4])
    assert metric("ApproximateNumberOfMessagesVisible", "Maximum") == [1]
    assert metric("ApproximateAgeOfOldestMessage", "Maximum")[0] <= counted + 1


def alarm_on_depth(localstack: Instance, queue: str, **settings: Any) -> str:
    name = unique("alarm")
    localstack.client("cloudwatch").put_metric_alarm(
        **{
            "AlarmName": name,
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [{"Name": "QueueName", "Value": queue}],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }
        | settings
    )
    return name


def state(localstack: Instance, alarm: str) -> str:
    return localstack.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0][
        "StateValue"
    ]


def test_an_alarm_with_a_period_of_a_minute_changes_within_seconds(localstack: Instance) -> None:
    url, _ = localstack.create_queue()
    alarm = alarm_on_depth(localstack, url.rsplit("/", 1)[1])
    wait_until(lambda: state(localstack, alarm) == "OK")

    localstack.client("sqs").send_message(QueueUrl=url, MessageBody="late")

    wait_until(lambda: state(localstack, alarm) == "ALARM")


def test_an_alarm_returns_to_ok_one_period_after_the_metric(localstack: Instance) -> None:
    """LocalStack alone keeps it in ALARM for three periods: it counts older data points too."""
    url, _ = localstack.create_queue()
    alarm = alarm_on_depth(localstack, url.rsplit("/", 1)[1], Period=10)
    localstack.client("sqs").send_message(QueueUrl=url, MessageBody="late")
    wait_until(lambda: state(localstack, alarm) == "ALARM")

    purged = time.monotonic()
    localstack.client("sqs").purge_queue(QueueUrl=url)

    wait_until(lambda: state(localstack, alarm) == "OK")
    assert time.monotonic() - purged < 28


def test_an_alarm_notifies_its_topic(localstack: Instance) -> None:
    url, _ = localstack.create_queue()
    told_url, told_arn = localstack.create_queue()
    topic = localstack.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    localstack.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told_arn)
    alarm = alarm_on_depth(localstack, url.rsplit("/", 1)[1], AlarmActions=[topic])

    localstack.client("sqs").send_message(QueueUrl=url, MessageBody="late")

    (message,) = wait_until(
        lambda: localstack.client("sqs").receive_message(QueueUrl=told_url, WaitTimeSeconds=1).get("Messages")
    )
    assert alarm in message["Body"]


FIRST_USE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from localstack_host.metric_database import MetricDatabase, database

MetricDatabase.CLOUDWATCH_DATA_ROOT, MetricDatabase.METRICS_DB = sys.argv[1], sys.argv[1] + "/metrics.db"
together = threading.Barrier(8)

def first_use(_):
    together.wait()
    return id(database())

with ThreadPoolExecutor(8) as pool:
    print(len(set(pool.map(first_use, range(8)))))
"""


def test_the_database_is_made_once_however_many_ask_first(tmp_path: Path) -> None:
    command = [PYTHON, "-c", FIRST_USE, str(tmp_path / "cloudwatch")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
