"""The commands as a person types them: what is wrong is said in one sentence, at once, and nothing is half done."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, ClassVar

import botocore.exceptions
import psutil
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from lab import cli, executions, faults, follow, journeys, localstack, packages, paths, targets, terraform, testing
from lab.console import LabError, console
from lab.deployment import Deployment, patterns
from lab.targets import Target
from lab.terraform import Outcome

Shell = Callable[..., subprocess.CompletedProcess[str]]

KNOWN = f"There are: {', '.join(patterns())}."
MAKEFILE = (paths.ROOT / "Makefile").read_text()


@pytest.fixture
def user(tmp_path: Path, lab_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without AWS credentials and configuration, whose lab is in a folder of its own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LAB_DIR", str(lab_dir))
    return tmp_path


@pytest.fixture
def lab(user: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """Runs a command of the lab, with variables as `make` passes them, and nobody at the keyboard."""

    def run(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["lab", command])
            patch.setattr(sys, "stdin", StringIO())
            with pytest.raises(SystemExit) as ended:
                cli.main()
        written = capsys.readouterr()
        return subprocess.CompletedProcess(command, int(ended.value.code or 0), written.out, written.err)

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def make(user: Path, lab_dir: Path, install: Callable[[Path], None]) -> Shell:
    """Runs `make`, with the Python environment that runs these tests in the place of the lab's own."""
    install(lab_dir)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments],
            cwd=paths.ROOT, env={**os.environ, **variables}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said that failed as it should: on stderr, without a traceback."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


class TestWhichPattern:
    @pytest.mark.parametrize(
        "command",
        [
            "build",
            "apply",
            "send",
            "trace",
            "load",
            "fault",
            "heal",
            "peek",
            "redrive",
            "replay",
            "verify",
            "destroy",
            "test",
            "bench",
        ],
    )
    def test_an_unknown_one_lists_the_known_ones(self, lab: Shell, command: str) -> None:
        assert refused(lab(command, PATTERN="fanuot")) == f"✗ Unknown PATTERN=fanuot. {KNOWN}\n"

    @pytest.mark.parametrize("command", ["build", "apply", "send", "destroy"])
    def test_none(self, lab: Shell, command: str) -> None:
        assert refused(lab(command, PATTERN="")) == f"✗ Which pattern? Say PATTERN=<name>. {KNOWN}\n"

    def test_through_make(self, make: Shell) -> None:
        assert f"✗ Unknown PATTERN=fanuot. {KNOWN}\n" in refused(make("apply", "PATTERN=fanuot"))


class TestValues:
    """Options that take a number, or a yes or no, as people type them."""

    @pytest.mark.parametrize(
        ("command", "typed", "said"),
        [
            ("load", "RATE=0", "should be greater than or equal to 0.1."),
            ("load", "RATE=fast", "should be a valid number."),
            ("load", "RATE=inf", "should be less than or equal to 1000."),
            ("load", "DURATION=0", "should be greater than or equal to 1."),
            ("load", "DURATION=inf", "should be less than or equal to 86400."),
            ("send", "COUNT=0", "should be greater than or equal to 1."),
            ("send", "COUNT=1.5", "should be a whole number."),
            ("fault", "PROBABILITY=often", "should be a valid number."),
            ("fault", "RECEIVE_COUNT=x", "should be a whole number."),
            ("apply", "YES=maybe", "should be 1 or 0."),
            ("test", "KEEP=2", "should be 1 or 0."),
        ],
    )
    def test_a_value_that_does_not_do(self, make: Shell, command: str, typed: str, said: str) -> None:
        done = make(command, "PATTERN=fanout", typed)

        assert refused(done).splitlines()[0] == f"✗ {typed} {said}"
        assert done.stdout == ""


class TestHowItEnds:
    """The program itself, as `make` starts it."""

    def test_an_error_that_nobody_foresaw_is_one_line_and_its_traceback_is_in_a_log(
        self, make: Shell, lab_dir: Path
    ) -> None:
        (lab_dir / "build").touch()  # where a folder should be

        said, *more = refused(make("build", "PATTERN=fanout")).splitlines()

        found = re.fullmatch(
            r"✗ Something went wrong that the lab did not foresee: FileExistsError: .*/build' \(traceback: (.*)\)", said
        )
        assert found
        assert Path(found[1]).parent == lab_dir / "logs"
        assert Path(found[1]).read_text().startswith("Traceback (most recent call last):")
        assert [line for line in more if not line.startswith("make: ")] == []

    def test_what_aws_refuses_is_one_line(self, make: Shell, sts: "Sts", fake_terraform: Callable[[str], Path]) -> None:
        outputs = json.dumps({name: {"value": value} for name, value in OUTPUTS.items()})
        fake_terraform(f"if arguments[0] == 'output': print({outputs!r})")
        url = f"http://127.0.0.1:{sts.server_port}"

        done = make("send", "PATTERN=fanout", "TARGET=endpoint", AWS_ENDPOINT_URL=url)

        assert "did not foresee: ClientError: An error occurred (" in refused(done)

    def test_an_error_whose_log_cannot_be_written(self, make: Shell, lab_dir: Path) -> None:
        (lab_dir / "build").touch()
        (lab_dir / "logs").touch()

        said = refused(make("build", "PATTERN=fanout")).splitlines()[0]

        assert re.search(r"FileExistsError: .*/build' \(and no log of it: .*/logs'\)$", said)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill"])
    def test_an_interrupted_one_says_so_in_one_line(self, user: Path, sts: "Sts", number: signal.Signals) -> None:
        sts.answers = False
        environment = {
            "PYTHONPATH": f"{paths.ROOT}:{paths.LAYERS / 'fault_injection/python'}",
            "PATTERN": "fanout",
            "TARGET": "endpoint",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{sts.server_port}",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "lab", "heal"], env={**os.environ, **environment}, cwd=paths.ROOT, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # it may be ignored here
        ) as process:  # fmt: skip
            assert sts.asked.wait(30)
            process.send_signal(number)
            out, said = process.communicate(timeout=30)

        assert (process.returncode, out, said) == (130, "", "Interrupted.\n")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "✗ Missing command.\n"),
            (["nosuch"], "✗ No such command 'nosuch'.\n"),
            (["load", "--nosuch"], "✗ No such option: --nosuch\n"),
        ],
    )
    def test_what_is_no_command(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["lab", *arguments])

        with pytest.raises(SystemExit) as ended:
            cli.main()

        assert (ended.value.code, capsys.readouterr().err) == (1, said)


USES_A_TARGET = [
    *(
        "up",
        "apply",
        "send",
        "trace",
        "load",
        "fault",
        "heal",
        "peek",
        "redrive",
        "replay",
        "verify",
        "destroy",
        "test",
        "bench",
    )
]


@pytest.fixture
def hanging(lab_dir: Path) -> Iterator[int]:
    """The port of a LocalStack that runs, takes connections, and answers none: a process that was stopped."""
    process = psutil.Process()
    with socket.create_server(("127.0.0.1", 0)) as server:
        instance = localstack.Instance(process.pid, process.create_time(), server.getsockname()[1])
        folder = lab_dir / "localstack/data"
        folder.mkdir(parents=True)
        (folder / "localstack.pid").write_text(json.dumps(instance.__dict__))
        yield instance.port


class TestWhichTarget:
    @pytest.mark.parametrize("command", ["env", "apply", "send", "destroy", "test"])
    def test_an_unknown_one_lists_the_known_ones(self, lab: Shell, command: str) -> None:
        said = refused(lab(command, PATTERN="fanout", TARGET="azure"))

        assert said == "✗ Unknown TARGET=azure. There are: local, endpoint, aws.\n"

    @pytest.mark.parametrize(
        "command", ["send", "trace", "load", "fault", "heal", "peek", "redrive", "replay", "verify"]
    )
    def test_the_local_one_does_not_run(self, lab: Shell, command: str) -> None:
        assert "LocalStack is not running" in refused(lab(command, PATTERN="fanout"))

    @pytest.mark.parametrize("command", USES_A_TARGET)
    def test_the_local_one_hangs(
        self, lab: Shell, lab_dir: Path, fake_terraform: Callable[[str], Path], command: str, hanging: int
    ) -> None:
        fake_terraform("")

        done = lab(command, PATTERN="fanout", CLOCK="real", PATH=os.environ["PATH"])

        url = f"http://127.0.0.1:{hanging}"
        assert f"✗ LocalStack (pid {os.getpid()}) does not answer at {url} within " in refused(done)

    def test_through_make_it_takes_no_longer_than_it_promises(self, make: Shell, hanging: int) -> None:
        began = time.monotonic()

        said = refused(make("send", "PATTERN=fanout"))

        assert f"does not answer at http://127.0.0.1:{hanging} within 3 s." in said
        assert time.monotonic() - began < 5 + 10  # what else the machine does, too

    @pytest.mark.parametrize("command", [name for name in USES_A_TARGET if name not in ("up", "bench")])
    def test_another_one_hangs(
        self,
        lab: Shell,
        sts: "Sts",
        fake_terraform: Callable[[str], Path],
        monkeypatch: pytest.MonkeyPatch,
        command: str,
    ) -> None:
        monkeypatch.setattr(targets, "ANSWER_SECONDS", 0.2)
        fake_terraform("")
        sts.answers = False
        url = f"http://127.0.0.1:{sts.server_port}"

        said = refused(lab(command, PATTERN="fanout", TARGET="endpoint", AWS_ENDPOINT_URL=url, PATH=os.environ["PATH"]))

        assert said == f"✗ Nothing answers at {url}. Start it, or set AWS_ENDPOINT_URL.\n"

    def test_one_that_stops_answering_later(self, lab: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(name: str) -> Target:
            raise botocore.exceptions.ReadTimeoutError(endpoint_url="http://127.0.0.1:4566/")

        monkeypatch.setattr(cli, "reachable", gone)

        said = refused(lab("heal", PATTERN="fanout"))

        assert said.startswith('✗ The target no longer answers: Read timeout on endpoint URL: "http://127.0.0.1:4566/"')

    def test_nothing_answers_at_the_endpoint(self, lab: Shell, free_port: int) -> None:
        url = f"http://127.0.0.1:{free_port}"

        said = refused(lab("apply", PATTERN="fanout", TARGET="endpoint", AWS_ENDPOINT_URL=url))

        assert said == f"✗ Nothing answers at {url}. Start it, or set AWS_ENDPOINT_URL.\n"


class TestTerraform:
    @pytest.mark.parametrize("command", ["apply", "test"])
    def test_missing(self, lab: Shell, tmp_path: Path, command: str) -> None:
        said = refused(lab(command, PATTERN="fanout", PATH=str(tmp_path)))

        assert said.startswith("✗ Terraform is not installed, or not on PATH. Get 1.9 or newer: https://")
        assert not (tmp_path / "lab/localstack").exists()

    def test_too_old(self, lab: Shell, tmp_path: Path, fake_terraform: Callable[[str], Path]) -> None:
        program = fake_terraform("print(json.dumps({'terraform_version': '1.5.7'})); sys.exit()")

        said = refused(lab("apply", PATTERN="fanout", PATH=os.environ["PATH"]))

        assert f"✗ Terraform 1.5.7 ({program}) is too old. Get 1.9 or newer" in said
        assert not (tmp_path / "lab/localstack").exists()


class TestPort:
    def test_in_use(self, lab: Shell, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            said = refused(lab("up", PORT=str(port)))

        assert f"✗ Port {port} is in use by " in said
        assert f"(pid {os.getpid()}). End it, or choose another port: make up PORT=" in said
        assert not (tmp_path / "lab/localstack/env").exists()

    @pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "4566.0"])
    @pytest.mark.parametrize("command", ["up", "env"])
    def test_no_port_number(self, lab: Shell, command: str, port: str) -> None:
        assert refused(lab(command, PORT=port)) == f"✗ PORT={port} is not a port number (1 to 65535).\n"


class TestAws:
    @pytest.mark.parametrize("command", ["apply", "test", "destroy", "env"])
    def test_without_credentials_it_says_so_at_once(
        self, lab: Shell, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []
        monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))

        said = refused(lab(command, PATTERN="fanout", TARGET="aws"))

        assert asked == []  # such as an instance's metadata service, which answers, or does not, in its own time
        assert said == "✗ No AWS credentials found. Run `aws sso login` or set AWS_PROFILE, then try again.\n"
        assert not (tmp_path / "lab/state").exists()

    def test_without_a_region(self, lab: Shell) -> None:
        said = refused(lab("apply", PATTERN="fanout", TARGET="aws", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"))

        assert "✗ No AWS region is set. Set AWS_REGION" in said

    def test_a_profile_that_does_not_exist(self, lab: Shell) -> None:
        said = refused(lab("apply", PATTERN="fanout", TARGET="aws", AWS_PROFILE="nobody"))

        assert "The config profile (nobody) could not be found. Check AWS_PROFILE." in said

    def test_credentials_that_are_not_accepted(self, lab: Shell, sts: "Sts") -> None:
        sts.status = 403

        said = refused(lab("apply", PATTERN="fanout", TARGET="aws", **sts.credentials))

        assert "✗ The target aws does not accept your credentials: " in said

    def test_nothing_is_created_without_a_yes(
        self, lab: Shell, sts: "Sts", tmp_path: Path, fake_terraform: Callable[[str], Path]
    ) -> None:
        calls = tmp_path / "calls"
        fake_terraform(f"pathlib.Path({str(calls)!r}).open('a').write(arguments[0] + '\\n')")

        done = lab("apply", PATTERN="fanout", TARGET="aws", PATH=os.environ["PATH"], **sts.credentials)

        assert refused(done) == "✗ Nothing was created. YES=1 answers the question.\n"
        assert done.stdout == "AWS account 123456789012, region eu-central-1. What is created there costs money.\n"
        assert sts.actions == ["GetCallerIdentity"]
        assert set(calls.read_text().split()) == {"version"}
        assert not (tmp_path / "lab/state").exists()

    @pytest.mark.parametrize(
        ("yes", "tty", "answer", "goes_on"),
        [
            pytest.param(True, False, None, True, id="YES=1"),
            pytest.param(False, True, True, True, id="answered yes"),
            pytest.param(False, True, False, False, id="answered no"),
            pytest.param(False, False, None, False, id="nobody to ask"),
        ],
    )
    def test_the_question(
        self, monkeypatch: pytest.MonkeyPatch, yes: bool, tty: bool, answer: bool | None, goes_on: bool
    ) -> None:
        aws = Target("aws", "AWS", None, "eu-central-1")
        monkeypatch.setattr(Target, "identity", lambda self: "123456789012")
        monkeypatch.setitem(targets.TARGETS, "aws", lambda: aws)
        monkeypatch.setattr("sys.stdin", type("Input", (), {"isatty": lambda self: tty})())
        asked: list[str] = []

        def confirm(question: str) -> bool | None:
            asked.append(question)
            return answer

        monkeypatch.setattr("typer.confirm", confirm)

        if goes_on:
            assert cli.ready("aws", yes) is aws
        else:
            with pytest.raises(LabError, match="Nothing was created"):
                cli.ready("aws", yes)
        assert len(asked) == (answer is not None)

    @pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_STS"])
    @pytest.mark.parametrize("command", ["apply", "destroy", "send", "test"])
    def test_an_endpoint_that_is_not_aws(self, lab: Shell, command: str, name: str) -> None:
        said = refused(lab(command, PATTERN="fanout", TARGET="aws", **KEYS, **{name: "http://localhost:1"}))

        assert said == f"✗ {name}=http://localhost:1 points away from AWS. Unset it, or use TARGET=endpoint.\n"

    @pytest.mark.parametrize(
        ("profile", "where"),
        [
            ("endpoint_url = http://localhost:1", "of the profile shop"),
            (
                "services = mine\n[services mine]\nsqs =\n  endpoint_url = http://localhost:1",
                "of sqs in the services mine",
            ),
        ],
        ids=["of all services", "of one"],
    )
    def test_an_endpoint_of_a_profile(self, lab: Shell, tmp_path: Path, profile: str, where: str) -> None:
        """https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html"""
        config = tmp_path / "config"
        config.write_text(f"[profile shop]\n{profile}\n")

        said = refused(
            lab("apply", PATTERN="fanout", TARGET="aws", AWS_PROFILE="shop", AWS_CONFIG_FILE=str(config), **KEYS)
        )

        assert (
            said
            == f"✗ endpoint_url = http://localhost:1 {where} points away from AWS. Unset it, or use TARGET=endpoint.\n"
        )

    @pytest.mark.parametrize(("limit", "runs"), [(10, False), (99, False), (100, True), (1000, True)])
    def test_a_new_accounts_concurrency_is_too_small_for_experiments(
        self, monkeypatch: pytest.MonkeyPatch, limit: int, runs: bool
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
        aws = Target("aws", "AWS", None, "eu-central-1", "test")
        settings = {"AccountLimit": {"ConcurrentExecutions": limit}}
        client = type("Lambda", (), {"get_account_settings": lambda self: settings})()
        monkeypatch.setattr(Target, "client", lambda *_, **__: client)
        monkeypatch.setattr(Target, "identity", lambda self: "123456789012")
        monkeypatch.setitem(targets.TARGETS, "aws", lambda: aws)
        monkeypatch.setattr(terraform, "find_executable", lambda: "terraform")
        ran: list[str] = []

        def run_tests(pattern: str, target: Target, clock: str) -> int:
            ran.append(pattern)
            return 0

        monkeypatch.setattr(testing, "run_tests", run_tests)
        monkeypatch.setenv("KEEP", "")

        with pytest.raises(LabError if not runs else SystemExit) as ended:
            cli.test("fanout", "aws", keep=False, yes=True)

        assert ran == (["fanout"] if runs else [])
        if not runs:
            assert f"In eu-central-1 this account may run {limit} executions of functions at once." in str(ended.value)

    def test_apply_says_what_aws_takes_minutes_for_and_destroy_what_it_keeps(
        self, monkeypatch: pytest.MonkeyPatch, lab_dir: Path
    ) -> None:
        aws = Target("aws", "AWS", None, "eu-central-1", "test")
        monkeypatch.setattr(Target, "identity", lambda self: "123456789012")
        monkeypatch.setitem(targets.TARGETS, "aws", lambda: aws)
        monkeypatch.setattr(terraform, "find_executable", lambda: "terraform")
        monkeypatch.setattr(packages, "build", lambda pattern: [])
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS)
        for command in ("apply", "destroy"):
            monkeypatch.setattr(Deployment, command, lambda *_: Outcome())
        environment = {"PATTERN": "fanout", "TARGET": "aws", "YES": "1"}

        applied, destroyed = (
            CliRunner().invoke(cli.app, [command], env=environment, catch_exceptions=False).output
            for command in ("apply", "destroy")
        )

        assert "notifications of S3 about 5, filter policies of SNS and versioning of S3 up to 15" in joined(applied)
        assert f"may write the SSM parameter {OUTPUTS['faults_parameter']} can break these functions" in joined(applied)
        assert "a system backup, for 35 days" in joined(destroyed)

    def test_nothing_is_destroyed_without_a_yes(
        self, lab: Shell, sts: "Sts", tmp_path: Path, fake_terraform: Callable[[str], Path]
    ) -> None:
        calls = tmp_path / "calls"
        fake_terraform(f"pathlib.Path({str(calls)!r}).open('a').write(arguments[0] + '\\n')")

        done = lab("destroy", PATTERN="fanout", TARGET="aws", PATH=os.environ["PATH"], **sts.credentials)

        assert refused(done) == "✗ Nothing was destroyed. YES=1 answers the question.\n"
        assert done.stdout == (
            "AWS account 123456789012, region eu-central-1. fanout is destroyed there, with all its data.\n"
        )
        assert not calls.exists() or set(calls.read_text().split()) == {"version"}

    @pytest.mark.parametrize("command", ["apply", "destroy", "send"])
    def test_a_copy_elsewhere_is_not_touched(
        self, lab: Shell, lab_dir: Path, sts: "Sts", tmp_path: Path, command: str,
        fake_terraform: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        calls = tmp_path / "calls"
        fake_terraform(f"pathlib.Path({str(calls)!r}).open('a').write(arguments[0] + '\\n')")
        monkeypatch.setattr(packages, "build", lambda pattern: [])
        place = lab_dir / "state/fanout/aws/place"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(["123456789012", "us-east-1"]))

        done = lab(command, PATTERN="fanout", TARGET="aws", YES="1", PATH=os.environ["PATH"], **sts.credentials)

        assert "✗ fanout is deployed in account 123456789012, region us-east-1, and your credentials" in refused(done)
        assert not calls.exists() or set(calls.read_text().split()) == {"version"}


def joined(output: str) -> str:
    """What was printed, without the lines' breaks."""
    return " ".join(output.split())


KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-central-1"}


class Sts(ThreadingHTTPServer):
    """What AWS's identity service answers, on this machine; what is asked of other services is forbidden."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StsHandler)
        self.actions: list[str] = []
        self.asked, self.over = threading.Event(), threading.Event()
        self.answers = True
        self.status = 200
        self.credentials = {
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{self.server_port}",
        }


class StsHandler(BaseHTTPRequestHandler):
    server: Sts

    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.actions += re.findall(r"Action=(\w+)", request)
        self.server.asked.set()
        if not self.server.answers:
            self.server.over.wait()
        answer = b"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>"
        answer += b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
        if self.server.status != 200:
            answer = b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>"
        self.send_response(self.server.status if self.path == "/" else 403)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing goes to stderr."""


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    monkeypatch.setattr(targets, "_configured_endpoint", lambda session: None)  # this one is in AWS's place
    with Sts() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


class FakeFunctions:
    """A Lambda client whose functions answer as told."""

    def __init__(self, payload: Any, **more: str) -> None:
        self.answer = {"Payload": BytesIO(json.dumps(payload).encode()), **more}

    def invoke(self, **arguments: Any) -> Mapping[str, Any]:
        return self.answer


OUTPUTS: dict[str, Any] = {
    "entry": "producer",
    "functions": {
        name: {"name": f"fanout-{name}", "log_group": f"/aws/lambda/fanout-{name}"} for name in ("producer", "billing")
    },
    "queues": {
        "billing": {
            "url": "https://sqs.us-east-1.amazonaws.com/123456789012/fanout-billing",
            "dlq_arn": "arn:aws:sqs:us-east-1:123456789012:fanout-billing-dlq",
        }
    },
    "faults_parameter": "/fanout/faults",
}


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A deployed fanout, on moto in place of LocalStack."""
    target = Target("local", "moto", None, "us-east-1", "test")
    monkeypatch.setattr(cli, "reachable", lambda name: target)
    monkeypatch.setattr(Deployment, "outputs", OUTPUTS)
    monkeypatch.setattr(faults, "FAULT_RULES_TTL_SECONDS", 0)
    with mock_aws():
        target.client("ssm").put_parameter(Name="/fanout/faults", Type="String", Value='{"rules": []}')
        yield target


def run(command: str, **variables: str) -> str:
    """What a command printed that acts on the deployed fanout."""
    result = CliRunner().invoke(cli.app, [command], env={"PATTERN": "fanout", **variables})
    if result.exception:
        raise result.exception
    return result.output


@pytest.mark.usefixtures("moto")
class TestDeployed:
    def test_an_unknown_event(self) -> None:
        with pytest.raises(LabError, match=r"^Unknown EVENT=nosuch\. There are: default, poison\.$"):
            run("send", EVENT="nosuch")

    @pytest.mark.parametrize("command", ["send", "load"])
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"\xff{}", "is not UTF-8: "),
            (b'{"orders": ', "is not JSON: "),
            (b"[" * 100_000, "is not JSON: "),
            (b"[NaN]", "is not JSON: "),
            (b'"' + b"x" * 7_000_000 + b'"', "is 7.0 MB; Lambda takes at most 6 MB"),
        ],
        ids=["not UTF-8", "half", "nested", "NaN", "too large"],
    )
    def test_an_event_that_cannot_be_sent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, content: bytes, said: str
    ) -> None:
        monkeypatch.setattr(Deployment, "folder", tmp_path)
        (tmp_path / "events").mkdir()
        (tmp_path / "events/default.json").write_bytes(content)

        with pytest.raises(LabError, match=rf"^{tmp_path}/events/default\.json {said}"):
            run(command)

    @pytest.mark.parametrize("content", [b"{}", b"[]", b"3", b"null", b'{"orders": []}'])
    def test_an_event_without_orders_is_no_load(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
    ) -> None:
        monkeypatch.setattr(Deployment, "folder", tmp_path)
        (tmp_path / "events").mkdir()
        (tmp_path / "events/default.json").write_bytes(content)

        with pytest.raises(LabError, match=r"^No load can be put on fanout"):
            run("load")

    @pytest.mark.parametrize("name", ["../../../lab/gaps", "../events/default", "/etc/passwd", ""])
    def test_an_event_elsewhere(self, name: str) -> None:
        with pytest.raises(LabError, match=r"^Unknown EVENT=.*\. There are: default, poison\.$"):
            Deployment.of("fanout", cli.reachable("local")).event(name)
        if name:
            with pytest.raises(LabError, match=r"^Unknown EVENT="):
                run("send", EVENT=name)

    def test_an_event_of_which_nothing_is_published(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Target, "client", lambda *_, **__: FakeFunctions({"published": []}))

        with pytest.raises(LabError, match=r"^Nothing was sent: producer has published nothing of EVENT=poison\.$"):
            run("send", EVENT="poison")

    @pytest.mark.parametrize("copy", ["../../x", "t3fa9c1", "local", ".."])
    def test_a_copy_that_is_none(self, lab_dir: Path, monkeypatch: pytest.MonkeyPatch, copy: str) -> None:
        monkeypatch.setattr(localstack.LocalStack, "running", lambda self: localstack.Instance(1, 0.0, 4566))
        for workspace in ("local", "local-t123456"):
            (lab_dir / "state/fanout" / workspace).mkdir(parents=True)
            (lab_dir / "state/fanout" / workspace / "terraform.tfstate").touch()

        with pytest.raises(LabError, match=rf"^Unknown COPY={re.escape(copy)}\. There are: t123456\.$"):
            run("destroy", COPY=copy)

        assert sorted(path.name for path in (lab_dir / "state").rglob("*") if path.is_dir()) == [
            *("fanout", "local", "local-t123456")
        ]

    @pytest.mark.parametrize("function", ["nosuch", ""])
    def test_an_unknown_function(self, function: str) -> None:
        with pytest.raises(LabError, match=rf"^Unknown FUNCTION={function}\. There are: producer, billing\.$"):
            run("fault", FUNCTION=function, MODE="exception")

    def test_an_unknown_queue(self) -> None:
        with pytest.raises(LabError, match=r"^Unknown QUEUE=nosuch\. There are: billing\.$"):
            run("redrive", QUEUE="nosuch")

    def test_an_unknown_dead_letter_queue(self, monkeypatch: pytest.MonkeyPatch) -> None:
        others = {"dead_letter_queues": {"billing-undelivered": "https://sqs/u"}}
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | others)

        for name in ("nosuch", ""):
            with pytest.raises(LabError, match=rf"^Unknown QUEUE={name}\. There are: billing, billing-undelivered\.$"):
                run("peek", QUEUE=name)

    def test_a_look_shows_what_waits_and_takes_nothing(self, moto: Target) -> None:
        sqs = moto.client("sqs")
        url = sqs.create_queue(QueueName=OUTPUTS["queues"]["billing"]["dlq_arn"].rpartition(":")[2])["QueueUrl"]
        [sent] = [sqs.send_message(QueueUrl=url, MessageBody='{"order_id": "[o-1]", "correlation_id": "c-1"}')]

        for look in (1, 2):
            first, second, last = run("peek", QUEUE="billing").splitlines()

            assert re.fullmatch(
                rf"{sent['MessageId']}  sent \d s ago, received {look} times?, correlation id c-1", first
            )
            assert second == '  {"order_id": "[o-1]", "correlation_id": "c-1"}'
            assert last.startswith("fanout-billing-dlq: 1 of about 1 message(s). All are still there; each look counts")

    def test_parameters_that_are_not_json(self) -> None:
        with pytest.raises(LabError, match=r"^PARAMETERS is not JSON: .* For example PARAMETERS='\{\"seconds\": 2\}'"):
            run("fault", FUNCTION="billing", MODE="latency", PARAMETERS="seconds=2")

    def test_parameters_that_are_nested_too_deeply(self) -> None:
        with pytest.raises(LabError, match=r"^PARAMETERS is not JSON: maximum recursion depth"):
            run("fault", FUNCTION="billing", MODE="latency", PARAMETERS="[" * 100_000)

    @pytest.mark.parametrize("parameters", ["[]", "2", "null", '"seconds"'])
    def test_parameters_that_are_no_object(self, parameters: str) -> None:
        with pytest.raises(LabError, match=r"^PARAMETERS is not a JSON object"):
            run("fault", FUNCTION="billing", MODE="latency", PARAMETERS=parameters)

    @pytest.mark.parametrize(
        ("rule", "field"),
        [
            ({"MODE": "boom"}, "mode"),
            ({"MODE": ""}, "mode"),
            ({"MODE": "latency"}, "seconds"),
            ({"MODE": "exception", "WHEN": "order_id =="}, "when"),
            ({"MODE": "exception", "PROBABILITY": "2"}, "probability"),
            ({"MODE": "exception", "RECEIVE_COUNT": "0"}, "receive_count"),
        ],
    )
    def test_an_invalid_fault_is_refused_with_its_field_and_not_stored(self, rule: dict[str, str], field: str) -> None:
        with pytest.raises(LabError, match=rf"^Invalid fault rule: .*{field}"):
            run("fault", FUNCTION="billing", **rule)

        assert faults.rules(Deployment.of("fanout", cli.reachable("local"))) == []

    def test_faults_add_up_until_they_are_healed(self, moto: Target) -> None:
        for name in ("producer", "billing"):
            moto.client("logs").create_log_group(logGroupName=f"/aws/lambda/fanout-{name}")
        run("fault", FUNCTION="billing", MODE="exception", WHEN="order_id == 'o-1'", PROBABILITY="0.5")
        said = run("fault", FUNCTION="producer", MODE="latency", PARAMETERS='{"seconds": 2}', RECEIVE_COUNT="1")

        assert said == "2 fault rule(s) in force. Take them back: make heal PATTERN=fanout\n"
        rules = faults.rules(Deployment.of("fanout", cli.reachable("local")))
        assert [{name: value for name, value in rule.items() if name != "id"} for rule in rules] == [
            {"function": "billing", "mode": "exception", "when": "order_id == 'o-1'", "probability": 0.5},
            {"function": "producer", "mode": "latency", "receive_count": 1, "seconds": 2},
        ]
        assert run("heal") == (
            "  exception in billing (when: order_id == 'o-1', probability: 0.5): acted 0 times\n"
            "  latency in producer (receive_count: 1, seconds: 2): acted 0 times\n"
            "2 fault rule(s) removed.\n"
        )
        assert faults.rules(Deployment.of("fanout", cli.reachable("local"))) == []

    def test_without_fault_injection_there_is_nothing_to_break(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | {"faults_parameter": None})

        with pytest.raises(LabError, match="fanout was deployed with fault_injection = false"):
            run("fault", FUNCTION="billing", MODE="exception")

    def test_a_function_that_fails_when_something_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer = {"errorMessage": "no topic", "requestId": "r-1", "stackTrace": ["  File app.py, line 1"]}
        failing = FakeFunctions(answer, FunctionError="Unhandled")
        monkeypatch.setattr(Target, "client", lambda *_, **__: failing)

        with pytest.raises(LabError) as failed:
            run("send")

        assert str(failed.value).splitlines() == [
            'The function producer failed: {"errorMessage": "no topic"}',
            "It was sent patterns/fanout/events/default.json: is that what it takes?",
        ]

    def test_without_an_id_there_is_nothing_to_trace(self) -> None:
        with pytest.raises(LabError, match=r"^Which correlation id\? Say ID=<id>"):
            run("trace")

    def test_an_operation_says_what_it_did(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | {"operations": {"replay": "billing"}})
        monkeypatch.setattr(Target, "client", lambda *_, **__: FakeFunctions({"summary": "3 orders replayed"}))

        assert "replay: 3 orders replayed" in run("replay")

    def test_an_operation_that_finds_something_wrong_fails_and_lists_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | {"operations": {"verify": "billing"}})
        found = {"summary": "2 chains", "problems": ["o-1, entry 3: another hash", "o-2, entry 1: missing"]}
        monkeypatch.setattr(Target, "client", lambda *_, **__: FakeFunctions(found))

        with pytest.raises(LabError, match=r"^2 problem\(s\):\n  o-1, entry 3: another hash\n  o-2, entry 1: missing$"):
            run("verify")

    def test_an_operation_that_a_pattern_does_not_have(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(LabError, match=r"^The pattern fanout has no `make replay`\. Its operations: none\.$"):
            run("replay")
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | {"operations": {"verify": "billing"}})
        with pytest.raises(LabError, match=r"Its operations: make verify\.$"):
            run("replay")


class TestJourneys:
    """What is shown of the functions' logs."""

    SHIPPING: ClassVar[dict[str, Any]] = {  # a third function
        "functions": {
            name: {"name": f"fanout-{name}", "log_group": f"/aws/lambda/fanout-{name}"}
            for name in ("producer", "billing", "shipping")
        }
    }

    @pytest.fixture(autouse=True)
    def logged(self, moto: Target) -> float:
        """Two functions that logged something, the later one first; returns when, in seconds since the epoch."""
        now = time.time() - 5
        self.log(moto, "producer", [(now, {"message": "published", "order_id": "o-1", "correlation_id": "c-1"})])
        lines: list[str | dict[str, Any]] = [
            "START RequestId: r-1",
            {"message": "processed", "order_id": "o-1", "correlation_id": "c-1", "receive_count": 1, "level": "INFO"},
            {"message": "failed", "order_id": "o-2", "correlation_id": "c-1", "error": "ValueError: [no] amount"},
            {"message": "processed", "order_id": "o-3", "correlation_id": "another"},
            {"message": "looked up", "order_id": "o-1", "correlation_id": "c-1"},
        ]
        self.log(moto, "billing", [(now + 1.5, line) for line in lines])
        return now

    def log(self, moto: Target, function: str, lines: list[tuple[float, str | dict[str, Any]]]) -> None:
        logs, group = moto.client("logs"), f"/aws/lambda/fanout-{function}"
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        events = [
            {"timestamp": int(at * 1000), "message": line if isinstance(line, str) else json.dumps(line)}
            for at, line in lines
        ]
        logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)

    def test_following_shows_the_lines_of_what_was_sent_and_no_others(
        self, moto: Target, logged: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(follow, "QUIET", 0.1)

        follow.follow(Deployment.of("fanout", moto), {"c-1"}, logged - 10)

        assert capsys.readouterr().out.splitlines() == [
            "  billing processed o-1",
            "  billing failed o-2: ValueError: [no] amount",
            "billing failed 1, billing processed 1. Correlation id: c-1",
        ]

    def test_a_trace_shows_every_hop_of_one_correlation_id_in_the_order_of_time(self) -> None:
        rows = [line.split() for line in run("trace", ID="c-1").splitlines()[1:]]

        assert rows == [
            ["0.00", "producer", "published", "o-1"],
            ["1.50", "billing", "processed", "o-1", "receive_count=1"],
            ["1.50", "billing", "failed", "o-2", "error=ValueError:", "[no]", "amount"],
            ["1.50", "billing", "looked", "up", "o-1"],
        ]

    @pytest.mark.parametrize("id", ["c-1", "o-1"])
    def test_the_states_of_an_execution_are_hops_and_its_name_stands_for_its_correlation_id(
        self, logged: float, monkeypatch: pytest.MonkeyPatch, id: str
    ) -> None:
        execution = executions.Execution("arn:execution:o-1", "o-1", "c-1", "SUCCEEDED", None)
        began = datetime.fromtimestamp(logged + 0.5, UTC)
        visit = executions.Visit("Charge", 1, began, began + timedelta(seconds=2), 2, ["States.Timeout"])
        machines = {"order": {"arn": "arn:order", "log_group": "/order"}}
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | {"state_machines": machines})
        monkeypatch.setattr(executions, "named", lambda client, arn, name: execution if name == "o-1" else None)
        monkeypatch.setattr(executions, "find", lambda client, arn, ids, since: [execution] if ids == {"c-1"} else [])
        monkeypatch.setattr(executions, "visits", lambda client, arn: [visit])

        rows = [line.split() for line in run("trace", ID=id).splitlines()[1:]]

        assert [row[1] for row in rows] == ["producer", "order", "billing", "billing", "billing"]
        assert rows[1] == ["0.50", "order", "Charge", "o-1", "seconds=2.0", "retries=1", "errors=States.Timeout"]

    @pytest.mark.parametrize(
        "given", ["[1]", "3", '{"order_id": "o-9"}', '{"correlation_id": null}', '{"order_id": [1]}']
    )
    @pytest.mark.parametrize("id", ["odd", "c-1"])
    def test_an_execution_without_correlation_id_has_its_states_alone(
        self, moto: Target, monkeypatch: pytest.MonkeyPatch, given: str, id: str
    ) -> None:
        self.log(moto, "shipping", [(time.time(), {"message": "failed", "correlation_id": None, "order_id": "other"})])
        client = moto.client("stepfunctions")
        arn = client.create_state_machine(
            name="order", definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
            roleArn="arn:aws:iam::123456789012:role/order",
        )["stateMachineArn"]  # fmt: skip
        client.start_execution(stateMachineArn=arn, name="odd", input=given)
        machines = {"order": {"arn": arn, "log_group": "/order"}}
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | self.SHIPPING | {"state_machines": machines})

        where = {line.split()[1] for line in run("trace", ID=id).splitlines()[1:]}

        assert where == ({"order"} if id == "odd" else {"producer", "billing"})

    def test_a_trace_cuts_nothing_however_narrow_the_terminal_is(
        self, moto: Target, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        message, order = "7d9d7b68-2f0a-4a54-8f8e-0c8b7f1b9f10", "o-[/x]" + "9" * 60
        line = {"message": "failed [/]", "order_id": order, "correlation_id": "c-9", "message_id": message}
        self.log(moto, "shipping", [(time.time(), line)])
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | self.SHIPPING)
        monkeypatch.setattr(console, "width", 60)

        assert run("trace", ID="c-9").splitlines()[1].split() == [
            *("0.00", "shipping", "failed", "[/]", order, f"message_id={message}")
        ]

    def test_following_waits_for_what_has_not_begun(
        self, moto: Target, logged: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a busy machine a function begins later than it logs one line after the other."""
        monkeypatch.setattr(follow, "QUIET", 0.0)
        monkeypatch.setattr(follow, "BEGUN", 60.0)
        fanout = Deployment.of("fanout", moto)
        every = list(journeys.logged(fanout, logged - 10))
        looks = iter([[], [hop for hop in every if hop.where == "producer"], [], [], every])
        monkeypatch.setattr(journeys, "logged", lambda deployment, since: next(looks))

        follow.follow(fanout, {"c-1"}, logged - 10)

        assert capsys.readouterr().out.splitlines()[-1] == "billing failed 1, billing processed 1. Correlation id: c-1"

    def test_following_says_what_has_not_begun_in_the_end(
        self, moto: Target, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(follow, "BEGUN", 0.1)
        odd = [journeys.Hop("billing", 0.0, {"message": "processed", "correlation_id": id}, str(id)) for id in ([1], 3)]
        monkeypatch.setattr(journeys, "logged", lambda deployment, since: odd)

        follow.follow(Deployment.of("fanout", moto), {"c-1"}, 0)

        said = "nothing yet from billing: `make trace PATTERN=fanout ID=<id>` shows it when there is"
        assert capsys.readouterr().out == f"{said}. Correlation id: c-1\n"

    def test_a_trace_of_an_id_that_nobody_logged(self) -> None:
        with pytest.raises(LabError, match=r"^No function of fanout logged anything under ID=nosuch\."):
            run("trace", ID="nosuch")


class TestWhatIsRemembered:
    def keep_state(self, lab_dir: Path, workspace: str) -> Path:
        state = lab_dir / "state/fanout" / workspace / "terraform.tfstate"
        state.parent.mkdir(parents=True)
        state.write_text("{}")
        return state

    def test_clean_refuses_to_forget_what_outlives_the_lab(self, lab: Shell, tmp_path: Path) -> None:
        states = [self.keep_state(tmp_path / "lab", name) for name in ("aws", "endpoint-t3fa9c1", "local")]

        said = refused(lab("clean"))

        assert said.startswith("✗ Still deployed: fanout (aws), fanout (endpoint-t3fa9c1). Destroy it first")
        assert all(state.exists() for state in states)

    def test_what_was_on_a_localstack_that_is_gone_is_forgotten(self, lab: Shell, tmp_path: Path) -> None:
        local, aws = (self.keep_state(tmp_path / "lab", name) for name in ("local", "aws"))

        done = lab("destroy", PATTERN="fanout")

        assert done.returncode == 0, done.stderr
        assert done.stdout == "LocalStack is not running, and fanout is gone with it.\n"
        assert not local.exists()
        assert aws.exists()

    def test_status_does_not_list_what_is_gone_with_a_localstack_that_was_killed(
        self, lab: Shell, tmp_path: Path
    ) -> None:
        for workspace in ("local", "local-t3fa9c1", "aws"):
            self.keep_state(tmp_path / "lab", workspace)

        shown = lab("status").stdout.splitlines()

        assert shown[0] == "LocalStack is not running: make up"
        assert [line.split() for line in shown[2:]] == [["fanout", "aws"]]

    def test_the_localstack_of_a_patterns_experiments_is_shown_with_what_is_kept_on_it(
        self, lab: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for workspace in ("local-t3fa9c1", "virtual-t3fa9c2"):
            self.keep_state(tmp_path / "lab", workspace)
        running = localstack.Instance(7, 0.0, 4600, "virtual")
        monkeypatch.setattr(localstack, "virtual_ones", lambda: {"fanout": running})

        shown = lab("status").stdout.splitlines()

        assert shown[:2] == [
            "LocalStack is not running: make up",
            "LocalStack of fanout's experiments at http://127.0.0.1:4600 (pid 7), virtual clock",
        ]
        assert [line.split() for line in shown[3:]] == [["fanout", "virtual-t3fa9c2"]]

    def test_a_copy_that_experiments_kept_is_destroyed_where_it_is(
        self, lab: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = self.keep_state(tmp_path / "lab", "virtual-t3fa9c2")
        done: list[str] = []
        running = localstack.Instance(os.getpid(), psutil.Process().create_time(), 4600, "virtual")
        folder = tmp_path / "lab/localstack/virtual/fanout"
        folder.mkdir(parents=True)
        (folder / "localstack.pid").write_text(json.dumps(running.__dict__))

        def destroy(self: Deployment, show: Callable[[str], None]) -> Outcome:
            done.append(f"destroyed {self.name} at {self.target.endpoint}")
            state.unlink()
            return Outcome({"add": 0, "change": 0, "remove": 1}, 0)

        monkeypatch.setattr(Deployment, "destroy", destroy)
        monkeypatch.setattr(localstack.LocalStack, "stop", lambda self: done.append(f"stopped {self.port}"))

        assert lab("destroy", PATTERN="fanout", COPY="t3fa9c2").returncode == 0

        assert done == ["destroyed t3fa9c2-fanout at http://127.0.0.1:4600", "stopped 4600"]

    def test_down_and_status_when_nothing_runs(self, lab: Shell) -> None:
        assert "LocalStack was not running" in lab("down").stdout
        assert lab("status").stdout == "LocalStack is not running: make up\nNothing is deployed.\n"


class TestOrder:
    def test_apply_starts_builds_and_applies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        done: list[str] = []

        def build(pattern: str) -> list[Path]:
            done.append("build")
            return [Path("a.zip")]

        def apply(self: Deployment, show: Callable[[str], None]) -> Outcome:
            done.append("apply")
            return outcome

        monkeypatch.setattr(cli, "start_local", lambda: done.append("start"))
        monkeypatch.setattr(packages, "build", build)
        outcome = Outcome({"add": 3, "change": 0, "remove": 0}, sqs_wait_seconds=25.4)
        monkeypatch.setattr(Deployment, "apply", apply)
        monkeypatch.setattr(Deployment, "outputs", OUTPUTS | {"topic": "arn:aws:sns:us-east-1:1:fanout-orders"})

        result = CliRunner().invoke(cli.app, ["apply"], env={"PATTERN": "fanout"}, catch_exceptions=False)

        assert done == ["start", "build", "apply"]
        assert "3 added, 0 changed, 0 destroyed; 25 s of it the provider waiting for queues" in result.output
        assert "topic = arn:aws:sns:us-east-1:1:fanout-orders" in result.output
        assert "make send PATTERN=fanout" in result.output

    @pytest.mark.parametrize(
        ("was_running", "keep", "stops"), [(False, "", True), (True, "", False), (False, "1", False)]
    )
    def test_a_test_run_stops_the_localstack_that_it_started(
        self, monkeypatch: pytest.MonkeyPatch, lab_dir: Path, was_running: bool, keep: str, stops: bool
    ) -> None:
        instance = localstack.Instance(os.getpid(), 0.0, 4566) if was_running else None
        stopped: list[bool] = []
        monkeypatch.setattr(localstack.LocalStack, "running", lambda self: instance)
        monkeypatch.setattr(cli, "start_local", lambda: None)
        monkeypatch.setattr(cli, "stop_local", lambda: stopped.append(True))
        monkeypatch.setattr(localstack, "virtual_ones", lambda: {"s3-trigger": instance})
        monkeypatch.setattr(testing, "stop_virtual", lambda pattern: pytest.fail("another run's was stopped"))
        monkeypatch.setattr(testing, "run_tests", lambda pattern, target, clock: 3)

        result = CliRunner().invoke(cli.app, ["test"], env={"PATTERN": "fanout", "KEEP": keep, "CLOCK": "real"})

        assert result.exit_code == 3
        assert bool(stopped) is stops

    @pytest.mark.parametrize(
        ("chosen", "clock", "started"),
        [
            ({}, "virtual", False),
            ({"CLOCK": "virtual"}, "virtual", False),
            ({"CLOCK": "real"}, "real", True),
            ({"TARGET": "endpoint"}, "real", False),
            ({"TARGET": "endpoint", "CLOCK": "virtual"}, "real", False),
        ],
    )
    def test_experiments_run_on_a_virtual_clock_unless_the_target_or_its_user_has_none(
        self, monkeypatch: pytest.MonkeyPatch, lab_dir: Path, chosen: dict[str, str], clock: str, started: bool
    ) -> None:
        ran: list[str] = []
        monkeypatch.setattr(cli, "start_local", lambda: ran.append("started"))
        monkeypatch.setattr(cli, "stop_unused", lambda: None)
        monkeypatch.setattr(localstack.LocalStack, "outdated", lambda self: False)
        monkeypatch.setattr(terraform, "find_executable", lambda: "terraform")
        monkeypatch.setattr(Target, "identity", lambda self: "000000000000")
        monkeypatch.setattr(testing, "run_tests", lambda pattern, target, clock: ran.append(clock))

        CliRunner().invoke(cli.app, ["test"], env={"PATTERN": "fanout", **chosen}, catch_exceptions=False)

        assert ran == (["started"] if started else []) + [clock]

    def test_another_clock_is_refused(self, lab: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(terraform, "find_executable", lambda: "terraform")

        said = refused(lab("test", PATTERN="fanout", CLOCK="fast"))

        assert said.strip() == "✗ Unknown CLOCK=fast. There are: virtual, real."

    def test_a_localstack_that_something_else_uses_goes_on(
        self, lab: Shell, monkeypatch: pytest.MonkeyPatch, lab_dir: Path
    ) -> None:
        monkeypatch.setattr(cli, "start_local", lambda: None)
        monkeypatch.setattr(terraform, "find_executable", lambda: "terraform")
        monkeypatch.setattr(testing, "run_tests", lambda pattern, target, clock: 3)
        monkeypatch.setattr(localstack.LocalStack, "stop", lambda self: pytest.fail("it was stopped"))
        state = lab_dir / "state/stream-audit/local/terraform.tfstate"
        state.parent.mkdir(parents=True)
        state.touch()

        done = lab("test", PATTERN="fanout", CLOCK="real")

        said = "LocalStack goes on: {}. To stop it: make down"
        assert done.stdout.splitlines() == [said.format("stream-audit (local)")]
        assert state.exists()

        state.unlink()
        users = lab_dir / "localstack/data/.users"
        with users.open() as file:  # another command that has begun, and has deployed nothing yet
            fcntl.flock(file, fcntl.LOCK_SH)
            done = lab("test", PATTERN="fanout", CLOCK="real")

        assert done.stdout.splitlines() == [said.format("another command uses it")]

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            (
                "apply",
                "What was made so far is in the state: `make apply PATTERN=fanout` goes on, `make destroy` removes it.",
            ),
            ("destroy", "What is not destroyed yet is in the state: the same command goes on."),
        ],
    )
    def test_an_interrupted_terraform_says_how_things_stand(
        self, lab: Shell, monkeypatch: pytest.MonkeyPatch, command: str, said: str
    ) -> None:
        monkeypatch.setattr(cli, "start_local", lambda: None)
        monkeypatch.setattr(localstack.LocalStack, "running", lambda self: localstack.Instance(1, 0.0, 4566))
        monkeypatch.setattr(localstack, "healthy", lambda instance, within: True)
        monkeypatch.setattr(terraform, "find_executable", lambda: "terraform")
        monkeypatch.setattr(packages, "build", lambda pattern: [])
        monkeypatch.setattr(Deployment, command, lambda self, show: signal.raise_signal(signal.SIGTERM))

        done = lab(command, PATTERN="fanout")

        assert done.returncode == 130
        assert done.stderr.splitlines() == [said, "Interrupted."]

    def test_an_interrupted_command_ends_with_130(self, lab: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted() -> None:
            signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(cli, "start_local", interrupted)

        assert lab("up").returncode == 130


class TestMakefile:
    def test_every_target_has_a_help_text(self, make: Shell) -> None:
        phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()

        shown = re.findall(r"^  make (\w+) +(\S.*)$", make("help").stdout, re.MULTILINE)

        assert [name for name, _ in shown] == phony
        assert all(text for _, text in shown)

    def test_every_command_has_its_target(self) -> None:
        commands = {command.callback.__name__ for command in cli.app.registered_commands if command.callback}
        targets_of_make = set(re.findall(r"^([a-z]+):.*##", MAKEFILE, re.MULTILINE))

        assert targets_of_make - {"help", "setup"} == commands

    def test_every_variable_that_a_command_reads_is_exported_to_it(self) -> None:
        exported = set(" ".join(re.findall(r"^VARIABLES [:+]= (.*)$", MAKEFILE, re.MULTILINE)).split())
        source = (paths.ROOT / "lab/cli.py").read_text()

        assert set(re.findall(r'envvar="(\w+)"', source)) | {"PORT", "LAB_DIR"} == exported

    def test_env_can_be_evaluated(self, make: Shell, tmp_path: Path, free_port: int) -> None:
        made = make("-s", "env", f"PORT={free_port}", LAB_TERRAFORM_MIRROR=str(mirror(tmp_path)))

        script = 'eval "$1" && echo "$AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $TF_WORKSPACE" && cat "$TF_CLI_CONFIG_FILE"'
        done = subprocess.run(["sh", "-eu", "-c", script, "sh", made.stdout], capture_output=True, text=True)

        assert done.stderr == made.stderr == ""
        assert done.stdout.startswith(f"http://127.0.0.1:{free_port} test local\n")
        assert "filesystem_mirror" in done.stdout

    def test_env_of_a_lab_in_a_folder_with_an_apostrophe(
        self, lab: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "o'brien's lab"
        monkeypatch.setattr(paths, "LAB", folder)
        made = lab("env", LAB_TERRAFORM_MIRROR=str(mirror(tmp_path)))

        script = 'eval "$1" && echo "$TF_CLI_CONFIG_FILE"'
        done = subprocess.run(["sh", "-c", script, "sh", made.stdout], capture_output=True, text=True)

        assert done.stdout == f"{folder}/terraform/terraform.rc\n"

    def test_env_takes_your_own_settings_out_of_the_way(self, lab: Shell) -> None:
        yours = {"AWS_PROFILE": "shop", "AWS_ENDPOINT_URL_SQS": "http://localhost:1"}
        made = lab("env", **yours)

        script = 'eval "$1" && env'
        done = subprocess.run(
            ["sh", "-c", script, "sh", made.stdout], env={**os.environ, **yours}, capture_output=True, text=True
        )

        assert not [line for line in done.stdout.splitlines() if line.partition("=")[0] in yours]

    def test_env_that_fails_gives_nothing_to_evaluate(self, lab: Shell) -> None:
        assert lab("env", PORT="abc").stdout == ""

    @pytest.mark.parametrize(
        ("python", "said"),
        [
            pytest.param(None, "Python 3.13 is needed, and there is no ", id="missing"),
            pytest.param("3, 12, 1", "Python 3.13 is needed; ", id="too old"),
            pytest.param("3, 14, 0", "Python 3.13 is needed; ", id="too new"),
        ],
    )
    def test_another_python(self, user: Path, tmp_path: Path, python: str | None, said: str) -> None:
        program = tmp_path / "other-python"
        if python:
            pretend = f"import sys; sys.version_info = ({python}); sys.version = sys.version_info; "
            program.write_text(
                f'#!/bin/sh\nexec {sys.executable} -c \'{pretend}sys.version = "3.x y"; exec(sys.argv[1])\' "$2"\n'
            )
            program.chmod(0o755)

        done = subprocess.run(
            ["make", "up", f"PYTHON={program}"], cwd=paths.ROOT, capture_output=True, text=True, timeout=60
        )

        assert done.returncode != 0
        assert said in done.stdout + done.stderr
        assert not (tmp_path / "lab/venv").exists()


def mirror(folder: Path) -> Path:
    (folder / "mirror/registry.terraform.io/hashicorp/aws").mkdir(parents=True, exist_ok=True)
    return folder / "mirror"
