"""Metrics of functions and queues, and alarms on them."""

import subprocess
import time
from pathlib import Path
from typing import Any

from harness import PYTHON, Instance, unique, wait_until


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
    found: str = localstack.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"]
    return found


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
from localstack_host.cloudwatch.metric_database import MetricDatabase, database

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
