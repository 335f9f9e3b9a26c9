"""A Parallel or Map state fails with the error of its branch, also when that is one of the predefined ones.

AWS: a branch or iteration that fails stops the others and fails the state, with its error, which Retry and Catch of the
state can name, except States.Runtime (https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html,
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html).

LocalStack: takes the error for one of the user's, whose names must not begin with "States.": a task that times out in a
branch ends the whole execution with States.Runtime, past every Catch.

Here: such names become predefined errors, except States.Runtime.

Evidence: documentation; recording TestBaseScenarios::test_parallel_state_catch (a user's error).
"""

from typing import Any

from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration import (
    iteration_worker,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_parallel import branches_decl

from localstack_host.patching import replace


def install() -> None:
    for module in (branches_decl, iteration_worker):
        naming(module)


def naming(module: Any) -> None:
    def named(error_name: str | None) -> Any:
        if error_name and error_name.startswith("States.") and error_name != "States.Runtime":
            return StatesErrorName.from_name(error_name)
        return custom(error_name=error_name)

    # patch: both kinds of state give their error a name of this class in the middle of their evaluation.
    custom = replace(module, "CustomErrorName", named)
