"""What the tests share: a LocalStack, started with ``python -m localstack_host`` and used through boto3 only.

LOCALSTACK_HOST_PYTHON and LOCALSTACK_HOST_FUNCTION_PYTHON name the interpreters of LocalStack (requirements.lock and
this package) and of the functions (functions.lock).
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from localstack_host.clock.page import Page, Place

PYTHON = os.environ.get("LOCALSTACK_HOST_PYTHON", sys.executable)
FUNCTION_PYTHON = os.environ.get("LOCALSTACK_HOST_FUNCTION_PYTHON", sys.executable)
# What is run with PYTHON to start a LocalStack.
LAUNCHER = ["-m", "localstack_host"]
ROLE = "arn:aws:iam::000000000000:role/test"
# What a LocalStack gets beside the environment of the tests: the first two may not reach it.
ENVIRONMENT = {"SERVICES": "s3", "LOCALSTACK_LEAKED": "1"}
SHORT_TIMES = (
    *("--alarm-seconds", "1"),
    *("--metric-seconds", "1"),
    *("--async-retry-seconds", "1"),
    *("--delivery-retry-seconds", "1"),
)


def wait_until[T](condition: Callable[[], T], seconds: float = 40, every: float = 0.2) -> T:
    """The first truthy result of ``condition``; fails with the last one after ``seconds``."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while True:
        last = condition()
        if last or time.monotonic() > end:
            assert last, f"not within {seconds} s; last seen: {last!r}"
            return last
        pause.wait(every)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def archive(files: dict[str, str]) -> bytes:
    """A zip file of ``files``: path to content."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for path, content in files.items():
            zipped.writestr(path, content)
    return buffer.getvalue()


def free_port() -> int:
    """Below those that the system hands out, so that no connection takes it before LocalStack does."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


class Gate:
    """A place in a handler where invocations wait until the test lets them go on."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        server.settimeout(40)
        address = server.getsockname()
        # the statement for the handler; a closed connection ends it
        self.wait = f"__import__('socket').create_connection({address!r}).recv(1)"

    @contextmanager
    def held(self, invocations: int) -> Iterator[None]:
        """Waits until so many invocations are at the gate; they go on when the block ends."""
        with ExitStack() as connections:
            for _ in range(invocations):
                connections.enter_context(self.server.accept()[0])
            yield


@dataclass
class Instance:
    """A LocalStack that runs, or ran."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        if service not in self.clients:
            make: Any = boto3.client  # its stubs know literal names only
            self.clients[service] = make(
                service,
                endpoint_url=self.endpoint,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(
                    retries={"total_max_attempts": 1},
                    read_timeout=60,
                    max_pool_connections=50,
                    inject_host_prefix=False,  # of TestState and StartSyncExecution: "sync-127.0.0.1" is no address
                ),
            )
        return self.clients[service]

    def healthy(self) -> bool:
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_localstack/health", timeout=2) as response:
                found: bool = response.status == 200
                return found
        except OSError:
            return False

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def functions(self) -> list[psutil.Process]:
        """The function processes of this instance, also when LocalStack is gone."""
        return [found for found in psutil.process_iter() if self.owns(found)]

    def owns(self, process: psutil.Process) -> bool:
        try:
            arguments = process.cmdline()
            running = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
        return running and bool(arguments) and arguments[-1].startswith(str(self.folder.resolve()))

    def create_function(self, source: str | dict[str, str], **settings: Any) -> str:
        """Makes a function of ``source`` (app.py, or files) and returns its name."""
        name = settings.pop("FunctionName", unique("function"))
        files = {"app.py": source} if isinstance(source, str) else source
        settings = {"Runtime": "python3.13", "Role": ROLE, "Handler": "app.handler", "Timeout": 10} | settings
        variables = settings.pop("Variables", {})
        self.client("lambda").create_function(
            FunctionName=name,
            Code={"ZipFile": archive(files)},
            Environment={"Variables": variables},
            **settings,
        )
        found: str = name
        return found

    def invoke(self, function: str, event: Any = None) -> tuple[Any, str | None]:
        """The decoded payload and the function error."""
        response = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        return json.loads(response["Payload"].read() or "null"), response.get("FunctionError")

    def create_queue(self, name: str = "", **attributes: str) -> tuple[str, str]:
        """URL and ARN."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=name or unique("queue"), Attributes=attributes)["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def messages(self, function: str, pattern: str = "") -> list[str]:
        """What the function logged, oldest first."""
        logs = self.client("logs")
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern=pattern)
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"].rstrip("\n") for event in found["events"]]


class Lab:
    """A LocalStack and a client of its clock. No wait takes longer than MOST_SECONDS of the machine's time."""

    MOST_SECONDS = 120  # on a busy machine; on a quiet one a second or two

    def __init__(self, instance: Instance, page: Page, place: Place) -> None:
        self.instance, self.page, self.place = instance, page, place

    def wait[T](self, condition: Callable[[], T], seconds: float = 2000) -> T:
        """The first truthy result, within ``seconds`` of the page's time."""
        begin, real = self.page.now(), time.monotonic()
        while not (found := condition()):
            passed = self.page.now() - begin
            left = self.MOST_SECONDS - (time.monotonic() - real)
            assert passed < seconds and left > 0, (
                f"in vain: {passed:.0f} s of the page's, {self.MOST_SECONDS - left:.0f} of the machine's"
            )
            self.place.wait(self.page.now_ns() + 10**9, left)
        return found

    def pass_time(self, seconds: float) -> None:
        end = self.page.now_ns() + int(seconds * 10**9)
        assert self.place.wait(end, self.MOST_SECONDS), f"{seconds} s took {self.MOST_SECONDS} s"


@contextmanager
def running(folder: Path, *options: str, cwd: Path | None = None) -> Iterator[Instance]:
    port = free_port()
    command = [PYTHON, *LAUNCHER, "--port", str(port), "--dir", str(folder)]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--function-python", FUNCTION_PYTHON, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | ENVIRONMENT,
            cwd=cwd,
        )
    instance = Instance(process, port, folder)
    try:
        wait_until(instance.healthy, seconds=240)  # some seconds, but for many that start at once on a busy machine
        yield instance
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def reuse_index(localstack: Instance, folder: Path) -> None:
    """Saves a start in ``folder`` the 3 s that building the index of AWS services takes."""
    index = next((localstack.folder / "filesystem").rglob("service-catalog-*"))
    target = folder / index.relative_to(localstack.folder)
    target.parent.mkdir(parents=True)
    shutil.copy(index, target)


def statistics(
    localstack: Instance, namespace: str, metric: str, statistic: str = "Sum", **dimensions: str
) -> list[Any]:
    now = datetime.now(UTC)
    points = localstack.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=2),
        Period=3600,
        Statistics=[statistic],
    )["Datapoints"]
    return [point[statistic] for point in points]


def received(localstack: Instance, url: str, count: int = 1, seconds: float = 20) -> list[dict[str, Any]]:
    """``count`` messages, which are deleted."""
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        answer = localstack.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            localstack.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(message)
        return len(found) >= count

    wait_until(enough, seconds, every=0)
    return found


def bodies(localstack: Instance, url: str, count: int = 1) -> list[Any]:
    return [json.loads(message["Body"]) for message in received(localstack, url, count)]


def attributes(message: dict[str, Any]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}


def depth(localstack: Instance, url: str) -> int:
    names = ["ApproximateNumberOfMessages"]
    found = localstack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return int(found["Attributes"][names[0]])


def failing_queue(localstack: Instance) -> str:
    """A target whose error is not a permanent one: a FIFO queue that gets no deduplication id."""
    return localstack.create_queue(unique("target") + ".fifo", FifoQueue="true")[1]


def create_table(localstack: Instance, view: str | None = "NEW_AND_OLD_IMAGES", sort_key: bool = False) -> str:
    keys = {"id": "HASH", "at": "RANGE"} if sort_key else {"id": "HASH"}
    stream = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}} if view else {}
    found: str = localstack.client("dynamodb").create_table(
        TableName=unique("table"),
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        BillingMode="PAY_PER_REQUEST",
        **stream,
    )["TableDescription"]["TableName"]
    return found


def stream_arn(localstack: Instance, table: str) -> str:
    found: str = localstack.client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    return found


def put(localstack: Instance, table: str, key: str, **values: str) -> None:
    item = {"id": {"S": key}} | {name: {"S": value} for name, value in values.items()}
    localstack.client("dynamodb").put_item(TableName=table, Item=item)


def of_stream(localstack: Instance, stream: str) -> list[dict[str, Any]]:
    """The records of a Kinesis stream with one shard."""
    kinesis = localstack.client("kinesis")
    (shard,) = kinesis.describe_stream(StreamName=stream)["StreamDescription"]["Shards"]
    iterator = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found: list[dict[str, Any]] = kinesis.get_records(ShardIterator=iterator)["Records"]
    return found


def put_records(localstack: Instance, stream: str, *records: tuple[str, bytes]) -> list[dict[str, Any]]:
    entries = [{"PartitionKey": key, "Data": data} for key, data in records]
    answer = localstack.client("kinesis").put_records(StreamName=stream, Records=entries)
    found: list[dict[str, Any]] = answer["Records"]
    return found


def wait_for_state(localstack: Instance, mapping: str, state: str) -> None:
    client = localstack.client("lambda")
    wait_until(lambda: client.get_event_source_mapping(UUID=mapping)["State"] == state, every=0.01)


def run(source: str) -> subprocess.CompletedProcess[str]:
    """Runs a program with LocalStack's interpreter."""
    return subprocess.run([PYTHON, "-c", source], check=False, capture_output=True, text=True, timeout=60)
