"""How a run is spread over its workers."""

import re
import subprocess
import sys
from pathlib import Path

from lab import paths, testing

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
        cwd=paths.ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.findall(r"^\[(gw\d)\].* PASSED .*patterns/([^/]+)/tests/(\w+)\.py", done.stdout, re.MULTILINE)
    workers = {
        pattern: {gw for gw, of, file in ran if (of, file) == (pattern, "test_failures")} for pattern in patterns
    }
    assert [len(found) for found in workers.values()] == [1, 1]
    assert workers["fanout"] != workers["orchestration"]
