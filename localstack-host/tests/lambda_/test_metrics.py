"""The metrics of functions."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Gate, Instance, statistics, wait_until


def test_duration_and_throttles_of_a_function(localstack: Instance, gate: Gate) -> None:
    client = localstack.client("lambda")
    source = f"from time import sleep\ndef handler(event, context):\n    {gate.wait}\n    sleep(0.5)"
    function = localstack.create_function(source, Timeout=60)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(localstack.invoke, function)
        with gate.held(1):
            for _ in range(2):
                with pytest.raises(client.exceptions.TooManyRequestsException):
                    localstack.invoke(function)
        running.result()
    milliseconds = (time.monotonic() - began) * 1000

    def metric(name: str, statistic: str = "Sum") -> list[Any]:
        return statistics(localstack, "AWS/Lambda", name, statistic, FunctionName=function)

    wait_until(lambda: metric("Throttles") == [2])
    (duration,) = wait_until(lambda: metric("Duration", "Maximum"))
    assert 500 <= duration < milliseconds
    wait_until(lambda: metric("Invocations") == [1])
