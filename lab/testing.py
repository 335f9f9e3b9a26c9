"""Runs pytest: a pattern's experiments, everything, or the static checks; and cleans up whatever a run left.

Also what each pattern's experiments have when they run on a virtual clock: a LocalStack of their own.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable

from lab import localstack, paths, targets
from lab.clock import VIRTUAL
from lab.console import LabError, console, step
from lab.deployment import RUN_VARIABLE, deployed, in_workspace, kept, made_by, patterns
from lab.targets import Target

# Each pattern's experiments are one worker's, and wait most of the time; this many are for all other tests.
OTHER_WORKERS = 1
IN_ORDER = ["--dist", "loadgroup", "--no-loadscope-reorder"]  # each group is one worker's; the first tests start first


def run_tests(pattern: str, target: Target, clock: str) -> int:
    """Runs a pattern's tests in one process, with progress; or, without a pattern, every test, in parallel.
    On AWS those are the patterns' alone, one after another.

    `clock` is that of experiments: "real", or on the local target "virtual".

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
        return _pytest(arguments, TARGET=target.name, CLOCK=clock, **{RUN_VARIABLE: run})
    finally:
        if clock == VIRTUAL:
            for name in localstack.virtual_ones():
                end_virtual(name)
            _destroy_what_is_left(run, targets.virtual)
        else:
            _destroy_what_is_left(run, lambda _: target)


def run_lint() -> int:
    """Runs every static check; returns pytest's exit status."""
    return _pytest(["tests/test_lint.py", "-n", "2"])


def start_virtual(pattern: str) -> Target:
    """The LocalStack with a virtual clock for a pattern's experiments, started if it does not run. Raises LabError."""
    _, started = localstack.virtual(pattern).start()
    if started:
        _forget_virtual(pattern)
    return targets.virtual(pattern)


def end_virtual(pattern: str) -> bool:
    """Ends that LocalStack, unless another process uses it or a copy on it is kept; true if it was ended."""
    with localstack.virtual(pattern).alone() as alone:
        if not alone or kept(pattern, targets.virtual(pattern)):
            return False
        stop_virtual(pattern)
        return True


def stop_virtual(pattern: str) -> None:
    """Ends that LocalStack; what was deployed on it is gone with it."""
    localstack.virtual(pattern).stop()
    _forget_virtual(pattern)


def _forget_virtual(pattern: str) -> None:
    target = targets.virtual(pattern)
    for of, workspace in deployed(target.workspace):
        if of == pattern:
            in_workspace(of, workspace, target).terraform.forget()


def _destroy_what_is_left(run: str, target_of: Callable[[str], Target]) -> None:
    """Destroys what a run of tests made and left: all that can be. Raises LabError about what cannot."""
    failed: dict[str, LabError] = {}
    # looks again: what a killed worker had begun may appear while another copy is destroyed
    while left := [copy for copy in made_by(run, target_of) if copy.name not in failed]:
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
