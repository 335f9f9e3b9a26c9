"""DynamoDB's expressions: conditions, filters, key conditions, updates and projections, read and carried out.

AWS: the grammar, and what operators and functions are true of, are documented
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.Attributes.html). Values of different
types are never equal, and none is before the other
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html). A
placeholder that is not defined, or defined and not used, is a ValidationException.

LocalStack: moto compares what Python makes of the values: TRUE equals 1, a missing attribute equals another and NULL,
BETWEEN does not know zero and the empty string, and a comparison between types, ``size`` of a number or of what is
missing, or a placeholder that is not defined is a server error. List indexes have one digit.

Here: one reading of the text gives a tree of tests, operands or actions, bound to the request's names and values, which
works on items in DynamoDB's JSON. All values are in the spelling of ``values.normal``, so that equal ones are the same.

Evidence: documentation; belief where it is silent (as quoted, and run on AWS, by the public tests of other
implementations): the wording of messages, that a missing attribute is not even equal to a missing one and unequal to
everything, that a value of the request is checked for its type where the item's only makes the condition false, that
``size`` counts characters, that an update which only removes makes no item, and what UPDATED_OLD and UPDATED_NEW show
of nested attributes.
"""

import functools
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from localstack_host.dynamodb.values import (
    INVALID,
    ORDERED,
    TYPES,
    Attributes,
    ValidationError,
    Value,
    in_order,
    kind_of,
    normal,
    plus,
    position,
    size,
)

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-expression-parameters
LONGEST_EXPRESSION = 4096  # bytes
MOST_OPERATORS = 300
MOST_IN_LIST = 100
DEEPEST_PARENTHESES = 100  # belief; far from what Python's own calls allow

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
REVERSED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
TESTS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
UPDATES = {"if_not_exists": 2, "list_append": 2}
KEYWORDS = {"AND", "OR", "NOT", "BETWEEN", "IN"}
SECTIONS = {"SET", "REMOVE", "ADD", "DELETE"}
NAMES_OF_TYPES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "NULL": "NULL",
    "BOOL": "BOOLEAN",
    "L": "LIST",
    "M": "MAP",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
}
TOKEN = re.compile(r"\s*(?:([#:]?[A-Za-z0-9_]+|<>|<=|>=|[=<>()\[\],.+\-])|(\S))")
BARE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

NO_ATTRIBUTE = "The provided expression refers to an attribute that does not exist in the item"
NO_PATH = "The document path provided in the update expression is invalid for update"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"

Parts = tuple[str | int, ...]  # of a document path: attribute, then names in maps and indexes in lists


@functools.cache
def reserved_words() -> frozenset[str]:
    from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords  # not needed by who has no bare names

    return frozenset(ReservedKeywords.get_reserved_keywords())


def shown(parts: Parts) -> str:
    return f"[{', '.join(f'[{part}]' if isinstance(part, int) else part for part in parts)}]"


def at(attributes: Attributes, parts: Parts) -> Value | None:
    """The value at a document path, if there is one."""
    value = attributes.get(str(parts[0]))
    for part in parts[1:]:
        if value is None:
            return None
        ((kind, content),) = value.items()
        if isinstance(part, int):
            value = content[part] if kind == "L" and part < len(content) else None
        else:
            value = content.get(part) if kind == "M" else None
    return value


@dataclass(frozen=True)
class Path:
    parts: Parts

    def value(self, attributes: Attributes) -> Value | None:
        return at(attributes, self.parts)


@dataclass(frozen=True)
class Literal:
    content: Value

    def value(self, attributes: Attributes) -> Value | None:
        return self.content


@dataclass(frozen=True)
class Size:
    operand: "Operand"

    def value(self, attributes: Attributes) -> Value | None:
        found = self.operand.value(attributes)
        count = None if found is None else size(found)
        return None if count is None else {"N": str(count)}


@dataclass(frozen=True)
class Call:
    """``if_not_exists``, ``list_append``, ``+`` and ``-`` of update expressions."""

    function: str
    operands: tuple["Operand", ...]

    def value(self, attributes: Attributes) -> Value | None:
        """Raises ValidationError if an attribute is missing, or of a type that the function is not for."""
        first, second = (operand.value(attributes) for operand in self.operands)
        if self.function == "if_not_exists":
            return second if first is None else first
        if first is None or second is None:
            raise ValidationError(NO_ATTRIBUTE)
        expected = "L" if self.function == "list_append" else "N"
        if {kind_of(first), kind_of(second)} != {expected}:
            raise ValidationError(WRONG_TYPE)
        if expected == "L":
            return {"L": [*first["L"], *second["L"]]}
        return {"N": plus(first["N"], second["N"], 1 if self.function == "+" else -1)}


Operand = Path | Literal | Size | Call


@dataclass(frozen=True)
class Test:
    """A comparator, BETWEEN, IN or a function, of its operands."""

    operator: str
    operands: tuple[Operand, ...]

    def holds(self, attributes: Attributes) -> bool:
        first, *others = (operand.value(attributes) for operand in self.operands)
        match self.operator:
            case "attribute_exists":
                return first is not None
            case "attribute_not_exists":
                return first is None
            case "=":
                return first is not None and first == others[0]
            case "<>":
                return first is None or first != others[0]
            case "IN":
                return first is not None and first in others
        if first is None or None in others:
            return False
        kind, given = kind_of(first), [other for other in others if other is not None]
        match self.operator:
            case "attribute_type":
                return kind == given[0]["S"]
            case "begins_with":
                return (
                    kind in ("S", "B") and kind_of(given[0]) == kind and position(first).startswith(position(given[0]))
                )
            case "contains":
                return contains(first, given[0])
        if kind not in ORDERED or any(kind_of(other) != kind for other in given):
            return False
        places = [position(other) for other in given]
        if self.operator == "BETWEEN":
            return bool(places[0] <= position(first) <= places[1])
        return COMPARISONS[self.operator](position(first), places[0])


@dataclass(frozen=True)
class Logic:
    """AND or OR of its parts, or NOT of its only one."""

    operator: str
    parts: tuple["Condition", ...]

    def holds(self, attributes: Attributes) -> bool:
        if self.operator == "NOT":
            return not self.parts[0].holds(attributes)
        return (all if self.operator == "AND" else any)(part.holds(attributes) for part in self.parts)


Condition = Test | Logic


def attributes_of(of: Condition | Operand) -> set[str]:
    """The attributes that a condition looks at."""
    match of:
        case Path():
            return {str(of.parts[0])}
        case Size():
            return attributes_of(of.operand)
        case Test():
            return {name for operand in of.operands for name in attributes_of(operand)}
        case Logic():
            return {name for part in of.parts for name in attributes_of(part)}
    return set()


def contains(whole: Value, part: Value) -> bool:
    ((kind, content),) = whole.items()
    of, sought = kind_of(part), next(iter(part.values()))
    if kind == "L":
        return part in content
    if kind in ("SS", "NS", "BS"):
        return of == kind[0] and sought in content
    return kind in ("S", "B") and of == kind and position(part) in position(whole)


@dataclass
class Update:
    """What an update expression does. Its actions see the item as it was before all of them."""

    sets: list[tuple[Path, Operand]] = field(default_factory=list)
    removes: list[Path] = field(default_factory=list)
    adds: list[tuple[Path, Value]] = field(default_factory=list)
    deletes: list[tuple[Path, Value]] = field(default_factory=list)

    @property
    def paths(self) -> list[Parts]:
        of_values = [path for path, _ in (*self.sets, *self.adds, *self.deletes)]
        return [path.parts for path in (*of_values, *self.removes)]

    @property
    def only_removes(self) -> bool:
        return not self.sets and not self.adds and bool(self.removes or self.deletes)

    def applied(self, attributes: Attributes, exists: bool = True) -> dict[str, Value]:
        """The attributes after the update; ``attributes`` and what is in them stay as they are.

        Without ``exists`` there is no item yet, and there is nothing to remove. Raises ValidationError if the item does
        not have what the update needs.
        """
        places = [(path.parts, operand.value(attributes)) for path, operand in self.sets]
        places += [(path.parts, added(path.value(attributes), value)) for path, value in self.adds]
        removed = [path.parts for path in self.removes] if exists else []
        for path, value in self.deletes:
            rest = without(path.value(attributes), value)
            if rest is not None:
                places.append((path.parts, rest))
            elif exists:
                removed.append(path.parts)
        changed, own = dict(attributes), set[str]()
        # In the order of indexes: what is beyond a list's end is appended.
        for parts, new in sorted(places, key=lambda place: [part for part in place[0] if isinstance(part, int)]):
            if new is None:
                raise ValidationError(NO_ATTRIBUTE)
            put(changed, own, parts, new)
        # From the end: what is removed from a list moves what is behind it.
        for parts in sorted(removed, reverse=True):  # at one place all are of one type
            remove(changed, own, parts)
        for name in own:
            normal(changed[name])  # for the depth
        return changed


def added(old: Value | None, value: Value) -> Value:
    if old is None:
        return value
    kind = kind_of(value)
    if kind_of(old) != kind:
        raise ValidationError(WRONG_TYPE)
    if kind == "N":
        return {"N": plus(old["N"], value["N"])}
    if kind == "L":
        return {"L": old["L"] + value["L"]}
    return {kind: in_order(kind, {*old[kind], *value[kind]})}


def without(old: Value | None, value: Value) -> Value | None:
    """None if nothing is left: there are no empty sets."""
    if old is None:
        return None
    kind = kind_of(value)
    if kind_of(old) != kind:
        raise ValidationError(WRONG_TYPE)
    left = set(old[kind]) - set(value[kind])
    return {kind: in_order(kind, left)} if left else None


def container(attributes: dict[str, Value], own: set[str], parts: Parts) -> Any:
    """The content of the map or list that has, or gets, the last part; to be changed."""
    name = str(parts[0])
    if name in attributes and name not in own:
        attributes[name] = deepcopy(attributes[name])
        own.add(name)
    parent = at(attributes, parts[:-1])
    kind = "L" if isinstance(parts[-1], int) else "M"
    if parent is None or kind_of(parent) != kind:
        raise ValidationError(NO_PATH)
    return parent[kind]


def put(attributes: dict[str, Value], own: set[str], parts: Parts, value: Value) -> None:
    if len(parts) == 1:
        attributes[str(parts[0])] = value
        return
    content, last = container(attributes, own, parts), parts[-1]
    if isinstance(last, int) and last >= len(content):
        content.append(value)
    else:
        content[last] = value


def remove(attributes: dict[str, Value], own: set[str], parts: Parts) -> None:
    if len(parts) == 1:
        attributes.pop(str(parts[0]), None)
        return
    content, last = container(attributes, own, parts), parts[-1]
    if isinstance(last, int):
        del content[last : last + 1]
    else:
        content.pop(last, None)


def projected(attributes: Attributes, paths: Iterable[Parts]) -> dict[str, Value]:
    """What is at the paths, where it is, and nothing else; of lists, the chosen elements one after another."""
    chosen: dict[Any, Any] = {}
    for parts in paths:
        if at(attributes, parts) is not None:
            branch = chosen
            for part in parts:
                branch = branch.setdefault(part, {})
    return {name: pruned(attributes[name], branch) for name, branch in chosen.items()}


def pruned(value: Value, branch: dict[Any, Any]) -> Value:
    if not branch:
        return value
    ((kind, content),) = value.items()
    if kind == "L":
        return {"L": [pruned(content[index], branch[index]) for index in sorted(branch)]}
    return {"M": {name: pruned(content[name], below) for name, below in branch.items()}}


class Placeholders:
    """A request's names and values, and which of them its expressions use.

    Raises ValidationError if one has no name that is a placeholder's.
    """

    def __init__(self, names: Mapping[str, str] | None, values: Mapping[str, Value] | None) -> None:
        self.names, self.values = names or {}, values or {}
        self.used_names, self.used_values = set[str](), set[str]()
        for member, given in (("Names", names), ("Values", values)):
            if given is not None and not given:
                raise ValidationError(f"ExpressionAttribute{member} must not be empty")
            for key in given or ():
                if not re.fullmatch(r"[#:][A-Za-z0-9_]+", key) or key[0] != ("#" if member == "Names" else ":"):
                    raise ValidationError(
                        f'ExpressionAttribute{member} contains invalid key: Syntax error; key: "{key}"'
                    )

    def name(self, placeholder: str) -> str:
        if placeholder not in self.names:
            raise ValidationError(
                f"An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
            )
        self.used_names.add(placeholder)
        return self.names[placeholder]

    def value(self, placeholder: str) -> Value:
        if placeholder not in self.values:
            raise ValidationError(
                f"An expression attribute value used in expression is not defined; attribute value: {placeholder}"
            )
        self.used_values.add(placeholder)
        return self.values[placeholder]

    def check_all_used(self) -> None:
        """Raises ValidationError if one is not used."""
        for member, given, used in (
            ("Names", self.names, self.used_names),
            ("Values", self.values, self.used_values),
        ):
            unused = [key for key in given if key not in used]
            if unused:
                raise ValidationError(
                    f"Value provided in ExpressionAttribute{member} unused in expressions: "
                    f"keys: {{{', '.join(unused)}}}"
                )


class Reader:
    """Reads one expression. Each method raises ValidationError if the text is not what it reads."""

    def __init__(self, text: str, placeholders: Placeholders) -> None:
        if not text.strip():
            raise ValidationError("The expression can not be empty;")
        if len(text.encode(errors="surrogatepass")) > LONGEST_EXPRESSION:
            raise ValidationError("Expression size has exceeded the maximum allowed size;")
        self.text, self.placeholders = text, placeholders
        self.tokens: list[str] = []
        self.ends: list[tuple[int, int]] = []
        for found in TOKEN.finditer(text):
            self.tokens.append(found[1] or found[2])
            self.ends.append(found.span(1 if found[1] else 2))
        self.next = self.operators = self.depth = 0

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.next + ahead] if self.next + ahead < len(self.tokens) else ""

    def take(self, *expected: str) -> bool:
        """Whether the next token is one of those, which are in upper case if they are words; then it is taken."""
        if self.peek().upper() not in expected:
            return False
        self.next += 1
        return True

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.syntax_error()

    def syntax_error(self) -> ValidationError:
        if self.next >= len(self.tokens):
            return ValidationError('Syntax error; token: "<EOF>", near: "' + self.text[-20:].strip() + '"')
        first, last = max(self.next - 1, 0), min(self.next + 1, len(self.tokens) - 1)
        near = self.text[self.ends[first][0] : self.ends[last][1]]
        return ValidationError(f'Syntax error; token: "{self.peek()}", near: "{near}"')

    def end(self) -> None:
        if self.next < len(self.tokens):
            raise self.syntax_error()

    def count(self) -> None:
        self.operators += 1
        if self.operators > MOST_OPERATORS:
            raise ValidationError("The expression contains too many operators;")

    # Operands

    def path(self) -> Path:
        parts: list[str | int] = [self.name()]
        while True:
            if self.take("."):
                parts.append(self.name())
            elif self.take("["):
                if not self.peek().isascii() or not self.peek().isdigit():
                    raise self.syntax_error()
                parts.append(int(self.peek()))
                self.next += 1
                self.expect("]")
            else:
                return Path(tuple(parts))

    def name(self) -> str:
        token = self.peek()
        if len(token) > 1 and token[0] == "#":
            self.next += 1
            return self.placeholders.name(token)
        if not BARE_NAME.fullmatch(token) or token.upper() in KEYWORDS | SECTIONS:
            raise self.syntax_error()
        if token.upper() in reserved_words():
            raise ValidationError(f"Attribute name is a reserved keyword; reserved keyword: {token}")
        self.next += 1
        return token

    def literal(self) -> Literal:
        token = self.peek()
        if len(token) < 2 or token[0] != ":":
            raise self.syntax_error()
        self.next += 1
        return Literal(self.placeholders.value(token))

    def arguments(self) -> tuple[str, tuple[Operand, ...]]:
        """A function's name and what is in its parentheses."""
        function = self.peek()
        self.next += 2
        operands = [self.operand()]
        while self.take(","):
            operands.append(self.operand())
        self.expect(")")
        self.count()
        return function, tuple(operands)

    def is_call(self) -> bool:
        return bool(BARE_NAME.fullmatch(self.peek())) and self.peek(1) == "(" and self.peek().upper() not in KEYWORDS

    def operand(self) -> Operand:
        if self.take("("):
            self.deeper()
            found = self.operand()
            self.expect(")")
            self.depth -= 1
            return found
        if self.is_call():
            return self.call(*self.arguments())
        return self.literal() if self.peek().startswith(":") else self.path()

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST_PARENTHESES:
            raise ValidationError("The expression has redundant parentheses;")

    def call(self, function: str, operands: tuple[Operand, ...]) -> Operand:
        """A function's value, where an operand stands."""
        raise NotImplementedError

    def wrong_number(self, function: str, operands: tuple[Operand, ...], expected: int) -> None:
        if len(operands) != expected:
            raise ValidationError(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {function}, number of operands: {len(operands)}"
            )

    def wrong_types(self, function: str, operands: Iterable[Operand], allowed: Iterable[str]) -> None:
        for operand in operands:
            kind = (
                "N" if isinstance(operand, Size) else kind_of(operand.content) if isinstance(operand, Literal) else ""
            )
            if kind and kind not in allowed:
                raise ValidationError(
                    "Incorrect operand type for operator or function; "
                    f"operator or function: {function}, operand type: {kind}"
                )

    def needs_path(self, function: str, operand: Operand) -> None:
        if not isinstance(operand, Path):
            raise ValidationError(f"Operator or function requires a document path; operator or function: {function}")


def misused(function: str) -> ValidationError:
    return ValidationError(f"The function is not allowed to be used this way in an expression; function: {function}")


class ConditionReader(Reader):
    def condition(self) -> Condition:
        found = self.disjunction()
        self.end()
        return self.tested(found)

    def tested(self, found: Condition | Operand) -> Condition:
        if isinstance(found, Test | Logic):
            return found
        if isinstance(found, Size):
            raise misused("size")
        raise self.syntax_error()

    def disjunction(self) -> Condition | Operand:
        return self.joined("OR", self.conjunction)

    def conjunction(self) -> Condition | Operand:
        return self.joined("AND", self.negation)

    def joined(self, word: str, part: Callable[[], Condition | Operand]) -> Condition | Operand:
        first = part()
        if self.peek().upper() != word:
            return first
        parts = [self.tested(first)]
        while self.take(word):
            self.count()
            parts.append(self.tested(part()))
        return Logic(word, tuple(parts))

    def negation(self) -> Condition | Operand:
        negations = 0
        while self.take("NOT"):
            self.count()
            negations += 1
        found = self.primary()
        if not negations:
            return found
        condition = self.tested(found)
        return Logic("NOT", (condition if negations % 2 else Logic("NOT", (condition,)),))

    def primary(self) -> Condition | Operand:
        found: Condition | Operand
        if self.take("("):
            redundant = self.peek() == "("
            self.deeper()
            start, found = self.next, self.disjunction()
            if redundant and self.closes(start) == self.next - 1:
                raise ValidationError("The expression has redundant parentheses;")
            self.expect(")")
            self.depth -= 1
            if isinstance(found, Test | Logic):
                return found
        elif self.is_call() and self.peek() in TESTS:
            test = self.test(*self.arguments())
            if self.peek().upper() in (*COMPARISONS, "=", "<>", "BETWEEN", "IN"):
                raise misused(test.operator)
            return test
        else:
            found = self.operand()
        return self.comparison(found)

    def closes(self, opening: int) -> int:
        """Where the parenthesis that is open at ``opening`` is closed."""
        depth = 0
        for index in range(opening, len(self.tokens)):
            depth += {"(": 1, ")": -1}.get(self.tokens[index], 0)
            if not depth:
                return index
        return -1

    def comparison(self, first: Operand) -> Condition | Operand:
        token = self.peek().upper()
        if token in COMPARISONS or token in ("=", "<>"):
            self.next += 1
            return self.test(token, (first, self.operand()))
        if self.take("BETWEEN"):
            low = self.operand()
            self.expect("AND")
            return self.test("BETWEEN", (first, low, self.operand()))
        if self.take("IN"):
            self.expect("(")
            options = [self.operand()]
            while self.take(","):
                options.append(self.operand())
            self.expect(")")
            if len(options) > MOST_IN_LIST:
                raise ValidationError(
                    "Too many operands for operator or function; "
                    f"operator or function: IN, number of operands: {len(options)}"
                )
            return self.test("IN", (first, *options))
        return first

    def call(self, function: str, operands: tuple[Operand, ...]) -> Operand:
        if function in TESTS or function in UPDATES:
            raise misused(function)
        if function != "size":
            raise ValidationError(f"Invalid function name; function: {function}")
        self.wrong_number(function, operands, 1)
        if isinstance(operands[0], Size):
            raise misused("size")
        self.wrong_types(function, operands, set(TYPES) - {"N", "BOOL", "NULL"})
        return Size(operands[0])

    def test(self, operator: str, operands: tuple[Operand, ...]) -> Test:
        """Checks what can be seen without an item."""
        if operator in TESTS:
            self.wrong_number(operator, operands, TESTS[operator])
        else:
            self.count()
        first, *others = operands
        if isinstance(first, Path) and operator != "IN" and first in others:
            raise ValidationError(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {operator}, first operand: {shown(first.parts)}"
            )
        match operator:
            case "attribute_exists" | "attribute_not_exists":
                self.needs_path(operator, first)
            case "attribute_type":
                kind = others[0]
                if not isinstance(kind, Literal):
                    raise ValidationError(
                        "Incorrect operand type for operator or function; operator or function: attribute_type, "
                        "operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
                    )
                self.wrong_types(operator, others, ("S",))
                if kind.content["S"] not in TYPES:
                    raise ValidationError(
                        f"Invalid attribute type name found; type: {kind.content['S']}, "
                        "valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
                    )
            case "begins_with":
                self.wrong_types(operator, operands, ("S", "B"))
            case "BETWEEN":
                self.wrong_types(operator, operands, ORDERED)
                check_bounds(*others)
            case _ if operator in COMPARISONS:
                self.wrong_types(operator, operands, ORDERED)
        return Test(operator, operands)


def check_bounds(low: Operand, high: Operand) -> None:
    """Raises ValidationError if nothing can lie between two values of the request."""
    if not isinstance(low, Literal) or not isinstance(high, Literal):
        return
    ((low_kind, low_content),), ((high_kind, high_content),) = low.content.items(), high.content.items()
    if low_kind != high_kind:
        reason = "same data type for lower and upper bounds"
    elif position(low.content) > position(high.content):
        reason = "upper bound to be greater than or equal to lower bound"
    else:
        return
    raise ValidationError(
        f"The BETWEEN operator requires {reason}; "
        f"lower bound operand: AttributeValue: {{{low_kind}:{low_content}}}, "
        f"upper bound operand: AttributeValue: {{{high_kind}:{high_content}}}"
    )


class UpdateReader(Reader):
    def update(self) -> Update:
        found, seen = Update(), set[str]()
        while self.next < len(self.tokens):
            section = self.peek().upper()
            if section not in SECTIONS:
                raise self.syntax_error()
            if section in seen:
                raise ValidationError(f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            self.next += 1
            self.action(section, found)
            while self.take(","):
                self.action(section, found)
        check_apart(found.paths)
        return found

    def action(self, section: str, update: Update) -> None:
        path = self.path()
        self.count()
        if section == "REMOVE":
            update.removes.append(path)
        elif section == "SET":
            self.expect("=")
            update.sets.append((path, self.assigned()))
        else:
            value = self.literal().content
            kind = kind_of(value)
            if kind not in ("SS", "NS", "BS") and (section, kind) != ("ADD", "N"):
                raise ValidationError(
                    f"Incorrect operand type for operator or function; operator: {section}, "
                    f"operand type: {NAMES_OF_TYPES[kind]}"
                )
            (update.adds if section == "ADD" else update.deletes).append((path, value))

    def assigned(self) -> Operand:
        if self.take("("):
            self.deeper()
            found = self.assigned()
            self.expect(")")
            self.depth -= 1
        else:
            found = self.operand()
        sign = self.peek()
        if sign not in ("+", "-"):
            return found
        self.next += 1
        self.count()
        operands = (found, self.operand())
        self.wrong_types(sign, operands, "N")
        return Call(sign, operands)

    def call(self, function: str, operands: tuple[Operand, ...]) -> Operand:
        if function in TESTS or function == "size":
            raise misused(function)
        if function not in UPDATES:
            raise ValidationError(f"Invalid function name; function: {function}")
        self.wrong_number(function, operands, UPDATES[function])
        if function == "if_not_exists":
            self.needs_path(function, operands[0])
        else:
            self.wrong_types(function, operands, "L")
        if any(isinstance(operand, Call) and operand.function == "list_append" for operand in operands):
            raise misused("list_append")
        return Call(function, operands)


def check_apart(paths: list[Parts]) -> None:
    """Raises ValidationError if two paths are one, or one leads into the other or takes it for something else."""
    of_attribute: dict[str | int, list[Parts]] = {}
    for second in paths:
        others = of_attribute.setdefault(second[0], [])
        for first in others:
            difference = next((pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]), None)
            if difference is None:
                raise _not_apart("overlap", first, second)
            if type(difference[0]) is not type(difference[1]):
                raise _not_apart("conflict", first, second)
        others.append(second)


def _not_apart(how: str, first: Parts, second: Parts) -> ValidationError:
    return ValidationError(
        f"Two document paths {how} with each other; must remove or rewrite one of these paths; "
        f"path one: {shown(first)}, path two: {shown(second)}"
    )


def _of[T](member: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValidationError as error:
        raise ValidationError(f"Invalid {member}: {error}") from None


def condition(text: str, placeholders: Placeholders, member: str = "ConditionExpression") -> Condition:
    """A condition or filter. Raises ValidationError if ``text`` is none; ``member`` is the request's."""
    return _of(member, lambda: ConditionReader(text, placeholders).condition())


def update(text: str, placeholders: Placeholders) -> Update:
    return _of("UpdateExpression", lambda: UpdateReader(text, placeholders).update())


def projection(text: str, placeholders: Placeholders) -> list[Parts]:
    def read() -> list[Parts]:
        reader = Reader(text, placeholders)
        paths = [reader.path().parts]
        while reader.take(","):
            paths.append(reader.path().parts)
        reader.end()
        check_apart(paths)
        return paths

    return _of("ProjectionExpression", read)


@dataclass(frozen=True)
class KeyCondition:
    """The partition key's value, and what is asked of the sort key, if anything."""

    partition: Value
    operator: str | None
    operands: tuple[Value, ...]


def key_condition(text: str, placeholders: Placeholders, partition: str, sort: str | None) -> KeyCondition:
    """``partition`` and ``sort`` are the key attributes of the table or index. Raises ValidationError."""
    tests: dict[str, Test] = {}
    for test in conjuncts(condition(text, placeholders, "KeyConditionExpression")):
        name, simple = of_one_key(test)
        if name in tests:
            raise ValidationError("KeyConditionExpressions must only contain one condition per key")
        tests[name] = simple
    if len(tests) > 2:
        raise ValidationError("Conditions can be of length 1 or 2 only")
    if partition not in tests:
        raise ValidationError(f"Query condition missed key schema element: {partition}")
    of_partition = tests.pop(partition)
    if of_partition.operator != "=":
        raise ValidationError("Query key condition not supported")
    of_sort = tests.pop(sort, None) if sort else None
    if tests:
        if sort:
            raise ValidationError(f"Query condition missed key schema element: {sort}")
        raise ValidationError("Query key condition not supported")
    (value,) = literals(of_partition)
    if of_sort is None:
        return KeyCondition(value, None, ())
    return KeyCondition(value, of_sort.operator, literals(of_sort))


def literals(test: Test) -> tuple[Value, ...]:
    return tuple(operand.content for operand in test.operands if isinstance(operand, Literal))


def conjuncts(found: Condition) -> list[Test]:
    if isinstance(found, Test):
        return [found]
    if found.operator != "AND":
        raise ValidationError(f"Invalid operator used in KeyConditionExpression: {found.operator}")
    return [test for part in found.parts for test in conjuncts(part)]


def of_one_key(test: Test) -> tuple[str, Test]:
    """The attribute of a condition on a key, and the condition with the attribute in front."""
    if test.operator not in (*REVERSED, "BETWEEN", "begins_with"):
        raise ValidationError(f"Invalid operator used in KeyConditionExpression: {test.operator}")
    if any(isinstance(operand, Size) for operand in test.operands):
        raise ValidationError("KeyConditionExpressions cannot contain nested operations")
    if test.operator in REVERSED and isinstance(test.operands[0], Literal):
        test = Test(REVERSED[test.operator], test.operands[::-1])
    attribute, *others = test.operands
    if not isinstance(attribute, Path):
        if test.operator in REVERSED:
            reason = "No key attribute specified"
        else:
            reason = f"{test.operator} operator must have the key attribute as its first operand"
        raise ValidationError(f"Invalid condition in KeyConditionExpression: {reason}")
    if any(isinstance(operand, Path) for operand in others):
        raise ValidationError(
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
        )
    if len(attribute.parts) > 1:
        raise ValidationError("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(attribute.parts[0]), test


# The parameters that expressions replaced:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html

COMPARISON_OPERATORS = {
    "EQ": ("=", TYPES),
    "NE": ("<>", TYPES),
    "LE": ("<=", ORDERED),
    "LT": ("<", ORDERED),
    "GE": (">=", ORDERED),
    "GT": (">", ORDERED),
    "NOT_NULL": ("attribute_exists", TYPES),
    "NULL": ("attribute_not_exists", TYPES),
    "CONTAINS": ("contains", ORDERED),
    "NOT_CONTAINS": ("contains", ORDERED),
    "BEGINS_WITH": ("begins_with", ("S", "B")),
    "IN": ("IN", ORDERED),
    "BETWEEN": ("BETWEEN", ORDERED),
}
NUMBERS_OF_ARGUMENTS = {"NOT_NULL": 0, "NULL": 0, "BETWEEN": 2}


def legacy_condition(attribute: str, comparison: str | None, arguments: list[Value]) -> Condition:
    """Raises ValidationError if the operator does not exist, or is not for so many arguments, or of their types."""
    if comparison not in COMPARISON_OPERATORS:
        raise ValidationError(
            f"1 validation error detected: Value '{comparison}' at 'comparisonOperator' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(COMPARISON_OPERATORS)}]"
        )
    expression, allowed = COMPARISON_OPERATORS[comparison]
    expected = NUMBERS_OF_ARGUMENTS.get(comparison, 1)
    if not arguments if comparison == "IN" else len(arguments) != expected:
        raise ValidationError(f"{INVALID}Invalid number of argument(s) for the {comparison} ComparisonOperator")
    for argument in arguments:
        if kind_of(argument) not in allowed:
            raise ValidationError(
                f"{INVALID}ComparisonOperator {comparison} is not valid for {kind_of(argument)} AttributeValue type"
            )
    if len({kind_of(argument) for argument in arguments}) > 1:
        raise ValidationError(f"{INVALID}AttributeValues inside AttributeValueList must be of same type")
    if comparison == "BETWEEN" and position(arguments[0]) > position(arguments[1]):
        raise ValidationError(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )
    test = Test(expression, (Path((attribute,)), *map(Literal, arguments)))
    return Logic("NOT", (test,)) if comparison == "NOT_CONTAINS" else test


def expected(conditions: Mapping[str, Any], operator: str = "AND") -> Condition:
    """Of the parameters Expected and ConditionalOperator. Raises ValidationError."""
    tests: list[Condition] = []
    for name, given in conditions.items():
        if "ComparisonOperator" in given:
            tests.append(legacy_condition(name, given["ComparisonOperator"], given.get("AttributeValueList", [])))
        elif given.get("Exists", True):
            if "Value" not in given:
                shown_exists = "null" if "Exists" not in given else "true"
                raise ValidationError(
                    f"{INVALID}Value must be provided when Exists is {shown_exists} for Attribute: {name}"
                )
            tests.append(legacy_condition(name, "EQ", [given["Value"]]))
        elif "Value" in given:
            raise ValidationError(f"{INVALID}Value cannot be used when Exists is false for Attribute: {name}")
        else:
            tests.append(legacy_condition(name, "NULL", []))
    return Logic(operator, tuple(tests))


def attribute_updates(updates: Mapping[str, Any]) -> Update:
    """Of the parameter AttributeUpdates. Raises ValidationError.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.AttributeUpdates.html
    """
    found = Update()
    for name, given in updates.items():
        path, action, value = Path((name,)), given.get("Action", "PUT"), given.get("Value")
        if action == "DELETE" and value is None:
            found.removes.append(path)
        elif value is None:
            raise ValidationError(f"{INVALID}Only DELETE action is allowed when no attribute value is specified")
        elif action == "PUT":
            found.sets.append((path, Literal(value)))
        elif action in ("ADD", "DELETE"):
            if kind_of(value) not in ("SS", "NS", "BS") and (action == "DELETE" or kind_of(value) not in ("N", "L")):
                raise ValidationError(f"{INVALID}Action {action} is not supported for the type {kind_of(value)}")
            (found.adds if action == "ADD" else found.deletes).append((path, value))
        else:
            raise ValidationError(
                f"1 validation error detected: Value '{action}' at 'attributeUpdates.{name}.member.action' failed to "
                "satisfy constraint: Member must satisfy enum value set: [ADD, DELETE, PUT]"
            )
    return found
