"""Queries of CloudWatch Logs Insights.

AWS: commands, separated by pipes, work on log events with the fields @timestamp, @message, @logStream, @log,
@ingestionTime, the fields of a JSON message (``a.b``, ``a.0``), and for Lambda those of its REPORT lines
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Sort.html).

LocalStack: leaves queries to moto, which knows ``fields`` of the four system fields, ``sort @timestamp`` and
``limit``, and passes over everything else: a ``filter`` lets all events through, ``stats`` returns events.

Here: a parser and interpreter that knows nothing of LocalStack: fields, display, filter, parse, stats, sort, dedup and
limit, the operators and functions of the page, JSON and REPORT fields. A command that it does not know is refused. Not
as on AWS: count_distinct is exact; a comparison with a missing field is false.

Evidence: documentation; belief for missing fields, for booleans (true equals 1 and "true", and is shown as 1) and for
the digits of a mean.
"""

import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pyparsing as pp

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
DEFAULT_LIMIT = 10_000

Row = dict[str, Any]
Rows = list[Row]
Command = Callable[[Rows], Rows]


class InvalidQuery(ValueError):
    """A query that cannot be parsed; the message says why, ``at`` where (an offset)."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


class Time(int):
    """Milliseconds since 1970, shown as a date."""


@dataclass(frozen=True)
class Query:
    commands: tuple[tuple[str, Command], ...]
    columns: tuple[str, ...] | None  # None: everything that stats left
    limit: int | None

    def run(self, events: Iterable[Row]) -> tuple[list[dict[str, str]], int]:
        """The rows, each the names of its columns to the text of their values; and how many events matched filters.

        ``events`` are as ``event`` makes them.
        """
        rows = sorted(events, key=lambda row: row["@timestamp"], reverse=True)
        matched = len(rows)
        for kind, command in self.commands:
            rows = command(rows)
            matched = len(rows) if kind == "filter" else matched
        columns = None if self.columns is None else (*self.columns, "@ptr")
        return [
            {name: text(row[name]) for name in columns or row if row.get(name) is not None} for row in rows
        ], matched


# Events and their fields

REPORT = re.compile(
    r"REPORT RequestId: (?P<requestId>\S+)\s+Duration: (?P<duration>[\d.]+) ms"
    r"\s+Billed Duration: (?P<billedDuration>[\d.]+) ms\s+Memory Size: (?P<memorySize>\d+) MB"
    r"\s+Max Memory Used: (?P<maxMemoryUsed>\d+) MB(?:\s+Init Duration: (?P<initDuration>[\d.]+) ms)?"
)
LAMBDA_LINE = re.compile(r"(?P<type>START|END|REPORT) RequestId: (?P<requestId>\S+)")


def event(message: str, **system: Any) -> Row:
    """A log event with its discovered fields.

    ``system`` has the fields timestamp (milliseconds), logStream, log, ingestionTime and ptr, without the @.
    """
    row: Row = {f"@{name}": value for name, value in system.items()} | {"@message": message}
    row["@timestamp"] = Time(row["@timestamp"])
    if found := LAMBDA_LINE.match(message):
        row |= {f"@{name}": value for name, value in found.groupdict().items()}
        if report := REPORT.match(message):
            numbers = {name: value for name, value in report.groupdict().items() if name != "requestId"}
            megabyte = 1_000_000  # the page's own examples divide @memorySize by 1000 twice
            for name, value in numbers.items():
                if value is not None:
                    row[f"@{name}"] = float(value) * (megabyte if "emory" in name else 1)
        return row
    start = message.find("{")
    if start >= 0:
        try:
            document, _ = json.JSONDecoder().raw_decode(message, start)
        except ValueError:
            return row
        # "only for the first embedded JSON fragment", and only in Lambda's logs; others are JSON as a whole
        if start == len(message) - len(message.lstrip()) or "/aws/lambda/" in str(row.get("@log")):
            row |= dict(flattened(document, ""))
    return row


def flattened(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from flattened(inner, f"{name}.{key}" if name else str(key))
    elif value is not None:
        yield name, value


def text(value: Any) -> str:
    if isinstance(value, Time):
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}.{value % 1000:03}"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.12g}"
    return str(value)


def number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def order(value: Any) -> tuple[Any, ...]:
    """A key for "natural sorting": what is not a number first, in chunks of digits and of other characters."""
    if (found := number(value)) is not None:
        return 1, found
    chunks = re.findall(r"\d+|\D+", text(value))
    return 0, [(chunk if chunk[0] not in "0123456789" else chunk[0], len(chunk), chunk) for chunk in chunks]


# Expressions


@dataclass(frozen=True)
class Expression:
    """``of(row)`` is its value for an event, ``over(rows)`` for a group of events."""

    of: Callable[[Row], Any]
    over: Callable[[Rows], Any]
    field: str = ""  # its name, if it is one


def literal(value: Any) -> Expression:
    return Expression(lambda row: value, lambda rows: value)


def field(name: str) -> Expression:
    return Expression(lambda row: row.get(name), lambda rows: rows[0].get(name) if rows else None, name)


def applied(function: Callable[..., Any], *arguments: Expression) -> Expression:
    return Expression(
        lambda row: function(*(argument.of(row) for argument in arguments)),
        lambda rows: function(*(argument.over(rows) for argument in arguments)),
    )


def arithmetic(operation: Callable[[float, float], float]) -> Callable[[Any, Any], float | None]:
    def compute(left: Any, right: Any) -> float | None:
        a, b = number(left), number(right)
        if a is None or b is None:
            return None
        try:
            return operation(a, b)
        except (ZeroDivisionError, OverflowError):
            return None

    return compute


def comparison(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        a, b = number(left), number(right)
        if a is not None and b is not None:
            return holds(a, b)
        return holds(*(json.dumps(side) if isinstance(side, bool) else text(side) for side in (left, right)))

    return compare


def like(value: Any, pattern: Any) -> bool:
    if value is None:
        return False
    if isinstance(pattern, re.Pattern):
        return pattern.search(text(value)) is not None
    return text(pattern) in text(value)


OPERATORS: dict[str, Callable[..., Any]] = {
    "=": comparison(lambda a, b: a == b),
    "!=": comparison(lambda a, b: a != b),
    "<": comparison(lambda a, b: a < b),
    "<=": comparison(lambda a, b: a <= b),
    ">": comparison(lambda a, b: a > b),
    ">=": comparison(lambda a, b: a >= b),
    "+": arithmetic(lambda a, b: a + b),
    "-": arithmetic(lambda a, b: a - b),
    "*": arithmetic(lambda a, b: a * b),
    "/": arithmetic(lambda a, b: a / b),
    "%": arithmetic(math.fmod),
    "^": arithmetic(lambda a, b: a**b),
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
    "like": like,
    "=~": like,
}


def numeric(function: Callable[..., float]) -> Callable[..., float | None]:
    def compute(*values: Any) -> float | None:
        numbers = [number(value) for value in values]
        try:
            return None if None in numbers else function(*numbers)
        except ValueError:
            return None

    return compute


def textual(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda value, *rest: None if value is None else function(text(value), *rest)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": numeric(abs),
    "ceil": numeric(math.ceil),
    "floor": numeric(math.floor),
    "greatest": numeric(max),
    "least": numeric(min),
    "log": numeric(math.log),
    "sqrt": numeric(math.sqrt),
    "ispresent": lambda value: value is not None,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "isempty": lambda value: value is None or text(value) == "",
    "isblank": lambda value: value is None or text(value).strip() == "",
    "concat": lambda *values: "".join(text(value) for value in values if value is not None),
    "trim": textual(lambda value, characters=None: value.strip(characters)),
    "ltrim": textual(lambda value, characters=None: value.lstrip(characters)),
    "rtrim": textual(lambda value, characters=None: value.rstrip(characters)),
    "strlen": textual(len),
    "toupper": textual(str.upper),
    "tolower": textual(str.lower),
    "substr": textual(lambda value, start, length=None: value[int(start) :][: None if length is None else int(length)]),
    "replace": textual(lambda value, old, new: value.replace(text(old), text(new))),
    "strcontains": textual(lambda value, part: int(text(part) in value)),
    "datefloor": lambda at, period: None if at is None else Time(at // period * period),
    "dateceil": lambda at, period: None if at is None else Time(-(-at // period) * period),
    "tomillis": lambda at: None if at is None else int(at),
    "frommillis": lambda value: None if number(value) is None else Time(int(number(value) or 0)),
}


def percentile(values: list[float], percent: float) -> float | None:
    """The nearest rank."""
    return sorted(values)[max(math.ceil(percent / 100 * len(values)) - 1, 0)] if values else None


Aggregate = Callable[[list[Any]], Any]
AGGREGATES: dict[str, Aggregate] = {
    "count": len,
    "count_distinct": lambda values: len({text(value) for value in values}),
    "min": lambda values: min(values, key=order, default=None),
    "max": lambda values: max(values, key=order, default=None),
    "sortsfirst": lambda values: min(values, key=order, default=None),
    "sortslast": lambda values: max(values, key=order, default=None),
    # Rows come newest first.
    "latest": lambda values: values[0] if values else None,
    "earliest": lambda values: values[-1] if values else None,
    "sum": lambda values: sum(numbers(values)),
    "avg": lambda values: statistics.fmean(numbers(values)) if numbers(values) else None,
    "stddev": lambda values: statistics.pstdev(numbers(values)) if numbers(values) else None,
    "median": lambda values: percentile(numbers(values), 50),
}


def numbers(values: Iterable[Any]) -> list[float]:
    return [found for value in values if (found := number(value)) is not None]


def called(source: str, at: int, tokens: pp.ParseResults) -> Expression:
    name, *arguments = tokens
    key = name.lower()
    if key in ("pct", "percentile") and len(arguments) == 2:
        what, percent = arguments[0], arguments[1].of({})
        return aggregated(lambda values: percentile(numbers(values), percent), what)
    if key in AGGREGATES and len(arguments) <= 1:
        return aggregated(AGGREGATES[key], arguments[0] if arguments else literal(1))
    if key == "bin" and len(arguments) == 1:
        return applied(FUNCTIONS["datefloor"], field("@timestamp"), arguments[0])
    if key not in FUNCTIONS:
        raise pp.ParseFatalException(source, at, f"unknown function {name}")
    return applied(FUNCTIONS[key], *arguments)


def aggregated(function: Aggregate, what: Expression) -> Expression:
    def over(rows: Rows) -> Any:
        return function([value for row in rows if (value := what.of(row)) is not None])

    return Expression(lambda row: None, over)


# Grammar

PERIODS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def word(*texts: str) -> pp.ParserElement:
    return pp.MatchFirst([pp.CaselessKeyword(one) for one in texts])


def left_to_right(tokens: pp.ParseResults) -> Expression:
    result, *rest = tokens
    for operator, right in zip(rest[::2], rest[1::2], strict=True):
        result = applied(OPERATORS[operator], result, right)
    return result


def binary(operand: pp.ParserElement, operators: pp.ParserElement) -> pp.ParserElement:
    return (operand + pp.ZeroOrMore(operators + operand)).set_parse_action(left_to_right)


def expressions() -> tuple[pp.ParserElement, pp.ParserElement, pp.ParserElement]:
    """An expression, a string and a regular expression."""
    expression = pp.Forward()
    left, right = pp.Suppress("("), pp.Suppress(")")
    string = (pp.QuotedString('"', esc_char="\\") | pp.QuotedString("'", esc_char="\\")).set_parse_action(
        lambda tokens: literal(tokens[0])
    )
    pattern = pp.Regex(r"/((?:[^/\\]|\\.)*)/").set_parse_action(regular_expression)
    period = pp.Regex(r"\d+\s*(ms|[smhdw])(?!\w)").set_parse_action(
        lambda tokens: literal(
            int(re.match(r"\d+", tokens[0])[0]) * PERIODS[re.search(r"[a-z]+", tokens[0])[0]]  # type: ignore[index]
        )
    )
    plain = pp.Regex(r"\d+(\.\d+)?(e[+-]?\d+)?(?![\w.])").set_parse_action(lambda tokens: literal(float(tokens[0])))
    name = pp.Regex(r"[@A-Za-z_$][@\w.$]*")
    quoted = pp.QuotedString("`")
    star = pp.Literal("*").set_parse_action(lambda: literal(1))
    call = (name + left + pp.Optional(pp.DelimitedList(star | expression)) + right).set_parse_action(called)
    atom = (
        string
        | pattern
        | period
        | plain
        | call
        | (name | quoted).set_parse_action(lambda tokens: field(tokens[0]))
        | left + expression + right
    )
    factor = pp.Forward()
    factor <<= (pp.Suppress("-") + factor).set_parse_action(
        lambda tokens: applied(OPERATORS["-"], literal(0), tokens[0])
    ) | binary(atom, pp.Literal("^"))
    total = binary(binary(factor, pp.one_of("* / %")), pp.one_of("+ -"))
    values = pp.Suppress("[") + pp.Optional(pp.DelimitedList(expression)) + pp.Suppress("]")
    contained = (total + word("not")[0, 1] + word("in").suppress() + pp.Group(values)).set_parse_action(member)
    alike = (total + word("not")[0, 1] + (word("like") | pp.Literal("=~")).suppress() + total).set_parse_action(
        resembling
    )
    compared = contained | alike | binary(total, pp.one_of("!= <= >= = < >"))
    negated = pp.Forward()
    negated <<= (word("not").suppress() + negated).set_parse_action(
        lambda tokens: applied(lambda value: not value, tokens[0])
    ) | compared
    expression <<= binary(binary(negated, word("and")), word("or"))
    expression.set_name("an expression")
    return expression, string, pattern


def regular_expression(source: str, at: int, tokens: pp.ParseResults) -> Expression:
    # A flag in the middle, as in AWS's example /^(?i)Exception$/, is valid in its dialect and not in Python's.
    body = tokens[0][1:-1]
    flags = re.IGNORECASE if "(?i)" in body else 0
    named = re.sub(r"\(\?<(?![=!])", "(?P<", body.replace("(?i)", ""))
    try:
        return literal(re.compile(named, flags))
    except re.error as error:
        raise pp.ParseFatalException(source, at, f"regular expression: {error}") from error


def member(tokens: pp.ParseResults) -> Expression:
    what, *negation, values = tokens
    equal = OPERATORS["="]
    inside = applied(lambda value, *all_: any(equal(value, one) for one in all_), what, *values)
    return negated_if_present(what, inside) if negation else inside


def resembling(tokens: pp.ParseResults) -> Expression:
    what, *negation, pattern = tokens
    found = applied(like, what, pattern)
    return negated_if_present(what, found) if negation else found


def negated_if_present(what: Expression, condition: Expression) -> Expression:
    return applied(lambda value, holds: value is not None and not holds, what, condition)


# Commands


@dataclass(frozen=True)
class Column:
    name: str
    value: Expression


def column(source: str, at: int, tokens: pp.ParseResults) -> Column:
    """Without an alias a column is called what its expression is written as; a field by its name."""
    start, (value,), end, *alias = tokens
    return Column(alias[0] if alias else value.field or source[start:end].strip(), value)


def computed(columns: Iterable[Column]) -> Command:
    return lambda rows: [row | {one.name: one.value.of(row) for one in columns} for row in rows]


def kept(condition: Expression) -> Command:
    return lambda rows: [row for row in rows if condition.of(row)]


def grouped(values: list[Column], by: list[Column]) -> Command:
    def run(rows: Rows) -> Rows:
        groups: dict[tuple[Any, ...], Rows] = {} if by else {(): []}
        for row in rows:
            row = row | {one.name: one.value.of(row) for one in by}
            groups.setdefault(tuple(row[one.name] for one in by), []).append(row)
        return [
            {one.name: key for one, key in zip(by, keys, strict=True)}
            | {one.name: one.value.over(group) for one in values}
            for keys, group in groups.items()
        ]

    return run


def ordered(keys: list[tuple[Column, bool]]) -> Command:
    def run(rows: Rows) -> Rows:
        for key, descending in reversed(keys):
            # After stats, the column that is called as the key is written: sort bin(5m)
            keyed = [(row, row[key.name] if key.name in row else key.value.of(row)) for row in rows]
            present = [(row, value) for row, value in keyed if value is not None]
            present.sort(key=lambda pair: order(pair[1]), reverse=descending)
            rows = [row for row, _ in present] + [row for row, value in keyed if value is None]
        return rows

    return run


def extracted(what: Expression, pattern: re.Pattern[str], names: list[str]) -> Command:
    def run(rows: Rows) -> Rows:
        return [row | fields(what.of(row)) for row in rows]

    def fields(value: Any) -> Row:
        found = None if value is None else pattern.search(text(value))
        if not found:
            return {}
        return dict(zip(names, found.groups(), strict=True)) if names else found.groupdict()

    return run


def glob(pattern: str) -> re.Pattern[str]:
    """Each ``*`` is a field: as little as possible, but all that is left when it is the last character."""
    parts = "(.*?)".join(re.escape(part) for part in pattern.split("*"))
    return re.compile(parts.removesuffix("(.*?)") + "(.*)" if pattern.endswith("*") else parts, re.DOTALL)


def parsed(source: str, at: int, tokens: pp.ParseResults) -> Command:
    what, pattern, names = tokens
    value = pattern.of({})
    if not isinstance(value, re.Pattern):
        value = glob(value)
        if value.groups != len(names):
            raise pp.ParseFatalException(source, at, "parse needs one name for each * of its pattern")
    elif names and value.groups != len(names):
        raise pp.ParseFatalException(source, at, "parse needs one name for each group of its pattern")
    return extracted(what, value, list(names))


def first(amount: int) -> Command:
    return lambda rows: rows[:amount]


def distinct(by: list[Expression]) -> Command:
    def run(rows: Rows) -> Rows:
        found: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            found.setdefault(tuple(one.of(row) for one in by), row)
        return list(found.values())

    return run


# What a command of the query says: its name and its parts
Clause = tuple[str, Any]


def clauses() -> pp.ParserElement:
    expression, string, pattern = expressions()
    located = pp.Located(expression)
    name = pp.QuotedString("`") | pp.Regex(r"[@\w.$]+")
    columns = pp.Group(pp.DelimitedList((located + (word("as").suppress() + name)[0, 1]).set_parse_action(column)))
    key = located.copy().add_parse_action(column) + (word("asc") | word("desc"))[0, 1]
    key.set_parse_action(lambda tokens: [(tokens[0], tokens[-1] == "desc")])

    def clause(keywords: str, body: pp.ParserElement, made: Callable[[pp.ParseResults], Any]) -> pp.ParserElement:
        kind, *_ = keywords.split()
        found = word(*keywords.split()).suppress() - body
        return found.set_parse_action(lambda tokens: [(kind, made(tokens))])

    names = pp.Group((word("as").suppress() + pp.DelimitedList(name))[0, 1])
    by = pp.Group((word("by").suppress() + columns)[0, 1])
    source = name.copy().add_parse_action(lambda tokens: field(tokens[0]))
    extraction = (source + (pattern | string) + names).set_parse_action(parsed)
    amount = pp.Regex(r"\d+").set_parse_action(lambda tokens: int(tokens[0]))
    one = pp.MatchFirst(
        [
            clause("fields", columns, lambda tokens: list(tokens[0])),
            clause("display", columns, lambda tokens: list(tokens[0])),
            clause("filter", expression, lambda tokens: kept(tokens[0])),
            clause("parse", extraction, lambda tokens: tokens[0]),
            clause(
                "stats",
                columns + by,
                lambda tokens: grouped(list(tokens[0]), list(tokens[1][0]) if tokens[1] else []),
            ),
            clause("sort", pp.DelimitedList(key), lambda tokens: ordered(list(tokens))),
            clause("dedup", pp.DelimitedList(expression), lambda tokens: distinct(list(tokens))),
            clause("limit head", amount, lambda tokens: tokens[0]),
        ]
    )
    one.set_name("a command (fields, display, filter, parse, stats, sort, dedup or limit)")
    query = pp.Optional(pp.Suppress("|")) + pp.DelimitedList(one, "|")
    return query.ignore(pp.Regex(r"#[^\n]*"))


GRAMMAR = clauses()


@lru_cache(maxsize=256)
def parse(query: str) -> Query:
    """Raises InvalidQuery if a command, a function or the syntax is not one of those above."""
    try:
        found: list[Clause] = list(GRAMMAR.parse_string(query, parse_all=True))
    except pp.ParseBaseException as error:
        place = query[error.loc :].strip() or "the end"
        raise InvalidQuery(f"{error.msg} at: {place[:60]}", error.loc) from error
    commands: list[tuple[str, Command]] = []
    shown: tuple[str, ...] | None = ()
    limit: int | None = None
    for kind, body in found:
        if kind == "limit":
            limit = body
            commands.append((kind, first(body)))
        elif kind in ("fields", "display"):
            commands.append((kind, computed(body)))
            names = tuple(one.name for one in body)
            shown = names if kind == "display" else tuple(dict.fromkeys((*(shown or ()), *names)))
        else:
            commands.append((kind, body))
            shown = None if kind == "stats" else shown
    return Query(tuple(commands), ("@timestamp", "@message") if shown == () else shown, limit)
