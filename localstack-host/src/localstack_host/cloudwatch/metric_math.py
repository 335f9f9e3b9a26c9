"""Metric math: expressions over metrics and over the results of other expressions.

AWS: an expression of numbers, Ids, arrays, ``+ - * / ^``, comparisons, AND, OR and functions, whose names are in upper
case, makes a time series or an array of them; in between, values are scalars too. Missing data points count as 0 in
arithmetic, comparisons and averages, and a data point that would be divided by zero is dropped
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html).

LocalStack: has none: GetMetricData with an expression is a 500, an alarm on one stays as it was created.

Here: parser and evaluator, which know nothing of LocalStack; ``metric_data`` and ``alarms`` use them. What needs more
than the metrics of the request is refused by name: SEARCH, ANOMALY_DETECTION_BAND, Metrics Insights queries,
INSIGHT_RULE_METRIC, DB_PERF_INSIGHTS and SERVICE_QUOTA.

Evidence: documentation (its examples are tests). Belief where it is silent: OR binds least, then AND, comparisons,
``+ -``, ``* /``, the sign, and ``^`` most and to the right; a scalar that has no value (the maximum of no data points)
drops the data points that it is combined with; MIN, MAX and STDDEV look at the data points that exist, and STDDEV is
that of a population; FILL has nothing to repeat before the first value, nor to interpolate before it or after the last;
metrics of different periods are combined by timestamp, and the longest period is the expression's.
"""

import math
import operator
import statistics
from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import pyparsing as pp


class InvalidExpression(ValueError):
    """An expression that cannot be parsed or evaluated. ``expression`` is the Id of the query that it is of."""

    expression = ""


@dataclass(frozen=True)
class Series:
    """A time series: values by timestamp (Unix seconds), in its order. A metric's has a period, in seconds."""

    points: Mapping[int, float]
    label: str = ""
    period: int | None = None


Value = float | Series | list[Series]

# Trees. A word in upper case that is no function's, such as DESC, is a Keyword.


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Text:
    value: str


@dataclass(frozen=True)
class Reference:
    id: str


@dataclass(frozen=True)
class Keyword:
    name: str


@dataclass(frozen=True)
class Array:
    items: tuple["Tree", ...]


@dataclass(frozen=True)
class Negative:
    of: "Tree"


@dataclass(frozen=True)
class Binary:
    operator: str
    left: "Tree"
    right: "Tree"


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple["Tree", ...]


Tree = Number | Text | Reference | Keyword | Array | Negative | Binary | Call


def left_associative(tokens: pp.ParseResults) -> Tree:
    first, *rest = tokens
    tree: Tree = first
    for position in range(0, len(rest), 2):
        tree = Binary(SAME.get(rest[position], rest[position]), tree, rest[position + 1])
    return tree


def power(tokens: pp.ParseResults) -> Tree:
    return Binary("^", tokens[0], tokens[1]) if len(tokens) == 2 else cast(Tree, tokens[0])


SAME = {"&&": "AND", "||": "OR"}


def grammar() -> pp.ParserElement:
    def chain(operand: pp.ParserElement, operators: pp.ParserElement) -> pp.ParserElement:
        return (operand + (operators + operand)[...]).set_parse_action(left_associative)

    def listed(left: str, right: str) -> pp.ParserElement:
        return pp.Suppress(left) + pp.Optional(pp.DelimitedList(expression)) + pp.Suppress(right)

    expression = pp.Forward()
    number = pp.Regex(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
    text = pp.QuotedString('"') | pp.QuotedString("'")
    name = pp.Regex(r"[A-Z][A-Z0-9_]*\b")
    call = name + pp.Group(listed("(", ")"))
    atom = (
        number.copy().set_parse_action(lambda tokens: Number(float(tokens[0])))
        | text.set_parse_action(lambda tokens: Text(tokens[0]))
        | pp.Regex(r"[a-z][a-zA-Z0-9_]*").set_parse_action(lambda tokens: Reference(tokens[0]))
        | call.set_parse_action(lambda tokens: Call(tokens[0], tuple(tokens[1])))
        | name.copy().set_parse_action(lambda tokens: Keyword(tokens[0]))
        | listed("[", "]").set_parse_action(lambda tokens: Array(tuple(tokens)))
        | pp.Suppress("(") + expression + pp.Suppress(")")
    )
    signed = pp.Forward()
    signed <<= (pp.Suppress("-") + signed).set_parse_action(lambda tokens: Negative(tokens[0])) | (
        atom + pp.Optional(pp.Suppress("^") + signed)
    ).set_parse_action(power)
    product = chain(signed, pp.one_of("* /"))
    total = chain(product, pp.one_of("+ -"))
    comparison = chain(total, pp.one_of("== != <= >= < >"))
    conjunction = chain(comparison, pp.Keyword("AND") | pp.Literal("&&"))
    expression <<= chain(conjunction, pp.Keyword("OR") | pp.Literal("||"))
    return expression


GRAMMAR = grammar()


@dataclass(frozen=True)
class Expression:
    """``references`` are the Ids that it names; ``functions`` the functions."""

    tree: Tree
    references: frozenset[str]
    functions: frozenset[str]


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Raises InvalidExpression, which says where, or what is not supported."""
    if text.lstrip()[:6].upper() == "SELECT":
        raise InvalidExpression("Metrics Insights queries are not supported here")
    try:
        tree: Tree = GRAMMAR.parse_string(text, parse_all=True)[0]
    except pp.ParseException as error:
        raise InvalidExpression(f"{error.msg} at: {text[error.loc :] or 'the end'}") from error
    except RecursionError as error:
        raise InvalidExpression("it is nested too deeply") from error
    within = list(nodes(tree))
    functions = frozenset(node.function for node in within if isinstance(node, Call))
    for name in sorted(functions - FUNCTIONS.keys()):
        known = "is not supported here" if name in NOT_SUPPORTED else "does not exist"
        raise InvalidExpression(f"the function {name} {known}")
    return Expression(tree, frozenset(node.id for node in within if isinstance(node, Reference)), functions)


def nodes(tree: Tree) -> Iterable[Tree]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case Array(several) | Call(_, several):
                waiting.extend(several)
            case Negative(of):
                waiting.append(of)
            case Binary(_, left, right):
                waiting.extend((left, right))


def logical(how: Callable[[bool, bool], bool]) -> Callable[[float, float], float]:
    return lambda left, right: float(how(left != 0, right != 0))


OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": math.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "AND": logical(operator.and_),
    "OR": logical(operator.or_),
}
ARITHMETIC = frozenset("+-*/^")


def defined(function: Callable[..., float], *values: Any) -> float:
    """The function's value; not a number where it has none, as for a division by zero."""
    if any(isinstance(value, float) and math.isnan(value) for value in values):
        return math.nan
    try:
        return float(function(*values))
    except (ArithmeticError, ValueError):
        return math.nan


def series(points: Iterable[tuple[int, float]], label: str = "") -> Series:
    """Of data points in any order, without those that have no value."""
    return Series(dict(sorted((at, value) for at, value in points if math.isfinite(value))), label)


def pointwise(function: Callable[[float], float]) -> Callable[[Series], Series]:
    return lambda of: series(((at, defined(function, value)) for at, value in of.points.items()), of.label)


def combined(symbol: str, left: Value, right: Value) -> Value:
    function = OPERATORS[symbol]
    match left, right:
        case float(), float():
            return defined(function, left, right)
        case Series(points), float():
            return series(((at, defined(function, value, right)) for at, value in points.items()), left.label)
        case float(), Series(points):
            return series(((at, defined(function, left, value)) for at, value in points.items()), right.label)
        case Series(points), Series(others):
            both = points.keys() | others.keys()
            return series((at, defined(function, points.get(at, 0.0), others.get(at, 0.0))) for at in both)
    if symbol not in ARITHMETIC:
        raise InvalidExpression(f"{symbol} takes time series and scalars, and not an array")
    if isinstance(left, list) and isinstance(right, list):
        raise InvalidExpression(f"{symbol} takes one array at most")
    if isinstance(left, list):
        return [replaced(combined(symbol, one, right), one.label) for one in left]
    return [replaced(combined(symbol, left, one), one.label) for one in cast(list[Series], right)]


def replaced(value: Value, label: str) -> Series:
    return Series(cast(Series, value).points, label)


def steps(of: Series, function: Callable[[float, int], float]) -> Series:
    """Of each data point but the first: ``function`` of the difference of values, and of times, to the one before."""
    points = list(of.points.items())
    return series(
        ((at, defined(function, value - before, at - earlier)) for (earlier, before), (at, value) in pairwise(points)),
        of.label,
    )


def running_sum(of: Series) -> Series:
    total, points = 0.0, []
    for at, value in of.points.items():
        total += value
        points.append((at, total))
    return series(points, of.label)


# Of the values of data points that exist, and of the number of those that could.
REDUCTIONS: dict[str, Callable[[Sequence[float], int], float]] = {
    "AVG": lambda values, count: math.fsum(values) / count,
    "DATAPOINT_COUNT": lambda values, count: float(len(values)),
    "MAX": lambda values, count: max(values),
    "MIN": lambda values, count: min(values),
    "STDDEV": lambda values, count: statistics.pstdev(values),
    "SUM": lambda values, count: math.fsum(values),
}
EACH: dict[str, Callable[[Series], Series]] = {
    "ABS": pointwise(abs),
    "CEIL": pointwise(math.ceil),
    "FLOOR": pointwise(math.floor),
    "LOG": pointwise(math.log),
    "LOG10": pointwise(math.log10),
    "DIFF": lambda of: steps(of, lambda change, seconds: change),
    "DIFF_TIME": lambda of: steps(of, lambda change, seconds: seconds),
    "RATE": lambda of: steps(of, operator.truediv),
    "RUNNING_SUM": running_sum,
}
# In UTC; the first day of the week, 1, is Monday.
OF_TIME: dict[str, Callable[[datetime], float]] = {
    "MINUTE": lambda at: at.minute,
    "HOUR": lambda at: at.hour,
    "DAY": datetime.isoweekday,
    "DATE": lambda at: at.day,
    "MONTH": lambda at: at.month,
    "YEAR": lambda at: at.year,
    "EPOCH": datetime.timestamp,
}
NOT_SUPPORTED = frozenset(
    {"ANOMALY_DETECTION_BAND", "DB_PERF_INSIGHTS", "INSIGHT_RULE_METRIC", "SEARCH", "SERVICE_QUOTA"}
)
DEFAULT_PERIOD = 60


@dataclass
class Evaluation:
    """The metrics and expressions of one request, by Id; times are Unix seconds, ``end`` is exclusive.

    ``periods`` are those that expressions have of their own, in seconds: for one that no metric is in.
    """

    start: int
    end: int
    metrics: Mapping[str, Series]
    expressions: Mapping[str, Expression]
    periods: Mapping[str, int] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    current: list[str] = field(default_factory=list)

    def result(self, id: str) -> list[Series]:
        """The time series that a query results in. Raises InvalidExpression."""
        value = self.value(id)
        if isinstance(value, float):
            raise self.failure(id, "the result is a scalar, and must be a time series or an array of them")
        return value if isinstance(value, list) else [value]

    def single(self, id: str) -> Series:
        """The one time series that a query results in. Raises InvalidExpression."""
        self.result(id)
        value = self.value(id)
        if not isinstance(value, Series):
            raise self.failure(id, "the result is an array, and must be a single time series")
        return value

    def value(self, id: str) -> Value:
        if id in self.metrics:
            return self.metrics[id]
        if id not in self.expressions:
            raise InvalidExpression(f"no metric or expression has the Id {id}")
        if id in self.current:
            raise self.failure(id, "it refers to itself")
        if id not in self.values:
            self.current.append(id)
            try:
                self.values[id] = self.of(self.expressions[id].tree)
            except InvalidExpression as error:
                error.expression = error.expression or id
                raise
            except RecursionError as error:
                raise self.failure(id, "it is nested too deeply") from error
            finally:
                self.current.pop()
        return self.values[id]

    def failure(self, id: str, reason: str) -> InvalidExpression:
        error = InvalidExpression(reason)
        error.expression = id
        return error

    def times(self) -> range:
        """The start of every period of the expression that is being evaluated."""
        return range(self.start, self.end, self.period(self.current[-1]))

    def period(self, id: str) -> int:
        found, waiting, seen = [0], [id], set()
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            if one in self.metrics:
                found.append(self.metrics[one].period or 0)
            elif expression := self.expressions.get(one):
                waiting.extend(expression.references)
                waiting.extend(self.metrics if "METRICS" in expression.functions else ())
        return max(found) or self.periods.get(id, DEFAULT_PERIOD)

    def of(self, tree: Tree) -> Value:
        match tree:
            case Number(number):
                return number
            case Reference(id):
                return self.value(id)
            case Negative(of):
                return combined("-", 0.0, self.of(of))
            case Binary():
                # A long sum is deep on its left: without calls, so that its length has no limit.
                chain = [tree]
                while isinstance(left := chain[-1].left, Binary):
                    chain.append(left)
                value: Value = self.of(left)
                for node in reversed(chain):
                    value = combined(node.operator, value, self.of(node.right))
                return value
            case Array(items):
                return [one for item in items for one in self.several(item)]
            case Call(name, arguments):
                return FUNCTIONS[name](self, name, *arguments)
            case Text(word) | Keyword(word):
                raise InvalidExpression(f"{word} stands where a value is expected")

    def several(self, tree: Tree) -> list[Series]:
        value = self.of(tree)
        if isinstance(value, float):
            raise InvalidExpression("an array contains time series, and not scalars")
        return value if isinstance(value, list) else [value]


Function = Callable[..., Value]


def function(*numbers: int) -> Callable[[Function], Function]:
    """A function that takes one of these numbers of arguments, as trees, after the Evaluation and its name."""

    def counted(called: Function) -> Function:
        def checked(evaluation: Evaluation, name: str, *arguments: Tree) -> Value:
            if len(arguments) not in numbers:
                expected = " or ".join(map(str, numbers))
                raise InvalidExpression(f"{name} takes {expected} arguments, and not {len(arguments)}")
            return called(evaluation, name, *arguments)

        return checked

    return counted


def scalar(evaluation: Evaluation, name: str, tree: Tree) -> float:
    value = evaluation.of(tree)
    if not isinstance(value, float):
        raise InvalidExpression(f"{name} takes a scalar here")
    return value


def array(evaluation: Evaluation, name: str, tree: Tree) -> list[Series]:
    value = evaluation.of(tree)
    if not isinstance(value, list):
        raise InvalidExpression(f"{name} takes an array of time series")
    return value


@function(1)
def each(evaluation: Evaluation, name: str, of: Tree) -> Value:
    value = evaluation.of(of)
    if isinstance(value, float):
        raise InvalidExpression(f"{name} takes a time series or an array of them, and not a scalar")
    return [EACH[name](one) for one in value] if isinstance(value, list) else EACH[name](value)


@function(1)
def reduced(evaluation: Evaluation, name: str, of: Tree) -> Value:
    value, reduction = evaluation.of(of), REDUCTIONS[name]
    if isinstance(value, float):
        raise InvalidExpression(f"{name} takes a time series or an array of them, and not a scalar")
    if isinstance(value, Series):
        count = max(len(evaluation.times()), len(value.points))
        return defined(reduction, list(value.points.values()), count)
    times = {at for one in value for at in one.points}
    values = {at: [one.points[at] for one in value if at in one.points] for at in times}
    return series((at, defined(reduction, found, len(value))) for at, found in values.items())


@function(1)
def of_time(evaluation: Evaluation, name: str, of: Tree) -> Value:
    value = evaluation.of(of)
    if not isinstance(value, Series):
        raise InvalidExpression(f"{name} takes a time series")
    return series(
        ((at, float(OF_TIME[name](datetime.fromtimestamp(at, UTC)))) for at in evaluation.times()), value.label
    )


@function(2)
def fill(evaluation: Evaluation, name: str, of: Tree, filler: Tree) -> Value:
    value = evaluation.of(of)
    if isinstance(value, float):
        raise InvalidExpression("FILL takes a time series or an array of them, and not a scalar")
    how: Value | str
    if isinstance(filler, Keyword):
        if filler.name not in ("REPEAT", "LINEAR"):
            raise InvalidExpression("FILL takes REPEAT, LINEAR, a scalar or a time series")
        how = filler.name
    else:
        how = evaluation.of(filler)
        if isinstance(how, list):
            raise InvalidExpression("FILL takes REPEAT, LINEAR, a scalar or a time series")
    times = evaluation.times()
    return [filled(one, how, times) for one in value] if isinstance(value, list) else filled(value, how, times)


def filled(of: Series, how: float | Series | str, times: Iterable[int]) -> Series:
    existing = list(of.points.items())
    points = dict(of.points)
    for at in times:
        if at in points:
            continue
        match how:
            case Series(others):
                points[at] = others.get(at, math.nan)
            case float():
                points[at] = how
            case _:
                following = bisect(existing, at, key=lambda point: point[0])
                before = existing[following - 1] if following else None
                after = existing[following] if following < len(existing) else None
                points[at] = estimated(at, before, after, how)
    return series(points.items(), of.label)


def estimated(at: int, before: tuple[int, float] | None, after: tuple[int, float] | None, how: str) -> float:
    """The value of a gap's data point from the two around the gap; not a number where it has none."""
    if before is None:
        return math.nan
    earlier, value = before
    if how == "REPEAT":
        return value
    if after is None:
        return math.nan
    later, other = after
    return value + (other - value) * (at - earlier) / (later - earlier)


@function(2, 3)
def choice(evaluation: Evaluation, name: str, condition: Tree, true: Tree, false: Tree | None = None) -> Value:
    decides, first = evaluation.of(condition), evaluation.of(true)
    second = Series({}) if false is None else evaluation.of(false)
    if isinstance(decides, list) or isinstance(first, list) or isinstance(second, list):
        raise InvalidExpression("IF takes time series and scalars, and not an array")
    if isinstance(decides, float):
        if isinstance(first, float) or isinstance(second, float):
            raise InvalidExpression("IF takes time series when its condition is a scalar")
        if math.isnan(decides):
            return Series({})
        return Series((first if decides else second).points)
    points = []
    for at, decision in decides.points.items():
        chosen, missing = (first, 0.0) if decision else (second, math.nan)
        points.append((at, chosen.points.get(at, missing) if isinstance(chosen, Series) else chosen))
    return series(points)


@function(0, 1)
def metrics(evaluation: Evaluation, name: str, part: Tree | None = None) -> Value:
    if not isinstance(part, Text | None):
        raise InvalidExpression("METRICS takes a string: a part of the Ids")
    return [found for id, found in evaluation.metrics.items() if part is None or part.value in id]


@function(1)
def metric_count(evaluation: Evaluation, name: str, of: Tree) -> Value:
    return float(len(array(evaluation, name, of)))


@function(1)
def period(evaluation: Evaluation, name: str, of: Tree) -> Value:
    if not isinstance(of, Reference) or of.id not in evaluation.metrics:
        raise InvalidExpression("PERIOD takes a metric, and not the result of an expression")
    return float(evaluation.metrics[of.id].period or DEFAULT_PERIOD)


@function(1)
def remove_empty(evaluation: Evaluation, name: str, of: Tree) -> Value:
    return [one for one in array(evaluation, name, of) if one.points]


@function(1)
def end_of_array(evaluation: Evaluation, name: str, of: Tree) -> Value:
    found = array(evaluation, name, of)
    return found[0 if name == "FIRST" else -1] if found else Series({})


@function(2, 3)
def part_of_array(evaluation: Evaluation, name: str, of: Tree, start: Tree, end: Tree | None = None) -> Value:
    found = array(evaluation, name, of)
    bounds = [scalar(evaluation, name, bound) for bound in (start, end) if bound is not None]
    if any(not math.isfinite(bound) or bound < 0 for bound in bounds):
        raise InvalidExpression("SLICE takes positions from 0 on")
    return found[slice(*map(int, [*bounds, len(found)][:2]))]


@function(3, 4)
def sort(evaluation: Evaluation, name: str, of: Tree, by: Tree, order: Tree, limit: Tree | None = None) -> Value:
    found = array(evaluation, name, of)
    if not isinstance(by, Keyword) or by.name not in ("AVG", "MIN", "MAX", "SUM"):
        raise InvalidExpression("SORT sorts by AVG, MIN, MAX or SUM")
    if not isinstance(order, Keyword) or order.name not in ("ASC", "DESC"):
        raise InvalidExpression("SORT sorts in the order ASC or DESC")
    reduction, count, descending = REDUCTIONS[by.name], len(evaluation.times()), order.name == "DESC"

    def key(one: Series) -> tuple[bool, float]:
        """Those without a value come last."""
        value = defined(reduction, list(one.points.values()), max(count, len(one.points)))
        return (math.isnan(value), -value if descending else value)

    ordered = sorted(found, key=key)
    if limit is None:
        return ordered
    most = scalar(evaluation, name, limit)
    if not math.isfinite(most) or most < 0:
        raise InvalidExpression("SORT takes a limit from 0 on")
    return ordered[: int(most)]


@function(1)
def time_series(evaluation: Evaluation, name: str, of: Tree) -> Value:
    value = scalar(evaluation, name, of)
    return series((at, value) for at in evaluation.times())


FUNCTIONS: dict[str, Any] = {
    **dict.fromkeys(EACH, each),
    **dict.fromkeys(REDUCTIONS, reduced),
    **dict.fromkeys(OF_TIME, of_time),
    "FILL": fill,
    "FIRST": end_of_array,
    "IF": choice,
    "LAST": end_of_array,
    "METRIC_COUNT": metric_count,
    "METRICS": metrics,
    "PERIOD": period,
    "REMOVE_EMPTY": remove_empty,
    "SLICE": part_of_array,
    "SORT": sort,
    "TIME_SERIES": time_series,
}
