"""What every pattern, experiment and test of the repository keeps to."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import paths
from lab.deployment import patterns

FILES = ("README.md", "main.tf", "variables.tf", "outputs.tf", "versions.tf", "events/default.json")
TESTS = ("tests/test_failures.py", "tests/test_handlers.py")
TEST_FOLDERS = ("tests", "patterns/*/tests", "localstack-host/tests/**")
TEST_FILES = sorted(file for folder in TEST_FOLDERS for file in paths.ROOT.glob(f"{folder}/*.py"))


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name as written) of every call and decorator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call | ast.Attribute | ast.Name):
            yield node.lineno, ast.unparse(node.func if isinstance(node, ast.Call) else node)


def forbidden(source: str) -> list[str]:
    """What a test must not do: wait for time to pass, or be skipped where nobody notices."""
    tree = ast.parse(source)
    imported = {
        f"{node.module}.{name.name}": name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    names = ["time.sleep", "pytest.skip", "pytest.importorskip", "pytest.mark.skip", "pytest.mark.skipif"]
    wanted = set(names) | {imported[name] for name in names if name in imported}
    return sorted({f"line {line}: {name}" for line, name in calls(tree) if name in wanted})


@pytest.mark.parametrize("pattern", patterns())
@pytest.mark.parametrize("file", [*FILES, *TESTS])
def test_a_pattern_has_its_files(pattern: str, file: str) -> None:
    assert (paths.PATTERNS / pattern / file).is_file()


@pytest.mark.parametrize("pattern", patterns())
def test_a_pattern_has_functions_terraform_tests_and_events_that_are_json(pattern: str) -> None:
    folder = paths.PATTERNS / pattern

    assert list(folder.glob("functions/*/app.py"))
    assert list(folder.glob("tests/*.tftest.hcl"))
    for event in folder.glob("events/*.json"):
        json.loads(event.read_text())


@pytest.mark.parametrize("pattern", patterns())
def test_functions_know_nothing_of_the_lab_nor_of_faults(pattern: str) -> None:
    for file in (paths.PATTERNS / pattern / "functions").rglob("*.py"):
        imports = [
            name
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        ]
        assert not [name for name in imports if name.split(".")[0] in ("lab", "fault_injection")], paths.shown(file)


@pytest.mark.parametrize("file", TEST_FILES, ids=paths.shown)
def test_a_test_waits_for_conditions_and_is_never_skipped(file: Path) -> None:
    assert forbidden(file.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep\nsleep(1)",
        "from time import sleep as wait\nwait(1)",
        "import pytest\n@pytest.mark.skipif(True, reason='')\ndef test(): ...",
        "import pytest\n@pytest.mark.skip\ndef test(): ...",
        "import pytest\ndef test():\n    pytest.skip('no')",
    ],
)
def test_a_wait_or_a_skip_is_found(source: str) -> None:
    assert forbidden(source) != []
