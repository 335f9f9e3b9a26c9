"""Runs pytest: a pattern's experiments, everything, or the static checks; and cleans up whatever a run left."""

import os
import secrets
import subprocess
import sys

from lab import localstack, paths
from lab.console import LabError, console, step
from lab.deployment import RUN_VARIABLE, made_by, patterns
from lab.targets import Target

# Each pattern's experiments are one worker's, and wait most of the time; this many are for all other tests.
OTHER_WORKERS = 1
IN_ORDER = ["--dist", "loadgroup", "--no-loadscope-reorder"]  # each group is one worker's; the first tests start first


def run_tests(pattern: str, target: Target) -> int:
    """Runs a pattern's tests in one process, with progress; or, without a pattern, every test, in parallel.
    On AWS those are the patterns' alone, one after another.

    Returns pytest's exit status. Isolated copies that the run made and left, after a crash or Ctrl-C, are destroyed.
    Raises LabError when one of them cannot be.
    """
    if pattern:
        arguments = [f"patterns/{pattern}/tests", "--verbose"]
    elif target.name == "aws":  # one pattern after another: they share the account's quotas
        arguments = ["patterns", "--verbose"]
    else:
        lab = localstack.default()
        lab.install()
        os.environ["LOCALSTACK_HOST_PYTHON"] = str(lab.python)
        os.environ["LOCALSTACK_HOST_FUNCTION_PYTHON"] = str(lab.function_python)
        workers = len(patterns()) + OTHER_WORKERS
        arguments = ["patterns", "tests", "localstack-host/tests", "-n", str(workers), *IN_ORDER]
    run = secrets.token_hex(8)
    try:
        return _pytest(arguments, TARGET=target.name, **{RUN_VARIABLE: run})
    finally:
        _destroy_what_is_left(run, target)


def run_lint() -> int:
    """Runs every static check; returns pytest's exit status."""
    return _pytest(["tests/test_lint.py", "-n", "2"])


def _destroy_what_is_left(run: str, target: Target) -> None:
    """Destroys what a run of tests made and left: all that can be. Raises LabError about what cannot."""
    failed: dict[str, LabError] = {}
    # looks again: what a killed worker had begun may appear while another copy is destroyed
    while left := [copy for copy in made_by(run, target) if copy.name not in failed]:
        copy = left[0]
        try:
            with step(f"destroying {copy.name}, which the tests left") as progress:
                copy.destroy(progress.detail)
        except LabError as error:
            failed[copy.name] = error
    if failed:
        raise LabError("\n".join(map(str, failed.values())))


def _pytest(arguments: list[str], **environment: str) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    process = subprocess.Popen(command, cwd=paths.ROOT, env={**os.environ, **environment})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # pytest got it too, and destroys what it deployed
            console.print("Interrupted: destroying what the tests deployed.")
