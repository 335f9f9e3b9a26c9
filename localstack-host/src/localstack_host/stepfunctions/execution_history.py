"""The history of an execution ends with its end, and that of a Standard workflow has at most 25,000 events.

AWS: at 24,999 events the execution ends with the next one: if that is ExecutionSucceeded it has succeeded, else
ExecutionFailed is logged in its place and the execution fails
(https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html). One that has as many cannot be redriven
(https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html). Express workflows have no such limit.

LocalStack: counts nothing, so that a loop without an end runs on; one reached 165,299 events. An iteration or a branch,
whose own end comes after that of the execution, writes its events after it.

Here: the history of an execution refuses the event that is one too many, and the execution and all its branches and
iterations fail. Nothing follows the end of an execution but its redrive.

Evidence: documentation; belief for the error's name and cause at the limit, and that no Catch sees it.
"""

import threading
from types import SimpleNamespace
from typing import Any

from localstack.aws.api.stepfunctions import ExecutionFailedEventDetails, HistoryEventType, StateMachineType
from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails
from localstack.services.stepfunctions.asl.eval.event.event_manager import EventManager
from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker

from localstack_host.patching import overrides, replace, swap, uses

uses(EventManager, "_history_event_list")

MOST_EVENTS = 25_000
ERROR = StatesErrorNameType.StatesRuntime
DETAILS = ExecutionFailedEventDetails(
    error=ERROR.to_name(), cause=f"The execution reached the maximum number of history events ({MOST_EVENTS})."
)
ENDS = (
    HistoryEventType.ExecutionSucceeded,
    HistoryEventType.ExecutionFailed,
    HistoryEventType.ExecutionAborted,
    HistoryEventType.ExecutionTimedOut,
)


class HistoryFull(FailureEventException):
    """Raised in the place of the event for which there is no room."""

    def __init__(self, context: Any) -> None:
        super().__init__(
            FailureEvent(
                env=SimpleNamespace(next_state_name=None, event_history_context=context),
                error_name=StatesErrorName(typ=ERROR),
                event_type=HistoryEventType.ExecutionFailed,
                event_details=EventDetails(executionFailedEventDetails=DETAILS),
            )
        )

    @overrides
    def get_execution_failed_event_details(self) -> ExecutionFailedEventDetails:
        return DETAILS


class ExecutionHistory(EventManager):
    """The events of ``execution``, an environment, its branches and its iterations."""

    def __init__(self, execution: Any) -> None:
        super().__init__(execution.cloud_watch_logging_session)
        self.execution, self.adding = execution, threading.RLock()

    @property
    def full(self) -> bool:
        limited = self.execution.execution_type == StateMachineType.STANDARD
        return limited and len(self._history_event_list) >= MOST_EVENTS - 1

    @property
    def over(self) -> bool:
        return bool(self._history_event_list) and self._history_event_list[-1]["type"] in ENDS

    @overrides
    def add_event(self, context: Any, event_type: Any, event_details: Any = None, *args: Any, **kwargs: Any) -> int:
        with self.adding:
            if self.over and event_type != HistoryEventType.ExecutionRedriven:
                return int(context.source_event_id)
            if self.full and event_type == HistoryEventType.ExecutionFailed:
                # What ended in the meantime may have failed in another way.
                event_details = EventDetails(executionFailedEventDetails=DETAILS)
                self.execution.set_error(DETAILS)
            if not self.full or event_type in ENDS:
                return int(super().add_event(context, event_type, event_details, *args, **kwargs))
        self.execution.set_error(DETAILS)
        if event_type.startswith("MapIteration"):
            return int(context.source_event_id)  # on a thread of its own, where nobody expects an exception
        raise HistoryFull(context)


def install() -> None:
    def recorded(self: Any) -> Any:
        env = make(self)
        swap(env, "event_manager", ExecutionHistory(env))
        return env

    # patch: an execution's worker makes its environment here, and that makes the history by itself.
    make = replace(ExecutionWorker, "_get_evaluation_environment", recorded)
