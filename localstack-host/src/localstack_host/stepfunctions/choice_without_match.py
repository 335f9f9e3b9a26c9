"""A Choice state without a match fails with an error of its own.

AWS: States.NoChoiceMatched, when the input matches no rule and the state has no Default; a Choice state has no Catch
(https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html,
https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html).

LocalStack: States.Runtime, which no Catch of a surrounding Parallel or Map state can be told to expect.

Here: the choice evaluates its rules and reports what is missing.

Evidence: documentation; belief for the wording of the cause.
"""

from typing import Any

from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.component.state.state_choice.state_choice import StateChoice

from localstack_host.patching import replace
from localstack_host.stepfunctions.failures import failure


def install() -> None:
    def choosing(self: Any, env: Any) -> None:
        if self.default_state is not None:
            choose(self, env)
            return
        for rule in self.choices_decl.rules:
            rule.eval(env)
            if env.stack.pop() is True:
                env.stack.append(rule.next_stmt.name)
                return
        cause = (
            f"An error occurred while executing the state '{self.name}' (entered at the event id "
            f"#{env.event_history_context.source_event_id}). Failed to transition out of the state. "
            "The state does not point to a next state."
        )
        raise failure(env, StatesErrorNameType.StatesNoChoiceMatched, cause)

    # patch: the parser makes the state's class itself, and the error is raised in here.
    choose = replace(StateChoice, "_eval_state", choosing)
