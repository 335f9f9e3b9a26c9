"""A pytest plugin: ``--stock`` counts which rules LocalStack keeps by itself, for MODULES.md.

A rule is a test of a service that talks to a LocalStack; here it talks to one with LocalStack's own providers
(stock.py). Tests of this package's functions are left out: LocalStack has none of them.
"""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from localstack_host.modules_page import COUNTED

TARGETS = {"localstack", "own_localstack", "virtual_localstack", "lab"}
NO_SERVICES = ("clock", "shared")
# LocalStack's own tables need Java, and its own data streams a program that it downloads: there is nothing to try.
NOT_THERE = ("tests/dynamodb/", "tests/kinesis/", "tests/lambda_/mappings/test_streams.py")


def service_of(path: Path) -> str | None:
    """The service that a test file is about, by the folder that it lies in.

    >>> service_of(Path("localstack-host/tests/lambda_/mappings/test_limits.py"))
    'lambda'
    >>> service_of(Path("localstack-host/tests/test_process.py"))
    """
    folder = path.parts[path.parts.index("tests") + 1]
    return None if folder in NO_SERVICES or folder.endswith(".py") else folder.rstrip("_")


def rules(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests that are rules of services."""
    return [item for item in items if service_of(item.path) and TARGETS.intersection(getattr(item, "fixturenames", ()))]


class CountedRules:
    """Runs rules only, and writes how many of each service there are, how many were tried, and how many were kept.

    It is given whole folders of services; of the others stays what was counted before. With pytest-xdist its workers
    find the rules, and the process that the run was started in counts.
    """

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self.tried: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        found = rules(items)
        self.found = Counter(str(service_of(item.path)) for item in found)
        tried = [item for item in found if not any(name in item.path.as_posix() for name in NOT_THERE)]
        config.hook.pytest_deselected(items=[item for item in items if item not in tried])
        items[:] = tried

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        service = service_of(Path(report.nodeid.partition("::")[0]))
        if service and report.when == "setup":
            self.tried[service] += 1
        if service and report.when == "call":
            self.kept[service] += report.passed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.found = node.workeroutput["found"]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["found"] = self.found
        elif (
            session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
            and not session.config.option.collectonly
        ):
            counted = json.loads(COUNTED.read_text()) if COUNTED.exists() else {}
            day = datetime.now(UTC).date().isoformat()
            for name, number in self.found.items():
                counted[name] = {"rules": number, "tried": self.tried[name], "kept": self.kept[name], "day": day}
            COUNTED.write_text(json.dumps(counted, indent=2, sort_keys=True) + "\n")
