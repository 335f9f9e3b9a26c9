"""The pytest plugin behind the experiments: isolated deployments, the experiment that a test is, and known gaps.

An experiment is a test in `patterns/<name>/tests/test_failures.py` with the mark `experiment`; its docstring is the
claim, which the README's table of failures repeats word for word.
"""

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab import evidence, targets, testing
from lab.clock import REAL
from lab.console import console, step
from lab.deployment import Deployment, kept
from lab.docs import alarm_rows
from lab.experiment import Experiment, claim

BACKGROUND = 10  # the niceness of what runs beside experiments


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> Iterator[targets.Target]:
    """The target that TARGET names. The local one is, but with CLOCK=real, a LocalStack of the pattern's own.

    Its clock is virtual. It is ended afterwards, unless copies on it are kept.
    """
    name = os.environ.get("TARGET") or "local"
    if name != "local" or os.environ.get("CLOCK") == REAL:
        yield targets.find(name)
        return
    pattern = request.path.parent.parent.name
    try:
        with _shown(request), step(f"starting a LocalStack with a virtual clock for {pattern}") as progress:
            started = testing.start_virtual(pattern)
            progress.result = f"LocalStack with a virtual clock for {pattern} at {started.endpoint}"
        yield started
    finally:
        testing.end_virtual(pattern)


@pytest.fixture(scope="module")
def deployments(request: pytest.FixtureRequest, target: targets.Target) -> Iterator[list[Deployment]]:
    """Isolated copies of the pattern that the test module belongs to, destroyed afterwards.

    The module's VARIABLES are the Terraform variables that compress its times; the mark `variant` of a test adds some.
    There is one copy for each set of variables, and they are deployed side by side. With KEEP=1 the copies stay, and
    the next run with KEEP=1 finds them.
    """
    evidence.commit()  # what is deployed is of this one, whatever is checked out while experiments run
    pattern = request.path.parent.parent.name
    keep = bool(os.environ.get("KEEP"))
    wanted: list[dict[str, str]] = []
    for variables in (_variables(item) for item in request.session.items if item.path == request.path):
        if variables not in wanted:
            wanted.append(variables)
    earlier = kept(pattern, target) if keep else []
    copies = [
        next((copy for copy in earlier if copy.variables == variables), None)
        or Deployment.isolated(pattern, target, variables)
        for variables in wanted
    ]
    names = " and ".join(copy.name for copy in copies)
    try:
        with _shown(request), step(f"deploying {names}") as progress:
            _side_by_side(copies, lambda copy: copy.apply(lambda text: progress.detail(f"{copy.name}: {text}")))
            progress.result = f"deployed {names}"
        for copy in copies:
            alarms, rows = copy.alarms(), set(alarm_rows(pattern))
            if alarms != rows:
                unexplained, gone = (", ".join(sorted(each)) or "none" for each in (alarms - rows, rows - alarms))
                pytest.fail(
                    f"README of {pattern}: alarms without a row: {unexplained}; rows without an alarm: {gone}",
                    pytrace=False,
                )
        yield copies
    finally:
        if keep:
            for copy in copies:
                copy.keep()
                with _shown(request):
                    console.print(
                        f"Kept {copy.name}. Use it again: make test PATTERN={pattern} KEEP=1. Remove it: make destroy "
                        f"PATTERN={pattern} COPY={copy.workspace.removeprefix(f'{target.workspace}-')}"
                    )
        else:
            with _shown(request), step(f"destroying {names}") as progress:
                _side_by_side(copies, lambda copy: copy.destroy(lambda text: progress.detail(f"{copy.name}: {text}")))
                progress.result = f"destroyed {names}, nothing is left"


@pytest.fixture
def deployment(request: pytest.FixtureRequest, deployments: list[Deployment]) -> Deployment:
    """The copy with the variables of this test."""
    return next(copy for copy in deployments if copy.variables == _variables(request.node))


@pytest.fixture
def experiment(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Experiment]:
    """The experiment that the test is; its evidence is written when the test ends, however it ends."""
    mark = request.node.get_closest_marker("experiment")
    about = claim(request.node.function)
    real_time = request.node.get_closest_marker("real_time") is not None
    with deployment.target.clock.used(real_time) as clock:
        running = Experiment(deployment, request.node.name, mark.kwargs["failure"], about, mark.args, clock.name)
        yield running
        running.save(outcome(request.node.stash.get(_REPORT, None)))


def outcome(report: pytest.TestReport | None) -> str:
    """How an experiment ended, of which pytest has reported this."""
    if report is None:
        return "interrupted"
    return evidence.KNOWN_GAP if hasattr(report, "wasxfail") and report.skipped else report.outcome


_REPORT = pytest.StashKey[pytest.TestReport]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "experiment(*semantics, failure): an experiment, and the semantics it rests on")
    config.addinivalue_line("markers", "variant(**variables): runs on a copy with these Terraform variables added")
    config.addinivalue_line("markers", "real_time(*, reason): means something else where the target's clock is virtual")
    config.addinivalue_line("markers", "gap(id): cannot pass on a target with this entry in lab/gaps.toml")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Experiments come first, because they take longest; those of one pattern share a deployment, and so a worker.

    A known gap is a strict expected failure.
    """
    items.sort(key=lambda item: item.get_closest_marker("experiment") is None)
    name = os.environ.get("TARGET") or "local"
    gaps = {gap.id: gap for gap in targets.known_gaps()}
    for item in items:
        if item.get_closest_marker("experiment"):
            item.add_marker(pytest.mark.xdist_group(item.path.parent.parent.name))
        if mark := item.get_closest_marker("gap"):
            gap = gaps[mark.args[0]]
            if gap.target == name:
                reason = f"{gap.id} ({gap.version}): {gap.instead}"
                vain = pytest.fail.Exception  # a condition that never came true; any other error is still one
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=vain))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """In a parallel run other tests, and what they start, get the CPU time that experiments leave.

    Experiments race the clock: a function that is slow is ended, and a message that it holds comes back. A worker that
    is through with its experiments, which are first, has no more.
    """
    if "PYTEST_XDIST_WORKER" in os.environ and not item.get_closest_marker("experiment"):
        os.nice(max(0, BACKGROUND - os.nice(0)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_REPORT] = report
    return report


def _variables(item: pytest.Item) -> dict[str, str]:
    """The Terraform variables of the copy that a test runs on."""
    module: Any = item.getparent(pytest.Module)
    variant = item.get_closest_marker("variant")
    return {**module.obj.VARIABLES, **(variant.kwargs if variant else {})}


def _side_by_side(copies: list[Deployment], work: Callable[[Deployment], Any]) -> None:
    """Works on every copy at once: most of the time Terraform waits for queues."""
    if len(copies) == 1:
        work(copies[0])  # in this thread, which is the one that Ctrl-C reaches
        return
    with ThreadPoolExecutor(len(copies)) as pool:
        for done in [pool.submit(work, copy) for copy in copies]:
            done.result()


def _shown(request: pytest.FixtureRequest) -> Any:
    """Lets what is printed in the block reach the terminal, past pytest's capture."""
    return request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled()
