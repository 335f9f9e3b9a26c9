"""The local target's LocalStack: installed on first use, one process in the background, stopped without a trace."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import urllib3
from filelock import FileLock
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from lab import paths
from lab.clock import REAL, VIRTUAL
from lab.console import LabError, tail
from lab.environments import Environment

VERSION = "4.14.0"
DEFAULT_PORT = 4566
READY_SECONDS = 60
ANSWER_SECONDS = 3  # it answers within so many, or the command ends: within 5 s, with what else it takes to begin
STOP_SECONDS = 8  # then it is killed; `down` promises 10 s in all

# Local time runs faster in three places, so that an experiment does not wait minutes for a state to change.
# `make status` shows them. AWS: metric alarms are evaluated every minute, SQS metrics published every minute,
# failed asynchronous invocations retried after one and after two minutes.
TIME_SCALE = {"alarm-seconds": 5, "metric-seconds": 2, "async-retry-seconds": 2}

_users: dict[Path, IO[str]] = {}  # by folder: a file that is locked, and open, until this process ends


@dataclass(frozen=True)
class Instance:
    """A running LocalStack: process id, the process's start time (seconds since the epoch), port, and clock."""

    pid: int
    created: float
    port: int
    clock: str = REAL

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class LocalStack:
    """LocalStack with its data in `folder` and its Python environments in `environments`.

    Two of them run side by side when their folders and ports differ.
    """

    folder: Path
    port: int = DEFAULT_PORT
    environments: Path = paths.LAB / "localstack"
    clock: str = REAL

    @property
    def log(self) -> Path:
        return self.folder / "localstack.log"

    @property
    def clock_page(self) -> Path:
        """Where a virtual clock shows the time."""
        return self.folder / "clock"

    def running(self) -> Instance | None:
        """The instance that the pid file names, if its process is still the one that wrote it."""
        try:
            saved = Instance(**json.loads(self._pid_file.read_text()))
            process = psutil.Process(saved.pid)
            alive = abs(process.create_time() - saved.created) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, TypeError, psutil.NoSuchProcess):
            return None
        return saved if alive else None

    @property
    def environment(self) -> Environment:
        """What runs LocalStack, with the extension."""
        source = paths.LOCALSTACK_HOST
        return Environment(self.environments / "env", source / "requirements.lock", source)

    @property
    def function_environment(self) -> Environment:
        """What runs the functions: another, so that none can import LocalStack by accident."""
        return Environment(self.environments / "functions", paths.LOCALSTACK_HOST / "functions.lock")

    @property
    def python(self) -> Path:
        """The interpreter that runs LocalStack."""
        return self.environment.python

    @property
    def function_python(self) -> Path:
        """The interpreter that runs the functions."""
        return self.function_environment.python

    def outdated(self) -> bool:
        """Whether an environment is missing, or made from another lock file."""
        return self.environment.outdated() or self.function_environment.outdated()

    def install(self) -> None:
        """Creates the environments that are missing or outdated; with none, it does not touch the network."""
        with ThreadPoolExecutor() as pool:
            for job in [pool.submit(each.make) for each in (self.environment, self.function_environment)]:
                job.result()

    def start(self) -> tuple[Instance, bool]:
        """Starts it and waits until it answers. Returns the instance, and whether it was started just now.

        Raises LabError when the port is taken, when it runs on another port or does not answer, or when it does not
        start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._use()
            if self.running():
                return self.answering(), False
            self._remove_leftovers()
            refuse_taken_port(self.port)
            self.install()
            return self._launch(), True

    def answering(self) -> Instance:
        """The running instance; from now on, and until it ends, this process is one that uses it.

        Raises LabError when it does not run, when it runs on another port, or when it does not answer within 3 s.
        """
        self._use()  # before the look, so that nobody stops it in between
        instance = self.running()
        if not instance:
            raise LabError("LocalStack is not running, and nothing is deployed on it: make apply PATTERN=<name>")
        self.refuse_other_port(instance)
        if not healthy(instance, ANSWER_SECONDS):
            raise LabError(
                f"LocalStack (pid {instance.pid}) does not answer at {instance.url} within {ANSWER_SECONDS} s. Try "
                f"again, or end it with `make down`: what is deployed on it is gone then. Its log: "
                f"{paths.shown(self.log)}"
            )
        return instance

    def refuse_other_port(self, instance: Instance) -> None:
        """Raises LabError when the running instance is on another port than this one's."""
        if instance.port != self.port:
            raise LabError(
                f"LocalStack already runs on port {instance.port} (pid {instance.pid}), not on {self.port}, with its "
                f"data in {paths.shown(self.folder)}. Leave PORT={self.port} out to use it, or to end it with "
                "`make down`; another LAB_DIR runs a second one."
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether no other process uses it. None begins to while the block runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            try:
                fcntl.flock(self._users_file(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
                self._use()

    def stop(self) -> bool:
        """Ends it and every function process; True if it was running."""
        instance = self.running()
        if instance:
            process = psutil.Process(instance.pid)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
                if not _ends(process, STOP_SECONDS):
                    process.kill()
                    _ends(process, 2)
        self._remove_leftovers()
        return instance is not None

    def function_processes(self) -> list[psutil.Process]:
        """The processes of Lambda functions that belong to this folder, also when their LocalStack is gone."""
        mine = str(self.folder.resolve()) + os.sep
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("LAMBDA_TASK_ROOT", "").startswith(mine):
                    found.append(process)
        return found

    def _use(self) -> None:
        """Makes this process one of those that use it. The lock, and with it the note, is gone with the process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fcntl.flock(self._users_file(), fcntl.LOCK_SH)

    def _users_file(self) -> IO[str]:
        if self.folder not in _users:
            _users[self.folder] = (self.folder / ".users").open("a")
        return _users[self.folder]

    def _locked(self) -> FileLock:
        """The lock under which it is started, and stopped by a process that does not know of others."""
        return FileLock(self.folder / ".lock")

    @property
    def _pid_file(self) -> Path:
        return self.folder / "localstack.pid"

    def _remove_leftovers(self) -> None:
        """Ends what a killed LocalStack left, and removes its stale pid file."""
        processes = self.function_processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=2)
        self._pid_file.unlink(missing_ok=True)

    def _launch(self) -> Instance:
        command = [
            *(str(self.python), "-m", "localstack_host"),
            *("--port", str(self.port), "--dir", str(self.folder)),
            *("--function-python", str(self.function_python)),
            *(["--clock", self.clock] if self.clock != REAL else []),
            *(f"--{name}={seconds}" for name, seconds in TIME_SCALE.items()),
        ]
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        instance = Instance(process.pid, psutil.Process(process.pid).create_time(), self.port, self.clock)
        paths.write(self._pid_file, json.dumps(instance.__dict__))
        try:
            deadline = time.monotonic() + READY_SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                if healthy(instance):
                    return instance
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise
        self.stop()
        raise LabError(
            f"LocalStack did not start on port {self.port}. The end of its log:\n{tail(self.log)}\n"
            f"The whole log: {paths.shown(self.log)}"
        )


def default() -> LocalStack:
    """The lab's own LocalStack. Its port is that of the running instance, else `PORT`, else 4566.

    Raises LabError when `PORT` is no port number, or another one than that of the running instance.
    """
    folder = paths.LAB / "localstack" / "data"
    wanted = os.environ.get("PORT")
    if wanted and not (wanted.isdigit() and 0 < int(wanted) < 65536):
        raise LabError(f"PORT={wanted} is not a port number (1 to 65535).")
    running = LocalStack(folder).running()
    lab = LocalStack(folder, int(wanted) if wanted else running.port if running else DEFAULT_PORT)
    if running:
        lab.refuse_other_port(running)
    return lab


def virtual(pattern: str) -> LocalStack:
    """The LocalStack with a virtual clock for a pattern's experiments, on its port if it runs, else on a free one."""
    folder = _virtual_folder() / pattern
    running = LocalStack(folder).running()
    return LocalStack(folder, running.port if running else _free_port(), clock=VIRTUAL)


def virtual_ones() -> dict[str, Instance]:
    """Those that run, by pattern."""
    found = {folder.name: LocalStack(folder).running() for folder in sorted(_virtual_folder().glob("*"))}
    return {pattern: instance for pattern, instance in found.items() if instance}


def processes() -> list[psutil.Process]:
    """Those of all LocalStacks of this lab that run, on whatever clock."""
    instances = [LocalStack(paths.LAB / "localstack" / "data").running(), *virtual_ones().values()]
    return [psutil.Process(instance.pid) for instance in instances if instance]


def healthy(instance: Instance, within: float = 2.0) -> bool:
    """Whether the instance answers its health check within so many seconds."""
    url = f"{instance.url}/_localstack/health"
    try:
        answer = urllib3.PoolManager().request("GET", url, timeout=urllib3.Timeout(total=within), retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200


def refuse_taken_port(port: int) -> None:
    """Raises LabError, naming the process where the operating system tells it, when something listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return
        except OSError:
            pass
    who = next(_listeners(port), "a process of another user")
    raise LabError(f"Port {port} is in use by {who}. End it, or choose another port: make up PORT={port + 11}")


def _virtual_folder() -> Path:
    return paths.LAB / "localstack" / "virtual"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ends(process: psutil.Process, within: float) -> bool:
    """Whether it ends within so many seconds.

    It has also ended when its parent, which may be another command of the lab, has not asked about it yet: a zombie,
    for which psutil's own wait would go on waiting.
    """
    runs = retry_if_result(lambda status: status != psutil.STATUS_ZOMBIE)
    try:
        Retrying(stop=stop_after_delay(within), wait=wait_fixed(0.05), retry=runs)(process.status)
    except psutil.NoSuchProcess:
        return True
    except RetryError:
        return False
    return True


def _listeners(port: int) -> Iterator[str]:
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    yield f"{process.info['name']} (pid {process.pid})"
