"""Measures what the lab promises: its own times, with Terraform's fixed waits shown apart."""

import json
import platform
import shutil
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from lab import evidence, packages, paths, targets, testing
from lab.bench import local_target
from lab.bench.measurement import Measurement, timed
from lab.clock import VIRTUAL
from lab.console import console, step
from lab.deployment import Deployment, answer

WARM_INVOCATIONS = 200
COLD_INVOCATIONS = 5
RECORD = {
    "eventSource": "aws:sqs",
    "messageId": "bench",
    "body": json.dumps({"order_id": "o-1", "customer_id": "c-1", "amount": 250, "goods": ["physical"]}),
    "attributes": {"ApproximateReceiveCount": "1"},
    "messageAttributes": {},
}


def measure(pattern: str) -> Path:
    """Measures everything on the running local target, prints a table, and writes it as JSON; returns that file."""
    target = targets.local()
    results = [
        *local_target.measure(),
        *building(pattern),
        *deploying(pattern, target),
        *experiments(pattern, target),
    ]
    table = Table("what", "measured", "of it the provider's waits", "promised", box=None)
    for result in results:
        table.add_row(
            result.what,
            f"{result.value:.1f} {result.unit}",
            f"{result.provider_waits:.1f} {result.unit}" if result.provider_waits else "",
            promise(result),
        )
    console.print(table)
    machine = {
        "system": platform.platform(),
        "cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    now = datetime.now(UTC)
    file = paths.LAB / "bench" / f"{pattern}-{now:%Y%m%dT%H%M%SZ}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"date": now.isoformat(), "machine": machine, "results": [asdict(result) for result in results]}
    file.write_text(json.dumps(content, indent=2) + "\n")
    console.print(f"As JSON: {paths.shown(file)}")
    return file


def promise(result: Measurement) -> str:
    """What is promised of a measurement, as text; empty when nothing is."""
    if result.promised is not None:
        return f"at most {result.promised:g} {result.unit}"
    return f"at least {result.promised_at_least:g} {result.unit}" if result.promised_at_least else ""


def building(pattern: str) -> Iterator[Measurement]:
    """The zips, from nothing and again."""
    with step("measuring builds"):
        shutil.rmtree(paths.BUILD, ignore_errors=True)
        with timed() as first:
            packages.build(pattern)
        with timed() as again:
            packages.build(pattern)
    yield Measurement("build, from nothing", first())
    yield Measurement("build, nothing changed", again())


def deploying(pattern: str, target: targets.Target) -> Iterator[Measurement]:
    """Apply, apply again, invocations, destroy, on an isolated copy."""
    copy = Deployment.isolated(pattern, target, {})
    try:
        with step("measuring apply") as progress:
            with timed() as apply:
                outcome = copy.apply(progress.detail)
            with timed() as again:
                copy.apply(progress.detail)
        yield Measurement("apply", apply(), provider_waits=outcome.sqs_wait_seconds, promised=180)
        yield Measurement("apply, beyond the provider's waits", apply() - outcome.sqs_wait_seconds, promised=15)
        yield Measurement("apply, nothing to change", again(), promised=10)
        with step("measuring invocations"):
            yield from invocations(copy)
    finally:
        with step("measuring destroy") as progress, timed() as destroy:
            copy.destroy(progress.detail)
    yield Measurement("destroy, with the proof that nothing is left", destroy())


def invocations(copy: Deployment) -> Iterator[Measurement]:
    """Cold and warm invocations of a consumer with a batch of one order, through the fault layer and without it."""
    client, contract = copy.target.client("lambda"), copy.contract
    short, function = next(item for item in contract.functions.items() if item[0] != contract.entry)

    def invoke() -> None:
        answer(short, client.invoke(FunctionName=function.name, Payload=json.dumps({"Records": [RECORD]})))

    def warm_milliseconds() -> float:
        invoke()
        times = []
        for _ in range(WARM_INVOCATIONS):
            with timed() as one:
                invoke()
            times.append(one() * 1000)
        return statistics.median(times)

    def configure(**settings: Any) -> None:
        client.update_function_configuration(FunctionName=function.name, **settings)
        client.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 1})

    cold = []
    variables = client.get_function_configuration(FunctionName=function.name)["Environment"]["Variables"]
    for number in range(COLD_INVOCATIONS):
        configure(Environment={"Variables": variables | {"COLD_START": str(number)}})
        with timed() as one:
            invoke()
        cold.append(one() * 1000)
    yield Measurement("cold invocation", statistics.median(cold), "ms")
    layered = warm_milliseconds()
    configure(Handler=variables["FAULT_INJECTION_HANDLER"])
    bare = warm_milliseconds()
    yield Measurement("warm invocation, without the fault layer", bare, "ms")
    yield Measurement("warm invocation, through the fault layer", layered, "ms")
    yield Measurement("warm invocation, the fault layer's share", layered - bare, "ms", promised=3)


def experiments(pattern: str, target: targets.Target) -> Iterator[Measurement]:
    """The pattern's test run, and each of its experiments by itself, from its evidence."""
    with timed() as whole:
        testing.run_tests(pattern, target, VIRTUAL)
    yield Measurement("test of the pattern, with its deployment", whole(), promised=300)
    for name, found in evidence.in_folder(paths.EVIDENCE / pattern).items():
        yield Measurement(f"  {name.removeprefix('test_')}: {found.outcome}", found.seconds)
