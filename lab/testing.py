"""Runs pytest: a pattern's experiments, everything, or the static checks; and cleans up whatever a run left."""

import os
import subprocess
import sys

from lab import localstack, paths
from lab.console import console, step
from lab.deployment import deployed, in_workspace, patterns
from lab.targets import Target

# Each pattern's experiments are one worker's, and wait most of the time; this many are for all other tests.
OTHER_WORKERS = 1
IN_ORDER = ["--dist", "loadgroup", "--no-loadscope-reorder"]  # each group is one worker's; the first tests start first


def run_tests(pattern: str, target: Target) -> int:
    """Runs a pattern's tests in one process, with progress; or, without a pattern, every test, in parallel.

    Returns pytest's exit status. Isolated copies that the run left, after a crash or Ctrl-C, are destroyed.
    """
    if pattern:
        arguments = [f"patterns/{pattern}/tests", "--verbose"]
    else:
        lab = localstack.default()
        lab.install()
        os.environ["LOCALSTACK_HOST_PYTHON"] = str(lab.python)
        os.environ["LOCALSTACK_HOST_FUNCTION_PYTHON"] = str(lab.function_python)
        workers = len(patterns()) + OTHER_WORKERS
        arguments = ["patterns", "tests", "localstack-host/tests", "-n", str(workers), *IN_ORDER]
    before = set(deployed(target.name))
    os.environ["TARGET"] = target.name
    try:
        return _pytest(arguments)
    finally:
        for name, workspace in sorted(set(deployed(target.name)) - before):
            copy = in_workspace(name, workspace, target)
            if not copy.is_kept:
                with step(f"destroying {copy.name}, which the tests left") as progress:
                    copy.destroy(progress.detail)


def run_lint() -> int:
    """Runs every static check; returns pytest's exit status."""
    return _pytest(["tests/test_lint.py", "-n", "2"])


def _pytest(arguments: list[str]) -> int:
    process = subprocess.Popen([sys.executable, "-m", "pytest", *arguments], cwd=paths.ROOT)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # pytest got it too, and destroys what it deployed
            console.print("Interrupted: destroying what the tests deployed.")
