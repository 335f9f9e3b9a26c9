"""A pytest plugin: when a whole suite has passed, replacements that LocalStack never reached in it fail the run.

Only the process that the run was started in compares; with pytest-xdist its workers get the file's name from there. A
run of a part of the suite compares nothing.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from localstack_host.environment import REPLACEMENTS


class Unreached:
    """Watches the tests below ``folder``.

    ``environment`` is that of the processes that replace something: it gets the name of the file that they write to.
    ``made`` returns what the source replaces if all of it is imported, as lines of that file, so that a module that no
    test loads is missed too.
    """

    def __init__(
        self, config: pytest.Config, folder: Path, environment: MutableMapping[str, str], made: Callable[[], set[str]]
    ) -> None:
        self.config, self.folder, self.made = config, folder, made
        self.worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.file = self.worker[REPLACEMENTS] if self.worker else tempfile.mkstemp(prefix="replacements-")[1]
        environment[REPLACEMENTS] = self.file
        self.passed: set[str] = set()
        self.expected: set[str] = set()
        self.found: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[REPLACEMENTS] = self.file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.worker:
            return
        lines = set(Path(self.file).read_text().splitlines())
        Path(self.file).unlink()
        if self.whole_suite_passed():
            reached = {line.removeprefix("reached ") for line in lines if line.startswith("reached ")}
            made = lines | self.made()
            self.expected = {line.removeprefix("made ") for line in made if line.startswith("made ")}
            self.found = sorted(self.expected - reached)
        if self.found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.found:
            terminalreporter.section("replacements that no test reached", red=True)
            for name in self.found:
                terminalreporter.line(name)
            terminalreporter.line("LocalStack no longer calls them, or a test is missing.")
        elif self.expected:
            terminalreporter.line(f"All {len(self.expected)} replacements were reached.")

    def whole_suite_passed(self) -> bool:
        ran = {(self.config.rootpath / name.partition("::")[0]).resolve() for name in self.passed}
        if not ran >= {path.resolve() for path in self.folder.rglob("test_*.py")}:
            return False
        # With the configuration of this run: names of tests depend on it.
        same = ["-c", str(self.config.inipath), f"--rootdir={self.config.rootpath}"]
        command = [sys.executable, "-m", "pytest", *same, "--collect-only", "--quiet", "-n", "0", str(self.folder)]
        listed = subprocess.run(command, cwd=self.config.rootpath, capture_output=True, text=True, check=True).stdout
        return {line for line in listed.splitlines() if "::" in line} <= self.passed
