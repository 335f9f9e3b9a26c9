"""DynamoDB's expressions: documented cases, and properties against a slow reading of the documentation.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

import base64
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.dynamodb import expressions
from localstack_host.dynamodb.expressions import Placeholders
from localstack_host.dynamodb.values import ValidationError, Value, normal, normal_item

ITEM = normal_item(
    {
        "id": {"S": "i"},
        "zero": {"N": "0"},
        "one": {"N": "1"},
        "seven": {"N": "7.0"},
        "greeting": {"S": "hello"},
        "blank": {"S": ""},
        "yes": {"BOOL": True},
        "nothing": {"NULL": True},
        "bytes": {"B": base64.b64encode(b"hi there\xff").decode()},
        "words": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1", "2.50"]},
        "blobs": {"BS": ["AA==", "/w=="]},
        "elems": {"L": [{"N": "1"}, {"S": "a"}, {"L": [{"S": "deep"}]}, *({"N": str(n)} for n in range(10, 20))]},
        "tree": {"M": {"x": {"N": "1"}, "y": {"M": {"z": {"S": "deep"}}}}},
    }
)
VALUES: dict[str, Value] = {
    ":zero": {"N": "0"},
    ":one": {"N": "1"},
    ":two": {"N": "2"},
    ":nine": {"N": "9"},
    ":ten": {"N": "10"},
    ":s1": {"S": "1"},
    ":a": {"S": "a"},
    ":z": {"S": "z"},
    ":empty": {"S": ""},
    ":hell": {"S": "hell"},
    ":ell": {"S": "ell"},
    ":yes": {"BOOL": True},
    ":null": {"NULL": True},
    ":hi": {"B": base64.b64encode(b"hi").decode()},
    ":high": {"B": "/w=="},
    ":low": {"B": "AA=="},
    ":ba": {"SS": ["b", "a"]},
    ":set": {"NS": ["2.5", "1"]},
    ":list": {"L": [{"S": "deep"}]},
    ":map": {"M": {"z": {"S": "deep"}}},
    ":typeN": {"S": "N"},
    ":typeS": {"S": "S"},
    ":typeL": {"S": "L"},
    ":typeNULL": {"S": "NULL"},
}
VALUES = {key: normal(value) for key, value in VALUES.items()}


def holds(text: str, item: dict[str, Value] = ITEM, names: dict[str, str] | None = None) -> bool:
    return expressions.condition(text, Placeholders(names, VALUES)).holds(item)


def refusal(text: str, names: dict[str, str] | None = None, values: dict[str, Value] | None = None) -> str:
    with pytest.raises(ValidationError) as refused:
        expressions.condition(text, Placeholders(names, VALUES if values is None else values))
    return str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "one = :one",
        "one <> :s1",
        "yes = :yes",
        "nothing = :null",
        "words = :ba",
        "numbers = :set",
        "tree.y = :map",
        "elems[2] = :list",
        "elems[2][0] = tree.y.z",
        "elems[12] > :ten",
        "absent <> :one",
        "absent <> nowhere",
        "NOT absent = nowhere",
        "one < :two",
        ":one < seven",
        "seven < :ten",
        "blank < :a",
        "blank <= :empty",
        "bytes > :low",
        "bytes < :high",
        "zero BETWEEN :zero AND :one",
        "one between :zero and seven",
        "blank BETWEEN :empty AND :z",
        "greeting BETWEEN :a AND :z",
        "bytes BETWEEN :low AND :high",
        ":one BETWEEN zero AND seven",
        "one IN (:s1, :zero, :one)",
        "nothing IN (:null)",
        "words in (:ba)",
        "attribute_exists(nothing)",
        "attribute_exists(tree.y.z)",
        "attribute_exists(elems[12])",
        "attribute_not_exists(elems[13])",
        "attribute_not_exists(tree.q.z)",
        "attribute_not_exists(greeting.x)",
        "attribute_not_exists(tree[0])",
        "attribute_type(one, :typeN)",
        "attribute_type(nothing, :typeNULL)",
        "attribute_type(elems, :typeL)",
        "attribute_type(:one, :typeN)",
        "begins_with(greeting, :hell)",
        "begins_with(greeting, :empty)",
        "begins_with(bytes, :hi)",
        "contains(greeting, :ell)",
        "contains(bytes, :hi)",
        "contains(words, :a)",
        "contains(numbers, :one)",
        "contains(blobs, :high)",
        "contains(elems, :one)",
        "contains(elems, :list)",
        "size(greeting) = :zero OR size(greeting) > :two",
        "size(words) = :two",
        "size(tree) = :two",
        "size(bytes) = :nine",
        "size(blank) = zero",
        ":one IN (one)",
        "one = :one AND greeting = :a OR yes = :yes",
        "NOT one = :two AND NOT (greeting = :a)",
        "not not one = :one",
        "(one) = :one",
        "(one = :one) AND (greeting = :a OR (yes = :yes AND zero = :zero))",
    ],
)
def test_true_conditions(text: str) -> None:
    """The documented operators and functions."""
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "one = :s1",
        "yes = :one",
        "one = :yes",
        "absent = :one",
        "absent = nowhere",
        "absent = :null",
        "nothing = absent",
        "nothing = :empty",
        "zero = :empty",
        "absent < :one",
        "absent <= nowhere",
        "absent >= nowhere",
        "one < :z",
        "greeting > :zero",
        "bytes > :a",
        "elems < :one",
        "yes < :two",
        "nothing <= :two",
        "absent BETWEEN :zero AND :ten",
        "absent BETWEEN nowhere AND noplace",
        "nothing BETWEEN :zero AND :ten",
        "one BETWEEN greeting AND :ten",
        "one BETWEEN seven AND zero",
        "greeting BETWEEN :zero AND :ten",
        "absent IN (nowhere, :null, :one)",
        "one IN (:s1, :yes)",
        "attribute_exists(absent)",
        "attribute_not_exists(nothing)",
        "attribute_type(absent, :typeN)",
        "attribute_type(one, :typeS)",
        "begins_with(one, :a)",
        "begins_with(absent, :a)",
        "begins_with(greeting, :hi)",
        "contains(greeting, :one)",
        "contains(one, :one)",
        "contains(words, :one)",
        "contains(numbers, :s1)",
        "contains(tree, :a)",
        "contains(absent, :a)",
        "contains(greeting, absent)",
        "size(absent) > :zero",
        "size(absent) = :zero",
        "size(one) = :one",
        "size(yes) = :one",
        "size(nothing) = :zero",
        "size(greeting) = :a",
        "NOT one = :one AND absent = :one",
    ],
)
def test_false_conditions(text: str) -> None:
    """'…an AttributeValue element of a different type than the one provided in the request, the value does not match.'

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html; that a
    missing attribute is like no other, and only different from everything, is a belief.
    """
    assert not holds(text)
    assert not holds(text, {"id": {"S": "i"}} if "absent" in text else ITEM)


def test_and_binds_closer_than_or_and_not_closest() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html"""
    assert holds("one = :one OR one = :two AND one = :zero")
    assert not holds("(one = :one OR one = :two) AND one = :zero")
    assert not holds("NOT one = :one AND one = :two")


def test_without_an_item_only_absence_holds() -> None:
    """'attribute_not_exists' on the key is how a first write is guarded."""
    assert holds("attribute_not_exists(id)", {})
    assert not holds("attribute_exists(id)", {})
    assert not holds("id = :a", {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The expression can not be empty;"),
        ("  ", "The expression can not be empty;"),
        ("one", "Syntax error"),
        ("one = ", "Syntax error"),
        ("one == :one", "Syntax error"),
        ("one != :one", "Syntax error"),
        ("one = 1", "Syntax error"),
        ("one = :one :two", "Syntax error"),
        ("one IN ()", "Syntax error"),
        ("elems[:one] = :one", "Syntax error"),
        ("_one = :one", "Syntax error"),
        ("a-b = :one", "Syntax error"),
        ("one BETWEEN :zero", "Syntax error"),
        ("AND = :one", "Syntax error"),
        ("one = :one AND greeting", "Syntax error"),
        ("((one = :one))", "redundant parentheses"),
        ("(" * 3000, "redundant parentheses"),
        ("status = :one", "reserved keyword; reserved keyword: status"),
        ("tree.Name = :one", "reserved keyword; reserved keyword: Name"),
        ("one = :undefined", "not defined; attribute value: :undefined"),
        ("#undefined = :one", "not defined; attribute name: #undefined"),
        ("dog(one)", "Invalid function name; function: dog"),
        ("dog(one) = :one", "Invalid function name; function: dog"),
        ("ATTRIBUTE_EXISTS(one)", "Invalid function name; function: ATTRIBUTE_EXISTS"),
        ("size(one)", "not allowed to be used this way in an expression; function: size"),
        ("NOT size(one)", "not allowed to be used this way in an expression; function: size"),
        (
            "attribute_exists(one) < :one",
            "not allowed to be used this way in an expression; function: attribute_exists",
        ),
        ("one = contains(greeting, :a)", "not allowed to be used this way in an expression; function: contains"),
        (
            "if_not_exists(one, :one) = :one",
            "not allowed to be used this way in an expression; function: if_not_exists",
        ),
        ("size(greeting, greeting) = :one", "function: size, number of operands: 2"),
        ("attribute_exists(one, zero)", "function: attribute_exists, number of operands: 2"),
        ("begins_with(greeting)", "function: begins_with, number of operands: 1"),
        ("attribute_exists(:one)", "requires a document path; operator or function: attribute_exists"),
        ("attribute_type(one, greeting)", "function: attribute_type, operand type"),
        ("attribute_type(one, :one)", "function: attribute_type, operand type: N"),
        ("attribute_type(one, :a)", "Invalid attribute type name found; type: a"),
        ("begins_with(greeting, :one)", "function: begins_with, operand type: N"),
        ("one < :yes", "function: <, operand type: BOOL"),
        (":list >= one", "function: >=, operand type: L"),
        ("one BETWEEN :list AND :list", "function: BETWEEN, operand type: L"),
        ("one BETWEEN :two AND :one", "requires upper bound to be greater than or equal to lower bound"),
        ("one BETWEEN :nine AND :ten AND one BETWEEN :ten AND :nine", "requires upper bound"),
        ("one BETWEEN :one AND :a", "requires same data type for lower and upper bounds"),
        ("size(:one) = :one", "function: size, operand type: N"),
        ("contains(greeting, greeting)", "must be distinct"),
        ("one = one", "must be distinct"),
        (f"one IN ({', '.join([':one'] * 101)})", "number of operands: 101"),
        (" AND ".join(["one = :one"] * 200), "too many operators"),
        (" OR ".join(["one=:one"] * 500), "Expression size has exceeded"),
    ],
)
def test_a_condition_that_is_none_is_refused(text: str, reason: str) -> None:
    """The grammar, and that a value of the request is of a type that its operator is for; belief for the messages."""
    assert reason in refusal(text)
    assert refusal(text).startswith("Invalid ConditionExpression: ")


def test_names_may_be_anything_behind_a_placeholder() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html"""
    names = {"#and": "AND", "#dots": "a.b[0]", "#1": "size"}
    item = normal_item({"AND": {"M": {"a.b[0]": {"N": "1"}}}, "size": {"N": "1"}})

    assert holds("#and.#dots = :one AND #1 = :one", item, names)


@pytest.mark.parametrize(
    ("names", "values", "reason"),
    [
        ({}, None, "ExpressionAttributeNames must not be empty"),
        (None, {}, "ExpressionAttributeValues must not be empty"),
        ({"a": "b"}, None, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"'),
        ({"#a-b": "b"}, None, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"'),
        (None, {"a": {"S": "b"}}, 'ExpressionAttributeValues contains invalid key: Syntax error; key: "a"'),
    ],
)
def test_placeholders_have_their_form(names: Any, values: Any, reason: str) -> None:
    """A pound sign or a colon, and one or more alphanumeric characters.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html
    """
    with pytest.raises(ValidationError) as refused:
        Placeholders(names, values)
    assert reason in str(refused.value)


def test_what_is_not_used_is_refused_also_behind_a_true_condition() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeValues.html"""
    placeholders = Placeholders({"#a": "a", "#b": "b"}, {":one": {"N": "1"}, ":two": {"N": "2"}})

    expressions.condition("#a <> :one OR #b = :one", placeholders)

    with pytest.raises(ValidationError, match=r"ExpressionAttributeValues unused in expressions: keys: {:two}"):
        placeholders.check_all_used()


# Properties: any condition on any item, against a reading in Python of what is documented.

ATTRIBUTES = ("a", "b", "c")
SCALARS = st.one_of(
    st.sampled_from(["0", "1", "1.0", "-1", "10", "9"]).map(lambda text: {"N": text}),
    st.sampled_from(["", "a", "ab", "b", "1"]).map(lambda text: {"S": text}),
    st.sampled_from([b"", b"\x00", b"\xff", b"\xff\x00", b"a"]).map(
        lambda content: {"B": base64.b64encode(content).decode()}
    ),
    st.booleans().map(lambda content: {"BOOL": content}),
    st.just({"NULL": True}),
    st.sets(st.sampled_from(["", "a", "ab"]), min_size=1).map(lambda content: {"SS": list(content)}),
    st.sets(st.sampled_from(["0", "1.0", "10"]), min_size=1).map(lambda content: {"NS": list(content)}),
    st.sets(st.sampled_from(["AA==", "/w=="]), min_size=1).map(lambda content: {"BS": list(content)}),
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda content: {"L": content}),
        st.dictionaries(st.sampled_from(ATTRIBUTES), inner, max_size=2).map(lambda content: {"M": content}),
    ),
    max_leaves=4,
)
ITEMS = st.dictionaries(st.sampled_from(ATTRIBUTES), ANY)
# What an operand is in Python: its type, and its content in a form that Python compares as DynamoDB does.
Meaning = tuple[str, Any] | None


def meaning(value: Value | None) -> Meaning:
    if value is None:
        return None
    ((kind, content),) = value.items()
    one: dict[str, Callable[[Any], Any]] = {"N": Fraction, "B": base64.b64decode, "S": str}
    if kind in one:
        return kind, one[kind](content)
    if kind in ("SS", "NS", "BS"):
        return kind, frozenset(one[kind[0]](element) for element in content)
    if kind == "L":
        return kind, tuple(meaning(element) for element in content)
    if kind == "M":
        return kind, frozenset((name, meaning(element)) for name, element in content.items())
    return kind, content is True


def slow_size(found: Meaning) -> Meaning:
    if found is None or found[0] in ("N", "BOOL", "NULL"):
        return None
    return "N", Fraction(len(found[1]))


def slow_contains(whole: Meaning, part: Meaning) -> bool:
    if whole is None or part is None:
        return False
    if whole[0] == "L":
        return part in whole[1]
    if whole[0] in ("SS", "NS", "BS"):
        return part[0] == whole[0][0] and part[1] in whole[1]
    return whole[0] in ("S", "B") and part[0] == whole[0] and part[1] in whole[1]


def slow_order(first: Meaning, second: Meaning, compare: Callable[[Any, Any], bool]) -> bool:
    if first is None or second is None or first[0] != second[0] or first[0] not in ("S", "N", "B"):
        return False
    return compare(first[1], second[1])


def slow_begins(first: Meaning, second: Meaning) -> bool:
    if first is None or second is None or first[0] != second[0] or first[0] not in ("S", "B"):
        return False
    return bool(first[1][: len(second[1])] == second[1])


SLOW: dict[str, Callable[[Meaning, Meaning], bool]] = {
    "{} = {}": lambda a, b: a is not None and b is not None and a == b,
    "{} <> {}": lambda a, b: a is None or b is None or a != b,
    "{} < {}": lambda a, b: slow_order(a, b, lambda x, y: x < y),
    "{} <= {}": lambda a, b: slow_order(a, b, lambda x, y: x <= y),
    "{} > {}": lambda a, b: slow_order(a, b, lambda x, y: x > y),
    "{} >= {}": lambda a, b: slow_order(a, b, lambda x, y: x >= y),
    "{} IN ({})": lambda a, b: a is not None and a == b,
    "begins_with({}, {})": slow_begins,
    "contains({}, {})": slow_contains,
}

Case = tuple[str, Callable[[dict[str, Value]], bool]]  # a condition, and what it means


@st.composite
def simple_conditions(draw: st.DrawFn) -> Case:
    first, second, third = draw(st.permutations(ATTRIBUTES))
    kind = draw(st.sampled_from([*SLOW, "BETWEEN", "exists", "size"]))
    if kind == "BETWEEN":
        text = f"{first} BETWEEN {second} AND {third}"
        return (
            text,
            lambda item: (
                slow_order(meaning(item.get(second)), meaning(item.get(first)), lambda x, y: x <= y)
                and slow_order(meaning(item.get(first)), meaning(item.get(third)), lambda x, y: x <= y)
            ),
        )
    if kind == "exists":
        return f"attribute_exists({first})", lambda item: first in item
    if kind == "size":
        return f"size({first}) <= {second}", lambda item: slow_order(
            slow_size(meaning(item.get(first))), meaning(item.get(second)), lambda x, y: x <= y
        )
    return kind.format(first, second), lambda item: SLOW[kind](meaning(item.get(first)), meaning(item.get(second)))


def negated(case: Case) -> Case:
    return f"NOT ({case[0]})", lambda item: not case[1](item)


def joined(word: str) -> Callable[[tuple[Case, Case]], Case]:
    both = all if word == "AND" else any
    return lambda cases: (
        f"({cases[0][0]}) {word} ({cases[1][0]})",
        lambda item: both(case[1](item) for case in cases),
    )


CONDITIONS = st.recursive(
    simple_conditions(),
    lambda inner: st.one_of(
        inner.map(negated),
        st.tuples(inner, inner).map(joined("AND")),
        st.tuples(inner, inner).map(joined("OR")),
    ),
    max_leaves=4,
)


@given(CONDITIONS, ITEMS)
def test_any_condition_on_any_item_means_what_is_documented(case: Case, item: dict[str, Any]) -> None:
    text, means = case

    assert expressions.condition(text, Placeholders(None, None)).holds(normal_item(item)) == means(item)


@given(st.sampled_from([kind for kind in SLOW if "IN" not in kind]), ANY, ANY)
def test_values_of_a_request_compare_as_those_of_an_item(kind: str, first: Any, second: Any) -> None:
    """Except that a type which the operator is not for is refused instead of not matching."""
    placeholders = Placeholders(None, {":v": normal(second)})
    try:
        condition = expressions.condition(kind.format("a", ":v"), placeholders)
    except ValidationError as error:
        assert "operand type" in str(error)
        assert not SLOW[kind](meaning(first), meaning(second))
    else:
        assert condition.holds({"a": normal(first)}) == SLOW[kind](meaning(first), meaning(second))


@given(st.text(alphabet="ab#:1 ()=<>[].,ANDORTINB", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (expressions.condition, expressions.update, expressions.projection):
        placeholders = Placeholders({"#a": "a"}, {":a": {"N": "1"}})
        try:
            read(text, placeholders)
        except ValidationError as error:
            assert str(error).startswith("Invalid ")


# Key conditions


def key_condition(text: str, sort: str | None = "sk") -> Any:
    return expressions.key_condition(text, Placeholders({"#p": "pk"}, VALUES), "pk", sort)


@pytest.mark.parametrize(
    ("text", "operator", "operands"),
    [
        ("pk = :a", None, ()),
        ("#p=:a", None, ()),
        (":a = pk", None, ()),
        ("(pk = :a)", None, ()),
        ("pk = :a AND sk = :one", "=", (":one",)),
        ("sk < :one AND pk = :a", "<", (":one",)),
        ("pk = :a AND :one < sk", ">", (":one",)),
        ("pk = :a and sk between :one and :two", "BETWEEN", (":one", ":two")),
        ("(pk = :a) AND (begins_with(sk, :hell))", "begins_with", (":hell",)),
    ],
)
def test_key_conditions(text: str, operator: str | None, operands: tuple[str, ...]) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html"""
    found = key_condition(text)

    assert found.partition == VALUES[":a"]
    assert (found.operator, found.operands) == (operator, tuple(VALUES[name] for name in operands))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sk = :one", "missed key schema element: pk"),
        ("pk < :a", "Query key condition not supported"),
        ("pk = :a AND extra = :one", "missed key schema element: sk"),
        ("pk = :a AND sk <> :one", "Invalid operator used in KeyConditionExpression: <>"),
        ("pk = :a AND sk IN (:one)", "Invalid operator used in KeyConditionExpression: IN"),
        ("pk = :a AND contains(sk, :a)", "Invalid operator used in KeyConditionExpression: contains"),
        ("pk = :a OR sk = :one", "Invalid operator used in KeyConditionExpression: OR"),
        ("NOT pk = :a", "Invalid operator used in KeyConditionExpression: NOT"),
        ("pk = :a AND sk > :one AND sk < :two", "must only contain one condition per key"),
        ("pk = :a AND sk = :one AND extra = :one", "length 1 or 2 only"),
        ("pk = sk", "Multiple attribute names used in one condition"),
        (":a = :one", "No key attribute specified"),
        ("pk = :a AND begins_with(:a, sk)", "must have the key attribute as its first operand"),
        ("pk = :a AND sk.x = :one", "cannot have conditions on nested attributes"),
        ("pk = :a AND size(sk) = :one", "cannot contain nested operations"),
        ("pk = :undefined", "not defined; attribute value: :undefined"),
        ("pk", "Syntax error"),
    ],
)
def test_a_key_condition_that_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        key_condition(text)
    assert reason in str(refused.value)


# Updates


def updated(text: str, item: dict[str, Value] = ITEM, exists: bool = True) -> dict[str, Value]:
    """What an update changes: new values, and None for what is gone."""
    found = expressions.update(text, Placeholders({"#n": "name"}, VALUES)).applied(item, exists)
    names = [*found, *(name for name in item if name not in found)]
    return {name: found.get(name) for name in names if found.get(name) != item.get(name)}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("SET one = :two", {"one": {"N": "2"}}),
        ("set one=:two,#n=:a", {"one": {"N": "2"}, "name": {"S": "a"}}),
        ("SET twin = one", {"twin": {"N": "1"}}),
        ("SET one = zero, zero = one", {"one": {"N": "0"}, "zero": {"N": "1"}}),
        ("SET one = one + :two", {"one": {"N": "3"}}),
        ("SET one = :two - one", {}),
        ("SET one = (one + :two)", {"one": {"N": "3"}}),
        ("SET fresh = if_not_exists(fresh, :zero) + :one", {"fresh": {"N": "1"}}),
        ("SET one = if_not_exists(one, :ten)", {}),
        ("SET fresh = list_append(if_not_exists(fresh, :list), :list)", {"fresh": {"L": [{"S": "deep"}] * 2}}),
        ("SET tree.x = :two", {"tree": {"M": {"x": {"N": "2"}, "y": ITEM["tree"]["M"]["y"]}}}),
        ("SET tree.y.z = tree.x", {"tree": {"M": {"x": {"N": "1"}, "y": {"M": {"z": {"N": "1"}}}}}}),
        ("REMOVE one, absent, tree.x", {"one": None, "tree": {"M": {"y": ITEM["tree"]["M"]["y"]}}}),
        ("SET twin = one REMOVE one", {"twin": {"N": "1"}, "one": None}),
        ("ADD one :two, fresh :two", {"one": {"N": "3"}, "fresh": {"N": "2"}}),
        ("ADD numbers :set, words :ba", {}),
        ("ADD tree.x :two", {"tree": {"M": {"x": {"N": "3"}, "y": ITEM["tree"]["M"]["y"]}}}),
        ("DELETE words :ba, absent :ba", {"words": None}),
    ],
)
def test_updates(text: str, changed: dict[str, Any]) -> None:
    """The documented sections; operands are read before anything is written."""
    before = {name: normal(value) for name, value in ITEM.items()}

    assert updated(text) == changed
    assert before == ITEM


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("REMOVE elems[1]", "0234"),
        ("REMOVE elems[0], elems[1], elems[3]", "24"),
        ("REMOVE elems[17]", "01234"),
        ("REMOVE elems[1] SET elems[3] = :z", "02z4"),
        ("SET elems[3] = :z REMOVE elems[1]", "02z4"),
        ("SET elems[9] = :z, elems[7] = :a", "01234az"),
        ("SET elems[5] = :z REMOVE elems[0]", "1234z"),
    ],
)
def test_updates_of_lists(text: str, left: str) -> None:
    """'If you add multiple elements in a single SET operation, the elements are sorted in order by element number.'"""
    item = {"elems": {"L": [{"S": digit} for digit in "01234"]}}
    found = expressions.update(text, Placeholders(None, VALUES)).applied(item)

    assert "".join(element["S"] for element in found["elems"]["L"]) == left
    assert len(item["elems"]["L"]) == 5


@given(st.lists(st.integers(), max_size=8), st.sets(st.integers(0, 9), min_size=1))
def test_any_elements_are_removed_by_the_indexes_that_they_had(content: list[int], indexes: set[int]) -> None:
    item: dict[str, Value] = {"elems": {"L": [{"N": str(number)} for number in content]}}
    text = "REMOVE " + ", ".join(f"elems[{index}]" for index in indexes)

    found = expressions.update(text, Placeholders(None, None)).applied(item)

    left = [number for index, number in enumerate(content) if index not in indexes]
    assert found == {"elems": {"L": [{"N": str(number)} for number in left]}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SET twin = absent", "refers to an attribute that does not exist in the item"),
        ("SET one = absent + :one", "refers to an attribute that does not exist in the item"),
        ("SET fresh = :one, twin = fresh", "refers to an attribute that does not exist in the item"),
        ("SET elems = list_append(absent, :list)", "refers to an attribute that does not exist in the item"),
        ("SET one = greeting + :one", "incorrect data type"),
        ("SET elems = list_append(greeting, :list)", "incorrect data type"),
        ("ADD greeting :one", "incorrect data type"),
        ("ADD one :set", "incorrect data type"),
        ("DELETE numbers :ba", "incorrect data type"),
        ("SET absent.x = :one", "document path provided in the update expression is invalid for update"),
        ("SET greeting.x = :one", "document path provided in the update expression is invalid for update"),
        ("SET elems.x = :one", "document path provided in the update expression is invalid for update"),
        ("SET tree[0] = :one", "document path provided in the update expression is invalid for update"),
        ("REMOVE absent.x", "document path provided in the update expression is invalid for update"),
        ("REMOVE greeting[0]", "document path provided in the update expression is invalid for update"),
    ],
)
def test_an_update_that_the_item_does_not_allow(text: str, reason: str) -> None:
    """These are among the reasons of a cancelled transaction, with these words.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    with pytest.raises(ValidationError, match=reason):
        updated(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The expression can not be empty;"),
        ("HELLO one = :one", "Syntax error"),
        ("SET one = :one + :two + :ten", "Syntax error"),
        ("SET one = if_not_exists(one, :one + :two)", "Syntax error"),
        ("SET one + :one", "Syntax error"),
        ("SET :a = :one", "Syntax error"),
        ("SET one = :one,", "Syntax error"),
        ("ADD one two", "Syntax error"),
        ("ADD one :one + :two", "Syntax error"),
        ("SET one = :one SET zero = :one", 'The "SET" section can only be used once'),
        ("SET one = :undefined", "not defined; attribute value: :undefined"),
        ("SET #undefined = :one", "not defined; attribute name: #undefined"),
        ("SET status = :one", "reserved keyword: status"),
        ("SET one = dog(one)", "Invalid function name; function: dog"),
        ("SET one = size(one)", "not allowed to be used this way in an expression; function: size"),
        ("SET one = list_append(:list)", "function: list_append, number of operands: 1"),
        ("SET one = list_append(:list, :a)", "function: list_append, operand type: S"),
        ("SET one = list_append(list_append(:list, :list), :list)", "used this way in an expression; function: list_"),
        ("SET one = if_not_exists(:a, :one)", "requires a document path; operator or function: if_not_exists"),
        ("SET one = :a + :one", "function: +, operand type: S"),
        ("ADD one :a", "operator: ADD, operand type: STRING"),
        ("ADD elems :list", "operator: ADD, operand type: LIST"),
        ("DELETE one :one", "operator: DELETE, operand type: NUMBER"),
        ("SET one = :one, one = :two", "overlap with each other; must remove or rewrite one of these paths"),
        ("SET one = :one REMOVE one", "path one: [one], path two: [one]"),
        ("SET a.b = :one, a.b.c = :two", "path one: [a, b], path two: [a, b, c]"),
        ("SET a[1][2] = :one, a[1] = :two", "path one: [a, [1], [2]], path two: [a, [1]]"),
        ("SET #n = :one ADD #n :one", "path one: [name], path two: [name]"),
        ("SET a.b = :one, a[1] = :two", "conflict with each other"),
    ],
)
def test_an_update_that_is_none_is_refused(text: str, reason: str) -> None:
    """The grammar; belief for the messages."""
    with pytest.raises(ValidationError) as refused:
        expressions.update(text, Placeholders({"#n": "name"}, VALUES))
    assert reason in str(refused.value)


def test_updates_of_no_item() -> None:
    """What is set makes one; there is nothing to remove from it."""
    assert updated("SET one = :one REMOVE tree.x DELETE words :ba", {}, exists=False) == {"one": {"N": "1"}}
    with pytest.raises(ValidationError, match="does not exist in the item"):
        updated("SET one = zero", {}, exists=False)


def test_an_update_does_not_nest_deeper_than_a_value_may() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-attributes"""
    value: dict[str, Any] = {"L": []}
    for _ in range(32):
        value = {"L": [value]}
    with pytest.raises(ValidationError, match="Nesting Levels"):
        expressions.update(f"SET deep{'[0]' * 33} = :list", Placeholders(None, VALUES)).applied({"deep": value})


# Projections


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one, absent, tree.q, elems[99]", {"one": {"N": "1"}}),
        ("tree.y.z", {"tree": {"M": {"y": {"M": {"z": {"S": "deep"}}}}}}),
        ("elems[12], elems[0]", {"elems": {"L": [{"N": "1"}, {"N": "19"}]}}),
        ("elems[2][0]", {"elems": {"L": [{"L": [{"S": "deep"}]}]}}),
        ("seven, numbers", {"seven": {"N": "7"}, "numbers": {"NS": ["1", "2.5"]}}),
    ],
)
def test_projections(text: str, shown: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ProjectionExpressions.html"""
    paths = expressions.projection(text, Placeholders(None, None))

    assert expressions.projected(ITEM, paths) == shown


@pytest.mark.parametrize(("text", "reason"), [("a, a", "overlap"), ("a.b, a", "overlap"), ("a b", "Syntax error")])
def test_a_projection_that_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=f"Invalid ProjectionExpression: .*{reason}"):
        expressions.projection(text, Placeholders(None, None))


# The parameters before expressions


@pytest.mark.parametrize(
    ("comparison", "arguments", "matching", "others"),
    [
        ("EQ", [{"N": "1"}], [{"N": "1"}], [{"S": "1"}, {"NS": ["1"]}, None]),
        ("NE", [{"N": "1"}], [{"N": "2"}, {"S": "1"}, None], [{"N": "1"}]),
        ("LE", [{"S": "b"}], [{"S": "a"}, {"S": "b"}, {"S": ""}], [{"S": "c"}, {"N": "0"}, None]),
        ("GT", [{"B": "AA=="}], [{"B": "/w=="}], [{"B": "AA=="}, {"S": "z"}, None]),
        ("NULL", [], [None], [{"NULL": True}]),
        ("NOT_NULL", [], [{"NULL": True}], [None]),
        ("CONTAINS", [{"N": "1"}], [{"NS": ["1"]}, {"L": [{"N": "1"}]}], [{"S": "1"}, {"N": "1"}, None]),
        ("NOT_CONTAINS", [{"S": "a"}], [{"S": "b"}], [{"S": "cab"}]),
        ("BEGINS_WITH", [{"S": "a"}], [{"S": "ab"}], [{"S": "ba"}, {"N": "1"}, None]),
        ("IN", [{"N": "1"}, {"N": "2"}], [{"N": "2"}], [{"N": "3"}, {"S": "1"}, None]),
        ("BETWEEN", [{"N": "0"}, {"N": "1"}], [{"N": "0"}, {"N": "1"}], [{"N": "2"}, {"S": "0"}, None]),
    ],
)
def test_conditions_before_expressions(
    comparison: str, arguments: list[Value], matching: list[Value | None], others: list[Value | None]
) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html"""
    condition = expressions.legacy_condition("a", comparison, arguments)

    for value in matching:
        assert condition.holds({} if value is None else {"a": value})
    for value in others:
        assert not condition.holds({} if value is None else {"a": value})


@pytest.mark.parametrize(
    ("comparison", "arguments", "reason"),
    [
        ("LIKE", [{"S": "a"}], "failed to satisfy constraint"),
        ("EQ", [], "Invalid number of argument"),
        ("NULL", [{"S": "a"}], "Invalid number of argument"),
        ("BETWEEN", [{"N": "1"}], "Invalid number of argument"),
        ("IN", [], "Invalid number of argument"),
        ("LT", [{"BOOL": True}], "is not valid for BOOL AttributeValue type"),
        ("BEGINS_WITH", [{"N": "1"}], "is not valid for N AttributeValue type"),
        ("IN", [{"N": "1"}, {"S": "1"}], "must be of same type"),
        ("BETWEEN", [{"N": "2"}, {"N": "1"}], "lower bound is greater than the upper bound"),
    ],
)
def test_a_condition_before_expressions_that_is_none_is_refused(
    comparison: str, arguments: list[Value], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        expressions.legacy_condition("a", comparison, arguments)
