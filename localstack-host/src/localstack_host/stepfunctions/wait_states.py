"""A Wait state ends at the moment that it names, neither a second early nor a second late.

AWS: Timestamp and TimestampPath name the moment, Seconds and SecondsPath the seconds, an integer from 0 to 99999999
(https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html). A value that is neither fails the execution with
States.Runtime.

LocalStack: cuts off the fraction of a timestamp and of what is left until then, so that the state ends up to two
seconds early, on a machine whose clock is not on UTC hours early or late; an interrupted wait is rounded up. A value
that is no text fails with the name of a Python error, and true is one second.

Here: waits until the moment, by the timestamps of all workflows.

Evidence: documentation; recording for the causes (TestBaseScenarios::test_wait_timestamp_path).
"""

import time
from datetime import UTC, datetime
from typing import Any

from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from localstack.services.stepfunctions.asl.component.state import state
from localstack.services.stepfunctions.asl.component.state.state_wait.wait_function.seconds_path import SecondsPath
from localstack.services.stepfunctions.asl.component.state.state_wait.wait_function.timestamp import Timestamp
from localstack.services.stepfunctions.asl.component.state.state_wait.wait_function.wait_function import WaitFunction

from localstack_host.patching import replace, uses
from localstack_host.stepfunctions.timestamps import nanoseconds, written

uses(Timestamp, "_create_failure_event")


def install() -> None:
    def seconds_left(self: Any, env: Any) -> float:
        self.string.eval(env=env)
        value = env.stack.pop()
        moment = nanoseconds(value)
        if moment is None:
            raise FailureEventException(self._create_failure_event(env, value))
        return moment / 10**9 - time.time()

    # patch: the parser makes the states itself; what is left until a timestamp is computed in here.
    replace(Timestamp, "_get_wait_seconds", seconds_left)
    # patch: asked whether a literal is a timestamp, when a definition is read.
    replace(Timestamp, "_from_timestamp_string", staticmethod(nanoseconds))

    def waiting(self: Any, env: Any, wait_seconds: float) -> None:
        end = time.time() + wait_seconds
        while (left := end - time.time()) > 0 and env.is_running():
            env.program_state_event.wait(left)

    # patch: the wait of every kind of Wait state, which counts whole seconds.
    replace(WaitFunction, "_wait_interval", waiting)

    def validating(self: Any, env: Any, seconds: Any) -> None:
        validate(self, env, str(seconds).lower() if isinstance(seconds, bool) else seconds)

    # patch: only here is the value known that SecondsPath leads to.
    validate = replace(SecondsPath, "_validate_seconds_value", validating)

    def entered(**fields: Any) -> Any:
        return state_data(**fields | {"EnteredTime": written(datetime.now(UTC))})

    # patch: the Context object's part on the state is made in the middle of a state's evaluation.
    state_data = replace(state, "StateData", entered)
