"""LocalStack's Choice states compare by the operators of ``choice_rules``."""

from typing import Any

from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEventException
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.component.state.state_choice.comparison.comparison_func import (
    ComparisonFuncStringVariableSample,
)
from localstack.services.stepfunctions.asl.component.state.state_choice.comparison.comparison_variable import (
    ComparisonVariable,
)
from localstack.services.stepfunctions.asl.eval.variable_store import NoSuchVariable
from localstack.services.stepfunctions.asl.utils.json_path import NoSuchJsonPathError

from localstack_host.patching import replace
from localstack_host.stepfunctions.choice_rules import MISSING, holds
from localstack_host.stepfunctions.failures import failure
from localstack_host.stepfunctions.jsonpath_values import extract


def read(sampler: Any, env: Any) -> Any:
    """What a path of the rule leads to. Raises what LocalStack raises for what is missing."""
    sampler.eval(env=env)
    return env.stack.pop()


def compared(rule: Any, env: Any) -> Any:
    """What the rule compares its variable with: a literal, or what a path in it leads to."""
    if isinstance(rule, ComparisonFuncStringVariableSample):
        return read(rule.string_variable_sample, env)
    if not rule.operator_type.name.endswith("Path"):
        return rule.value
    if rule.value.startswith("$$"):
        return extract(rule.value[1:], env.states.context_object.context_object_data)
    return extract(rule.value, env.stack[-1])


def missing(env: Any, path: str) -> FailureEventException:
    return failure(env, StatesErrorNameType.StatesRuntime, MISSING.format(path))


def install() -> None:
    def evaluating(self: Any, env: Any) -> None:
        rule, path = self.comparison_function, self.variable.string_sampler.literal_value
        operator = rule.operator_type.name.removesuffix("Path")
        try:
            try:
                variable = read(self.variable.string_sampler, env)
            except (NoSuchJsonPathError, NoSuchVariable, FailureEventException):
                if operator != "IsPresent":
                    raise
                env.stack.append(not rule.value)
                return
            path = rule.value
            value = compared(rule, env)
        except (NoSuchJsonPathError, NoSuchVariable, FailureEventException) as error:
            raise missing(env, path) from error
        env.stack.append(holds(operator, variable, value))

    # patch: the parser makes the rules itself, and one method has both sides of a comparison.
    replace(ComparisonVariable, "_eval_body", evaluating)
