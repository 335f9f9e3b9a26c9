"""Workflows and states in JSONata, without Java.

AWS: with "QueryLanguage": "JSONata" the strings between {% and %} in a state are expressions. They name $states.input,
.result, .errorOutput and .context, and the variables; Arguments and Output, Assign, Condition, Items and the numbers of
a state take them. One that throws, is undefined, or gives a value that its field does not take fails the state with
States.QueryEvaluationError, which Retry and Catch of Task, Map and Parallel can name. It is JSONata 2.0.6 with
$partition, $range, $hash, $random(seed), $uuid and $parse, and without $eval
(https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html). Assign gives variables their values when
the state is left: all of a state sees them as they were on entry
(https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html).

LocalStack: downloads Java to evaluate. Writes all variables into the text of each expression, which a quotation mark in
a value breaks. Has no $hash and $uuid. Gives Output the variables that Assign has just set, and catches no error of
Output. Fails the execution past every Catch when a value does not suit its field.

Here: jsonata-python evaluates in the process, with the values bound. An expression knows its field from its place in
the definition. Refused with the definition are $ and $$ and names without a variable outside of a context, $eval, and
$states.result and $states.errorOutput where there is none. An expression may take 10 s.

Evidence: documentation; belief for the messages (an undefined value's is quoted in public logs, a wrong type's is in
recordings of Items), for fractions in a field that takes an integer, and for the 10 s.
"""

import json
from typing import Any

from localstack.aws.api.stepfunctions import EvaluationFailedEventDetails, HistoryEventType
from localstack.services.stepfunctions.asl.antlr.runtime.ASLParser import ASLParser
from localstack.services.stepfunctions.asl.component.common.assign.assign_decl import AssignDecl
from localstack.services.stepfunctions.asl.component.common.catch.catch_outcome import CatchOutcome
from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.component.common.string.string_expression import StringJSONata
from localstack.services.stepfunctions.asl.component.state.state import CommonStateField
from localstack.services.stepfunctions.asl.component.state.state_execution.execute_state import ExecutionState
from localstack.services.stepfunctions.asl.component.state.state_execution.state_parallel.state_parallel import (
    StateParallel,
)
from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails
from localstack.services.stepfunctions.asl.eval.states import States
from localstack.services.stepfunctions.asl.eval.variable_store import IllegalOuterScopeWrite, VariableStore
from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor

from localstack_host.patching import replace, uses
from localstack_host.stepfunctions.jsonata import QueryError, evaluate
from localstack_host.stepfunctions.jsonata_fields import checked

uses(States, "_states_data")
uses(VariableStore, "_outer_scope", "_inner_scope", "_declaration_tracing")
uses(ExecutionState, "output")


def location(node: Any) -> str:
    """Where in its state a node of the parse tree is, as in ``Arguments/items[0]/sku``."""
    parts: list[str] = []
    while (parent := node.parentCtx) is not None and not isinstance(parent, ASLParser.State_declContext):
        texts = [child.getText() for child in parent.getChildren()]
        part = json.loads(texts[0]) if len(texts) > 2 and texts[1] == ":" else ""
        before = texts[: list(parent.getChildren()).index(node)]
        if "[" in before[: 3 if part else 1]:
            part += f"[{before.count(',')}]"
        parts.insert(0, part)
        node = parent
    return "/".join(part for part in parts if part).replace("/[", "[")


def variables(env: Any, place: str) -> dict[str, Any]:
    """What an expression at ``place`` can name: the variables as they were when the state was entered, and $states.

    LocalStack has a result and an error of None in every state; which fields can name them is checked in definitions.
    """
    given = env.states._states_data
    available = {"input": given["input"], "context": given["context"]}
    if place.partition("/")[0] in ("Output", "Assign"):
        available["result"] = given.get("result")
    if given.get("errorOutput") is not None:
        available["errorOutput"] = given["errorOutput"]
    return {**env.variable_store._outer_scope, **env.variable_store._inner_scope, "states": available}


def failure(env: Any, cause: str, place: str) -> FailureEventException:
    error = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(
        error=error.error_name, cause=cause, location=place, state=env.next_state_name
    )
    event: Any = FailureEvent(
        env=env,
        error_name=error,
        event_type=HistoryEventType.EvaluationFailed,
        event_details=EventDetails(evaluationFailedEventDetails=details),
    )
    event.source_event_id = entered(env)
    return FailureEventException(event)


def entered(env: Any) -> int:
    """The number of the event with which the state was entered, which messages tell."""
    events = {event["id"]: event for event in env.event_manager.get_event_history()}
    number: int = env.event_history_context.source_event_id
    while number in events and events[number].get("stateEnteredEventDetails", {}).get("name") != env.next_state_name:
        number = events[number]["previousEventId"]
    return number


def recorded(env: Any, failed: FailureEventException) -> None:
    """Puts the failure of an expression into the history, unless it is there."""
    event: Any = failed.failure_event
    if event.event_type == HistoryEventType.EvaluationFailed and not hasattr(event, "recorded"):
        event.recorded = True
        env.event_manager.add_event(
            context=env.event_history_context,
            event_type=event.event_type,
            event_details=EventDetails(evaluationFailedEventDetails=failed.get_evaluation_failed_event_details()),
        )


def install() -> None:
    install_expressions()
    install_failures()
    install_variables()


def install_expressions() -> None:
    def parsing(self: Any, ctx: Any) -> Any:
        expression = parse(self, ctx)
        expression.location = location(ctx)
        return expression

    # patch: what the parser makes does not know where it was.
    parse = replace(Preprocessor, "visitString_jsonata", parsing)

    def evaluating(self: Any, env: Any) -> None:
        try:
            value = checked(evaluate(self.expression, variables(env, self.location)), self.location)
        except QueryError as error:
            cause = f"The JSONata expression '{self.expression}' specified for the field '{self.location}' {error}"
            raise failure(env, cause, self.location) from error
        env.stack.append(value)

    # patch: the parser makes objects of this class for every expression.
    replace(StringJSONata, "_eval_body", evaluating)


def install_failures() -> None:
    def executing(self: Any, env: Any) -> None:
        try:
            execute(self, env)
            if self.output:
                self.output.eval(env=env)
        except Exception as failed:
            vars(env.variable_store).pop("assigned", None)
            if isinstance(failed, FailureEventException) and isinstance(self, StateParallel):
                recorded(env, failed)
            elif isinstance(failed, FailureEventException):
                vars(failed.failure_event)["recorded"] = True  # by LocalStack, for a Task or Map
            raise

    # patch: the one step that Retry and Catch of Task, Map and Parallel are around; Output comes after them.
    execute = replace(ExecutionState, "_evaluate_with_timeout", executing)

    def leaving(self: Any, env: Any) -> None:
        if self.output and not isinstance(env.stack[-1], CatchOutcome):
            env.stack.pop()
        else:
            leave(self, env)

    # patch: it would evaluate Output a second time.
    leave = replace(ExecutionState, "_eval_state_output", leaving)

    def running(self: Any, env: Any) -> None:
        try:
            run(self, env)
        except FailureEventException as failed:
            recorded(env, failed)
            raise

    # patch: all states that cannot catch go through here, and LocalStack wrote the event where it evaluated.
    run = replace(CommonStateField, "_eval_body", running)


def install_variables() -> None:
    def assigning(self: Any, env: Any) -> None:
        declared: dict[str, Any] = {}
        for binding in self.declaration_bindings:
            binding.eval(env=env)
            declared |= env.stack.pop()
        for name, value in declared.items():
            if name in env.variable_store._outer_scope:
                raise IllegalOuterScopeWrite(variable_identifier=name, variable_value=value)
        env.variable_store.assigned = declared

    # patch: the parser makes it, and it sets the variables at once.
    replace(AssignDecl, "_eval_body", assigning)

    def assigned(self: Any) -> dict[str, str]:
        declared = vars(self).pop("assigned", {})
        for name, value in declared.items():
            self.set(name, value)
        return {name: json.dumps(value, separators=(",", ":")) for name, value in declared.items()}

    # patch: every state that assigns comes through here as it is left; a quotation mark in a value broke the answer.
    replace(VariableStore, "get_assigned_variables", assigned)
