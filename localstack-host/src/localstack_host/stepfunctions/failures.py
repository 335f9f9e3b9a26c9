"""The failure of a state, with an error of Step Functions' own."""

from typing import Any

from localstack.aws.api.stepfunctions import HistoryEventType
from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails


def failure(
    env: Any, error: StatesErrorNameType, cause: str, event_type: HistoryEventType = HistoryEventType.ExecutionFailed
) -> FailureEventException:
    """What a state raises that fails, and the event of its failure; its details are an error and a cause."""
    field = f"{event_type[0].lower()}{event_type[1:]}EventDetails"
    details = {field: {"error": error.to_name(), "cause": cause}}
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=error),
            event_type=event_type,
            event_details=EventDetails(**details),
        )
    )
