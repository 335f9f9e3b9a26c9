"""A task token is good for one answer, while its task waits.

AWS: SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat answer TaskTimedOut when the token has expired or its task
was already closed (https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html).

LocalStack: takes a second answer, and one after the task's timeout, as long as the execution runs, and answers
InvalidToken when it has ended. A retry has the token of the attempt before it.

Here: a task that fails closes its token, and a retry gets another one; the provider looks for the token in the
executions first, and refuses it unless its task waits.

Evidence: documentation; belief for the message (as quoted in public bug reports) and for a retry's own token.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.stepfunctions import ExecutionStatus, TaskTimedOut
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
    state_task_service_callback,
)
from localstack.services.stepfunctions.asl.eval.callback.callback import CallbackConsumerTimeout
from localstack.services.stepfunctions.provider import StepFunctionsProvider

from localstack_host.patching import overrides, replace

CLOSED = "Task Timed Out: 'Provided task does not exist anymore'"


def is_closed(execution: Any, token: str) -> bool:
    """Whether a task of the execution had this token, and does not wait for it any more."""
    env = execution.exec_worker and execution.exec_worker.env
    task = env and env.callback_pool_manager.get(token)
    if not task:
        return False
    over = execution.exec_status != ExecutionStatus.RUNNING
    return bool(over or task.get_outcome() or task.consumer_error)


class ClosedTokens(StepFunctionsProvider):
    @overrides
    def send_task_success(self, context: RequestContext, task_token: str, *args: Any, **kwargs: Any) -> Any:
        self.refuse_closed(context, task_token)
        return super().send_task_success(context, task_token, *args, **kwargs)

    @overrides
    def send_task_failure(self, context: RequestContext, task_token: str, *args: Any, **kwargs: Any) -> Any:
        self.refuse_closed(context, task_token)
        return super().send_task_failure(context, task_token, *args, **kwargs)

    @overrides
    def send_task_heartbeat(self, context: RequestContext, task_token: str, *args: Any, **kwargs: Any) -> Any:
        self.refuse_closed(context, task_token)
        return super().send_task_heartbeat(context, task_token, *args, **kwargs)

    def refuse_closed(self, context: RequestContext, token: str) -> None:
        if any(is_closed(execution, token) for execution in list(self.get_store(context).executions.values())):
            raise TaskTimedOut(CLOSED)


def install() -> None:
    def closing(self: Any, env: Any, ex: Exception) -> Any:
        event = from_error(self, env, ex)
        context, pool = env.states.context_object, env.callback_pool_manager
        if task := context.context_object_data.get("Task"):
            pool.get(task["Token"]).report(CallbackConsumerTimeout())
            pool.add(context.update_task_token())
        return event

    # patch: where a task that waits for its token learns that it has failed, for whatever reason.
    from_error = replace(state_task_service_callback.StateTaskServiceCallback, "_from_error", closing)
