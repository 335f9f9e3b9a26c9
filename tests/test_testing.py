"""How a run is spread over its workers, and what it cleans up."""

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lab import localstack, paths, targets, testing
from lab.console import LabError
from lab.deployment import Deployment, deployed
from lab.localstack import Instance, LocalStack

NICENESS = """  # of each worker: its own is that of whoever runs this test
import os

level = 0

def nice(increment):
    global level
    level += increment
    return level

os.nice = nice
"""
EXPERIMENTS = """
import os
import pytest

@pytest.mark.experiment("SQS-1", failure="")
@pytest.mark.parametrize("number", range(6))
def test_a_failure(number):
    assert os.nice(0) == 0
"""
OTHERS = """
import os
import pytest

@pytest.mark.parametrize("number", range(20))
def test_a_function(number):
    assert os.nice(0) > 0
"""


def test_experiments_start_first_those_of_a_pattern_are_one_workers_and_others_are_nice(tmp_path: Path) -> None:
    patterns = ("fanout", "orchestration")
    (tmp_path / "conftest.py").write_text(NICENESS)
    for pattern in patterns:
        folder = tmp_path / "patterns" / pattern / "tests"
        folder.mkdir(parents=True)
        (folder / "test_failures.py").write_text(EXPERIMENTS)
        (folder / "test_a_handler.py").write_text(OTHERS)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-v", "-n", "4", *testing.IN_ORDER, str(tmp_path)],
        cwd=paths.ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.findall(r"^\[(gw\d)\].* PASSED .*patterns/([^/]+)/tests/(\w+)\.py", done.stdout, re.MULTILINE)
    workers = {
        pattern: {gw for gw, of, file in ran if (of, file) == (pattern, "test_failures")} for pattern in patterns
    }
    assert [len(found) for found in workers.values()] == [1, 1]
    assert workers["fanout"] != workers["orchestration"]


# What stands in for pytest: it is killed when it has deployed a copy, begun another, and kept a third. Beside it
# somebody applies a pattern, and another run of tests deploys a copy.
KILLED = f"""#!{sys.executable}
import os, signal, sys
sys.path[:0] = {[str(paths.ROOT), str(paths.LAYERS / "fault_injection/python")]}
from lab import packages, targets
from lab.deployment import Deployment
from lab.terraform import Terraform

packages.build = lambda pattern: []
Terraform.init = lambda self: (self.state / self.workspace).mkdir(parents=True)
Terraform.apply = lambda self, *_: (self.state / self.workspace / "terraform.tfstate").touch()

target = targets.find(os.environ["TARGET"])
copies = [Deployment.isolated(pattern, target, {{}}) for pattern in ("fanout", "s3-trigger", "fanout", "fanout")]
for copy in copies[:3]:
    copy.apply(print)
copies[2].keep()
(copies[1].terraform.state / copies[1].workspace / "terraform.tfstate").unlink()  # Terraform has written none yet
os.environ["LAB_RUN"] = "another"
copies[3].apply(print)
del os.environ["LAB_RUN"]
Deployment.of("stream-audit", target).apply(print)
os.kill(os.getpid(), signal.SIGKILL)
"""


class TestWhatARunLeaves:
    @pytest.fixture(autouse=True)
    def killed(self, tmp_path: Path, lab_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "pytest"
        program.write_text(KILLED)
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        monkeypatch.setenv("LAB_DIR", str(lab_dir))

    def test_what_it_made_is_destroyed_and_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        destroyed: list[str] = []

        def destroy(self: Deployment, show: object) -> None:
            destroyed.append(self.pattern)
            self.terraform.forget()

        monkeypatch.setattr(Deployment, "destroy", destroy)

        assert testing.run_tests("fanout", targets.local(), "real") == -9

        assert destroyed == ["fanout", "s3-trigger"]
        assert [pattern for pattern, _ in deployed()] == ["fanout", "fanout", "stream-audit"]

    def test_one_that_cannot_be_destroyed_does_not_keep_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tried: list[str] = []

        def destroy(self: Deployment, show: object) -> None:
            tried.append(self.pattern)
            if len(tried) == 1:
                raise LabError("something is left")
            self.terraform.forget()

        monkeypatch.setattr(Deployment, "destroy", destroy)

        with pytest.raises(LabError, match=r"^something is left$"):
            testing.run_tests("fanout", targets.local(), "real")

        assert tried == ["fanout", "s3-trigger"]


class TestVirtual:
    """What is ended of the LocalStacks that experiments on a virtual clock have."""

    @pytest.fixture
    def stopped(self, lab_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Those that were stopped; a copy of fanout is deployed on its own, and one of stream-audit kept on its own."""
        found: list[str] = []
        monkeypatch.setattr(LocalStack, "stop", lambda self: found.append(self.folder.name))
        for pattern in ("fanout", "stream-audit"):
            copy = Deployment.isolated(pattern, targets.virtual(pattern), {})
            state = copy.terraform.state / copy.workspace / "terraform.tfstate"
            state.parent.mkdir(parents=True)
            state.touch()
        copy.keep()
        running = Instance(os.getpid(), psutil.Process().create_time(), 4600, "virtual")
        for pattern in ("fanout", "stream-audit"):
            folder = localstack.virtual(pattern).folder
            folder.mkdir(parents=True)
            (folder / "localstack.pid").write_text(json.dumps(running.__dict__))
        return found

    def test_after_a_run_those_are_ended_on_which_nothing_is_kept(
        self, stopped: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(testing, "_pytest", lambda arguments, **environment: 0)

        assert testing.run_tests("fanout", targets.local(), "virtual") == 0

        assert stopped == ["fanout"]
        assert [pattern for pattern, _ in deployed()] == ["stream-audit"]

    def test_one_that_another_process_uses_goes_on(self, stopped: list[str], lab_dir: Path) -> None:
        with (lab_dir / "localstack/virtual/fanout/.users").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_SH)
            testing.end_virtual("fanout")

        assert stopped == []
        assert len(list(deployed())) == 2

    def test_one_that_starts_is_empty(self, stopped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(LocalStack, "start", lambda self: (None, True))

        target = testing.start_virtual("stream-audit")

        assert (target.name, target.workspace, target.clock.name) == ("local", "virtual", "virtual")
        assert [pattern for pattern, _ in deployed()] == ["fanout"]


@pytest.mark.parametrize(("name", "parallel"), [("aws", False), ("local", True)])
def test_on_aws_one_pattern_comes_after_another(
    name: str, parallel: bool, lab_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the account's quotas."""
    run: list[list[str]] = []

    def pytest_runs(arguments: list[str], **environment: str) -> int:
        run.append(arguments)
        return 0

    monkeypatch.setattr(testing, "_pytest", pytest_runs)
    monkeypatch.setattr("lab.localstack.LocalStack.install", lambda self: None)
    for variable in ("LOCALSTACK_HOST_PYTHON", "LOCALSTACK_HOST_FUNCTION_PYTHON"):
        monkeypatch.setenv(variable, "")

    testing.run_tests("", targets.Target(name, name, None, "eu-west-1", "test"), "real")

    assert ("-n" in run[0]) == parallel
    assert "patterns" in run[0]
