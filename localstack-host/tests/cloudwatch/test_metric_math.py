"""Metric math: the examples of AWS's page, and properties against a slow reading of it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import math
import statistics
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.cloudwatch.metric_math import (
    Array,
    Binary,
    Call,
    Evaluation,
    InvalidExpression,
    Keyword,
    Negative,
    Number,
    Reference,
    Series,
    Tree,
    parse,
)

START, PERIOD = 1_700_000_040, 60
Points = list[float | None]


def metric(points: Points, label: str = "", period: int = PERIOD) -> Series:
    """A metric with a data point for each of ``points``, oldest first, that is not None."""
    at = {START + place * period: float(value) for place, value in enumerate(points) if value is not None}
    return Series(at, label, period)


def evaluation(expression: str, count: int, **metrics: Points) -> Evaluation:
    others = {"e": parse(expression)}
    known = {id: metric(points, f"label of {id}") for id, points in metrics.items()}
    return Evaluation(START, START + count * PERIOD, known, others)


def shown(series: Series, count: int) -> Points:
    return [series.points.get(START + place * PERIOD) for place in range(count)]


def result(expression: str, **metrics: Points) -> Points:
    """The single time series of ``expression``; a - of AWS's tables is None."""
    count = max((len(points) for points in metrics.values()), default=3)
    return shown(evaluation(expression, count, **metrics).single("e"), count)


def results(expression: str, **metrics: Points) -> list[Points]:
    count = max(len(points) for points in metrics.values())
    return [shown(one, count) for one in evaluation(expression, count, **metrics).result("e")]


def scalar(expression: str, **metrics: Points) -> Any:
    """``expression`` as a scalar, which must be a part of another expression."""
    return result(f"TIME_SERIES({expression})", **metrics)[0]


def reason(expression: str, **metrics: Points) -> str:
    with pytest.raises(InvalidExpression) as refused:
        evaluation(expression, 3, **metrics).result("e")
    return str(refused.value)


M1: Points = [30, 20, 0, 0]
M2: Points = [20, None, 20, None]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(m1 < m2)", [0, 0, 1, 0]),
        ("(m1 >= 30)", [1, 0, 0, 0]),
        ("(m1 > 15 AND m2 > 15)", [1, 0, 0, 0]),
        ("m1 > 15 && m2 > 15", [1, 0, 0, 0]),
        ("m1 > 15 OR m2 > 15", [1, 1, 1, 0]),
        ("m1 > 25 || m2 > 15", [1, 0, 1, 0]),
        ("m1 == m2", [0, 0, 0, 1]),
        ("m1 != m2", [1, 1, 1, 0]),
        ("m2 <= 20", [1, None, 1, None]),
    ],
)
def test_comparisons(expression: str, expected: Points) -> None:
    """The table of "Comparison and logical operators", and its siblings."""
    assert result(expression, m1=M1, m2=M2) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("PERIOD(m1)/60 + m1", [31, 21, 1, 1]),
        ("5 * m1", [150, 100, 0, 0]),
        ("m1 - m2", [10, 20, -20, 0]),
        ("SUM(100/[m1, m2])", [100 / 30 + 5, 5, 5, None]),
        ("AVG([m1,m2]/m2)", [(1.5 + 1) / 2, None, 0.5, None]),
        ("SUM(METRICS()*100)", [5000, 2000, 2000, 0]),
        ("-5*m1", [-150, -100, 0, 0]),
        ("-m2", [-20, None, -20, None]),
        ("SUM(-[m1, m2])", [-50, -20, -20, 0]),
        ("m2/m1", [20 / 30, 0, None, None]),
        ("m1^2", [900, 400, 0, 0]),
        ("ABS(m1-m2)", [10, 20, 20, 0]),
        ("MIN(ABS([m1, m2]))", [20, 20, 0, 0]),
        ("MAX([m1, m2])", [30, 20, 20, 0]),
        ("CEIL(m1/7)", [5, 3, 0, 0]),
        ("FLOOR(m1/7)", [4, 2, 0, 0]),
        ("LOG(m1/m1)", [0, 0, None, None]),
        ("LOG10(m1*100/3)", [3, pytest.approx(math.log10(2000 / 3)), None, None]),
        ("m1 - AVG(m1)", [17.5, 7.5, -12.5, -12.5]),
        ("m1 - AVG(m2)", [20, 10, -10, -10]),
        ("m1 * 0 + SUM(m2) / DATAPOINT_COUNT(m2)", [20, 20, 20, 20]),
        ("DATAPOINT_COUNT(METRICS())", [2, 1, 2, 1]),
        ("m1/METRIC_COUNT(METRICS())", [15, 10, 0, 0]),
        ("m1-MIN(m1)+MAX(m2)", [50, 40, 20, 20]),
        ("m1 * 0 + STDDEV(m1)", [statistics.pstdev([30, 20, 0, 0])] * 4),
        ("STDDEV(METRICS())", [5, 0, 10, 0]),
        ("DIFF(m1)", [None, -10, -20, 0]),
        ("DIFF(m2)", [None, None, 0, None]),
        ("DIFF_TIME(m2)", [None, None, 120, None]),
        ("RATE(m1)", [None, -10 / 60, -20 / 60, 0]),
        ("RUNNING_SUM(m1)", [30, 50, 50, 50]),
        ("TIME_SERIES(MAX(m1))", [30, 30, 30, 30]),
        ("TIME_SERIES(10)", [10, 10, 10, 10]),
        ("FILL(m2,10)", [20, 10, 20, 10]),
        ("FILL(m2, m1)", [20, 20, 20, 0]),
        ("FILL(m2, MIN(m2))", [20, 20, 20, 20]),
        ("FILL(m2, REPEAT)", [20, 20, 20, 20]),
        ("FILL(m2 * m1, LINEAR)", [600, 0, 0, 0]),
        ("SUM(FILL(METRICS(), 0))", [50, 20, 20, 0]),
        ("SUM(METRICS('2'))", [20, None, 20, None]),
        ('SUM([METRICS("m1"), METRICS("m2")])', [50, 20, 20, 0]),
        ("FIRST(SORT(METRICS(), AVG, DESC))", [30, 20, 0, 0]),
        ("IF(FIRST(SORT(METRICS(), AVG, DESC))>10, 1, 0)", [1, 1, 0, 0]),
        ("LAST(SORT(METRICS(), SUM, DESC))", M2),
        ("FIRST(SORT(METRICS(), MIN, DESC, 1))", M2),
        ("FIRST(SLICE(SORT(METRICS(), MAX, ASC), 1))", M1),
        ("SUM(SLICE(METRICS(), 0, 1))", M1),
        ("FIRST(REMOVE_EMPTY([m1/0, m2]))", M2),
        ("IF(m1<25, m1)", [None, 20, 0, 0]),
        ("IF(m1<25, 10, 2)", [2, 10, 10, 10]),
        ("IF(m1>m2, 1, 0)", [1, 1, 0, 0]),
    ],
)
def test_operators_and_functions(expression: str, expected: Points) -> None:
    """The page's examples, with the sentence "missing values in a time series are treated as 0"."""
    assert result(expression, m1=M1, m2=M2) == expected


METRIC1: Points = [1, 1, 0, 0, None]
METRIC2: Points = [30, None, 0, 0, 30]
METRIC3: Points = [0, 0, 20, None, 20]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("IF(metric1, metric2, metric3)", [30, 0, 20, None, None]),
        ("IF(metric1, 5, metric3)", [5, 5, 20, None, None]),
        ("IF(metric1, metric2, 5)", [30, 0, 5, 5, None]),
        ("IF(metric1, metric2)", [30, 0, None, None, None]),
        ("IF(2 > 1, metric2, metric3)", METRIC2),
        ("IF(2 < 1, metric2, metric3)", METRIC3),
        ("IF(0, metric2)", [None] * 5),
        ("IF(metric1 - 2, metric2, 5)", [30, 0, 0, 0, None]),
    ],
)
def test_if(expression: str, expected: Points) -> None:
    """The tables of "Using IF expressions", and the lists above them."""
    assert result(expression, metric1=METRIC1, metric2=METRIC2, metric3=METRIC3) == expected


def test_functions_of_time_are_in_utc_and_monday_is_1() -> None:
    at = datetime.fromtimestamp(START, UTC)
    expected = {
        "MINUTE": at.minute,
        "HOUR": at.hour,
        "DAY": 2,  # 14 November 2023 is a Tuesday
        "DATE": 14,
        "MONTH": 11,
        "YEAR": 2023,
        "EPOCH": START,
    }

    assert {name: result(f"{name}(m1)", m1=[None, 1])[0] for name in expected} == expected


def test_gaps_are_interpolated_between_what_exists() -> None:
    gaps: Points = [None, 1, None, None, 4, None]

    assert result("FILL(m1, LINEAR)", m1=gaps) == [None, 1, 2, 3, 4, None]
    assert result("FILL(m1, REPEAT)", m1=gaps) == [None, 1, 1, 1, 4, 4]


def test_an_array_keeps_the_labels_of_its_metrics() -> None:
    found = evaluation("METRICS() / 100", 2, m1=[1, 2], m2=[3, 4]).result("e")

    assert [one.label for one in found] == ["label of m1", "label of m2"]
    assert results("RUNNING_SUM([m1, m2])", m1=[1, 2], m2=[3, 4]) == [[1, 3], [3, 7]]


def test_an_expression_is_part_of_others() -> None:
    others = {"e1": parse("e2 * m1"), "e2": parse("AVG(m1)"), "e3": parse("e1 + e4"), "e4": parse("e3")}
    found = Evaluation(START, START + 2 * PERIOD, {"m1": metric([1, 3])}, others)

    assert shown(found.single("e1"), 2) == [2, 6]
    with pytest.raises(InvalidExpression, match="scalar") as refused:
        found.result("e2")
    assert refused.value.expression == "e2"
    with pytest.raises(InvalidExpression, match="it refers to itself"):
        found.result("e3")


def test_the_longest_period_of_its_metrics_is_the_expressions() -> None:
    """Belief."""
    metrics = {"m1": metric([1] * 10), "m2": metric([1, 1], period=300)}
    others = {
        "e1": parse("TIME_SERIES(1) * m2 / m2"),
        "e2": parse("TIME_SERIES(PERIOD(m1))"),
        "e3": parse("FILL(m2, 0)"),
    }
    found = Evaluation(START, START + 600, metrics, others, {"e2": 200})

    assert list(found.single("e1").points) == [START, START + 300]
    assert list(found.single("e2").points) == [START + 60 * place for place in range(10)]
    assert list(Evaluation(START, START + 600, {}, {"e": parse("TIME_SERIES(1)")}, {"e": 200}).single("e").points) == [
        START,
        START + 200,
        START + 400,
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("AVG(m1)", "the result is a scalar"),
        ("5", "the result is a scalar"),
        ("m3", "no metric or expression has the Id m3"),
        ("e", "it refers to itself"),
        ("[m1] + [m2]", "one array at most"),
        ("[m1] > 1", "not an array"),
        ("[m1, 1]", "not scalars"),
        ("IF([m1], m1)", "IF takes"),
        ("IF(1, 2, 3)", "IF takes"),
        ("IF(m1)", "IF takes 2 or 3 arguments, and not 1"),
        ("ABS(1)", "ABS takes"),
        ("SUM(1)", "SUM takes"),
        ("PERIOD(m1 + 1)", "PERIOD takes a metric"),
        ("METRICS(m1)", "METRICS takes a string"),
        ("SORT(METRICS(), STDDEV, ASC)", "SORT sorts by"),
        ("SORT(METRICS(), AVG, UP)", "SORT sorts in"),
        ("SORT(m1, AVG, ASC)", "SORT takes an array"),
        ("FILL(m1, DESC)", "FILL takes"),
        ("FILL(m1)", "FILL takes 2 arguments, and not 1"),
        ("SLICE(METRICS(), m1)", "SLICE takes a scalar"),
        ("TIME_SERIES(m1)", "TIME_SERIES takes a scalar"),
        ("m1 + DESC", "DESC stands where a value is expected"),
        ("'a'", "a stands where"),
        ("HOUR([m1])", "HOUR takes a time series"),
    ],
)
def test_values_of_a_kind_that_a_function_does_not_take(expression: str, expected: str) -> None:
    assert expected in reason(expression, m1=[1, 2, 3], m2=[1, 2, 3])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", "at: the end"),
        ("m1 +", "at: +"),
        ("m1 m2", "at: m2"),
        ("sum(m1)", "at: (m1)"),
        ("(m1", "at: the end"),
        ("SUM(m1", "at: "),
        ("M1", "M1 stands where a value is expected"),
        ("m1 = 2", "at: = 2"),
        ("MEDIAN(m1)", "the function MEDIAN does not exist"),
        ("SEARCH('{AWS/Lambda}', 'Sum')", "the function SEARCH is not supported here"),
        ("ANOMALY_DETECTION_BAND(m1, 2)", "ANOMALY_DETECTION_BAND is not supported here"),
        ("SELECT AVG(CPUUtilization) FROM EC2", "Metrics Insights queries are not supported here"),
        ("(" * 1000 + "1" + ")" * 1000, "nested too deeply"),
    ],
)
def test_expressions_that_cannot_be_parsed(expression: str, expected: str) -> None:
    assert expected in (reason(expression, m1=[1, 2, 3]))


def test_a_long_sum_is_not_deep() -> None:
    assert scalar("+".join(["1"] * 1024)) == 1024


# Properties. Trees with their text: with the parentheses that are needed, and with all.

BINDING = [{"OR"}, {"AND"}, {"==", "!=", "<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/"}]
SIGN, POWER, ATOM = 5, 6, 7


def level(tree: Tree) -> int:
    match tree:
        case Binary("^", _, _):
            return POWER
        case Binary(symbol, _, _):
            return next(place for place, symbols in enumerate(BINDING) if symbol in symbols)
        case Negative(_):
            return SIGN
    return ATOM


def text(tree: Tree, least: int, all_parentheses: bool) -> str:
    """``tree`` where something that binds as ``least`` or more tightly may stand."""
    match tree:
        case Number(value):
            written = repr(value)
        case Reference(id):
            written = id
        case Negative(of):
            written = f"-{text(of, SIGN, all_parentheses)}"
        case Binary("^", left, right):
            written = f"{text(left, ATOM, all_parentheses)}^{text(right, SIGN, all_parentheses)}"
        case Binary(symbol, left, right):
            own = level(tree)
            written = f"{text(left, own, all_parentheses)} {symbol} {text(right, own + 1, all_parentheses)}"
        case Array(items):
            written = f"[{', '.join(text(item, 0, all_parentheses) for item in items)}]"
        case Call(name, items):
            written = f"{name}({', '.join(text(item, 0, all_parentheses) for item in items)})"
        case Keyword(name):
            written = name
        case _:
            raise AssertionError(tree)
    return f"({written})" if all_parentheses or level(tree) < least else written


def larger(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    symbols = st.sampled_from(sorted(set().union(*BINDING) | {"^"}))
    several = st.lists(trees, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Negative, trees),
        st.builds(Binary, symbols, trees, trees),
        st.builds(Array, several),
        st.builds(Call, st.sampled_from(["SUM", "IF", "METRICS", "SORT"]), several),
    )


numbers = st.builds(Number, st.floats(0, 1e6))
leaves = numbers | st.builds(Reference, st.sampled_from(["m1", "m2", "errors_4xx", "aND", "oR"]))
trees = st.recursive(leaves | st.builds(Keyword, st.sampled_from(["DESC", "AVG", "LINEAR"])), larger, max_leaves=8)


@given(trees)
def test_text_and_tree_correspond(tree: Tree) -> None:
    assert parse(text(tree, 0, all_parentheses=False)).tree == tree
    assert parse(text(tree, 0, all_parentheses=True)).tree == tree


@given(st.text(max_size=30) | st.text("m1A(),[]+-*/^<>=!&|\"' .E0", max_size=30))
def test_any_text_is_an_expression_or_refused(expression: str) -> None:
    try:
        evaluation(expression, 3, m1=[1, None, 3], m2=[None, 0, 2]).result("e")
    except InvalidExpression as error:
        assert str(error)


sums = st.recursive(
    numbers,
    lambda of: st.builds(Binary, st.sampled_from(["+", "-", "*", "/", "<", "=="]), of, of) | st.builds(Negative, of),
    max_leaves=8,
)


def by_python(tree: Tree) -> float:
    """Python binds these operators in the same way, but for comparisons, which it chains."""
    return float(eval(text(tree, 0, all_parentheses=True)))


@given(sums)
def test_scalars_are_computed_as_python_does(tree: Tree) -> None:
    try:
        expected: float | None = by_python(tree)
    except ZeroDivisionError:
        expected = None
    if expected is not None and not math.isfinite(expected):
        expected = None

    assert scalar(text(tree, 0, all_parentheses=False)) == expected


points = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=6)
pairs = st.integers(1, 6).flatmap(
    lambda size: st.tuples(*[st.lists(st.none() | st.floats(-1e6, 1e6), min_size=size, max_size=size)] * 2)
)


@given(pairs, st.sampled_from(["+", "-", "*", "/", "<", "<=", "==", "!=", "AND", "OR"]))
def test_two_series_are_combined_point_by_point(pair: tuple[Points, Points], symbol: str) -> None:
    def expected(left: float | None, right: float | None) -> float | None:
        if left is None and right is None:
            return None
        value: float | None = scalar(f"(0{left or 0:+.99g}) {symbol} (0{right or 0:+.99g})")
        return value

    found = result(f"a {symbol} b", a=pair[0], b=pair[1])

    assert found == [expected(left, right) for left, right in zip(*pair, strict=True)]


@given(pairs)
def test_reductions_of_an_array_agree_with_operators(pair: tuple[Points, Points]) -> None:
    a, b = pair

    assert result("SUM([a, b])", a=a, b=b) == result("a + b", a=a, b=b)
    assert result("AVG([a, b])", a=a, b=b) == result("(a + b) / 2", a=a, b=b)
    assert result("MAX([a, b])", a=a, b=b) == result("-MIN(-[a, b])", a=a, b=b)
    existing = [[value for value in both if value is not None] for both in zip(a, b, strict=True)]
    assert result("MAX([a, b])", a=a, b=b) == [max(values, default=None) for values in existing]


@given(points)
def test_identities_of_one_series(values: Points) -> None:
    existing = [value for value in values if value is not None]

    assert result("CEIL(a)", a=values) == result("-FLOOR(-a)", a=values)
    assert result("IF(a == a, a)", a=values) == values
    assert None not in result("FILL(a, 1)", a=values)
    assert scalar("DATAPOINT_COUNT(a)", a=values) == len(existing)
    assert scalar("AVG(a) * METRIC_COUNT([a])", a=values) == pytest.approx(sum(existing) / len(values), abs=1e-6)
    assert scalar("MIN(a)", a=values) == min(existing, default=None)
    running = [value for value in result("RUNNING_SUM(a)", a=values) if value is not None]
    assert running[-1:] == ([pytest.approx(scalar("SUM(a)", a=values), abs=1e-6)] if existing else [])


@given(st.lists(points, min_size=1, max_size=4))
def test_sort_orders_and_loses_nothing(several: list[Points]) -> None:
    known = {f"m{place}": values for place, values in enumerate(several)}
    count = max(map(len, several))

    def sums_of(expression: str) -> list[float]:
        found = evaluation(expression, count, **known).result("e")
        assert len(found) == len(several)
        return [math.fsum(one.points.values()) for one in found]

    rising, falling = sums_of("SORT(METRICS(), SUM, ASC)"), sums_of("SORT(METRICS(), SUM, DESC)")
    assert rising == sorted(rising) == falling[::-1]
    assert sorted(sums_of("METRICS()")) == rising
