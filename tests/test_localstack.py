"""The local target: one LocalStack in the background that starts, is recognised, and ends without a trace."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from lab import environments, localstack, paths
from lab.console import LabError
from lab.localstack import LocalStack

Processes = list[psutil.Process]

# One worker starts them one after the other: several at a time would take the cores from each other's start.
pytestmark = pytest.mark.xdist_group("localstack")

READY_WITHIN_CPU_SECONDS = 10  # it takes less than 5, alone; how long that is depends on what runs beside this test
STOPPED_WITHIN_SECONDS = 10

SERVER = """
import http.server, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""


@pytest.fixture
def real(tmp_path: Path, free_port: int) -> Iterator[LocalStack]:
    """LocalStack in a folder of its own, from the lab's own environments."""
    lab = LocalStack(tmp_path / "data", free_port)
    yield lab
    lab.stop()


@pytest.fixture
def pretend(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], LocalStack]]:
    """Makes a LocalStack whose interpreter runs the given Python code instead."""
    monkeypatch.setattr(LocalStack, "install", lambda self: None)
    made = []

    def make(code: str = SERVER) -> LocalStack:
        lab = LocalStack(tmp_path / "data", free_port, tmp_path / "environments")
        lab.python.parent.mkdir(parents=True)
        lab.python.write_text(f"#!{sys.executable}\n{code}")
        lab.python.chmod(0o755)
        made.append(lab)
        return lab

    yield make
    for lab in made:
        lab.stop()


@pytest.fixture
def foreign() -> Iterator[psutil.Process]:
    """A process that is nobody's LocalStack."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


def tree(pid: int) -> Processes:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def alive(processes: Processes) -> Processes:
    """Those that still run; one that has ended, and that nobody has asked about yet, does not."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def left_in_the_end(processes: Processes) -> Processes:
    """Those that still run after some seconds: functions end by themselves, a moment after their LocalStack."""
    ending = Retrying(stop=stop_after_delay(STOPPED_WITHIN_SECONDS), wait=wait_fixed(0.05), retry=retry_if_result(bool))
    with contextlib.suppress(RetryError):
        ending(alive, processes)
    return alive(processes)


def invoke(lab: LocalStack, name: str = "greeter") -> Any:
    """Creates a function, invokes it once it is active, and returns its answer; its process stays warm."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return 'hello ' + event['to']\n")
    client = boto3.Session("test", "test", region_name="us-east-1").client(
        "lambda", endpoint_url=f"http://127.0.0.1:{lab.port}"
    )
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/greeter",
        Code={"ZipFile": code.getvalue()},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    return json.load(client.invoke(FunctionName=name, Payload=b'{"to": "you"}')["Payload"])


class TestReal:
    def test_starts_serves_is_recognised_and_stops(self, real: LocalStack) -> None:
        real.install()
        instance, started = real.start()
        used = psutil.Process(instance.pid).cpu_times()
        assert used.user + used.system < READY_WITHIN_CPU_SECONDS
        assert started
        assert real.running() == instance
        assert localstack.healthy(instance)

        again, started = real.start()
        assert (again, started) == (instance, False)

        assert invoke(real) == "hello you"
        processes = [*tree(instance.pid), *real.function_processes()]
        assert len(real.function_processes()) == 1
        listening = {
            connection.laddr.ip
            for process in processes
            for connection in process.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
            or (connection.type == socket.SOCK_DGRAM and not connection.raddr)
        }
        assert listening <= {"127.0.0.1", "::1"}, listening
        assert "127.0.0.1" in listening

        began = time.monotonic()
        assert real.stop() is True
        assert time.monotonic() - began < STOPPED_WITHIN_SECONDS
        assert left_in_the_end(processes) == []
        assert real.running() is None
        assert real.stop() is False

    def test_after_sigkill_nothing_is_left_and_it_starts_again(self, real: LocalStack) -> None:
        instance, _ = real.start()
        invoke(real)
        processes = [*tree(instance.pid), *real.function_processes()]
        psutil.Process(instance.pid).send_signal(signal.SIGKILL)
        psutil.Process(instance.pid).wait(STOPPED_WITHIN_SECONDS)

        assert real.running() is None

        began = time.monotonic()
        assert real.stop() is False
        assert time.monotonic() - began < STOPPED_WITHIN_SECONDS
        assert real.function_processes() == []
        assert left_in_the_end(processes) == []

        fresh, started = real.start()
        assert started
        assert fresh.pid != instance.pid

    def test_two_at_once_do_not_touch_each_other(self, real: LocalStack, tmp_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            other = LocalStack(tmp_path / "other", probe.getsockname()[1])
        try:
            with ThreadPoolExecutor() as pool:
                (one, _), (two, _) = pool.map(LocalStack.start, (real, other))
                assert list(pool.map(invoke, (real, other))) == ["hello you"] * 2
            assert one.pid != two.pid
            assert len(real.function_processes()) == len(other.function_processes()) == 1

            real.stop()

            assert localstack.healthy(two)
            assert len(other.function_processes()) == 1
        finally:
            other.stop()


class TestOneProcess:
    def test_another_port_in_the_same_folder_is_refused(self, pretend: Callable[..., LocalStack]) -> None:
        lab = pretend()
        instance, _ = lab.start()

        with pytest.raises(LabError, match=rf"already runs on port {lab.port} \(pid {instance.pid}\)"):
            LocalStack(lab.folder, lab.port + 1, lab.environments).start()

    def test_the_lab_finds_the_one_that_runs(
        self, pretend: Callable[..., LocalStack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab = pretend()
        monkeypatch.setattr(paths, "LAB", tmp_path)
        assert localstack.default().port == localstack.DEFAULT_PORT
        monkeypatch.setenv("PORT", "4600")
        assert localstack.default().port == 4600
        monkeypatch.delenv("PORT")

        lab = LocalStack(tmp_path / "localstack/data", lab.port, lab.environments)
        lab.start()
        try:
            assert localstack.default().port == lab.port
        finally:
            lab.stop()

    def test_a_patterns_own_runs_on_a_virtual_clock_and_is_found(
        self, pretend: Callable[..., LocalStack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environments = pretend("import sys; print(sys.argv, flush=True)" + SERVER).environments
        monkeypatch.setattr(paths, "LAB", tmp_path)
        assert localstack.virtual_ones() == {}
        lab = replace(localstack.virtual("fanout"), environments=environments)

        instance, _ = lab.start()
        try:
            assert "'--clock', 'virtual'" in lab.log.read_text()
            assert instance.clock == "virtual"
            assert localstack.virtual_ones() == {"fanout": instance}
            assert localstack.virtual("fanout").port == lab.port
            assert localstack.virtual("s3-trigger").port != lab.port
        finally:
            lab.stop()
        assert localstack.virtual_ones() == {}

    def test_starts_at_the_same_time_make_one(self, pretend: Callable[..., LocalStack]) -> None:
        lab = pretend()
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda _: lab.start(), range(3)))

        assert sorted(started for _, started in answers) == [False, False, True]
        assert len({instance.pid for instance, _ in answers}) == 1

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": 1}', '{"pid": "x", "created": 1, "port": 1}'])
    def test_a_broken_pid_file_is_stale(self, pretend: Callable[..., LocalStack], content: str) -> None:
        lab = pretend()
        lab.folder.mkdir()
        (lab.folder / "localstack.pid").write_text(content)

        assert lab.running() is None
        assert lab.stop() is False
        assert lab.start()[1]

    def test_a_pid_file_that_names_another_process_is_stale_and_that_process_lives(
        self, pretend: Callable[..., LocalStack], foreign: psutil.Process
    ) -> None:
        lab = pretend()
        lab.folder.mkdir()
        recycled = {"pid": foreign.pid, "created": foreign.create_time() - 3600, "port": lab.port}
        (lab.folder / "localstack.pid").write_text(json.dumps(recycled))

        assert lab.running() is None
        assert lab.stop() is False
        assert not (lab.folder / "localstack.pid").exists()
        assert lab.start()[1]
        assert lab.stop() is True
        assert foreign.is_running()

    def test_functions_of_another_folder_are_not_ended(
        self, pretend: Callable[..., LocalStack], tmp_path: Path
    ) -> None:
        lab = pretend()
        mine, neighbours = (
            psutil.Popen(["sleep", "600"], env={**os.environ, "LAMBDA_TASK_ROOT": str(folder / "code")})
            for folder in (lab.folder, tmp_path / "data-of-another")
        )
        try:
            assert [process.pid for process in lab.function_processes()] == [mine.pid]

            lab.stop()

            assert not alive([mine])
            assert alive([neighbours])
        finally:
            for process in (mine, neighbours):
                if process.is_running():
                    process.kill()
                process.wait()


class TestPortInUse:
    def test_names_the_process(self, pretend: Callable[..., LocalStack]) -> None:
        lab = pretend()
        with socket.create_server(("127.0.0.1", lab.port)), pytest.raises(LabError) as refused:
            lab.start()

        assert str(refused.value).startswith(f"Port {lab.port} is in use by ")
        assert f"(pid {os.getpid()}). End it, or choose another port: make up PORT=" in str(refused.value)
        assert lab.running() is None

    def test_a_port_that_was_in_use_a_moment_ago_is_free(self, free_port: int) -> None:
        with (
            socket.create_server(("127.0.0.1", free_port)) as server,
            socket.create_connection(("127.0.0.1", free_port)),
        ):
            server.accept()[0].close()

        localstack.refuse_taken_port(free_port)


USER = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(paths.ROOT)!r})
from lab.localstack import LocalStack
LocalStack(Path(sys.argv[1]), int(sys.argv[2])).answering()
print("uses it", flush=True)
sys.stdin.read()
"""


class TestUse:
    @pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
    def test_it_is_used_by_a_process_until_that_ends_however_it_ends(
        self, pretend: Callable[..., LocalStack], end: signal.Signals
    ) -> None:
        lab = pretend()
        lab.start()
        with lab.alone() as alone:
            assert alone
        command = [sys.executable, "-c", USER, str(lab.folder), str(lab.port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout
            assert other.stdout.readline() == "uses it\n"

            with lab.alone() as alone:
                assert not alone
            other.send_signal(end)
            other.wait(20)

        with lab.alone() as alone:
            assert alone

    def test_one_that_does_not_run_cannot_be_used(self, pretend: Callable[..., LocalStack]) -> None:
        with pytest.raises(LabError, match=r"^LocalStack is not running"):
            pretend().answering()

    def test_another_port_than_that_on_which_it_runs(
        self, pretend: Callable[..., LocalStack], lab_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab = pretend()
        lab.start()
        (lab_dir / "localstack").mkdir(parents=True)
        (lab_dir / "localstack/data").symlink_to(lab.folder)
        assert localstack.default().port == lab.port

        monkeypatch.setenv("PORT", str(lab.port + 1))

        with pytest.raises(LabError, match=rf"already runs on port {lab.port} \(pid \d+\), not on {lab.port + 1},"):
            localstack.default()


class TestFailingStart:
    def test_shows_the_end_of_the_log_and_where_it_is(self, pretend: Callable[..., LocalStack]) -> None:
        lab = pretend("import sys\nprint(*range(30), 'no such module', sep='\\n')\nsys.exit(1)")

        with pytest.raises(LabError) as failed:
            lab.start()

        first, *log, last = str(failed.value).splitlines()
        assert first == f"LocalStack did not start on port {lab.port}. The end of its log:"
        assert log == [*map(str, range(19, 30)), "no such module"]
        assert last == f"The whole log: {lab.log}"
        assert lab.running() is None

    def test_one_that_never_answers_is_ended(
        self, pretend: Callable[..., LocalStack], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: Processes = []

        def unhealthy(instance: localstack.Instance) -> bool:
            started.append(psutil.Process(instance.pid))
            return False

        monkeypatch.setattr(localstack, "READY_SECONDS", 2)
        monkeypatch.setattr(localstack, "healthy", unhealthy)
        lab = pretend("import signal\nsignal.pause()")

        with pytest.raises(LabError, match="did not start"):
            lab.start()

        assert started
        assert not alive(started)

    def test_an_interrupted_start_leaves_no_process(
        self, pretend: Callable[..., LocalStack], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: Processes = []

        def interrupted(instance: localstack.Instance) -> bool:
            started.append(psutil.Process(instance.pid))
            raise KeyboardInterrupt

        monkeypatch.setattr(localstack, "healthy", interrupted)
        lab = pretend()

        with pytest.raises(KeyboardInterrupt):
            lab.start()

        assert lab.running() is None
        assert started
        assert not alive(started)

    def test_one_that_hangs_is_said_to_hang_within_five_seconds(self, pretend: Callable[..., LocalStack]) -> None:
        lab = pretend()
        instance, _ = lab.start()
        os.kill(instance.pid, signal.SIGSTOP)

        for look in (lab.answering, lab.start):
            began = time.monotonic()
            with pytest.raises(
                LabError, match=rf"^LocalStack \(pid {instance.pid}\) does not answer at {instance.url}"
            ):
                look()
            assert time.monotonic() - began < 5 + 5  # what else the machine does, too
        os.kill(instance.pid, signal.SIGCONT)
        assert lab.answering() == instance

    def test_one_whose_parent_still_runs_and_has_not_waited_for_it(self, pretend: Callable[..., LocalStack]) -> None:
        lab = pretend()
        code = f"""
from pathlib import Path
from lab.localstack import LocalStack
LocalStack.install = lambda self: None
LocalStack(Path({str(lab.folder)!r}), {lab.port}, Path({str(lab.environments)!r})).start()
print(flush=True)
input()
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as starter:
            assert starter.stdout and starter.stdout.readline()
            assert lab.stop()
            assert lab.running() is None
            starter.communicate(b"\n")

    def test_one_that_does_not_end_is_killed(
        self, pretend: Callable[..., LocalStack], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(localstack, "STOP_SECONDS", 0.3)
        lab = pretend(f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SERVER}")
        process = psutil.Process(lab.start()[0].pid)

        assert lab.stop() is True
        assert not alive([process])


class TestInstallation:
    def test_what_is_installed_is_not_installed_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab_dir: Path
    ) -> None:
        commands: list[list[str]] = []

        def pip_or_venv(command: list[str], log: Path, **_: Any) -> None:
            commands.append(command)
            if command[1:3] == ["-m", "venv"]:
                Path(command[-1]).mkdir(parents=True, exist_ok=True)

        monkeypatch.setattr(environments, "run", pip_or_venv)
        lab = LocalStack(tmp_path / "data", 4566, tmp_path / "environments")
        assert lab.outdated()

        lab.install()
        assert not lab.outdated()
        assert len([command for command in commands if "--require-hashes" in command]) == 2
        assert all("--no-deps" in command for command in commands if "pip" in command)

        commands.clear()
        lab.install()
        assert commands == []

        (tmp_path / "environments/functions/.installed").write_text("made from another lock file")
        assert lab.outdated()
        lab.install()
        assert {command[-1].rsplit("/", 1)[-1] for command in commands} == {"functions", "functions.lock"}

    def test_a_failed_installation_is_not_taken_for_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab_dir: Path
    ) -> None:
        def fail(command: list[str], log: Path, **_: Any) -> None:
            raise LabError("pip ended with status 1")

        monkeypatch.setattr(environments, "run", fail)
        lab = LocalStack(tmp_path / "data", 4566, tmp_path / "environments")

        with pytest.raises(LabError, match="pip ended with status 1"):
            lab.install()
        assert lab.outdated()
