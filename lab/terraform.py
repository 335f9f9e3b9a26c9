"""Runs Terraform: finds its provider, keeps state apart per target, shows progress, makes its errors readable."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import urllib3
from filelock import FileLock

from lab import paths
from lab.console import LabError

MINIMUM_VERSION = (1, 9)
MIRROR_VARIABLE = "LAB_TERRAFORM_MIRROR"
REGISTRY = "registry.terraform.io"
INSTALL_HINT = "https://developer.hashicorp.com/terraform/install"
READ_SECONDS = 0.1  # between looks at what Terraform writes
LOCKED = "Error acquiring the state lock"
LOCK_SECONDS = 300  # how long a destroy waits for a Terraform that is at work, also one whose lab was killed
STOP_SECONDS = 600  # how long an interrupted apply may take to finish what it has begun
# https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
HOME_MIRRORS = [".terraform.d/plugins", ".local/share/terraform/plugins"]
SYSTEM_MIRRORS = [Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins")]
if sys.platform == "darwin":
    HOME_MIRRORS.append("Library/Application Support/io.terraform/plugins")
    SYSTEM_MIRRORS.append(Path("/Library/Application Support/io.terraform/plugins"))
MIRROR_PARENTS = [Path("/opt"), Path("/usr/share"), Path("/usr/local/share")]


@dataclass
class Outcome:
    """What a run of Terraform did.

    `changes` counts what was added, changed and removed. `sqs_wait_seconds` is the part of its time in which the
    provider was creating a queue: it polls each for 25 s until its attributes are stable (internal/service/sqs in
    terraform-provider-aws).
    """

    changes: dict[str, int] = field(default_factory=lambda: {"add": 0, "change": 0, "remove": 0})
    sqs_wait_seconds: float = 0.0


def yours(environment: Mapping[str, str]) -> list[str]:
    """The variables that would lead a target which has credentials of its own, or some of its services, elsewhere."""
    endpoints = [name for name in environment if name.startswith("AWS_ENDPOINT_URL_")]
    return ["AWS_PROFILE", "AWS_SESSION_TOKEN", *endpoints]


class Terraform:
    """Terraform in one root module and one workspace.

    `environment` is the target's (endpoint, credentials, region). State lives in `.lab/state/<module>/<workspace>/`.
    """

    def __init__(self, folder: Path, workspace: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.workspace = workspace
        self.state = paths.STATE / folder.name
        self.log = paths.LOGS / f"terraform-{folder.name}-{workspace}.log"
        inherited = dict(os.environ)
        if "AWS_ACCESS_KEY_ID" in environment:  # the target has credentials of its own: yours are not meant for it
            for name in yours(inherited):
                inherited.pop(name, None)
        self.environment = {**inherited, **environment, **automation(workspace)}
        self.executable = find_executable()

    def init(self) -> None:
        """Installs the provider and points the module's backend at the lab's state folder.

        The folder's `.terraform` is shared by all workspaces, so that `terraform plan` typed there by hand sees the
        same state.
        """
        (self.state / self.workspace).mkdir(parents=True, exist_ok=True)  # `init` refuses an unknown workspace
        done = self.state / ".initialised"
        with FileLock(self.state / ".init.lock"):
            wanted = _digest([self.folder, *paths.MODULES.iterdir()])
            if done.exists() and done.read_text() == wanted and self._state_in_use() == str(self.state):
                return
            choose_provider_source()
            self._run(["init", "-reconfigure", f"-backend-config=workspace_dir={self.state}"])
            done.write_text(wanted)

    def apply(self, variables: Mapping[str, str], show: Callable[[str], None]) -> Outcome:
        """Plans and applies. `show` is called with a line of progress. Raises LabError."""
        return self._stream(["apply", "-auto-approve", *_variables(variables)], show)

    def destroy(self, variables: Mapping[str, str], show: Callable[[str], None]) -> Outcome:
        """Destroys everything in the workspace. `show` is called with a line of progress. Raises LabError."""
        waiting = f"-lock-timeout={LOCK_SECONDS}s"
        return self._stream(["destroy", "-auto-approve", waiting, *_variables(variables)], show)

    def outputs(self) -> dict[str, Any]:
        """The outputs of what is deployed; empty when nothing is."""
        self.init()
        done = subprocess.run(
            [self.executable, "output", "-json"], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            return {}
        return {name: output["value"] for name, output in json.loads(done.stdout).items()}

    def forget(self) -> None:
        """Removes the workspace's state file, of which nothing may be left deployed."""
        shutil.rmtree(self.state / self.workspace, ignore_errors=True)

    def _state_in_use(self) -> str | None:
        """The state folder that the module's backend points at: another lab's, when that was initialised last."""
        pointer = self.folder / ".terraform/terraform.tfstate"
        if not pointer.exists():
            return None
        config: dict[str, str | None] = json.loads(pointer.read_text()).get("backend", {}).get("config", {})
        return config.get("workspace_dir")

    def _run(self, arguments: list[str]) -> None:
        command = [self.executable, *arguments, "-input=false", "-no-color"]
        self._log(f"$ {' '.join(command)}")
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        self._log(done.stdout + done.stderr)
        if done.returncode:
            raise LabError(f"terraform {arguments[0]} failed in {paths.shown(self.folder)}:\n{done.stderr.strip()}")

    def _stream(self, arguments: list[str], show: Callable[[str], None]) -> Outcome:
        command = [self.executable, *arguments, "-json", "-input=false", "-compact-warnings"]
        self._log(f"$ {' '.join(command)}")
        # A session of its own: Ctrl-C reaches Terraform once, from here, and it ends cleanly with its state saved.
        # No pipe: should this process be killed, a broken one would end Terraform with what it is doing unsaved.
        with tempfile.NamedTemporaryFile() as output:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            return self._follow(process, Path(output.name), arguments[0], show)

    def _follow(
        self, process: subprocess.Popen[bytes], output: Path, command: str, show: Callable[[str], None]
    ) -> Outcome:
        progress = _Progress()
        try:
            for line in _lines(process, output):
                self._log(line)
                progress.read(line)
                show(progress.line())
        except BaseException:
            show("interrupted: waiting for Terraform to save its state")
            process.send_signal(signal.SIGINT)
            _wait_for(process)
            raise
        if progress.locked:
            raise LabError(
                f"Another command is changing {self.folder.name} ({self.workspace}) at this moment{progress.locked}. "
                "Wait until it has ended, and try again."
            )
        if process.returncode:
            raise LabError(
                f"terraform {command} failed in {paths.shown(self.folder)}:\n"
                + "\n".join(progress.errors or ["(no error message)"])
                + f"\nThe whole log: {paths.shown(self.log)}"
            )
        progress.outcome.sqs_wait_seconds = progress.sqs_wait_seconds()
        return progress.outcome

    def _log(self, text: str) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            log.write(text.rstrip("\n") + "\n")


class _Progress:
    """Follows Terraform's machine-readable output (https://developer.hashicorp.com/terraform/internals/machine-readable-ui)."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.errors: list[str] = []
        self.locked = ""  # where the state is locked: what is at work, as far as it is known
        self.planned = self.done = 0
        self.running: dict[str, float] = {}
        self.sqs_intervals: list[tuple[float, float]] = []

    def read(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            if line.strip():
                self.errors.append(line.rstrip())
            return
        kind = event.get("type")
        if kind == "diagnostic" and event["diagnostic"]["severity"] == "error":
            if event["diagnostic"]["summary"] == LOCKED:
                self.locked = lock_holder(event["diagnostic"].get("detail", ""))
            self.errors.append(readable(event["diagnostic"]))
        elif kind == "change_summary":
            counts = event["changes"]
            self.planned = sum(counts[name] for name in ("add", "change", "remove"))
            self.outcome.changes = {name: counts[name] for name in ("add", "change", "remove")}
        elif kind in ("apply_start", "apply_complete", "apply_errored"):
            self._hook(kind, event)

    def _hook(self, kind: str, event: dict[str, Any]) -> None:
        address = event["hook"]["resource"]["addr"]
        at = datetime.fromisoformat(event["@timestamp"]).timestamp()
        if kind == "apply_start":
            self.running[address] = at
            return
        self.done += 1
        started = self.running.pop(address, at)
        if event["hook"]["resource"]["resource_type"] == "aws_sqs_queue" and event["hook"]["action"] == "create":
            self.sqs_intervals.append((started, at))

    def line(self) -> str:
        if not self.planned:
            return "planning"
        oldest = min(self.running.items(), key=lambda item: item[1], default=None)
        waiting = f" · {oldest[0]} {time.time() - oldest[1]:.0f} s" if oldest else ""
        return f"{self.done} of {self.planned}{waiting}"

    def sqs_wait_seconds(self) -> float:
        """The length of time in which at least one queue was being created."""
        total, reached = 0.0, 0.0
        for start, end in sorted(self.sqs_intervals):
            total += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return total


def readable(diagnostic: Mapping[str, Any]) -> str:
    """One error of Terraform's as `resource: summary: detail (file:line)`."""
    where = diagnostic.get("address", "")
    text = f"{where}: {diagnostic['summary']}" if where else str(diagnostic["summary"])
    if detail := " ".join(str(diagnostic.get("detail", "")).split()):
        text += f": {detail}"
    if span := diagnostic.get("range"):
        text += f" ({span['filename']}:{span['start']['line']})"
    return text


def lock_holder(detail: str) -> str:
    """Who holds a state's lock, in brackets, from what Terraform says of it."""
    found = dict(re.findall(r"^\s*(Operation|Who|Created): +(\S.*)$", detail, re.MULTILINE))
    operation = found.get("Operation", "").removeprefix("OperationType").lower()
    return f" (terraform {operation} of {found.get('Who')} since {found.get('Created', '')[:19]} UTC)"


def find_executable() -> str:
    """Terraform's path. Raises LabError when it is missing or too old."""
    executable = shutil.which("terraform")
    wanted = ".".join(map(str, MINIMUM_VERSION))
    if not executable:
        raise LabError(f"Terraform is not installed, or not on PATH. Get {wanted} or newer: {INSTALL_HINT}")
    done = subprocess.run(
        [executable, "version", "-json"], capture_output=True, text=True, env={**os.environ, **automation("default")}
    )
    try:
        version = json.loads(done.stdout)["terraform_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{executable} does not answer `version -json`:\n{done.stderr.strip()}") from error
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < MINIMUM_VERSION:
        raise LabError(f"Terraform {version} ({executable}) is too old. Get {wanted} or newer: {INSTALL_HINT}")
    return executable


def automation(workspace: str) -> dict[str, str]:
    """The environment variables under which Terraform runs unattended, in a workspace, and finds its provider."""
    environment = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1", "TF_WORKSPACE": workspace}
    # Terraform and the provider spend a third of their CPU time collecting garbage, unless they may leave more of it.
    environment["GOGC"] = os.environ.get("GOGC", "400")
    if not users_configuration():
        environment["TF_CLI_CONFIG_FILE"] = str(_configuration())
    return environment


def choose_provider_source() -> None:
    """Writes the CLI configuration that says where `terraform init` gets the provider.

    A configuration of the user's own is left alone. Else the registry is used where it answers (with a plugin cache,
    since the provider is some 700 MB), and where it does not, a filesystem mirror. Raises LabError when the mirror
    that the environment names is none.
    """
    if users_configuration():
        return
    mirror = find_mirror() if os.environ.get(MIRROR_VARIABLE) or not registry_answers() else None
    config = _configuration()
    plugins = config.parent / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    if mirror:
        text = f"provider_installation {{\n  filesystem_mirror {{\n    path = {_quoted(mirror)}\n  }}\n}}\n"
    else:
        text = f"plugin_cache_dir = {_quoted(plugins)}\n"
    paths.write(config, text)  # other patterns' Terraforms read it at this moment


def _quoted(path: Path) -> str:
    """A path as a string of HCL: https://developer.hashicorp.com/terraform/language/expressions/strings"""
    return json.dumps(str(path), ensure_ascii=False)


def _configuration() -> Path:
    return paths.LAB / "terraform" / "terraform.rc"


def users_configuration() -> bool:
    """Whether the user configured Terraform; a TF_CLI_CONFIG_FILE that does not exist is no configuration."""
    named = os.environ.get("TF_CLI_CONFIG_FILE")
    if named and Path(named) != _configuration():
        return Path(named).exists()
    return not named and (Path.home() / ".terraformrc").exists()


def registry_answers() -> bool:
    """Whether the public Terraform registry can be reached, within two seconds."""
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    pool = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    try:
        answer = pool.request("GET", f"https://{REGISTRY}/.well-known/terraform.json", timeout=2.0, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200


def find_mirror() -> Path | None:
    """A folder that holds an unpacked or packed provider mirror (`registry.terraform.io/hashicorp/aws`), if any.

    Looks where the environment variable names it, then in Terraform's implied mirror directories, then one level below
    /opt, /usr/share and /usr/local/share. Raises LabError when the named folder holds no mirror.
    """
    if named := os.environ.get(MIRROR_VARIABLE):
        if not (Path(named) / REGISTRY).is_dir():
            raise LabError(f"{MIRROR_VARIABLE}={named} holds no provider mirror: no folder {REGISTRY} in it.")
        return Path(named)
    implied = [Path.home() / folder for folder in HOME_MIRRORS] + SYSTEM_MIRRORS
    near = [child for parent in MIRROR_PARENTS for child in sorted(parent.glob("*"))]
    for folder in implied + near:
        if (folder / REGISTRY / "hashicorp/aws").is_dir():
            return folder
    return None


def _digest(folders: list[Path]) -> str:
    """A hash over the Terraform files in these folders."""
    digest = hashlib.sha256()
    for file in sorted(file for folder in folders for file in folder.glob("*.tf")):
        digest.update(f"{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _lines(process: subprocess.Popen[bytes], output: Path) -> Iterator[str]:
    """Each line that a process writes to a file, as it comes, until it has ended."""
    rest = b""
    with output.open("rb") as file:
        while True:
            ended = process.poll() is not None
            *lines, rest = (rest + file.read()).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if ended:
                yield from [rest.decode(errors="replace")] if rest else []
                return
            time.sleep(READ_SECONDS)


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    """Waits for an interrupted Terraform to save its state, also when the user is impatient."""
    deadline = time.monotonic() + STOP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(KeyboardInterrupt):
            process.wait(timeout=STOP_SECONDS)


def _variables(variables: Mapping[str, str]) -> list[str]:
    return [f"-var={name}={value}" for name, value in variables.items()]
