"""Measures the local target itself: a LocalStack of its own, without Terraform and without a pattern."""

import io
import json
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from lab import localstack
from lab.bench.measurement import Measurement, free_port, timed
from lab.console import step
from lab.deployment import answer, depth
from lab.targets import Target

BATCH = 10
MESSAGES = 2000
MAPPINGS = 6
ALARMS = 35
LIVE_FUNCTIONS = 60
IDLE_SECONDS = 20
DEADLINE_SECONDS = 120

PLAIN = "def handler(event, context): return 1"
WITH_BOTO3 = "import boto3\nsqs = boto3.client('sqs')\ndef handler(event, context): return 1"
SLOW = "import time\ndef handler(event, context): time.sleep(3)"


def measure() -> Iterator[Measurement]:
    """Start, idle cost, invocations, throughput of a mapping, and stop with many live functions."""
    with tempfile.TemporaryDirectory() as folder, step("measuring the local target"):
        lab = localstack.LocalStack(Path(folder), free_port())
        lab.start()
        lab.stop()  # the first start in a folder builds an index
        with timed() as start:
            instance, _ = lab.start()
        yield Measurement("LocalStack ready", start(), promised=2)
        process = psutil.Process(instance.pid)
        bench = _Bench(Target("local", localstack.VERSION, instance.url, "us-east-1", "test"))
        try:
            yield Measurement("memory, idle", process.memory_info().rss / 1e6, "MB")
            yield Measurement("idle, nothing deployed", _cpu_percent(process), "% of a core", promised=1)
            yield Measurement("cold invocation", bench.cold(PLAIN), "ms", promised=80)
            yield Measurement("cold invocation, with boto3", bench.cold(WITH_BOTO3), "ms", promised=400)
            yield Measurement("warm invocation", bench.warm(), "ms", promised=15)
            yield Measurement("SQS to Lambda, batch of 10", bench.throughput(), "messages/s", promised_at_least=400)
            bench.deploy_idle()
            yield Measurement("idle, six mappings, 35 alarms", _cpu_percent(process), "% of a core", promised=5)
            bench.occupy()
            yield Measurement("memory, in use", process.memory_info().rss / 1e6, "MB", promised=500)
        finally:
            with timed() as stop:
                lab.stop()
        yield Measurement(f"stop with {LIVE_FUNCTIONS} live functions", stop(), promised=5)
        yield Measurement("function processes left", len(lab.function_processes()), "", promised=0)


class _Bench:
    def __init__(self, target: Target) -> None:
        self.lambda_ = target.client("lambda")
        self.sqs = target.client("sqs")
        self.cloudwatch = target.client("cloudwatch")
        self.names = 0
        role = {"Version": "2012-10-17", "Statement": []}
        created = target.client("iam").create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(role))
        self.role = created["Role"]["Arn"]

    def function(self, source: str) -> str:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("app.py", source)
        name = self.name()
        code = {"ZipFile": content.getvalue()}
        self.lambda_.create_function(
            FunctionName=name, Runtime="python3.13", Role=self.role, Handler="app.handler", Code=code, Timeout=10
        )
        return name

    def name(self) -> str:
        self.names += 1
        return f"bench-{self.names}"

    def queue(self) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=self.name(), Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        return url, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def cold(self, source: str) -> float:
        """Milliseconds, the median of five functions' first invocations."""
        return statistics.median(self._invoke(self.function(source)) for _ in range(5))

    def warm(self) -> float:
        """Milliseconds, the median of 200 invocations of one function."""
        name = self.function(PLAIN)
        self._invoke(name)
        return statistics.median(self._invoke(name) for _ in range(200))

    def throughput(self) -> float:
        """Messages per second, from the moment that the mapping is made until its queue is empty."""
        url, arn = self.queue()
        entries = [{"Id": str(number), "MessageBody": "x"} for number in range(BATCH)]
        with ThreadPoolExecutor(4) as pool:
            list(
                pool.map(lambda _: self.sqs.send_message_batch(QueueUrl=url, Entries=entries), range(MESSAGES // BATCH))
            )
        name = self.function(PLAIN)
        began = time.perf_counter()
        self.lambda_.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, BatchSize=BATCH)
        while depth(self.sqs, url).total and time.perf_counter() - began < DEADLINE_SECONDS:
            time.sleep(0.05)
        return MESSAGES / (time.perf_counter() - began)

    def deploy_idle(self) -> None:
        """As much as six patterns have, with nothing to do."""
        for _ in range(MAPPINGS):
            _, arn = self.queue()
            self.lambda_.create_event_source_mapping(EventSourceArn=arn, FunctionName=self.function(PLAIN))
        for _ in range(ALARMS):
            self.cloudwatch.put_metric_alarm(
                AlarmName=self.name(), Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible",
                Dimensions=[{"Name": "QueueName", "Value": "bench-1"}], Statistic="Maximum", Period=60,
                EvaluationPeriods=1, Threshold=0, ComparisonOperator="GreaterThanThreshold",
            )  # fmt: skip

    def occupy(self) -> None:
        """Leaves many function processes alive."""
        name = self.function(SLOW)
        with ThreadPoolExecutor(LIVE_FUNCTIONS) as pool:
            list(pool.map(self._invoke, [name] * LIVE_FUNCTIONS))

    def _invoke(self, name: str) -> float:
        with timed() as one:
            answer(name, self.lambda_.invoke(FunctionName=name))
        return one() * 1000


def _cpu_percent(process: psutil.Process) -> float:
    """What an idle process uses of one core."""
    return float(process.cpu_percent(IDLE_SECONDS))
