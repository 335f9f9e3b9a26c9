"""Functions that need more memory than they have, in each of the ways."""

import json
import sys

import pytest
from harness import Instance, unique, wait_until

# Statements of a handler: 300 MB that stay, in the process or in a child; and, where the system knows the peak, 300 MB
# that are gone at once. Each waits for a minute, if nobody ends it.
HELD = "held = b'x' * 300_000_000; time.sleep(60)"
CHILD = 'subprocess.run([sys.executable, "-c", "import time; held = b\'x\' * 300_000_000; time.sleep(60)"])'
PASSING = "len(b'x' * 300_000_000)"
TOO_MUCH = [HELD, CHILD, PASSING] if sys.platform == "linux" else [HELD]
HANDLER = """
import os, subprocess, sys, time
seen = []
def handler(event, context):
    seen.append(event)
    print("begins")
    if event == "too much":
        {statement}
    return seen
"""


@pytest.mark.parametrize("statement", TOO_MUCH)
def test_a_function_that_needs_more_memory_is_killed(localstack: Instance, statement: str) -> None:
    """Runtime.ExitError, "signal: killed"; the report's status is an error, and its type Runtime.OutOfMemory.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    """
    function = localstack.create_function(HANDLER.format(statement=statement), MemorySize=200, Timeout=50)
    assert localstack.invoke(function, "little") == (["little"], None)

    payload, error = localstack.invoke(function, "too much")

    assert (error, payload["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert payload["errorMessage"].endswith(" Error: Runtime exited with error: signal: killed")
    lines = wait_until(lambda: after_end(localstack.messages(function)))
    assert lines[1] == "begins"
    assert lines[2].endswith(" Error: Runtime exited with error: signal: killed")
    assert lines[3] == "Runtime.ExitError"
    assert "\tMemory Size: 200 MB\tMax Memory Used: 200 MB\t" in lines[5]
    assert "\tStatus: error\tError Type: Runtime.OutOfMemory" in lines[5]
    # and the runtime starts anew
    assert localstack.invoke(function, "little") == (["little"], None)


def after_end(lines: list[str]) -> list[str]:
    """The lines of the second invocation, when they are all there."""
    starts = [index for index, line in enumerate(lines) if line.startswith("START")]
    second = lines[starts[1] :] if len(starts) > 1 else []
    return second if any(line.startswith("REPORT") for line in second) else []


def test_the_initialization_has_the_same_memory(localstack: Instance) -> None:
    function = localstack.create_function("held = b'x' * 300_000_000\ndef handler(*_): return 1", MemorySize=200)

    payload, error = localstack.invoke(function)

    assert (error, payload["errorType"]) == ("Unhandled", "Runtime.ExitError")
    (report,) = wait_until(lambda: localstack.messages(function, "REPORT"))
    assert "\tStatus: error\tError Type: Runtime.OutOfMemory" in report


def test_the_json_report_of_a_function_that_was_killed(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html"""
    name = unique("function")
    logging = {"LogFormat": "JSON", "LogGroup": f"/aws/lambda/{name}"}
    source = HANDLER.format(statement=HELD)
    localstack.create_function(source, FunctionName=name, MemorySize=200, Timeout=50, LoggingConfig=logging)

    localstack.invoke(name, "too much")

    lines = wait_until(lambda: localstack.messages(name, '{ $.type = "platform.report" }'))
    record = json.loads(lines[0])["record"]
    assert (record["status"], record["errorType"]) == ("failure", "Runtime.OutOfMemory")
    assert record["metrics"]["maxMemoryUsedMB"] == 200


def test_more_memory_is_enough_memory(localstack: Instance) -> None:
    source = HANDLER.format(statement=PASSING)
    function = localstack.create_function(source, MemorySize=512)

    assert localstack.invoke(function, "too much") == (["too much"], None)


def test_pages_that_a_child_shares_count_once(localstack: Instance) -> None:
    """A forked child, as of multiprocessing, has the memory of its parent until it writes to it."""
    source = """
import os, time
held = b'x' * 100_000_000
def handler(event, context):
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            time.sleep(0.5)
            os._exit(0)
        children.append(child)
    return [os.waitpid(child, 0)[1] for child in children]
"""
    function = localstack.create_function(source, MemorySize=200)

    assert localstack.invoke(function) == ([0, 0, 0], None)
