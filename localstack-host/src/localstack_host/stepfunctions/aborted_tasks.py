"""An execution that is stopped, a task that is aborted, and the execution that a task started and waits for.

AWS: StopExecution stops an execution, whatever it waits for, with the error and cause that it is given, which
DescribeExecution and the event ExecutionAborted tell
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html). A task is aborted when its
execution is stopped, or another branch of its Parallel state or iteration of its Map state fails. If it runs a job
(.sync), Step Functions makes a best-effort attempt to cancel it: for startExecution, it calls StopExecution
(https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html).

LocalStack: forgets error and cause. A task that waits for its token, an activity or a function keeps a stopped
execution running until it is answered, and a task goes on to write events after it has timed out, was aborted or its
execution has ended. A .sync child runs on in any case. StopExecution right after StartExecution is a 500.

Here: a task's state ends when its execution or branch does. What still runs of the task on a thread of its own is not
heard any more; its token is closed. A .sync child is stopped, also when its task times out.

Evidence: documentation; belief for the .sync child of a task that timed out.
"""

import copy
import threading
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError
from localstack.services.stepfunctions.asl.component.common.timeouts.timeout import EvalTimeoutError
from localstack.services.stepfunctions.asl.component.state.state_execution.execute_state import ExecutionState
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
    state_task_service_callback,
    state_task_service_sfn,
)
from localstack.services.stepfunctions.asl.eval.callback.callback import (
    ActivityCallbackEndpoint,
    ActivityTaskStartEndpoint,
    CallbackConsumerTimeout,
)
from localstack.services.stepfunctions.asl.eval.environment import Environment
from localstack.services.stepfunctions.asl.eval.program_state import ProgramStopped
from localstack.services.stepfunctions.backend.execution import BaseExecutionWorkerCommunication
from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker

from localstack_host.patching import replace, swap, uses

uses(ExecutionState, "_eval_execution", "_is_language_query_jsonpath")
uses(Environment, "_frames")
uses(ActivityTaskStartEndpoint, "_next_activity_task_start_event")


class Announcing(threading.Event):
    """The event of a frame whose state changes: sets another one as well."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self.other = other

    def set(self) -> None:
        super().set()
        self.other.set()


class Unheard:
    """The history of a task that nobody waits for any more."""

    def add_event(self, context: Any, *args: Any, **kwargs: Any) -> int:
        return int(context.source_event_id)


def abandon(frame: Any) -> None:
    """What runs in the frame writes no more events, and does not wait for an answer; its token takes none."""
    swap(frame, "event_manager", Unheard())
    for inner in list(frame._frames):
        abandon(inner)
    task = frame.states.context_object.context_object_data.get("Task")
    if task and (endpoint := frame.callback_pool_manager.get(task["Token"])):
        endpoint.report(CallbackConsumerTimeout())
        endpoint.interrupt_all()
        if isinstance(endpoint, ActivityCallbackEndpoint):
            endpoint.get_activity_task_start_endpoint()._next_activity_task_start_event.set()


def install() -> None:
    def evaluating(self: Any, env: Any) -> None:
        self.timeout.eval(env=env)
        seconds = env.stack.pop()
        frame = env.open_frame()
        frame.states.reset(input_value=env.states.get_input())
        frame.stack = copy.deepcopy(env.stack)
        over, results = threading.Event(), []
        swap(frame, "program_state_event", Announcing(over))

        def execute() -> None:
            try:
                self._eval_execution(frame)
                results.append(frame.stack[-1])
            except Exception as error:
                results.append(error)
            over.set()

        if env.is_running():
            threading.Thread(target=execute, daemon=True).start()
            over.wait(seconds)
        result = results[0] if results else EvalTimeoutError()
        if not results:
            abandon(frame)
        frame.set_ended()
        env.close_frame(frame)
        if not env.is_running():
            return
        if isinstance(result, Exception):
            raise result
        env.stack.append(result)
        if not self._is_language_query_jsonpath():
            env.states.set_result(result)
        for step in (self.assign_decl, self.result_selector, self.result_path):
            if step:
                step.eval(env=env)
        if not self.result_path:
            env.states.reset(input_value=env.stack.pop())

    # patch: the wait for what a state executes, which only its end or its timeout ends.
    replace(ExecutionState, "_evaluate_with_timeout", evaluating)

    def syncing(self: Any, env: Any, sync_resolver: Any, **waiting: Any) -> Any:
        outcome = sync(self, env=env, sync_resolver=sync_resolver, **waiting)
        if not env.is_running() and hasattr(sync_resolver, "cancel"):
            sync_resolver.cancel()
        return outcome

    # patch: the loop in which a task waits for a job, which ends when the task is over.
    sync = replace(state_task_service_callback.StateTaskServiceCallback, "_eval_sync", syncing)

    stoppable("_build_sync_resolver")
    stoppable("_build_sync2_resolver")

    def reflecting(self: Any) -> None:
        reflect(self)
        state = self.execution.exec_worker.env.program_state()
        if isinstance(state, ProgramStopped):
            self.execution.error, self.execution.cause = state.error, state.cause

    # patch: where an execution takes over how its worker has ended.
    reflect = replace(BaseExecutionWorkerCommunication, "_reflect_execution_status", reflecting)

    def stopping(self: Any, **details: Any) -> None:
        pause = threading.Event()
        while self.env is None or self.env.program_state() is None:
            pause.wait(0.01)  # it has been started, and reads its definition
        stop(self, **details)

    # patch: the worker's thread makes what can be stopped.
    stop = replace(ExecutionWorker, "stop", stopping)


def stoppable(name: str) -> None:
    def building(self: Any, env: Any, **task: Any) -> Any:
        execution = env.stack[-1]["ExecutionArn"]
        resolver = build(self, env=env, **task)

        def cancel() -> None:
            client = state_task_service_sfn.boto_client_for(
                service="stepfunctions",
                region=task["resource_runtime_part"].region,
                state_credentials=task["state_credentials"],
            )
            with suppress(ClientError):  # an Express workflow's cannot be stopped
                client.stop_execution(executionArn=execution)

        resolver.cancel = cancel
        return resolver

    # patch: where the ARN of the execution that a task has started is known.
    build = replace(state_task_service_sfn.StateTaskServiceSfn, name, building)
