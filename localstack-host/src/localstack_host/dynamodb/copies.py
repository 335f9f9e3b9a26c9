"""An item is copied without being measured.

AWS: does not apply; an item is at most 400 KB
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html), whoever reads it.

LocalStack: moto copies the items that a Scan or Query returns, and those that an update changes, and measures the
whole copy for each attribute that it adds: a quarter of what LocalStack works while experiments look at their tables.

Here: an item's attributes copy themselves; only what writes an item measures it.

Evidence: documentation.
"""

from copy import deepcopy
from typing import Any

from moto.dynamodb.models import dynamo_type
from moto.dynamodb.models.dynamo_type import DynamoType, LimitedSizeDict

from localstack_host.patching import replace


class Attributes(LimitedSizeDict):
    def __deepcopy__(self, memo: dict[int, Any]) -> "Attributes":
        copied = type(self)()
        memo[id(self)] = copied
        dict.update(copied, {name: copy_of(value, memo) for name, value in self.items()})
        return copied


def copy_of(value: Any, memo: dict[int, Any]) -> Any:
    """A value of an attribute, with all that is in it."""
    if isinstance(value, str | bytes | bool | None):
        return value
    if type(value) is DynamoType:
        copied: Any = object.__new__(DynamoType)
        copied.type, copied.value = value.type, copy_of(value.value, memo)
        return copied
    if type(value) is dict:
        return {name: copy_of(inner, memo) for name, inner in value.items()}
    if type(value) is list:
        return [copy_of(inner, memo) for inner in value]
    return deepcopy(value, memo)


def install() -> None:
    # patch: moto's items make their attributes from the name in its module.
    replace(dynamo_type, "LimitedSizeDict", Attributes)
