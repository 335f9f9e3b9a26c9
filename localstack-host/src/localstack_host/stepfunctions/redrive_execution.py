"""An unsuccessful execution continues where it ended.

AWS: RedriveExecution continues an execution of a Standard workflow that failed, was aborted or timed out within the
last 14 days from the step that did not succeed, with that step's input, the same definition and the same ARN; the
history goes on with ExecutionRedriven, retries and timeouts start anew, and DescribeExecution tells redriveCount,
redriveDate and redriveStatus (https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html,
https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html).

LocalStack: answers that the operation is not implemented.

Here: the provider starts a new worker at the top-level state that was entered last, with its input, variables and
history. Not as on AWS, where only the branches or iterations that did not succeed run again: an execution that ended in
a Parallel or Map state is refused, with the reason. The redriven state is entered once more in the history.

Evidence: documentation.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.stepfunctions import (
    DescribeExecutionOutput,
    ExecutionNotRedrivable,
    ExecutionRedrivenEventDetails,
    ExecutionStatus,
    HistoryEventType,
    RedriveExecutionOutput,
    StateMachineType,
)
from localstack.services.stepfunctions.asl.component.common.flow.start_at import StartAt
from localstack.services.stepfunctions.asl.eval.callback.callback import CallbackConsumerTimeout, CallbackPoolManager
from localstack.services.stepfunctions.asl.eval.evaluation_details import EvaluationDetails
from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails
from localstack.services.stepfunctions.backend.execution import Execution
from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker
from localstack.services.stepfunctions.provider import StepFunctionsProvider

from localstack_host.patching import overrides, swap, uses

uses(
    Execution,
    *("_get_start_aws_execution_details", "get_start_execution_details", "get_start_state_machine_details"),
    *("_get_start_execution_worker_comm", "_to_serialized_date", "publish_execution_status_change_event"),
    *("_cloud_watch_logging_session", "_activity_store"),
    *("exec_worker", "exec_status", "stop_date", "error", "cause"),
)
uses(
    ExecutionWorker,
    *("start", "_get_evaluation_entrypoint", "_get_evaluation_environment", "_execution_communication"),
)
uses(CallbackPoolManager, "_pool")
uses(
    StepFunctionsProvider,
    *("get_store", "_get_execution"),
    *("_validate_state_machine_execution_arn", "_raise_resource_type_not_in_context"),
)

REDRIVABLE_DAYS = 14


class RedrivenWorker(ExecutionWorker):
    """Continues ``execution`` at the state ``name``, on the history and variables of its previous worker."""

    def __init__(self, execution: Execution, name: str, given: Any, count: int, date: datetime) -> None:
        super().__init__(
            evaluation_details=EvaluationDetails(
                aws_execution_details=execution._get_start_aws_execution_details(),
                execution_details=execution.get_start_execution_details(),
                state_machine_details=execution.get_start_state_machine_details(),
            ),
            exec_comm=execution._get_start_execution_worker_comm(),
            cloud_watch_logging_session=execution._cloud_watch_logging_session,
            activity_store=execution._activity_store,
        )
        previous, self.name = execution.exec_worker.env, name
        self.env = self._get_evaluation_environment()
        swap(self.env, "event_manager", previous.event_manager)
        self.env.event_manager.execution = self.env
        swap(self.env, "variable_store", previous.variable_store)
        swap(self.env, "callback_pool_manager", closed(previous.callback_pool_manager))
        self.env.states.reset(given)
        context = self.env.states.context_object.context_object_data["Execution"]
        context.update({"RedriveCount": count, "RedriveTime": Execution._to_serialized_date(date)})
        self.env.event_history_context.source_event_id = previous.event_manager.get_event_history()[-1]["id"]
        self.env.event_manager.add_event(
            context=self.env.event_history_context,
            event_type=HistoryEventType.ExecutionRedriven,
            event_details=EventDetails(executionRedrivenEventDetails=ExecutionRedrivenEventDetails(redriveCount=count)),
        )

    @overrides
    def _execution_logic(self) -> None:
        program = self._get_evaluation_entrypoint()
        swap(program, "start_at", StartAt(start_at_name=self.name))
        program.eval(self.env)
        self._execution_communication.terminated()


def closed(tokens: CallbackPoolManager) -> CallbackPoolManager:
    """The task tokens of what ended, none of which waits for an answer any more."""
    for endpoint in tokens._pool.values():
        endpoint.report(endpoint.consumer_error or CallbackConsumerTimeout())
    return tokens


def last_entered(history: list[dict[str, Any]], states: dict[str, Any]) -> dict[str, Any] | None:
    """The details of the last event with which one of ``states`` was entered."""
    entered = [event["stateEnteredEventDetails"] for event in history if "stateEnteredEventDetails" in event]
    return next((details for details in reversed(entered) if details["name"] in states), None)


def reason(execution: Execution) -> str | None:
    """Why an execution cannot be redriven, in AWS's words; None if it can."""
    if execution.exec_status in (ExecutionStatus.RUNNING, ExecutionStatus.SUCCEEDED):
        return f"Execution is {execution.exec_status} and cannot be redriven"
    if datetime.now(UTC) - execution.stop_date > timedelta(days=REDRIVABLE_DAYS):
        return "Execution redrivable period exceeded"
    if execution.exec_worker.env.event_manager.full:
        return "Execution history event limit exceeded"
    return None


class RedrivableExecutions(StepFunctionsProvider):
    @overrides
    def redrive_execution(
        self, context: RequestContext, execution_arn: str, client_token: str | None = None, **kwargs: Any
    ) -> RedriveExecutionOutput:
        self._validate_state_machine_execution_arn(execution_arn)
        execution: Any = self._get_execution(context=context, execution_arn=execution_arn)
        if execution.sm_type != StateMachineType.STANDARD:
            self._raise_resource_type_not_in_context(resource_type=execution.sm_type)
        redriven = getattr(execution, "redriven", {})
        if client_token and client_token == redriven.get("token"):
            return RedriveExecutionOutput(redriveDate=redriven["date"])
        if refused := reason(execution):
            raise ExecutionNotRedrivable(refused)
        states = json.loads(execution.state_machine.definition)["States"]
        entered = last_entered(execution.exec_worker.env.event_manager.get_event_history(), states)
        if entered is None or states[entered["name"]]["Type"] in ("Parallel", "Map"):
            raise ExecutionNotRedrivable("localstack-host does not redrive Parallel and Map states")
        date, count = datetime.now(UTC), redriven.get("count", 0) + 1
        execution.redriven = {"count": count, "date": date, "token": client_token}
        execution.exec_worker = RedrivenWorker(execution, entered["name"], json.loads(entered["input"]), count, date)
        execution.exec_status = ExecutionStatus.RUNNING
        execution.stop_date = execution.error = execution.cause = None
        execution.publish_execution_status_change_event()
        execution.exec_worker.start()
        return RedriveExecutionOutput(redriveDate=date)

    @overrides
    def describe_execution(
        self, context: RequestContext, execution_arn: str, *args: Any, **kwargs: Any
    ) -> DescribeExecutionOutput:
        output = super().describe_execution(context, execution_arn, *args, **kwargs)
        execution: Any = self._get_execution(context=context, execution_arn=execution_arn)
        redriven, refused = getattr(execution, "redriven", {}), reason(execution)
        output["redriveCount"] = redriven.get("count", 0)
        output["redriveStatus"] = "NOT_REDRIVABLE" if refused else "REDRIVABLE"
        if redriven:
            output["redriveDate"] = redriven["date"]
        if refused:
            output["redriveStatusReason"] = refused
        return output
