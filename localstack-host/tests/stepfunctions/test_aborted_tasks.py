"""Executions that are stopped, and the tasks and executions that end with them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance, unique, wait_until
from state_machines import PASS, create, end, machine, start

WAIT: dict[str, Any] = {"Type": "Wait", "Seconds": 60, "End": True}
FAIL = {"Type": "Fail", "Error": "E"}


def task(localstack: Instance, kind: str) -> dict[str, Any]:
    """A task that waits for something that does not come."""
    if kind == "activity":
        resource = localstack.client("stepfunctions").create_activity(name=unique("activity"))["activityArn"]
        return {"Type": "Task", "Resource": resource, "End": True}
    if kind == "token":
        url, _ = localstack.create_queue()
        parameters = {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"}
        return {"Type": "Task", "Resource": SEND, "Parameters": parameters, "End": True}
    return WAIT


SEND = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
AROUND: dict[str, Callable[[Any], Any]] = {
    "machine": lambda state: state,
    "parallel": lambda state: {"Type": "Parallel", "Branches": [machine(T=state), machine(W=WAIT)], "End": True},
    "map": lambda state: {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": machine(T=state), "End": True},
}


def history(localstack: Instance, execution: str) -> list[dict[str, Any]]:
    client = localstack.client("stepfunctions")
    found: list[dict[str, Any]] = client.get_execution_history(executionArn=execution)["events"]
    return found


@pytest.mark.parametrize(
    ("kind", "around"),
    [("wait", "machine"), ("token", "machine"), ("activity", "machine"), ("token", "parallel"), ("activity", "map")],
)
def test_an_execution_is_stopped_with_error_and_cause(localstack: Instance, kind: str, around: str) -> None:
    """Whatever it waits for; DescribeExecution and the last event say error and cause.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
    """
    client = localstack.client("stepfunctions")
    arn = create(localstack, machine(S=AROUND[around](task(localstack, kind))))
    execution = start(localstack, arn, {"items": MANY})
    waits = {"wait": "WaitStateEntered", "token": "TaskSubmitted", "activity": "ActivityScheduled"}[kind]
    wait_until(lambda: waits in [event["type"] for event in history(localstack, execution)])

    client.stop_execution(executionArn=execution, error="E", cause="C")

    stopped = end(localstack, execution)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "E", "C")
    last = history(localstack, execution)[-1]
    assert (last["type"], last["executionAbortedEventDetails"]) == ("ExecutionAborted", {"error": "E", "cause": "C"})


MANY = list(range(20))
FAILS: dict[str, Callable[[Any], Any]] = {
    "branches": lambda waiting: {
        "Type": "Parallel",
        "Branches": [*(machine(**{f"T{each}": waiting}) for each in MANY), machine(F=FAIL)],
        "End": True,
    },
    "iterations": lambda waiting: {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": machine(
            C={"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 19, "Next": "F"}], "Default": "T"},
            F=FAIL,
            T=waiting,
        ),
        "End": True,
    },
}


@pytest.mark.parametrize("around", FAILS)
def test_nothing_follows_the_failure_of_an_execution(localstack: Instance, around: str) -> None:
    """Neither of a branch nor of an iteration, whatever each of them was at.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
    """
    execution = start(localstack, create(localstack, machine(S=FAILS[around](WAIT))), {"items": MANY})

    assert end(localstack, execution)["status"] == "FAILED"
    assert history(localstack, execution)[-1]["type"] == "ExecutionFailed"


def test_an_execution_is_stopped_as_soon_as_it_has_started(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html"""
    execution = start(localstack, create(localstack, machine(W=WAIT)))

    localstack.client("stepfunctions").stop_execution(executionArn=execution)

    stopped = end(localstack, execution)
    assert stopped["status"] == "ABORTED"
    assert "error" not in stopped


PARENTS: dict[str, Callable[[Any], Any]] = {
    "stopped": lambda sync: machine(T=sync),
    "the machine's timeout": lambda sync: {**machine(T=sync), "TimeoutSeconds": 4},
    "the task's timeout": lambda sync: machine(T={**sync, "TimeoutSeconds": 2}),
    "another branch": lambda sync: machine(
        P={
            "Type": "Parallel",
            "Branches": [machine(T=sync), machine(W={**WAIT, "Seconds": 2, "Next": "F"}, F=FAIL)],
            "Catch": [{"ErrorEquals": ["E"], "Next": "Caught"}],
            "End": True,
        },
        Caught=PASS,
    ),
}
ENDS = {
    "stopped": "ABORTED",
    "the machine's timeout": "TIMED_OUT",
    "the task's timeout": "FAILED",
    "another branch": "SUCCEEDED",
}


@pytest.mark.parametrize("reason", PARENTS)
@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
def test_a_child_that_is_waited_for_is_stopped_with_its_task(localstack: Instance, reason: str, pattern: str) -> None:
    """ "If a task states:startExecution.sync is aborted, it will call the Step Functions StopExecution API action."

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
    """
    client = localstack.client("stepfunctions")
    child = create(localstack, machine(W=WAIT))
    sync = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::states:startExecution{pattern}",
        "Parameters": {"StateMachineArn": child},
        "End": True,
    }
    definition = PARENTS[reason](sync)
    if reason == "another branch":
        del definition["States"]["P"]["Branches"][1]["States"]["W"]["End"]
    parent = start(localstack, create(localstack, definition))

    def children() -> list[str]:
        return [execution["status"] for execution in client.list_executions(stateMachineArn=child)["executions"]]

    wait_until(lambda: children() == ["RUNNING"])
    if reason == "stopped":
        client.stop_execution(executionArn=parent)

    assert end(localstack, parent)["status"] == ENDS[reason]
    wait_until(lambda: children() == ["ABORTED"])
    types = [event["type"] for event in history(localstack, parent)]
    assert "TaskSucceeded" not in types
    assert types[-1].startswith("Execution")


def test_the_token_of_an_aborted_task_is_closed(localstack: Instance) -> None:
    """While the execution goes on, after the failure of another branch was caught.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
    """
    client, sqs = localstack.client("stepfunctions"), localstack.client("sqs")
    waiting = task(localstack, "token")
    failing = machine(W={"Type": "Wait", "SecondsPath": "$.seconds", "Next": "F"}, F=FAIL)
    catch = [{"ErrorEquals": ["E"], "Next": "W2"}]
    parallel = {"Type": "Parallel", "Branches": [machine(T=waiting), failing], "Catch": catch, "End": True}
    execution = start(localstack, create(localstack, machine(P=parallel, W2=WAIT)), {"seconds": 2})
    url = waiting["Parameters"]["QueueUrl"]
    token = wait_until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]["Body"]
    wait_until(lambda: "ParallelStateFailed" in [event["type"] for event in history(localstack, execution)])

    with pytest.raises(ClientError) as refused:
        client.send_task_success(taskToken=token, output=json.dumps({}))

    assert refused.value.response["Error"]["Code"] == "TaskTimedOut"
    client.stop_execution(executionArn=execution)
    assert end(localstack, execution)["status"] == "ABORTED"
