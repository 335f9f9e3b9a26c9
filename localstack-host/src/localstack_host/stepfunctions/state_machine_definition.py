"""A state machine whose states do not fit together is refused.

AWS: CreateStateMachine and UpdateStateMachine answer InvalidDefinition, ValidateStateMachineDefinition lists what is
wrong, when a target does not exist among the states beside it, a state cannot be reached, a state has neither Next nor
End, two states have one name, a path cannot be read, a Choice compares with a literal of another type, or States.ALL is
not in the last retrier or catcher
(https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html,
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html,
https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html). TestState takes
one state, or a whole machine with the name of a state in it
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html).

LocalStack: checks the grammar of each state and no more; the execution fails when it gets there.

Here: the provider checks what the grammar cannot say, after LocalStack's own check. Messages of the grammar are
LocalStack's. The targets of a state that TestState gets alone need not exist.

Evidence: documentation; belief for the messages (missing and unreachable targets as quoted in public bug reports).
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from localstack.aws.api.stepfunctions import InvalidDefinition
from localstack.services.stepfunctions.asl.static_analyser.test_state.test_state_analyser import (
    TestStateStaticAnalyser,
)
from localstack.services.stepfunctions.provider import StepFunctionsProvider

from localstack_host.patching import overrides, replace
from localstack_host.stepfunctions.choice_rules import literal_problems
from localstack_host.stepfunctions.item_batches import batcher_problems
from localstack_host.stepfunctions.jsonata_fields import expression_problems, foreign_fields
from localstack_host.stepfunctions.jsonpath import InvalidPath, compiled
from localstack_host.stepfunctions.jsonpath_variables import REFERENCE

WITHOUT_NEXT = ("Choice", "Succeed", "Fail")
REFUSED = "Invalid State Machine Definition"


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a definition, and where."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"


def problems(definition: Any) -> list[Problem]:
    """What is wrong with a decoded definition that obeys the grammar."""
    names = Counter(name for name, _ in all_states(definition))
    duplicates = (name for name, count in names.items() if count > 1)
    return [
        *machine_problems(definition, "", definition.get("QueryLanguage")),
        *(Problem("SCHEMA_VALIDATION_FAILED", f"Duplicate State name: {name}", "/States") for name in duplicates),
    ]


def machines_within(state: dict[str, Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The machines in a Parallel or Map state, and where they are."""
    for number, branch in enumerate(state.get("Branches", [])):
        yield branch, f"{place}/Branches[{number}]"
    for field in ("ItemProcessor", "Iterator"):
        if field in state:
            yield state[field], f"{place}/{field}"


def all_states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine.get("States", {}).items():
        yield name, state
        for inner, _ in machines_within(state, ""):
            yield from all_states(inner)


def targets(state: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The states that a state can lead to: field, name, and where in the state that is said."""
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field], f"/{field}"
    for group in ("Choices", "Catch"):
        for number, rule in enumerate(state.get(group, [])):
            if "Next" in rule:
                yield "Next", rule["Next"], f"/{group}[{number}]/Next"


TEMPLATES = ("Parameters", "ItemSelector", "ResultSelector", "Assign")


def path_problems(state: dict[str, Any], place: str) -> Iterator[Problem]:
    """The paths of a state, in fields of its own and in its payload templates, that are no JSONPaths."""
    found = [(place, field, value) for field, value in state.items() if field.endswith("Path")]
    for field in TEMPLATES:
        found += paths_within(state.get(field), f"{place}/{field}")
    for where, field, value in found:
        if isinstance(value, str) and value.startswith("$") and not is_path(value):
            what = "a valid JSONPath" if where == place else "a valid JSONPath or a valid intrinsic function call"
            message = f"The value for the field '{field}' must be {what}"
            yield Problem("SCHEMA_VALIDATION_FAILED", message, f"{where}/{field}" if where == place else where)


def paths_within(template: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """Where, field and value of each field whose name ends in ".$"."""
    for field, value in template.items() if isinstance(template, dict) else ():
        if field.endswith(".$"):
            yield place, field, value
        else:
            yield from paths_within(value, f"{place}/{field}")


def is_path(text: str) -> bool:
    """Whether a text that begins with "$" is a path, in the input, the Context object or a variable."""
    path = text[1:] if text.startswith("$$") else text
    try:
        compiled(f"${found['path']}" if (found := REFERENCE.fullmatch(path)) else path)
    except InvalidPath:
        return False
    return True


def language_problems(state: dict[str, Any], place: str, language: str | None) -> Iterator[Problem]:
    """What is wrong with the paths or expressions of a state in a machine of the query language."""
    spoken = state.get("QueryLanguage", language) or "JSONPath"
    if spoken == "JSONPath":
        yield from path_problems(state, place)
    for message, at in foreign_fields(state, spoken):
        yield Problem("SCHEMA_VALIDATION_FAILED", message, f"{place}/{at}")
    for message, at in expression_problems(state) if spoken == "JSONata" else ():
        yield Problem("SCHEMA_VALIDATION_FAILED", message, f"{place}/{at}")


def machine_problems(machine: dict[str, Any], place: str, language: str | None) -> Iterator[Problem]:
    """What is wrong with a machine, whose states are in ``language`` where they do not say theirs."""
    states, start = machine.get("States", {}), machine.get("StartAt")
    missing = "MISSING_TRANSITION_TARGET"
    if start not in states:
        yield Problem(missing, f"Missing 'StartAt' target: {start}", f"{place}/StartAt")
    reached = {start}
    for name, state in states.items():
        where = f"{place}/States/{name}"
        for field, target, at in targets(state):
            reached.add(target)
            if target not in states:
                yield Problem(missing, f"Missing '{field}' target: {target}", f"{where}{at}")
        if state.get("Type") not in WITHOUT_NEXT and "Next" not in state and not state.get("End"):
            yield Problem("SCHEMA_VALIDATION_FAILED", "The field Next or End is required", where)
        yield from language_problems(state, where, language)
        for message in batcher_problems(state):
            yield Problem("SCHEMA_VALIDATION_FAILED", message, f"{where}/ItemBatcher")
        for number, rule in enumerate(state.get("Choices", [])):
            for message, at in literal_problems(rule, f"{where}/Choices[{number}]"):
                yield Problem("SCHEMA_VALIDATION_FAILED", message, at)
        for group in ("Retry", "Catch"):
            for number, rule in enumerate(state.get(group, [])[:-1]):
                if "States.ALL" in rule.get("ErrorEquals", []):
                    message = f"States.ALL is only allowed in the last element of {group}"
                    yield Problem("SCHEMA_VALIDATION_FAILED", message, f"{where}/{group}[{number}]")
        for inner, at in machines_within(state, where):
            yield from machine_problems(inner, at, language)
    for name in states:
        if name not in reached:
            yield Problem(missing, f'State "{name}" is not reachable.', f"{place}/States/{name}")


def install() -> None:
    def validating(definition: str, static_analysers: list[Any]) -> None:
        validate(definition=definition, static_analysers=static_analysers)
        decoded = json.loads(definition)
        alone = any(isinstance(one, TestStateStaticAnalyser) and not one.state_name for one in static_analysers)
        if found := list(language_problems(decoded, "", None)) if alone else problems(decoded):
            refused = InvalidDefinition()
            refused.message = f"{REFUSED}: '{', '.join(map(str, found))}'"
            raise refused

    # patch: creating, updating and validating meet here only; the last calls it by the name of the stock class.
    validate = replace(StepFunctionsProvider, "_validate_definition", staticmethod(validating))


class Diagnostics(StepFunctionsProvider):
    @overrides
    def validate_state_machine_definition(self, context: Any, request: Any, **kwargs: Any) -> Any:
        output = super().validate_state_machine_definition(context, request, **kwargs)
        if any(diagnostic["message"].startswith(REFUSED) for diagnostic in output["diagnostics"]):
            output["diagnostics"] = [
                {
                    "severity": "ERROR",
                    "code": problem.code,
                    "message": problem.message,
                    "location": problem.location,
                }
                for problem in problems(json.loads(request["definition"]))
            ]
        return output
