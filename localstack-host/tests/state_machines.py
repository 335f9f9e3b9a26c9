"""What the tests of Step Functions share: definitions, and their executions from start to end."""

import json
from typing import Any

from harness import ROLE, Instance, unique, wait_until

PASS = {"Type": "Pass", "End": True}


def create(localstack: Instance, definition: Any, **settings: Any) -> str:
    found: str = localstack.client("stepfunctions").create_state_machine(
        name=unique("machine"), definition=json.dumps(definition), roleArn=ROLE, **settings
    )["stateMachineArn"]
    return found


def start(localstack: Instance, machine: str, given: Any = None, **settings: Any) -> str:
    found: str = localstack.client("stepfunctions").start_execution(
        stateMachineArn=machine, input=json.dumps({} if given is None else given), **settings
    )["executionArn"]
    return found


def end(localstack: Instance, execution: str, seconds: float = 40) -> dict[str, Any]:
    def ended() -> Any:
        found = localstack.client("stepfunctions").describe_execution(executionArn=execution)
        return found["status"] != "RUNNING" and found

    return wait_until(ended, seconds)


def run(localstack: Instance, definition: Any, given: Any = None) -> dict[str, Any]:
    return end(localstack, start(localstack, create(localstack, definition), given))


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def choice(*rules: Any, **fields: Any) -> dict[str, Any]:
    return {"Type": "Choice", "Choices": list(rules), **fields}
