"""Lambda functions run as processes of this machine, on AWS's own runtime interface client (awslambdaric).

AWS: an execution environment serves one invocation at a time and is used again, with its modules and its /tmp; after
a timeout or a crash its runtime starts anew
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html). The runtime talks to the Runtime API
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). Layers are unpacked over one another in their order
(https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html).

LocalStack: has one executor, which needs Docker.

Here: an executor of its own (entry point ``localstack.lambda.runtime_executor``, selected by
LAMBDA_RUNTIME_EXECUTOR=process). An environment is a folder with a home, a temporary folder and the process's
output; a Runtime API of its own on a loopback port; and a process group that ``bootstrap`` starts in. The last two
arguments of a function's process are the function's name and that folder, below LocalStack's TMPDIR. Not as on AWS:
functions run as the user who runs LocalStack, without a sandbox or architecture; /var/task is not redirected (use
LAMBDA_TASK_ROOT), /tmp and /opt where ``private_folders`` can. The initialization may take INIT_SECONDS and is not
tried again within an invocation (AWS: 10 s, then once more within the function's timeout): many cold starts at once on
few cores would exceed 10 s here and not on AWS, and be reported as failures that nobody will see there.

Evidence: documentation; errors recording TestLambdaErrors, TestLambdaBehavior.
"""

import contextlib
import http.server
import json
import os
import queue
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Literal

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from localstack_host.clock import keeper
from localstack_host.clock.page import Place
from localstack_host.environment import FUNCTION_PYTHON, PRIVATE_FOLDERS
from localstack_host.lambda_ import invocation_logs, memory, metrics, payload_limits
from localstack_host.lambda_.invocation_logs import Report, Status, json_events, text
from localstack_host.lambda_.memory import Memory
from localstack_host.patching import demanded, overrides

INIT_SECONDS = 30.0
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
# What LocalStack gives to the program inside its containers; AWS's functions do not see it.
INTERNAL_PREFIX, INTERNAL_NAMES = "LOCALSTACK_", ("EDGE_PORT", "AWS_LAMBDA_FUNCTION_TIMEOUT")


@dataclass(frozen=True)
class Event:
    """Something that a function's process did. ``exit`` carries the return code of subprocess.Popen."""

    kind: Literal["ready", "response", "error", "init_error", "exit", "timeout"]
    body: bytes = b""
    returncode: int = 0


class RuntimeApi(http.server.ThreadingHTTPServer):
    """The Runtime API of one process: ``invocations`` go in, ``events`` come out."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RuntimeApiHandler)
        self.invocations: queue.Queue[tuple[bytes, dict[str, str]] | None] = queue.Queue()
        self.events: queue.Queue[Event] = queue.Queue()
        # The interval only bounds how soon close() ends its thread.
        threading.Thread(target=self.serve_forever, args=(5,), daemon=True).start()

    def server_bind(self) -> None:
        # HTTPServer's own looks up the name of the address, which can take seconds where no resolver answers.
        socketserver.TCPServer.server_bind(self)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A process that was killed leaves its connection in the middle; that is no error of the server's."""

    def close(self) -> None:
        self.invocations.put(None)

        def end() -> None:
            self.shutdown()
            self.server_close()

        threading.Thread(target=end, daemon=True).start()


class RuntimeApiHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A reply in one packet: otherwise delayed acknowledgements add 40 ms to every invocation.
    wbufsize, disable_nagle_algorithm = -1, True
    server: RuntimeApi

    def do_GET(self) -> None:
        """/2018-06-01/runtime/invocation/next: waits for the next invocation."""
        self.server.events.put(Event("ready"))
        invocation = self.server.invocations.get()
        if invocation is None:
            self.close_connection = True
            return
        body, headers = invocation
        self.reply(HTTPStatus.OK, body, headers)

    def do_POST(self) -> None:
        """/2018-06-01/runtime/invocation/<id>/response, .../<id>/error or /2018-06-01/runtime/init/error."""
        kinds = {"response": "response", "error": "init_error" if "/init/" in self.path else "error"}
        kind: Any = kinds.get(self.path.rsplit("/", 1)[1])
        body = self.body()
        if kind is None:
            self.reply(HTTPStatus.NOT_FOUND)
            return
        self.server.events.put(Event(kind, body))
        self.reply(HTTPStatus.ACCEPTED)

    def body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def reply(self, status: HTTPStatus, body: bytes = b"{}", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """No access log."""


class FunctionProcess:
    """One life of a function's process group."""

    live: ClassVar[set["FunctionProcess"]] = set()
    live_lock: ClassVar = threading.Lock()

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        folder: Path,
        code: Path,
        place: Place | None,
        memory_size: int,
    ) -> None:
        """``memory_size``: megabytes."""
        self.api = RuntimeApi()
        self.place = place
        output = folder / "output"
        with open(output, "ab") as writing:
            self.offset = writing.tell()
            self.process = subprocess.Popen(
                command,
                env=environment | {"AWS_LAMBDA_RUNTIME_API": self.api.address},
                cwd=code,
                stdin=subprocess.PIPE,
                stdout=writing,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.memory = Memory(self.process.pid, memory_size * 2**20, self.signal_group)
        if place:
            place.owner = self.process.pid
        self.reading = open(output, "rb")  # noqa: SIM115 - read by an invocation that kill() may interrupt
        with self.live_lock:
            self.live.add(self)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        returncode = self.process.wait()
        self.api.events.put(Event("exit", returncode=returncode))
        if self.place:
            self.place.release()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def next_event(self, timeout: float) -> Event:
        try:
            return self.api.events.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return Event("timeout")

    def wait_until_ready(self) -> Event:
        """The end of the initialization: ``ready``, or what came instead."""
        while (event := self.next_event(INIT_SECONDS)).kind in ("response", "error"):
            pass
        return event

    def output(self) -> str:
        """What was written since the last call."""
        self.reading.seek(self.offset)
        data = self.reading.read()
        self.offset += len(data)
        return data.decode(errors="replace")

    def signal_group(self) -> None:
        # A group that is gone is ProcessLookupError; macOS says PermissionError while its leader is a zombie.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Ends the process and everything that it started. May be called again."""
        with self.live_lock:
            if self not in self.live:
                return
            self.live.remove(self)
        self.signal_group()
        self.api.close()
        if self.process.stdin:
            self.process.stdin.close()


def kill_all() -> None:
    """Ends every function process of this LocalStack."""
    for process in list(FunctionProcess.live):
        process.kill()


def merged_layers(version: FunctionVersion) -> Path:
    """The folder that stands for /opt: the layers unpacked over one another, so that the last one wins; compiled.

    Functions with the same layers in the same order share it.
    """
    archives: list[Any] = [layer.code for layer in version.config.layers]
    folders = [Path(archive.get_unzipped_code_location()) for archive in archives]  # one per uploaded archive
    digest = sha256("\n".join(map(str, folders)).encode()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / "lambda-layers" / digest
    if target.exists():
        return target
    target.parent.mkdir(exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=target.parent))
    for archive, folder in zip(archives, folders, strict=True):
        archive.prepare_for_execution()
        shutil.copytree(folder, building, dirs_exist_ok=True)
    compile_modules(building)
    try:
        building.rename(target)
    except OSError:  # another thread was first
        shutil.rmtree(building)
    return target


def compile_modules(folder: Path) -> None:
    """Writes the bytecode of all modules below a folder beside them, for functions that may not write there.

    A module that does not compile stays without, and fails where it is imported.
    """
    subprocess.run(
        [
            *(function_python(), "-I", "-m", "compileall", "-qq"),
            *("--invalidation-mode", "unchecked-hash"),
            str(folder),
        ],
        stdin=subprocess.DEVNULL,
        check=False,
    )


def function_python() -> str:
    """The interpreter that runs functions."""
    return os.environ.get(FUNCTION_PYTHON, sys.executable)


def private_targets() -> list[str]:
    """Those of /tmp and /opt that a function has to itself."""
    return os.environ.get(PRIVATE_FOLDERS, "").split(os.pathsep)


def code_of(version: FunctionVersion) -> Any:
    """Raises ValueError for a container image, which has no code archive."""
    if version.config.code is None:
        raise ValueError(f"{version.id.function_name} has no code archive: localstack-host runs Python zips only")
    return version.config.code


def failure(request_id: str, error_type: str, message: str) -> bytes:
    """The payload of an invocation that Lambda itself failed."""
    return json.dumps({"errorType": error_type, "errorMessage": f"RequestId: {request_id} Error: {message}"}).encode()


def exit_message(returncode: int) -> str:
    """How Lambda words the end of a runtime's process.

    >>> exit_message(3)
    'Runtime exited with error: exit status 3'
    >>> exit_message(-9)
    'Runtime exited with error: signal: killed'
    >>> exit_message(0)
    'Runtime exited without providing a reason'
    """
    if returncode == 0:
        return "Runtime exited without providing a reason"
    if returncode > 0:
        return f"Runtime exited with error: exit status {returncode}"
    # macOS appends the number: "Killed: 9".
    name = (signal.strsignal(-returncode) or str(-returncode)).split(":")[0].lower()
    return f"Runtime exited with error: signal: {name}"


class ProcessExecutor(RuntimeExecutor):
    """An execution environment. LocalStack calls ``start`` once, then ``invoke`` one at a time, then ``stop``."""

    folder: Path
    environment: dict[str, str]
    process: FunctionProcess | None = None
    # Of the invocation that comes next: the JSON that client_context leaves here.
    client_context: str | None = None

    @overrides
    def start(self, env_vars: dict[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lambda-environment-"))
        (self.folder / "tmp").mkdir()
        own = self.function_version.config.environment or {}
        self.environment = {
            name: str(value)
            for name, value in env_vars.items()
            if name in own or not (name.startswith(INTERNAL_PREFIX) or name in INTERNAL_NAMES)
        }

    @overrides
    def stop(self) -> None:
        self.end_process()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_process(self) -> None:
        if self.process:
            self.process.kill()
            self.process = None

    def start_process(self) -> FunctionProcess:
        version, runtime = self.function_version, self.function_version.config.runtime or ""
        code = Path(code_of(version).get_unzipped_code_location())
        folders = {"/tmp": self.folder / "tmp", "/opt": merged_layers(version)}
        private = {name: str(folders[name]) for name in folders if name in private_targets()}
        layers = Path("/opt") if "/opt" in private else folders["/opt"]
        path = [
            str(code),
            str(layers / "python"),
            str(layers / "python" / "lib" / runtime / "site-packages"),
            self.environment.get("PYTHONPATH", ""),
        ]
        environment = {
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(layers / "bin")]),
            "LANG": "en_US.UTF-8",
            **self.environment,
            "HOME": str(self.folder),
            "TMPDIR": "/tmp" if "/tmp" in private else str(folders["/tmp"]),
            "LAMBDA_TASK_ROOT": str(code),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONUNBUFFERED": "1",
        }
        # -P: bootstrap's own folder, which is LocalStack's side, must not be on the function's path.
        command = [function_python(), "-P", str(BOOTSTRAP), version.config.handler or "", json.dumps(private)]
        place = keeper.new_place()
        command += [place.name if place else "", version.id.function_name, str(self.folder)]
        try:
            return FunctionProcess(command, environment, self.folder, code, place, version.config.memory_size)
        except BaseException:  # no process, whose end would release it
            if place:
                place.release()
            raise

    @overrides
    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        asked = time.monotonic()
        cold = self.process is None or not self.process.running
        if self.process is None or not self.process.running:
            self.end_process()
            self.process = self.start_process()
        with keeper.at_work(self.process.place), memory.watch().over(self.process.memory):
            return self.invoke_in(self.process, payload, asked if cold else None)

    def invoke_in(self, process: FunctionProcess, payload: dict[str, str], asked: float | None) -> InvocationResult:
        """Invokes in a process that was started at ``asked`` (time.monotonic()), or serves again."""
        config_ = self.function_version.config
        event, limit = process.wait_until_ready(), INIT_SECONDS
        began, start = datetime.now(UTC), time.monotonic()
        if event.kind == "ready":
            limit = config_.timeout
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": payload["invoke-id"],
                "Lambda-Runtime-Deadline-Ms": str(int((began.timestamp() + limit) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": payload["invoked-function-arn"],
                "Lambda-Runtime-Trace-Id": payload["trace-id"],
            }
            if self.client_context:
                headers["Lambda-Runtime-Client-Context"] = self.client_context
            process.api.invocations.put((payload["payload"].encode(), headers))
            event = process.next_event(limit)
        process.memory.look_back()
        if process.memory.exceeded:
            event = Event("exit", returncode=-signal.SIGKILL)
        duration = (time.monotonic() - start) * 1000
        return self.result(
            process,
            payload["invoke-id"],
            event,
            limit,
            began,
            duration,
            (start - asked) * 1000 if asked is not None else None,
        )

    def result(
        self,
        process: FunctionProcess,
        request_id: str,
        event: Event,
        limit: float,
        began: datetime,
        duration: float,
        init_duration: float | None,
    ) -> InvocationResult:
        """What Lambda answers and writes for ``event``; ends the process unless it can serve again."""
        status: Status = "success" if event.kind == "response" else "error"
        body, error_type, message = event.body, "", ""
        if event.kind == "timeout":
            status, error_type = "timeout", "Sandbox.Timedout"
            message = f"Task timed out after {limit:.2f} seconds"
        elif event.kind == "exit":
            status, error_type, message = "failure", invocation_logs.EXIT, exit_message(event.returncode)
        if message:
            body = failure(request_id, error_type, message)
        elif too_large := payload_limits.response_error(len(body)):
            status, body = "error", too_large
        config_, version = self.function_version.config, self.function_version
        report = Report(
            request_id=request_id,
            version=version.id.qualifier,
            status=status,
            duration=duration,
            memory_size=config_.memory_size,
            memory_used=min(process.memory.most // 2**20, config_.memory_size),
            init_duration=init_duration,
            error_type="Runtime.OutOfMemory" if process.memory.exceeded else error_type,
            message=message,
        )
        if event.kind not in ("response", "error"):
            # Before the output is read, so that nothing is written afterwards.
            process.signal_group()
            process.process.wait()
        output = process.output()
        logging_config = config_.logging_config or {}
        if logging_config.get("LogFormat") == "JSON":
            level = logging_config.get("SystemLogLevel") or "INFO"
            logs = json_events(report, output, began, datetime.now(UTC), level)
        else:
            logs = text(report, output, datetime.now(UTC))
        if event.kind not in ("response", "error"):
            self.end_process()
        metrics.publish(version, "Duration", duration, "Milliseconds")
        return InvocationResult(request_id, body, is_error=status != "success", logs=logs)

    @demanded
    def get_address(self) -> str:
        return "127.0.0.1"

    @overrides
    def get_endpoint_from_executor(self) -> str:
        """The host in AWS_ENDPOINT_URL."""
        return "127.0.0.1"

    @overrides
    def get_runtime_endpoint(self) -> str:
        """Where LocalStack's program inside a container would call back; nothing does here."""
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @demanded
    def get_logs(self) -> str:
        return ""

    @overrides
    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Raises ValueError if the function cannot run here; LocalStack sets its state to Failed."""
        settings = function_version.config
        if not (settings.runtime or "").startswith("python"):
            raise ValueError(
                f"runtime {settings.runtime or 'of a container image'}: localstack-host runs Python zips only"
            )
        code_of(function_version).prepare_for_execution()
        merged_layers(function_version)

    @overrides
    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Code and layers may be in use by other versions; the next start removes them."""


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    @overrides
    def load(self, *args: Any, **kwargs: Any) -> type[ProcessExecutor]:
        return ProcessExecutor
