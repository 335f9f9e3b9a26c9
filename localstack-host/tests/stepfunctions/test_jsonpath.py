"""JSONPath: one value of a definite path, a list of any other; all operators of filters; what is no path.

https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html
https://github.com/json-path/JsonPath#operators
"""

import json
from typing import Any

import pytest
from harness import Instance
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.stepfunctions.jsonpath import InvalidPath, NotFound, compiled
from state_machines import machine, run


def find(path: str, value: Any) -> Any:
    """A list with the value, or the name of the error."""
    try:
        return [compiled(path).find(value)]
    except (InvalidPath, NotFound) as error:
        return type(error).__name__


STORE = {
    "book": [
        {"category": "reference", "author": "Nigel Rees", "title": "Sayings", "price": 8.95},
        {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword", "price": 12.99},
        {"category": "fiction", "author": "Herman Melville", "title": "Moby", "isbn": "0-553", "price": 8.99},
        {"category": "fiction", "author": "J. R. R. Tolkien", "title": "Rings", "isbn": None, "price": 22.99},
    ],
    "bicycle": {"color": "red", "price": 19.95},
}
DOCUMENT = {"store": STORE, "expensive": 10, "one": [{"sku": "x", "n": 1}], "none": [], "a b": {"c.d": 1}, "null": None}
TITLES = ["Sayings", "Sword", "Moby", "Rings"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DOCUMENT),
        ("$.expensive", 10),
        ("$['expensive']", 10),
        ("$['a b']['c.d']", 1),
        ('$["a b"]["c.d"]', 1),
        ("$.null", None),
        ("$.one[0]", {"sku": "x", "n": 1}),
        ("$.one[-1].sku", "x"),
        ("$.store.book[0].title", "Sayings"),
        ("$.store.bicycle['color','price']", {"color": "red", "price": 19.95}),
        ("$.store.bicycle['color','size']", {"color": "red"}),
        # An indefinite path gives a list, of one element too, and of none.
        ("$.one[*].sku", ["x"]),
        ("$.one[*]", [{"sku": "x", "n": 1}]),
        ("$.one[?(@.n == 1)]", [{"sku": "x", "n": 1}]),
        ("$.one[?(@.n == 1)].sku", ["x"]),
        ("$.one[?(@.n == 2)]", []),
        ("$.one[0:1].sku", ["x"]),
        ("$.one[0,1].sku", ["x"]),
        ("$..sku", ["x"]),
        ("$..none[*]", []),
        ("$.none[*].sku", []),
        ("$.store.bicycle.*", ["red", 19.95]),
        ("$['store','one']['bicycle']", [STORE["bicycle"]]),
        ("$.missing[*]", []),
        ("$.missing[0:2].sku", []),
        ("$.missing[?(@.n == 1)]", []),
        ("$.expensive[*]", []),
        # Slices and lists of indexes
        ("$.store.book[1:3].title", ["Sword", "Moby"]),
        ("$.store.book[:2].title", ["Sayings", "Sword"]),
        ("$.store.book[2:].title", ["Moby", "Rings"]),
        ("$.store.book[-1:].title", ["Rings"]),
        ("$.store.book[-3:-1].title", ["Sword", "Moby"]),
        ("$.store.book[:-3].title", ["Sayings"]),
        ("$.store.book[2:99].title", ["Moby", "Rings"]),
        ("$.store.book[1:-1].title", []),
        ("$.store.book[3,0,7].title", ["Rings", "Sayings"]),
        # Deep scans
        ("$..title", TITLES),
        ("$.store..price", [8.95, 12.99, 8.99, 22.99, 19.95]),
        ("$..book[0].title", ["Sayings"]),
        ("$..[?(@.color == 'red')].price", [19.95]),
        ("$.one..*", [{"sku": "x", "n": 1}, "x", 1]),
        # Filters
        ("$.store.book[?(@.price < 10)].title", ["Sayings", "Moby"]),
        ("$.store.book[?(@.price <= 8.95)].title", ["Sayings"]),
        ("$.store.book[?(@.price > $.expensive)].title", ["Sword", "Rings"]),
        ("$.store.book[?(@.price >= $['expensive'] && @.isbn)].title", ["Rings"]),
        ("$.store.book[?(@.isbn)].title", ["Moby", "Rings"]),
        ("$.store.book[?(!@.isbn)].title", ["Sayings", "Sword"]),
        ("$.store.book[?(@.isbn == null)].title", ["Rings"]),
        ("$.store.book[?(@.isbn != null)].title", ["Sayings", "Sword", "Moby"]),
        ("$.store.book[?(@.category != 'fiction')].title", ["Sayings"]),
        ('$.store.book[?(@.category == "fiction" && @.price < 10 || @.price > 20)].title', ["Moby", "Rings"]),
        ("$.store.book[?(@.category == 'fiction' && (@.price < 10 || @.price > 20))].title", ["Moby", "Rings"]),
        ("$.store.book[?(!(@.price < 10 || @.price > 20))].title", ["Sword"]),
        ("$.store.book[?(@.author =~ /.*rees/i)].title", ["Sayings"]),
        ("$.store.book[?(@.author =~ /Nigel/)].title", []),
        ("$.store.book[?(@.title in ['Moby', 'Sword'])].title", ["Sword", "Moby"]),
        ("$.store.book[?(@.title nin ['Moby', 'Sword'])].title", ["Sayings", "Rings"]),
        ("$.store.book[?('Moby' == @.title)].price", [8.99]),
        ("$.store.book[?(@['title'] contains 'in')].title", ["Sayings", "Rings"]),
        ("$.store.book[?(@.title size 4)].title", ["Moby"]),
        ("$.store.bicycle[?(@.color == 'red')].price", [19.95]),
        ("$.[?(@.expensive > 5)].expensive", [10]),
        ("$.one[?(@.n == '1')].sku", ["x"]),
        ("$.one[?(@.n === '1')].sku", []),
        ("$.one[?(@.n == 1.0)].sku", ["x"]),
        ("$[?(@.none empty true)].expensive", [10]),
        ("$[?(@.none subsetof [1])].expensive", [10]),
        # Functions
        ("$.store.book.length()", 4),
        ("$.store.book[?(@.price < 10)].price.length()", [None, None]),
        ("$..price.max()", 22.99),
        ("$.store.book[?(@.title.length() == null)].price", [8.95, 12.99, 8.99, 22.99]),
        ("$.none.length()", 0),
        ("$.store.bicycle.keys()", ["color", "price"]),
    ],
)  # fmt: skip
def test_a_path_finds(path: str, found: Any) -> None:
    assert find(path, DOCUMENT) == [found]


@pytest.mark.parametrize(
    "path",
    [
        *("$.missing", "$.one[1]", "$.one.sku", "$.expensive.more", "$.expensive[0]", "$.null.x", "$.store[0:1]"),
        *("$.expensive[?(@ > 5)]", "$.none.max()", "$.none.first()", "$.missing.length()"),
    ],
)
def test_what_a_definite_path_does_not_find_is_missing(path: str) -> None:
    assert find(path, DOCUMENT) == "NotFound"


@pytest.mark.parametrize(
    "path",
    [
        *("", "store", "$store", "$.", "$..", "$...a", "$.a.", "$.a[", "$.a[]", "$.a[1", "$.a[:]", "$.a[x]", "$.a b"),
        *("$.a['b]", "$.a['b',]", "$.a[1,]", "$.a[?]", "$.a[?@.b]", "$.a[?(@.b ==)]", "$.a[?(@.b == x)]", "$.a[?(1)]"),
        *("$.a[?(@.b == 1)", "$.a[?((@.b == 1)]", "$.a[?(@.b =~ /(/)]", "$.a[0]b", "$.a.unknown()", "$.a.length().b"),
        *("$.a[?(@.b && )]", "$.a[?(@.b == 'c)]", "$.a[?(@.b in [1)]"),
    ],
)
def test_what_is_no_path(path: str) -> None:
    assert find(path, {"a": [1]}) == "InvalidPath"


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
KEYS = st.text(max_size=4)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


def quoted(key: str) -> str:
    return "'" + key.replace("\\", "\\\\").replace("'", "\\'") + "'"


def places(value: Any, path: str = "$") -> list[tuple[str, Any]]:
    """The definite path to every value in a document."""
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inner = [(f"{path}[{quoted(key)}]", one) for key, one in value.items()]
    if isinstance(value, list):
        inner = [(f"{path}[{index}]", one) for index, one in enumerate(value)]
    return [(path, value), *(place for step, one in inner for place in places(one, step))]


@given(VALUES)
def test_each_value_is_found_by_its_path_and_by_a_scan(value: Any) -> None:
    """A definite path gives the value; ``$..*`` gives all but the root."""
    found = places(value)

    assert [find(path, value) for path, _ in found] == [[one] for _, one in found]
    [scanned] = find("$..*", value)
    assert sorted(map(json.dumps, scanned)) == sorted(json.dumps(one) for _, one in found[1:])


@given(st.lists(st.integers(-3, 3), max_size=5), st.integers(0, 6), st.integers(0, 6), st.integers(-3, 3))
def test_a_selection_of_a_list_is_a_list(value: list[int], start: int, end: int, least: int) -> None:
    expected = {
        f"$[{start}:{end}]": value[start:end],
        f"$[-{start + 1}:]": value[-(start + 1) :],
        f"$[:{end}]": value[:end],
        f"$[{start},{end}]": value[start : start + 1] + value[end : end + 1],
        "$[*]": value,
        f"$[?(@ >= {least})]": [one for one in value if one >= least],
        f"$[?(!(@ >= {least}) || @ in [{least}, 3])]": [one for one in value if one < least or one in (least, 3)],
    }

    assert {path: find(path, value) for path in expected} == {path: [one] for path, one in expected.items()}


@given(st.text(alphabet="$@.[]()*?'\":,-0123456789abc<>=!&| /\\", max_size=12))
def test_any_text_is_a_path_or_none(text: str) -> None:
    """No text ends in another error than that it is no path, or finds nothing."""
    assert find(f"${text}", {"a": [{"b": 1}, 2], "b": "c"}) is not None


@pytest.mark.parametrize("numbers", [[], [1], [3], [1, 2], [0, 1, 2]])
def test_a_workflow_works_with_any_number_of_items(localstack: Instance, numbers: list[int]) -> None:
    """With two, with one and with none: in parameters, intrinsic functions, item paths and output paths.

    https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html
    """
    items = [{"sku": f"s{number}", "n": number} for number in numbers]
    state = {
        "Type": "Pass",
        "Parameters": {
            "skus.$": "$.items[*].sku",
            "low.$": "$.items[?(@.n < 2)].n",
            "count.$": "States.ArrayLength($.items[?(@.n < 2)])",
            "context.$": "$$.Execution.Input.items[*].n",
        },
        "Next": "B",
    }
    each = {"Type": "Map", "ItemsPath": "$.low[*]", "ItemProcessor": machine(C={"Type": "Pass", "End": True})}
    last = {**each, "ResultPath": "$.each", "OutputPath": "$['skus','low','count','context','each']", "End": True}
    low = [number for number in numbers if number < 2]

    assert json.loads(run(localstack, machine(A=state, B=last), {"items": items})["output"]) == {
        "skus": [f"s{number}" for number in numbers],
        "low": low,
        "count": len(low),
        "context": numbers,
        "each": low,
    }


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (
            {"Parameters": {"a": {"v.$": "$.a[?(@.b == )]"}}},
            "The value for the field 'v.$' must be a valid JSONPath or",
        ),
        ({"InputPath": "$.a["}, "The value for the field 'InputPath' must be a valid JSONPath at /States/A/InputPath"),
        ({"OutputPath": "$$.a..", "Assign": {"v": 1}}, "The value for the field 'OutputPath' must be a valid JSONPath"),
        ({"Parameters": {"v.$": "$variable.a[]"}}, "The value for the field 'v.$' must be a valid JSONPath or"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused(localstack: Instance, state: dict[str, Any], problem: str) -> None:
    """SCHEMA_VALIDATION_FAILED, with the field; the message is a belief.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html
    """
    refused = localstack.client("stepfunctions").validate_state_machine_definition(
        definition=json.dumps(machine(A={"Type": "Pass", **state, "End": True}))
    )

    assert refused["result"] == "FAIL"
    [found] = refused["diagnostics"]
    assert f"{found['message']} at {found['location']}".startswith(problem)


def test_a_path_that_finds_nothing_fails_the_execution(localstack: Instance) -> None:
    """States.Runtime.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    failed = run(localstack, machine(A={"Type": "Pass", "Parameters": {"v.$": "$.a[1]"}, "End": True}), {"a": [0]})

    assert (failed["status"], failed["error"]) == ("FAILED", "States.Runtime")
    assert "The JSONPath '$.a[1]' specified for the field 'v.$' could not be found" in failed["cause"]
