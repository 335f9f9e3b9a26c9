"""Where a JSONata state has expressions, what each may name, and what its fields take.

Sources: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html, and the pages of the states
(https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html, .../state-wait.html, .../state-map.html,
.../state-choice.html, .../state-fail.html).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from localstack_host.stepfunctions.jsonata import QueryError, expression_in, is_integer, problems, type_of

LONGEST_SECONDS = 99_999_999
MACHINES = ("Branches", "ItemProcessor", "Iterator")  # fields with states of their own
WITH_RESULT = ("Task", "Parallel", "Map", "Pass")
ON_SUCCESS = re.compile(r"(Output|Assign)\b.*", re.DOTALL)
ON_ERROR = re.compile(r"Catch\[\d+\]/(Output|Assign)\b.*", re.DOTALL)
CONDITION = re.compile(r"Choices\[\d+\]/Condition")

# What a state in the other query language has instead.
OF_JSONPATH = (
    *("InputPath", "Parameters", "ResultSelector", "ResultPath", "OutputPath", "ItemsPath", "SecondsPath"),
    *("TimestampPath", "TimeoutSecondsPath", "HeartbeatSecondsPath", "MaxConcurrencyPath", "ErrorPath", "CausePath"),
    *("ToleratedFailureCountPath", "ToleratedFailurePercentagePath"),
)
OF_JSONATA = ("Arguments", "Output", "Items")
NOT_OF_LANGUAGE = "The field '{}' is not supported in a state whose QueryLanguage is {}"

# The fields that take one type only, with the least and greatest number.
TYPES = {
    "TimeoutSeconds": ("number", 1, LONGEST_SECONDS),
    "HeartbeatSeconds": ("number", 1, LONGEST_SECONDS),
    "Seconds": ("number", 0, LONGEST_SECONDS),
    "MaxConcurrency": ("number", 0, None),
    "ToleratedFailureCount": ("number", 0, None),
    "ToleratedFailurePercentage": ("number", 0, 100),
    "ItemReader/ReaderConfig/MaxItems": ("number", 1, 100_000_000),
    "ItemBatcher/MaxItemsPerBatch": ("number", 1, None),
    "ItemBatcher/MaxInputBytesPerBatch": ("number", 1, 262_144),
    "Condition": ("boolean", None, None),
    "Items": ("array", None, None),
    "Timestamp": ("string", None, None),
    "Error": ("string", None, None),
    "Cause": ("string", None, None),
}
WITH_FRACTIONS = ("ToleratedFailurePercentage",)


def checked(value: Any, place: str) -> Any:
    """A value of the field at ``place``, such as ``Seconds`` or ``Arguments/items[0]``.

    Raises QueryError if the field does not take it.
    """
    field = "Condition" if CONDITION.fullmatch(place) else place
    expected, least, greatest = TYPES.get(field, (None, None, None))
    if expected is None:
        return value
    shown, found = json.dumps(value, separators=(",", ":"), ensure_ascii=False), type_of(value)
    if expected != found:
        raise QueryError(
            f"returned an unexpected result type. Expected '{expected}', but was '{found}' for value: {shown}"
        )
    if least is None:
        return value
    if field not in WITH_FRACTIONS and not is_integer(value):
        raise QueryError(f"returned {shown}, which is not an integer.")
    if value < least or (greatest is not None and value > greatest):
        limits = f"at least {least}" if greatest is None else f"between {least} and {greatest}"
        raise QueryError(f"returned {shown}, which is out of range: it must be {limits}.")
    return value if field in WITH_FRACTIONS else int(value)


def texts(part: Any, place: str) -> Iterator[tuple[str, str]]:
    """The strings of a state, and where they are, but for those of the states in it."""
    if isinstance(part, str):
        yield part, place
    elif isinstance(part, list):
        for number, element in enumerate(part):
            yield from texts(element, f"{place}[{number}]")
    elif isinstance(part, dict):
        for name, value in part.items():
            if place or name not in MACHINES:
                yield from texts(value, f"{place}/{name}" if place else name)


def available(state: dict[str, Any], place: str) -> tuple[str, ...]:
    """Which of ``result`` and ``errorOutput`` $states has in the field at ``place``."""
    if ON_ERROR.fullmatch(place):
        return ("errorOutput",)
    return ("result",) if state.get("Type") in WITH_RESULT and ON_SUCCESS.fullmatch(place) else ()


def foreign_fields(state: dict[str, Any], language: str) -> Iterator[tuple[str, str]]:
    """The fields that a state has and that are of the other language: what is wrong, and where in the state."""
    for field in OF_JSONPATH if language == "JSONata" else OF_JSONATA:
        if field in state:
            yield NOT_OF_LANGUAGE.format(field, language), field


def expression_problems(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with the expressions of a JSONata state, and where in the state."""
    for text, place in texts(state, ""):
        try:
            expression = expression_in(text)
        except QueryError as error:
            yield str(error), place
            continue
        if expression is not None:
            yield from ((problem, place) for problem in problems(expression, available(state, place)))
