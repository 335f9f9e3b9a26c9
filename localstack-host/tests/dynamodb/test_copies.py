"""Copies of items."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.dynamodb.copies import Attributes
from moto.dynamodb.models.dynamo_type import DynamoType

TEXTS = st.text(max_size=3)
VALUES = st.recursive(
    st.fixed_dictionaries({"S": TEXTS})
    | st.fixed_dictionaries({"N": st.integers().map(str)})
    | st.fixed_dictionaries({"BOOL": st.booleans()})
    | st.just({"NULL": True})
    | st.fixed_dictionaries({"SS": st.lists(TEXTS, min_size=1, max_size=3)}),
    lambda inner: (
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"M": st.dictionaries(TEXTS, inner, max_size=3)})
    ),
    max_leaves=8,
)


def attributes_of(values: dict[str, Any]) -> Attributes:
    attributes = Attributes()
    for name, value in values.items():
        attributes[name] = DynamoType(value)
    return attributes


def emptied(value: DynamoType) -> None:
    """Changes everything in a value, in place."""
    if isinstance(value.value, list | dict):
        inner = value.value.values() if isinstance(value.value, dict) else value.value
        for one in inner:
            if isinstance(one, DynamoType):
                emptied(one)
        value.value.clear()
    value.type = "changed"


@given(st.dictionaries(TEXTS, VALUES, max_size=3))
def test_a_copy_is_equal_and_does_not_change_with_its_original(values: dict[str, Any]) -> None:
    original = attributes_of(deepcopy(values))

    copied = deepcopy(original)
    for value in original.values():
        emptied(value)

    assert copied == attributes_of(values)
    assert type(copied) is Attributes


def test_a_copy_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    original = attributes_of({"id": {"S": "1"}, "lines": {"L": [{"M": {"sku": {"S": "a"}}}]}})
    monkeypatch.setattr(DynamoType, "size", lambda self: pytest.fail("measured", pytrace=False))

    assert deepcopy(original) == original
