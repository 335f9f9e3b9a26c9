"""JSONPath as Step Functions reads it: an indefinite path gives a list, whatever it finds.

AWS: paths of JSONPath states are in Stefan Goessner's and Jayway's syntax, with deep scans, wildcards, slices, lists
and filters (https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html,
https://github.com/json-path/JsonPath#what-is-returned-when). A path that can lead to one value only gives that value,
or fails with States.Runtime if there is none; any other path gives the list of what it finds, of one element or none
too. A filter that is applied to an object asks the object itself.

LocalStack: a wildcard, a slice or a filter that finds one value often gives the value alone, and a filter that finds
nothing fails, so that a workflow works with two items and breaks with one. Negative indexes, lists of indexes,
conditions with && and regular expressions are not understood.

Here: a reader of the whole grammar. A definition with a path that it cannot read is refused. Of Jayway's functions
without arguments there are avg, first, keys, last, length, max, min, size, stddev and sum; of others none.

Evidence: documentation; Jayway's source for what its README leaves open; LocalStack's recordings for a missing name (an
indefinite path gives an empty list) and a slice of what is no list (fails)
(https://github.com/localstack/localstack/pull/12366); belief that the functions are Jayway's too.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

UNDEFINED = object()
"""What a path in a filter leads to where there is nothing: equal to nothing, not even to null."""


class InvalidPath(ValueError):
    """A text is no JSONPath; the message says where."""


class NotFound(LookupError):
    """A path that can lead to one value only leads to none, or a step does not apply to the value before it."""


# Steps. Each has ``definite``: whether it leads to at most one value. ``select(value, definite, root)`` yields what it
# leads to; ``definite`` says that of all steps before it. ``scans(value)``: whether a deep scan tries it on a value.


@dataclass(frozen=True)
class Names:
    """``.name``, ``['name']``; more than one at the end of a path give one object of those that are there."""

    names: tuple[str, ...]
    last: bool = True

    @property
    def definite(self) -> bool:
        return self.last or len(self.names) == 1

    def scans(self, value: Any) -> bool:
        return isinstance(value, dict) and (not self.definite or all(name in value for name in self.names))

    def select(self, value: Any, definite: bool, root: Any) -> Iterator[Any]:
        found = {name: value[name] for name in self.names if name in value} if isinstance(value, dict) else {}
        if len(self.names) > 1 and self.last and isinstance(value, dict):
            yield found
        else:
            yield from found.values()


@dataclass(frozen=True)
class Indexes:
    """``[0]``, ``[-1]``, ``[0,2]``."""

    indexes: tuple[int, ...]

    @property
    def definite(self) -> bool:
        return len(self.indexes) == 1

    def scans(self, value: Any) -> bool:
        return isinstance(value, list)

    def select(self, value: Any, definite: bool, root: Any) -> Iterator[Any]:
        if a_list(value, definite):
            yield from (value[index] for index in self.indexes if -len(value) <= index < len(value))


@dataclass(frozen=True)
class Slice:
    """``[1:3]``, ``[1:]``, ``[:3]``; a negative number counts from the end."""

    start: int | None
    end: int | None
    definite = False

    def scans(self, value: Any) -> bool:
        return isinstance(value, list)

    def select(self, value: Any, definite: bool, root: Any) -> Iterator[Any]:
        if not a_list(value, definite):
            return
        if self.start is None or self.end is None:
            yield from value[self.start : self.end]
        else:
            # Jayway counts from the one to the other, so that [1:-1] is empty and [-2:1] goes round.
            steps = range(self.start, min(self.end, len(value)))
            yield from (value[index] for index in steps if -len(value) <= index)


@dataclass(frozen=True)
class Wildcard:
    """``*``: all elements of a list, all values of an object."""

    definite = False

    def scans(self, value: Any) -> bool:
        return True

    def select(self, value: Any, definite: bool, root: Any) -> Iterator[Any]:
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


@dataclass(frozen=True)
class Filter:
    """``[?(@.price < 10)]``: the elements of a list, or the object itself, for which it holds."""

    holds: Callable[[Any, Any], bool]
    definite = False

    def scans(self, value: Any) -> bool:
        return isinstance(value, dict)

    def select(self, value: Any, definite: bool, root: Any) -> Iterator[Any]:
        if not isinstance(value, dict | list) and definite:
            raise NotFound
        candidates = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        yield from (candidate for candidate in candidates if self.holds(candidate, root))


@dataclass(frozen=True)
class Scan:
    """``..`` before another step: that step on the value and on all that is in it."""

    step: Any
    definite = False

    def select(self, value: Any, definite: bool, root: Any) -> Iterator[Any]:
        if isinstance(value, dict | list):
            if self.step.scans(value):
                yield from self.step.select(value, False, root)
            for inner in value.values() if isinstance(value, dict) else value:
                yield from self.select(inner, definite, root)


@dataclass(frozen=True)
class Function:
    """``.length()``."""

    name: str
    definite = True

    def select(self, value: Any, definite: bool, root: Any) -> Iterator[Any]:
        yield FUNCTIONS[self.name](value)


def a_list(value: Any, definite: bool) -> bool:
    """Whether ``value`` is a list. Raises NotFound if not, and it is the only value that the path can lead to."""
    if not isinstance(value, list) and definite:
        raise NotFound
    return isinstance(value, list)


def numbers(value: Any) -> list[float]:
    found = [float(one) for one in value if is_number(one)] if isinstance(value, list) else []
    if not found:
        raise NotFound
    return found


def at(index: int) -> Callable[[Any], Any]:
    def function(value: Any) -> Any:
        if not isinstance(value, list) or not value:
            raise NotFound
        return value[index]

    return function


def length(value: Any) -> int | None:
    return len(value) if isinstance(value, dict | list) else None


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "avg": lambda value: statistics.fmean(numbers(value)),
    "first": at(0),
    "keys": lambda value: list(value) if isinstance(value, dict) else None,
    "last": at(-1),
    "length": length,
    "max": lambda value: max(numbers(value)),
    "min": lambda value: min(numbers(value)),
    "size": length,
    "stddev": lambda value: statistics.pstdev(numbers(value)),
    "sum": lambda value: math.fsum(numbers(value)),
}


@dataclass(frozen=True)
class Path:
    """A JSONPath that was read."""

    steps: tuple[Any, ...]

    @property
    def definite(self) -> bool:
        return all(step.definite for step in self.steps)

    def find(self, value: Any, root: Any = UNDEFINED) -> Any:
        """What the path leads to from ``value``; ``root`` is what ``$`` means in its filters, by default ``value``.

        Raises NotFound.
        """
        root = value if root is UNDEFINED else root
        if isinstance(self.steps[-1] if self.steps else None, Function) and isinstance(self.steps[0], Scan):
            # A function behind a scan is given all that was found.
            return next(self.steps[-1].select(Path(self.steps[:-1]).find(value, root), True, root))
        found, definite = [value], True
        for step in self.steps:
            found = [next_ for one in found for next_ in step.select(one, definite, root)]
            definite = definite and step.definite
        if not definite:
            return found
        if not found:
            raise NotFound
        return found[0]


# Filters


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any) -> float:
    """A number, or a text as one; NaN for what is neither."""
    try:
        return float(value) if is_number(value) or isinstance(value, str) else math.nan
    except ValueError:
        return math.nan


def equal(left: Any, right: Any) -> bool:
    """Equality of filters: a number equals a text that spells it."""
    if left is UNDEFINED or right is UNDEFINED:
        return False
    if is_number(left) and isinstance(right, str):
        return left == number(right)
    if isinstance(left, str) and is_number(right):
        return left == str(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(left: Any, right: Any) -> bool:
        if is_number(left) and is_number(right):
            return compare(left, right)
        scalars = all(is_number(one) or isinstance(one, str) for one in (left, right))
        return scalars and compare(str(left), str(right))

    return holds


def contained(left: Any, right: Any) -> bool:
    return isinstance(right, list) and any(equal(left, one) for one in right)


def matches(left: Any, right: Any) -> bool:
    pattern, value = (left, right) if isinstance(left, re.Pattern) else (right, left)
    if not isinstance(pattern, re.Pattern):
        return False
    return any(
        pattern.fullmatch(str(one).lower() if isinstance(one, bool) else str(one))
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, str | bool) or is_number(one)
    )


def sized(value: Any) -> bool:
    return isinstance(value, str | list | dict)


def lists(left: Any, right: Any) -> bool:
    return isinstance(left, list) and isinstance(right, list)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "===": lambda left, right: type(left) is type(right) and equal(left, right),
    "!==": lambda left, right: not (type(left) is type(right) and equal(left, right)),
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "=~": matches,
    "<=": ordered(lambda left, right: left <= right),
    ">=": ordered(lambda left, right: left >= right),
    "<": ordered(lambda left, right: left < right),
    ">": ordered(lambda left, right: left > right),
    "in": contained,
    "nin": lambda left, right: not contained(left, right),
    "subsetof": lambda left, right: lists(left, right) and all(contained(one, right) for one in left),
    "anyof": lambda left, right: lists(left, right) and any(contained(one, right) for one in left),
    "noneof": lambda left, right: lists(left, right) and not any(contained(one, right) for one in left),
    "all": lambda left, right: lists(left, right) and all(contained(one, left) for one in right),
    "contains": lambda left, right: (
        right in left if isinstance(left, str) and isinstance(right, str) else contained(right, left)
    ),
    "size": lambda left, right: sized(left) and equal(len(left), right),
    "empty": lambda left, right: sized(left) and (not left) is right,
}

# The grammar

OPERATOR = re.compile(
    "|".join(re.escape(name) + (r"\b" if name.isalpha() else "") for name in OPERATORS), re.IGNORECASE
)
NAME, NAME_IN_FILTER = re.compile(r"[^\s.\[(]+"), re.compile(r"[^\s.\[(<>=~!)&|,\]}]+")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
STRING = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
PATTERN = re.compile(r"/((?:[^/\\]|\\.)*)/([imsxu]*)", re.DOTALL)
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
LITERALS = {"true": True, "false": False, "null": None}


class Reader:
    """Reads a path, or a filter in it, from left to right. Raises InvalidPath."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def fail(self, expected: str) -> InvalidPath:
        return InvalidPath(f"expected {expected} at position {self.position} of the JSONPath {self.text!r}")

    def take(self, pattern: re.Pattern[str], spaced: bool = False) -> re.Match[str] | None:
        if spaced:
            self.blanks()
        if found := pattern.match(self.text, self.position):
            self.position = found.end()
        return found

    def blanks(self) -> None:
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1

    def accept(self, token: str, spaced: bool = False) -> bool:
        start = self.position
        if spaced:
            self.blanks()
        if self.text.startswith(token, self.position):
            self.position += len(token)
            return True
        self.position = start
        return False

    def expect(self, token: str, spaced: bool = False) -> None:
        if not self.accept(token, spaced):
            raise self.fail(repr(token))

    def path(self, name: re.Pattern[str] = NAME) -> Path:
        """All steps behind ``$`` or ``@``."""
        steps: list[Any] = []
        while self.position < len(self.text) and self.text[self.position] in ".[":
            scan = self.accept("..")
            dotted = scan or self.accept(".")
            step = self.bracket() if self.text.startswith("[", self.position) else self.named(name) if dotted else None
            if step is None or (scan and isinstance(step, Function)):
                raise self.fail("a name, '*' or '['")
            if steps and isinstance(steps[-1], Function):
                raise self.fail("the end, after a function,")
            steps.append(Scan(step) if scan else step)
        return Path(tuple(self.closed(step) for step in steps[:-1]) + tuple(steps[-1:]))

    def closed(self, step: Any) -> Any:
        """A step that is not the last one."""
        if isinstance(step, Scan):
            return Scan(self.closed(step.step))
        return Names(step.names, last=False) if isinstance(step, Names) else step

    def named(self, name: re.Pattern[str]) -> Any:
        if self.accept("*"):
            return Wildcard()
        if not (found := self.take(name)):
            return None
        if not self.accept("("):
            return Names((found[0],))
        self.expect(")", spaced=True)
        if found[0] not in FUNCTIONS:
            raise InvalidPath(f"the function {found[0]}() of the JSONPath {self.text!r} is not available")
        return Function(found[0])

    def bracket(self) -> Any:
        self.expect("[")
        if self.accept("?", spaced=True):
            self.expect("(", spaced=True)
            holds = self.either()
            self.expect(")", spaced=True)
            step: Any = Filter(holds)
        elif self.accept("*", spaced=True):
            step = Wildcard()
        elif (quoted := self.string()) is not None:
            names = [quoted]
            while self.accept(",", spaced=True):
                if (quoted := self.string()) is None:
                    raise self.fail("a name in quotes")
                names.append(quoted)
            step = Names(tuple(names))
        else:
            step = self.positions()
        self.expect("]", spaced=True)
        return step

    def positions(self) -> Indexes | Slice:
        start = self.integer()
        if self.accept(":", spaced=True):
            end = self.integer()
            if start is None and end is None:
                raise self.fail("a number")
            return Slice(start, end)
        if start is None:
            raise self.fail("a number, a name in quotes, '*' or '?'")
        indexes = [start]
        while self.accept(",", spaced=True):
            if (index := self.integer()) is None:
                raise self.fail("a number")
            indexes.append(index)
        return Indexes(tuple(indexes))

    def integer(self) -> int | None:
        found = self.take(re.compile(r"-?\d+"), spaced=True)
        return int(found[0]) if found else None

    def string(self) -> str | None:
        if not (found := self.take(STRING, spaced=True)):
            return None
        text = found[1] if found[1] is not None else found[2]
        return ESCAPE.sub(lambda one: chr(int(one[1], 16)) if one[1] else ESCAPED.get(one[2], one[2]), text)

    def either(self) -> Callable[[Any, Any], bool]:
        parts = [self.both()]
        while self.accept("||", spaced=True):
            parts.append(self.both())
        return lambda value, root: any(part(value, root) for part in parts)

    def both(self) -> Callable[[Any, Any], bool]:
        parts = [self.condition()]
        while self.accept("&&", spaced=True):
            parts.append(self.condition())
        return lambda value, root: all(part(value, root) for part in parts)

    def condition(self) -> Callable[[Any, Any], bool]:
        if self.accept("!", spaced=True):
            denied = self.condition()
            return lambda value, root: not denied(value, root)
        if self.accept("(", spaced=True):
            inner = self.either()
            self.expect(")", spaced=True)
            return inner
        left, exists = self.operand()
        if not (found := self.take(OPERATOR, spaced=True)):
            if exists is None:
                raise self.fail("a comparison")
            return exists
        operator, (right, _) = OPERATORS[found[0].lower()], self.operand()
        return lambda value, root: operator(left(value, root), right(value, root))

    def operand(self) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], bool] | None]:
        """The value of one side of a comparison, and, of a path, whether it leads to anything."""
        self.blanks()
        if not self.text.startswith(("$", "@"), self.position):
            literal = self.literal()
            return (lambda value, root: literal), None
        from_root = self.accept("$") or not self.accept("@")
        path = self.path(NAME_IN_FILTER)

        def found(value: Any, root: Any) -> Any:
            try:
                return path.find(root if from_root else value, root)
            except NotFound:
                return UNDEFINED

        def exists(value: Any, root: Any) -> bool:
            value = found(value, root)
            return value is not UNDEFINED and (path.definite or value != [])

        return found, exists

    def literal(self) -> Any:
        if (text := self.string()) is not None:
            return text
        if found := self.take(NUMBER):
            return float(found[0]) if found[1] or found[2] else int(found[0])
        for word, value in LITERALS.items():
            if self.accept(word):
                return value
        if found := self.take(PATTERN):
            flags = [getattr(re, flag.upper()) for flag in found[2]]
            try:
                return re.compile(found[1], sum(flags))
            except re.error as error:
                raise self.fail(f"a regular expression ({error})") from None
        if self.accept("["):
            return list(self.separated("]", self.literal))
        if self.accept("{"):
            return dict(self.separated("}", self.member))
        raise self.fail("a path, a text in quotes, a number, true, false, null, a list, an object or a /pattern/")

    def member(self) -> tuple[str, Any]:
        if (key := self.string()) is None:
            raise self.fail("a text in quotes")
        self.expect(":", spaced=True)
        self.blanks()
        return key, self.literal()

    def separated(self, end: str, read: Callable[[], Any]) -> Iterator[Any]:
        if self.accept(end, spaced=True):
            return
        while True:
            self.blanks()
            yield read()
            if not self.accept(",", spaced=True):
                self.expect(end, spaced=True)
                return


@lru_cache(maxsize=4096)
def compiled(text: str) -> Path:
    """The path that a text says. Raises InvalidPath."""
    reader = Reader(text.strip())
    reader.expect("$")
    path = reader.path()
    if reader.position < len(reader.text):
        raise reader.fail("'.' or '['")
    return path
