"""Names, inputs and outputs that are refused."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import ROLE, Instance, unique, wait_until
from state_machines import PASS, create, end, machine, start

LONG = "x" * 262_142
"""With its quotes, as long as an input may be."""
TOO_LONG = "ValidationException"


def code(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    found: str = refused.value.response["Error"]["Code"]
    return found


def test_a_name_has_no_special_characters(localstack: Instance) -> None:
    """Of a state machine, an execution or an activity.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    client, definition = localstack.client("stepfunctions"), json.dumps(machine(A=PASS))
    arn = create(localstack, machine(A=PASS))

    for character in ' \t<>{}[]?*"#%\\^|~`$&,;:/\x00\x1f\x7f\x9f':
        name = f"a{character}b"
        assert code(client.start_execution, stateMachineArn=arn, name=name) == "InvalidName"
        assert code(client.create_state_machine, name=name, definition=definition, roleArn=ROLE) == "InvalidName"
        assert code(client.create_activity, name=name) == "InvalidName"


def test_a_name_has_eighty_characters(localstack: Instance) -> None:
    """Any others are taken.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    client, definition = localstack.client("stepfunctions"), json.dumps(machine(A=PASS))
    arn, name = create(localstack, machine(A=PASS)), "é.-_+=@!'()".ljust(80, "x")

    assert client.start_execution(stateMachineArn=arn, name=name)["executionArn"].endswith(f":{name}")
    assert code(client.start_execution, stateMachineArn=arn, name=f"{name}x") == "ValidationException"
    too_long = {"name": "x" * 81, "definition": definition, "roleArn": ROLE}
    assert code(client.create_state_machine, **too_long) == TOO_LONG


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "NaN", '{"a": Infinity}', "[-Infinity]", "nonsense", "{} {}"])
def test_what_is_no_json_is_refused(localstack: Instance, text: str) -> None:
    """As the input of an execution and as the output of a task, which goes on to wait.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
    """
    client = localstack.client("stepfunctions")
    activity = client.create_activity(name=unique("activity"))["activityArn"]
    arn = create(localstack, machine(T={"Type": "Task", "Resource": activity, "End": True}))

    assert code(client.start_execution, stateMachineArn=arn, input=text) == "InvalidExecutionInput"
    execution = start(localstack, arn)
    token = client.get_activity_task(activityArn=activity)["taskToken"]
    assert code(client.send_task_success, taskToken=token, output=text) == "InvalidOutput"
    client.send_task_success(taskToken=token, output='{"a": 1}')
    ended = end(localstack, execution)
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", '{"a":1}')


def test_texts_have_their_limits(localstack: Instance) -> None:
    """Input and output 262,144 bytes in UTF-8, an error's code 256 and its cause 32,768 characters.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html
    """
    client = localstack.client("stepfunctions")
    activity = client.create_activity(name=unique("activity"))["activityArn"]
    arn = create(localstack, machine(T={"Type": "Task", "Resource": activity, "TimeoutSeconds": 60, "End": True}))

    for given in (f"{LONG}x", LONG[:-1] + "é"):
        assert (
            code(client.start_execution, stateMachineArn=arn, input=json.dumps(given, ensure_ascii=False)) == TOO_LONG
        )
    execution = start(localstack, arn, "x")
    token = wait_until(lambda: client.get_activity_task(activityArn=activity).get("taskToken"))
    assert code(client.send_task_success, taskToken=token, output=json.dumps(f"{LONG}x")) == TOO_LONG
    for details in ({"error": "E" * 257}, {"cause": "c" * 32_769}):
        assert code(client.send_task_failure, taskToken=token, **details) == TOO_LONG
        assert code(client.stop_execution, executionArn=execution, **details) == TOO_LONG
    client.send_task_failure(taskToken=token, error="E" * 256, cause="c" * 32_768)
    failed = end(localstack, execution)
    assert (failed["error"], failed["cause"]) == ("E" * 256, "c" * 32_768)


def test_a_definition_has_a_megabyte(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html"""
    client = localstack.client("stepfunctions")
    arn, definition = create(localstack, machine(A=PASS)), json.dumps(machine(A={**PASS, "Comment": "c" * 1_048_576}))

    assert code(client.create_state_machine, name=unique("m"), definition=definition, roleArn=ROLE) == TOO_LONG
    assert code(client.update_state_machine, stateMachineArn=arn, definition=definition) == TOO_LONG


def test_a_synchronous_execution_is_checked_too(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html"""
    client = localstack.client("stepfunctions")
    arn = create(localstack, machine(A=PASS), type="EXPRESS")

    assert code(client.start_sync_execution, stateMachineArn=arn, input="NaN") == "InvalidExecutionInput"
    assert code(client.start_sync_execution, stateMachineArn=arn, name="a b") == "InvalidName"
    assert client.start_sync_execution(stateMachineArn=arn, input='{"a": 1}')["output"] == '{"a":1}'
