"""A missed heartbeat can be caught and retried by its own name.

AWS: a task that sends no heartbeat for HeartbeatSeconds can be matched in Retry and Catch by States.HeartbeatTimeout;
States.Timeout stands for a missed heartbeat too
(https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html).

LocalStack: matches it by States.Timeout only.

Here: the error of a missed heartbeat equals both names. It is reported as States.Timeout, as by LocalStack.

Evidence: documentation; belief for the name that is reported.
"""

from typing import Any

from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
    state_task_service_callback,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.state_task_activitiy import (
    StateTaskActivity,
)
from localstack.services.stepfunctions.asl.eval.callback.callback import HeartbeatTimeoutError

from localstack_host.patching import replace, swap

NAMES = tuple(typ.to_name() for typ in (StatesErrorNameType.StatesTimeout, StatesErrorNameType.StatesHeartbeatTimeout))


class MissedHeartbeat(StatesErrorName):
    def __init__(self) -> None:
        super().__init__(typ=StatesErrorNameType.StatesTimeout)

    def __eq__(self, other: object) -> bool:
        return getattr(other, "error_name", None) in NAMES


def install() -> None:
    for kind in (StateTaskActivity, state_task_service_callback.StateTaskServiceCallback):
        naming(kind)


def naming(kind: Any) -> None:
    def named(self: Any, env: Any, ex: Exception) -> Any:
        event = from_error(self, env, ex)
        if isinstance(ex, HeartbeatTimeoutError):
            swap(event, "error_name", MissedHeartbeat())
        return event

    # patch: the two kinds of task that have heartbeats turn what was raised into an error's name in here.
    from_error = replace(kind, "_from_error", named)
