"""One matching core for event patterns: of EventBridge, of Lambda's event source mappings, and of SNS subscriptions.

AWS: a pattern names fields and, for each, an array of alternatives: values and operators
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html). A pattern that says
something else is refused when it is stored. No event makes a pattern fail: an operator that is given a value of
another type does not match it. A ``*`` stands for any number of characters, also none, and ``\\*`` for an asterisk.
Values have types: true is not 1, and "1" is not 1. "EventBridge uses dot (.) as the joining character" of field names
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html). Conditions on two fields of objects
in one array must hold for one of the objects (https://github.com/aws/event-ruler#json-array-matching).

LocalStack: a star needs a character, ``\\*`` is none of its operators, [true] matches 1, two conditions on an array may
hold for different objects, and a condition that is given another type raises. SNS has a second, older copy of all this.

Here: ``compiled`` checks a pattern once, with AWS's reasons, and makes what matches events; ``Dialect`` says what SNS
has of it. Nothing here raises for an event, whatever it is. Not as on AWS: the position in the JSON text that AWS puts
behind a reason; when wildcards are too complex (here: more than five stars).

Evidence: documentation; recording (TestEventPattern::test_event_pattern, TestSNSFilterPolicyConditions) for reasons,
for null, for missing fields, and for numbers, which are equal when their values are: the documentation says that 300
and 300.0 differ, the recording that [300] matches 300.0. The source of AWS's own Event Ruler for the order in which
fields are looked at, for the absence of a field within an array, and for addresses, which are compared as such. Belief
that six decimal places are compared (five in SNS) and the others cut off, and that a CIDR block whose address has host
bits means its network.
"""

import ipaddress
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

Test = Callable[[Any], bool]
Literal = str | int | tuple[Any, ...]
# Where a value stands: for each array of objects that it is in, the array's number and the position of the object.
Membership = tuple[tuple[int, int], ...]

RANGE = {"<": operator.lt, "<=": operator.le, "=": operator.eq, ">": operator.gt, ">=": operator.ge}
IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
# No field below $or may have one of these names, or $or itself is taken for a field's.
RESERVED = frozenset(
    {"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr"}
    | {"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"}
    | {"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"}
    | {"ip-address-in-range", "ip-address-not-in-range"}
)
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-complex-example-or
MAXIMUM_BRANCHES = 1000
MAXIMUM_WILDCARDS = 5
# Deeper JSON than this is refused: compiling and matching go down one call for each level.
MAXIMUM_DEPTH = 100


class InvalidPattern(Exception):
    """A pattern that AWS refuses. Its text is AWS's reason, without AWS's position in the JSON text."""


@dataclass(frozen=True)
class Dialect:
    """What a service has of the operators. ``largest`` is the greatest number that it compares, and ``-largest``."""

    operators: frozenset[str]
    excluded: frozenset[str]  # what anything-but may be said of, beside values
    extended: bool  # prefix and suffix without regard to case; lists in what anything-but is said of
    largest: int
    decimals: int
    empty_exists: bool  # whether null and the empty string are values to {"exists": true}

    def number(self, value: float) -> int | None:
        """The number in units of the last decimal place that is compared; None if it is out of range."""
        if not -self.largest <= value <= self.largest:  # also what is not a number
            return None
        unit = 10**self.decimals
        return value * unit if isinstance(value, int) else int(Decimal(repr(value)) * unit)

    def literal(self, value: Any) -> Literal:
        """What equal values have in common, and others have not."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return (type(value), value)
        number = self.number(value)
        return ("large", value) if number is None else number


EVENTS = Dialect(
    operators=frozenset(
        {"prefix", "suffix", "equals-ignore-case", "anything-but", "exists", "numeric", "cidr", "wildcard"}
    ),
    excluded=frozenset({"prefix", "suffix", "equals-ignore-case", "wildcard"}),
    extended=True,
    largest=5 * 10**9,
    decimals=6,
    empty_exists=True,
)
# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html for numbers,
# https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html for exists
SNS = Dialect(
    operators=frozenset({"prefix", "suffix", "equals-ignore-case", "anything-but", "exists", "numeric", "cidr"}),
    excluded=frozenset({"prefix"}),
    extended=False,
    largest=10**9,
    decimals=5,
    empty_exists=False,
)


@dataclass(frozen=True)
class Field:
    """The alternatives of one field: values, tests of a value, and whether the field may be missing."""

    dialect: Dialect
    literals: frozenset[Literal]
    tests: tuple[Test, ...]
    absent: bool

    def accepts(self, value: Any) -> bool:
        if self.literals:
            known = value if type(value) is str else self.dialect.literal(value)
            if known in self.literals:
                return True
        return any(test(value) for test in self.tests)


@dataclass(frozen=True)
class Pattern:
    """A pattern that is valid. Each branch is one way to match: all its fields, by name joined with dots, sorted."""

    branches: tuple[tuple[tuple[str, Field], ...], ...]
    names: frozenset[str]
    above: frozenset[str]  # the names of what fields are in, joined with dots

    def matches(self, event: Any) -> bool:
        """Whether ``event``, decoded from JSON, matches. What is no object matches nothing."""
        if not isinstance(event, dict):
            return False
        found: dict[str, list[tuple[Any, Membership]]] = {}
        arrays = self._collect(event, "", (), 0, found, MAXIMUM_DEPTH)
        if arrays:
            return any(consistent(branch, found) for branch in self.branches)
        return any(
            all(
                any(field.accepts(value) for value, _ in found[name]) if name in found else field.absent
                for name, field in branch
            )
            for branch in self.branches
        )

    def _collect(
        self,
        container: dict[str, Any] | list[Any],
        prefix: str,
        membership: Membership,
        arrays: int,
        found: dict[str, list[tuple[Any, Membership]]],
        depth: int,
    ) -> int:
        """Puts the values of the pattern's fields into ``found``; returns how many arrays of containers there are.

        ``prefix`` is the name of what the container is, with a dot; of an array, the name of the array itself.
        """
        if isinstance(container, dict):
            for key, value in container.items():
                name = prefix + key
                if isinstance(value, dict):
                    if name in self.above and depth:
                        arrays = self._collect(value, name + ".", membership, arrays, found, depth - 1)
                elif isinstance(value, list):
                    if (name in self.above or name in self.names) and depth:
                        arrays = self._collect(value, name, membership, arrays, found, depth - 1)
                elif name in self.names:
                    found.setdefault(name, []).append((value, membership))
            return arrays
        this = arrays
        for position, value in enumerate(container):
            if not isinstance(value, dict | list):
                if prefix in self.names:
                    found.setdefault(prefix, []).append((value, membership))
            elif depth:
                arrays = max(arrays, this + 1)
                inner = (*membership, (this, position))
                name = prefix + "." if isinstance(value, dict) else prefix
                arrays = self._collect(value, name, inner, arrays, found, depth - 1)
        return arrays


def consistent(branch: tuple[tuple[str, Field], ...], found: dict[str, list[tuple[Any, Membership]]]) -> bool:
    """Whether the fields match in one object of each array. Goes through them once, with the objects still possible."""
    remaining = [
        {array for later, _ in branch[index + 1 :] for _, membership in found.get(later, ()) for array, _ in membership}
        for index in range(len(branch))
    ]
    possible: set[Membership] = {()}
    for (name, field), later in zip(branch, remaining, strict=True):
        values = found.get(name, ())
        accepted = [membership for value, membership in values if field.accepts(value)]
        following = set()
        for chosen in possible:
            objects = dict(chosen)
            if field.absent and not any(fits(membership, objects) for _, membership in values):
                following.add(only(chosen, later))
            for membership in accepted:
                if fits(membership, objects):
                    following.add(only((*chosen, *(pair for pair in membership if pair[0] not in objects)), later))
        possible = following
        if not possible:
            return False
    return True


def fits(membership: Membership, objects: dict[int, int]) -> bool:
    return all(objects.get(array, position) == position for array, position in membership)


def only(membership: Membership, arrays: set[int]) -> Membership:
    return tuple(sorted(pair for pair in membership if pair[0] in arrays))


@lru_cache(maxsize=4096)
def compiled(text: str, dialect: Dialect = EVENTS) -> Pattern:
    """The pattern that ``text`` says in JSON. Raises InvalidPattern."""
    try:
        pattern = parsed(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPattern("Filter is not valid JSON") from error
    return Compiler(dialect).pattern(pattern)


def parsed(text: str | bytes) -> Any:
    """What JSON says. Raises ValueError, also for NaN and Infinity, and RecursionError if it is nested too deep."""
    return json.loads(text, parse_constant=refused)


def refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class Compiler:
    """Makes patterns and their errors in the order in which AWS reads the JSON text."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def pattern(self, pattern: Any) -> Pattern:
        if not isinstance(pattern, dict):
            raise InvalidPattern("Filter is not an object")
        branches = self.object(pattern, "", [{}], 0)
        names = frozenset(name for branch in branches for name in branch)
        above = {name[: dot.start()] for name in names for dot in re.finditer(r"\.", name)}
        return Pattern(tuple(tuple(sorted(branch.items())) for branch in branches), names, frozenset(above))

    def object(
        self, fields: dict[str, Any], prefix: str, branches: list[dict[str, Field]], depth: int
    ) -> list[dict[str, Field]]:
        """``branches`` with what ``fields`` add to each of them."""
        if not fields:
            raise InvalidPattern("Empty objects are not allowed")
        if depth > MAXIMUM_DEPTH:
            raise InvalidPattern("Filter is nested too deep")
        for key, value in fields.items():
            if is_or(key, value):
                branches = [
                    branch for alternative in value for branch in self.object(alternative, prefix, branches, depth + 1)
                ]
                if len(branches) > MAXIMUM_BRANCHES:
                    raise InvalidPattern(f"Rule is too complex - more than {MAXIMUM_BRANCHES} combinations of $or")
            elif isinstance(value, dict):
                branches = self.object(value, f"{prefix}{key}.", branches, depth + 1)
            elif isinstance(value, list):
                field = self.field(value)
                branches = [{**branch, prefix + key: field} for branch in branches]
            else:
                raise InvalidPattern(f'"{key}" must be an object or an array')
        return branches

    def field(self, alternatives: list[Any]) -> Field:
        if not alternatives:
            raise InvalidPattern("Empty arrays are not allowed")
        literals: set[Literal] = set()
        tests: list[Test] = []
        absent = False
        for alternative in alternatives:
            if isinstance(alternative, dict):
                test = self.operator(alternative)
                if test is None:
                    absent = True
                else:
                    tests.append(test)
            elif isinstance(alternative, list):
                raise InvalidPattern("Match value must be String, number, true, false, or null")
            elif isinstance(alternative, str) and is_address(alternative):
                tests.append(within(address(alternative), address(alternative)))
            else:
                literals.add(self.dialect.literal(alternative))
        return Field(self.dialect, frozenset(literals), tuple(tests), absent)

    def operator(self, expression: dict[str, Any]) -> Test | None:
        """The test of a value; None for what says that there is none."""
        if not expression:
            raise InvalidPattern("Match expression name not found")
        name, argument = next(iter(expression.items()))
        if name not in self.dialect.operators:
            raise InvalidPattern(f"Unrecognized match type {name}")
        test = cast(Test | None, getattr(self, name.replace("-", "_"))(argument))
        if len(expression) > 1:
            # AWS says the second of anything-but, too.
            several = "Too many elements in numeric expression"
            raise InvalidPattern(
                several if name in ("numeric", "anything-but") else "Only one key allowed in match expression"
            )
        return test

    def prefix(self, argument: Any) -> Test:
        return self.affix("prefix", argument, str.startswith)

    def suffix(self, argument: Any) -> Test:
        return self.affix("suffix", argument, str.endswith)

    def affix(self, name: str, argument: Any, has: Callable[[str, str], bool]) -> Test:
        if isinstance(argument, dict) and self.dialect.extended:
            if not argument:
                raise InvalidPattern(f"{name.capitalize()} expression name not found")
            inner, argument = next(iter(keys := argument.items()))
            if inner != "equals-ignore-case":
                raise InvalidPattern(f"Unsupported {name} pattern: {inner}")
            part = string(argument, inner).lower()
            if len(keys) > 1:
                raise InvalidPattern("Only one key allowed in match expression")
            return lambda value: isinstance(value, str) and has(value.lower(), part)
        part = string(argument, name)
        return lambda value: isinstance(value, str) and has(value, part)

    def equals_ignore_case(self, argument: Any) -> Test:
        wanted = string(argument, "equals-ignore-case").lower()
        return lambda value: isinstance(value, str) and value.lower() == wanted

    def wildcard(self, argument: Any) -> Test:
        has = glob(string(argument, "wildcard"))
        return lambda value: isinstance(value, str) and has(value)

    def exists(self, argument: Any) -> Test | None:
        if not isinstance(argument, bool):
            raise InvalidPattern("exists match pattern must be either true or false.")
        if not argument:
            return None
        return (lambda _: True) if self.dialect.empty_exists else (lambda value: value is not None and value != "")

    def cidr(self, argument: Any) -> Test:
        if not isinstance(argument, str):
            raise InvalidPattern("prefix match pattern must be a string")
        text, slash, bits = argument.partition("/")
        if not slash or not bits or "/" in bits:
            raise InvalidPattern("Malformed CIDR, one '/' required")
        if not re.fullmatch(r"[+-]?\d+", bits, re.ASCII):
            raise InvalidPattern("Malformed CIDR, mask bits must be an integer")
        mask = int(bits)
        if mask < 0:
            raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
        version, number = address(text)
        width = 32 if version == 4 else 128
        if mask >= width:
            raise InvalidPattern(f"IPv{version} mask bits must be < {width}")
        host = (1 << (width - mask)) - 1
        return within((version, number & ~host), (version, number | host))

    def numeric(self, argument: Any) -> Test:
        if not isinstance(argument, list):
            raise InvalidPattern("Value of numeric must be an array.")
        first, *rest = argument or ["]"]
        if not argument or not isinstance(first, str):
            raise InvalidPattern(f"Invalid member in numeric match: {shown(first)}")
        if first not in RANGE:
            raise InvalidPattern(f"Unrecognized numeric range operator: {first}")
        bound, *rest = [self.bound(first, rest[:1]), *rest[1:]]
        if not rest:
            return self.compared((first, bound))
        if first not in (">", ">="):
            raise InvalidPattern("Too many elements in numeric expression")
        second, *rest = rest
        if not isinstance(second, str):
            raise InvalidPattern(f"Bad value in numeric range: {shown(second)}")
        if second not in ("<", "<="):
            raise InvalidPattern(f"Bad numeric range operator: {second}")
        top, *rest = [self.bound(second, rest[:1]), *rest[1:]]
        if rest:
            raise InvalidPattern("Too many terms in numeric range expression")
        if bound >= top:
            raise InvalidPattern("Bottom must be less than top")
        return self.compared((first, bound), (second, top))

    def bound(self, comparison: str, values: list[Any]) -> int:
        if not values or not is_number(values[0]):
            raise InvalidPattern(f"Value of {'equals' if comparison == '=' else comparison} must be numeric")
        return self.comparable(values[0])

    def comparable(self, value: float) -> int:
        number = self.dialect.number(value)
        if number is None:
            limit = f"{self.dialect.largest // 10**9}.0E9"
            raise InvalidPattern(f"Value must be between -{limit} and {limit}, inclusive")
        return number

    def compared(self, *bounds: tuple[str, int]) -> Test:
        checks = [(RANGE[comparison], bound) for comparison, bound in bounds]
        number = self.dialect.number

        def test(value: Any) -> bool:
            known = number(value) if is_number(value) else None
            return known is not None and all(check(known, bound) for check, bound in checks)

        return test

    def anything_but(self, argument: Any) -> Test:
        """Whatever value is there, of whatever type, but these."""
        if isinstance(argument, dict):
            if not argument:
                raise InvalidPattern("Anything-But expression name not found")
            name, inner = next(iter(argument.items()))
            if name not in self.dialect.excluded:
                raise InvalidPattern(f"Unsupported anything-but pattern: {name}")
            excluded = self.excluded(name, inner)
            if len(argument) > 1:
                raise InvalidPattern("Too many elements in numeric expression")
            return lambda value: not any(test(value) for test in excluded)
        values = argument if isinstance(argument, list) else [argument]
        if not isinstance(argument, list) and not (isinstance(argument, str) or is_number(argument)):
            raise InvalidPattern("Value of anything-but must be an array or single string/number value.")
        for value in values:
            if not isinstance(value, str) and not is_number(value):
                raise InvalidPattern("Inside anything but list, start|null|boolean is not supported.")
            if is_number(value):
                self.comparable(value)
        if len({isinstance(value, str) for value in values}) != 1:
            raise InvalidPattern(
                "Inside anything but list, either all values are number or string, mixed type is not supported"
            )
        literals = frozenset(self.dialect.literal(value) for value in values)
        return lambda value: self.dialect.literal(value) not in literals

    def excluded(self, name: str, argument: Any) -> list[Test]:
        values = argument if isinstance(argument, list) and self.dialect.extended else [argument]
        if self.dialect.extended and not isinstance(argument, str | list) and not is_number(argument):
            raise InvalidPattern("Value of anything-but must be an array or single string/number value.")
        affix = name in ("prefix", "suffix")
        for value in values:
            if not isinstance(value, str):
                raise InvalidPattern(
                    "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
                    if name == "equals-ignore-case"
                    else "prefix/suffix match pattern must be a string"
                    if affix and self.dialect.extended
                    else f"{name} match pattern must be a string"
                )
            if affix and not value:
                raise InvalidPattern("Null prefix/suffix not allowed")
        return [getattr(self, name.replace("-", "_"))(value) for value in values]


def is_or(key: str, value: Any) -> bool:
    """Whether it is the operator; with anything else behind it, $or is the name of a field."""
    return (
        key == "$or"
        and isinstance(value, list)
        and len(value) > 1
        and all(isinstance(alternative, dict) and RESERVED.isdisjoint(alternative) for alternative in value)
    )


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidPattern(f"{name} match pattern must be a string")
    return value


def shown(value: Any) -> str:
    """As AWS's parser shows what it has just read: of an array or object, its bracket."""
    if isinstance(value, dict | list):
        return "{" if isinstance(value, dict) else "["
    return value if isinstance(value, str) else json.dumps(value)


def glob(text: str) -> Callable[[str], bool]:
    """A test of strings for text with stars. Takes time in proportion to the string for each star."""
    parts, position = [""], 0
    for piece in re.finditer(r"\\(.?)|(\*+)|[^\\*]+", text, re.DOTALL):
        position = len(text[: piece.start()].encode(errors="replace")) + 1  # AWS counts bytes, and a quotation mark
        if piece[2]:
            if len(piece[2]) > 1:
                raise InvalidPattern(f"Consecutive wildcard characters at pos {position}")
            parts.append("")
        elif piece[1] is None:
            parts[-1] += piece[0]
        elif piece[1] in ("*", "\\"):
            parts[-1] += piece[1]
        else:
            raise InvalidPattern(f"Invalid escape character at pos {position}")
    if len(parts) > MAXIMUM_WILDCARDS + 1:
        raise InvalidPattern(
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
            "wildcard character"
        )
    if len(parts) == 1:
        return lambda value: value == parts[0]
    head, *middle, tail = parts

    def test(value: str) -> bool:
        end = len(value) - len(tail)
        if not value.startswith(head) or not value.endswith(tail) or end < (start := len(head)):
            return False
        for part in middle:
            start = value.find(part, start, end)
            if start < 0:
                return False
            start += len(part)
        return True

    return test


def is_address(text: str) -> bool:
    try:
        address(text)
    except InvalidPattern:
        return False
    return True


def address(text: str) -> tuple[int, int]:
    """Version and number of an IP address. Raises InvalidPattern."""
    if IPV4.fullmatch(text):
        numbers = [int(part) for part in text.split(".") if len(part) < 10]
        if len(numbers) == 4 and max(numbers) < 256:
            return 4, int.from_bytes(bytes(numbers))
    elif IPV6.fullmatch(text):
        try:
            return 6, int(ipaddress.IPv6Address(text))
        except ValueError:
            pass
    else:
        raise InvalidPattern(f"Nonstandard IP address: {text}")
    raise InvalidPattern(f"Invalid IP address: {text}")


def within(bottom: tuple[int, int], top: tuple[int, int]) -> Test:
    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and bottom <= address(value) <= top
        except InvalidPattern:
            return False

    return test
