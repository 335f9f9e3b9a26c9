"""One LocalStack per pytest worker, started with ``python -m localstack_host`` and used through boto3 only.

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
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

PYTHON = os.environ.get("LOCALSTACK_HOST_PYTHON", sys.executable)
FUNCTION_PYTHON = os.environ.get("LOCALSTACK_HOST_FUNCTION_PYTHON", sys.executable)
ROLE = "arn:aws:iam::000000000000:role/test"
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

    process: subprocess.Popen
    port: int
    folder: Path
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=50),
            )
        return self.clients[service]

    def healthy(self) -> bool:
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_localstack/health", timeout=2) as response:
                return response.status == 200
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
        return name

    def invoke(self, function: str, event: Any = None) -> tuple[Any, str | None]:
        """The decoded payload and the function error."""
        response = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        return json.loads(response["Payload"].read() or "null"), response.get("FunctionError")

    def create_queue(self, name: str = "", **attributes: str) -> tuple[str, str]:
        """URL and ARN."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=name or unique("queue"), Attributes=attributes)["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]

    def messages(self, function: str, pattern: str = "") -> list[str]:
        """What the function logged, oldest first."""
        logs = self.client("logs")
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern=pattern)
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"].rstrip("\n") for event in found["events"]]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Instance]:
    port = free_port()
    command = [PYTHON, "-m", "localstack_host", "--port", str(port), "--dir", str(folder)]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--function-python", FUNCTION_PYTHON, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"SERVICES": "s3", "LOCALSTACK_LEAKED": "1"},  # neither may reach LocalStack
        )
    instance = Instance(process, port, folder)
    try:
        wait_until(instance.healthy, seconds=60)
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


@pytest.fixture(scope="session")
def localstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with running(tmp_path_factory.mktemp("localstack"), *SHORT_TIMES) as instance:
        yield instance


@pytest.fixture
def gate() -> Iterator[Gate]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Gate(server)


@pytest.fixture
def own_localstack(localstack: Instance, tmp_path: Path) -> Iterator[Instance]:
    """One that the test may stop."""
    reuse_index(localstack, tmp_path)
    with running(tmp_path) as instance:
        yield instance
