"""JSONata as Step Functions has it, without LocalStack: what an expression's value is, and what it may name.

Source of the rules: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html.
"""

import hashlib
import json
import math
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.parser import Parser
from jsonata.utils import Utils

LONGEST_MS = 10_000  # of the clock, for one expression; no limit is documented, and one that recurs never ends
LONGEST_ARRAY = 10_000_000  # elements of an array that is made: JSONata's own limit (its error D2014)
ALGORITHMS = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")
DELIMITED = re.compile(r"\{%(?P<expression>.*)%\}", re.DOTALL)

# Where a node of the interpreter's tree has others: in the same context, and in one of its own, in which $ and names
# without a variable mean something. So have the steps of a path but the first.
OUTER = (
    *("procedure", "arguments", "body", "lhs", "rhs", "lhs_object", "rhs_object", "condition", "then", "_else"),
    *("expression", "expressions", "expr"),
)
INNER = ("stages", "predicate", "group", "terms", "rhs_terms", "pattern", "update", "delete")

NO_EVAL = "The function $eval is not supported: use $parse to read JSON"
NO_CONTEXT = "The JSONata expression refers to '{}' outside of a context: begin with $states or a variable"
NOT_AVAILABLE = "$states.{} is not available in this field"


class QueryError(Exception):
    """An expression that cannot be read, whose evaluation fails, or whose value is none that JSON has.

    The text goes on after "The JSONata expression '...' specified for the field '...'".
    """


def partition(array: list[Any] | None, size: Any) -> list[list[Any]] | None:
    if array is None:
        return None
    if not isinstance(array, list) or not is_integer(size) or size < 1:
        raise ValueError("$partition takes an array and a positive integer")
    return [array[first : first + int(size)] for first in range(0, len(array), int(size))]


def numbers(first: Any, last: Any, step: Any) -> list[Any]:
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (first, last, step)) or not step:
        raise ValueError("$range takes three numbers, the last of which is not 0")
    count = max(0, math.floor((last - first) / step) + 1)
    if count > LONGEST_ARRAY:
        raise ValueError(f"$range makes at most {LONGEST_ARRAY} elements")
    return [first + number * step for number in range(count)]


def digest(text: Any, algorithm: Any) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str) or algorithm not in ALGORITHMS:
        raise ValueError(f"$hash takes a string and one of {', '.join(ALGORITHMS)}")
    return hashlib.new(algorithm.replace("-", ""), text.encode(), usedforsecurity=False).hexdigest()


def chance(seed: Any = None) -> float:
    if seed is not None and not isinstance(seed, int | float | str):
        raise ValueError("$random takes a number")
    return random.Random(seed).random()


def parsed(text: Any) -> Any:
    def no_json(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError("$parse takes a string")
    value = json.loads(text, parse_constant=no_json)
    return Utils.NULL_VALUE if value is None else value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "partition": partition,
    "range": numbers,
    "hash": digest,
    "random": chance,
    "uuid": lambda: str(uuid.uuid4()),
    "parse": parsed,
}


def is_integer(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)


def expression_in(text: Any) -> str | None:
    """The expression between ``{%`` and ``%}``; None if the value is no such text.

    Raises QueryError if only one of the two is there.
    """
    if not isinstance(text, str) or not (text.startswith("{%") or text.endswith("%}")):
        return None
    if not (found := DELIMITED.fullmatch(text)):
        raise QueryError("The JSONata expression must begin with '{%' and end with '%}'")
    return found["expression"].strip()


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """The value of an expression, of JSON's types, whose variables are bound, not written into its text.

    Raises QueryError if there is none.
    """
    try:
        compiled = Jsonata(expression, timeout=LONGEST_MS)
        compiled.set_output_convert_nulls(False)
        for name, function in FUNCTIONS.items():
            compiled.register_lambda(name, function)
        bound = {name: Utils.NULL_VALUE if value is None else value for name, value in variables.items()}
        value = compiled.evaluate(None, bound)
    except ZeroDivisionError as error:
        raise QueryError("threw an error: D1001: Number out of range: Infinity") from error
    except JException as error:
        raise QueryError(f"threw an error: {error.error}: {error}") from error
    except Exception as error:
        raise QueryError(f"threw an error: {error}") from error
    if value is None:
        raise QueryError("returned nothing (undefined).")
    return plain(value)


def plain(value: Any) -> Any:
    """A copy of a value of the interpreter's in JSON's types. Raises QueryError if it has a part of another type."""
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise QueryError("returned an unsupported result type.")


def type_of(value: Any) -> str:
    """JSONata's name of a JSON value's type."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def problems(expression: str, available: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with an expression before it runs: its grammar and what it names.

    ``available`` are those of ``result`` and ``errorOutput`` that ``$states`` has in the expression's field.
    """
    try:
        tree = Jsonata(expression).ast
    except JException as error:
        yield f"The JSONata expression '{expression}' is not valid: {error}"
        return
    yield from named_wrongly(tree, available, within=False)


def named_wrongly(node: Any, available: tuple[str, ...], within: bool) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for part in node:
            yield from named_wrongly(part, available, within)
    if not isinstance(node, Parser.Symbol):
        return
    if node.type == "variable" and node.value == "eval":
        yield NO_EVAL
    if not within and node.type == "variable" and node.value in ("", "$"):
        yield NO_CONTEXT.format(f"${node.value}")
    if not within and node.type == "name":
        yield NO_CONTEXT.format(node.value)
    steps = node.steps or []
    of_states = [(step.type, step.value) for step in steps[:1]] == [("variable", "states")]
    for name in (step.value for step in steps[1:2] if of_states):
        if name in ("result", "errorOutput") and name not in available:
            yield NOT_AVAILABLE.format(name)
    yield from named_wrongly(steps[:1], available, within)
    yield from named_wrongly(steps[1:], available, within=True)
    for field in OUTER:
        yield from named_wrongly(getattr(node, field), available, within)
    for field in INNER:
        yield from named_wrongly(getattr(node, field), available, within=True)
