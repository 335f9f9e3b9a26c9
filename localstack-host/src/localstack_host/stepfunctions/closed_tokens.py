"""A task token is good for one answer, while its task waits.

AWS: SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat answer TaskTimedOut when the token has expired or its task
was already closed (https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html).

LocalStack: takes a second answer, and one after the task's timeout, as long as the execution runs, and answers
InvalidToken when it has ended. A retry has the token of the attempt before it. While any other execution is about to
begin, an answer is an internal error.

Here: a task that fails closes its token, and a retry gets another one; the provider looks for the token in the
executions that have begun, and refuses it unless its task waits.

Evidence: documentation; belief for the message (as quoted in public bug reports) and for a retry's own token.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.stepfunctions import ExecutionStatus, InvalidToken, TaskTimedOut
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
    state_task_service_callback,
)
from localstack.services.stepfunctions.asl.eval.callback.callback import (
    CallbackConsumerTimeout,
    CallbackNotifyConsumerError,
    CallbackOutcomeFailure,
    CallbackOutcomeSuccess,
)
from localstack.services.stepfunctions.provider import StepFunctionsProvider

from localstack_host.patching import overrides, replace
from localstack_host.stepfunctions.begun_executions import begun

CLOSED = "Task Timed Out: 'Provided task does not exist anymore'"


class ClosedTokens(StepFunctionsProvider):
    @overrides
    def send_task_success(self, context: RequestContext, task_token: str, output: str, **kwargs: Any) -> Any:
        return self.answer(context, task_token, CallbackOutcomeSuccess(callback_id=task_token, output=output))

    @overrides
    def send_task_failure(
        self, context: RequestContext, task_token: str, error: Any = None, cause: Any = None, **kwargs: Any
    ) -> Any:
        outcome = CallbackOutcomeFailure(callback_id=task_token, error=error, cause=cause)
        return self.answer(context, task_token, outcome)

    @overrides
    def send_task_heartbeat(self, context: RequestContext, task_token: str, **kwargs: Any) -> Any:
        self.waiting(context, task_token).heartbeat(callback_id=task_token)
        return {}

    def answer(self, context: RequestContext, token: str, outcome: Any) -> dict[str, Any]:
        try:
            self.waiting(context, token).notify(callback_id=token, outcome=outcome)
        except CallbackNotifyConsumerError:  # since it was looked up
            raise TaskTimedOut(CLOSED) from None
        return {}

    def waiting(self, context: RequestContext, token: str) -> Any:
        """The tokens of the execution of which a task waits with this one. Raises the error if there is none."""
        for execution, env in begun(self.get_store(context)):
            if task := env.callback_pool_manager.get(token):
                if execution.exec_status != ExecutionStatus.RUNNING or task.get_outcome() or task.consumer_error:
                    raise TaskTimedOut(CLOSED)
                return env.callback_pool_manager
        raise InvalidToken("Invalid token")


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
