"""Names, inputs and outputs that AWS refuses are refused.

AWS: names of state machines and executions have up to 80 characters and no white space, brackets, wildcards, control
characters or any of "#%\\^|~`$&,;:/ (InvalidName). An execution's input and a task's output are JSON
(InvalidExecutionInput, InvalidOutput), of up to 262,144 bytes in UTF-8; a definition has up to 1,048,576, the code of
an error up to 256 and its cause up to 32,768 characters
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html,
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html,
https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html,
https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html). NaN and Infinity are no JSON
(https://www.rfc-editor.org/rfc/rfc8259#section-6).

LocalStack: checks the names of activities only. It takes NaN and Infinity, and whatever a worker sends: a text that is
no JSON fails the task, as if the workflow were at fault.

Here: the provider checks them before it looks at anything else.

Evidence: documentation; belief for the messages and for the order of the checks.
"""

import json
import re
from typing import Any, NoReturn

from localstack.aws.api import RequestContext
from localstack.aws.api.stepfunctions import (
    CreateStateMachineInput,
    InvalidExecutionInput,
    InvalidName,
    InvalidOutput,
    ValidationException,
)
from localstack.services.stepfunctions.provider import StepFunctionsProvider

from localstack_host.patching import overrides

NOT_IN_NAMES = re.compile(r"""[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]""")
LIMITS = {"name": 80, "definition": 1_048_576, "input": 262_144, "output": 262_144, "error": 256, "cause": 32_768}
IN_BYTES = ("definition", "input", "output")


def check_lengths(request: Any) -> None:
    """Raises ValidationException for a field that is too long."""
    for field, limit in LIMITS.items():
        value = request.get(field) or ""
        if len(value.encode() if field in IN_BYTES else value) > limit:
            shown = f" '{value}'" if field == "name" else ""
            raise ValidationException(
                f"1 validation error detected: Value{shown} at '{field}' failed to satisfy constraint: "
                f"Member must have length less than or equal to {limit}"
            )


def check_name(name: str | None) -> None:
    if name and NOT_IN_NAMES.search(name):
        raise InvalidName(f"Invalid Name: '{name}'")


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def flaw(text: str) -> str | None:
    """Why a text is no JSON; None if it is.

    >>> flaw('{"a": NaN}')
    'NaN is no JSON'
    """
    try:
        json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return str(error)
    return None


class CheckedRequests(StepFunctionsProvider):
    @overrides
    def create_state_machine(self, context: RequestContext, request: CreateStateMachineInput, **kwargs: Any) -> Any:
        check_lengths(request)
        check_name(request["name"])
        return super().create_state_machine(context, request, **kwargs)

    @overrides
    def update_state_machine(self, context: RequestContext, *args: Any, **request: Any) -> Any:
        check_lengths(request)
        return super().update_state_machine(context, *args, **request)

    @overrides
    def start_execution(self, context: RequestContext, *args: Any, **request: Any) -> Any:
        self.check_execution(request)
        return super().start_execution(context, *args, **request)

    @overrides
    def start_sync_execution(self, context: RequestContext, *args: Any, **request: Any) -> Any:
        self.check_execution(request)
        return super().start_sync_execution(context, *args, **request)

    @overrides
    def stop_execution(self, context: RequestContext, *args: Any, **request: Any) -> Any:
        check_lengths(request)
        return super().stop_execution(context, *args, **request)

    @overrides
    def send_task_success(self, context: RequestContext, *args: Any, **request: Any) -> Any:
        check_lengths(request)
        if found := flaw(request["output"]):
            raise InvalidOutput(f"Invalid Output: '{found}'")
        return super().send_task_success(context, *args, **request)

    @overrides
    def send_task_failure(self, context: RequestContext, *args: Any, **request: Any) -> Any:
        check_lengths(request)
        return super().send_task_failure(context, *args, **request)

    def check_execution(self, request: dict[str, Any]) -> None:
        check_lengths(request)
        check_name(request.get("name"))
        if request.get("input") is not None and (found := flaw(request["input"])):
            raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{found}'")
