"""The fields of an order, as every function that takes orders reads them:

    def parse(body):
        return Order(order_id=orders.identifier(body, "order_id"), amount=orders.amount(body))

`body` is an object decoded from JSON by `handlers.sqs`, which makes a Decimal of a number with a point. The rules:

- **identifier**: text of 1 to 512 bytes in UTF-8, not blank, without lone surrogates. DynamoDB's partition keys hold
  2,048 bytes and its sort keys 1,024, so that there is room for a prefix.
- **amount**: above 0 and up to 1,000,000,000 euros, in whole cents: 0.001 is refused, not rounded. A JSON number, or
  the same as text in ASCII digits, such as "120.10". Twelve digits survive a float, so the amount is exact also where
  a number has been one.
- **quantity**: a JSON integer from 1 to 1,000,000: 2.0, "2" and true are none.

What breaks a rule is a PermanentError that names field, value and rule; nothing is converted in silence. Other fields
are nobody's business here.
"""

import re
from decimal import Decimal
from typing import Any

from handlers.outcomes import PermanentError, shown

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-partition-sort-keys
MAX_IDENTIFIER_BYTES = 512
MAX_AMOUNT = Decimal(1_000_000_000)
MAX_QUANTITY = 1_000_000
CENT = Decimal("0.01")

_AMOUNT = re.compile(r"[0-9]+(\.[0-9]{1,2})?")

Order = dict[str, Any]


def identifier(order: Order, name: str, max_bytes: int = MAX_IDENTIFIER_BYTES) -> str:
    """The text that identifies the order, its customer and so on. Raises PermanentError."""
    value = order.get(name)
    if isinstance(value, str) and value.strip() and 1 <= _utf8_bytes(value) <= max_bytes:
        return value
    raise refused(order, name, f"text of 1 to {max_bytes} bytes in UTF-8")


def amount(order: Order, name: str = "amount") -> Decimal:
    """Euros, to the cent: equal amounts are written the same. Raises PermanentError."""
    value = _decimal(order.get(name))
    if value is not None and value.is_finite() and 0 < value <= MAX_AMOUNT:
        in_cents = value.quantize(CENT)
        if in_cents == value:
            return in_cents
    raise refused(order, name, f"a number above 0 and up to {MAX_AMOUNT}, with at most two decimals")


def quantity(order: Order, name: str) -> int:
    """A number of pieces. Raises PermanentError."""
    value = order.get(name)
    if type(value) is int and 1 <= value <= MAX_QUANTITY:
        return value
    raise refused(order, name, f"a whole number from 1 to {MAX_QUANTITY}")


def _decimal(value: Any) -> Decimal | None:
    match value:
        case Decimal():
            return value
        case bool():
            return None
        case int():
            return Decimal(value)
        case float():  # the input of a task, which the Lambda runtime decodes; repr has the digits that were sent
            return Decimal(repr(value))
        case str() if _AMOUNT.fullmatch(value):
            return Decimal(value)
    return None


def _utf8_bytes(text: str) -> int:
    """0 for what cannot be written in UTF-8: a lone surrogate, which JSON's escapes can bring."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def refused(order: Order, name: str, rule: str) -> PermanentError:
    """The error that names the field, its value and the rule."""
    value = shown(order[name]) if name in order else "missing"
    return PermanentError(f"{name} is {value}, and has to be {rule}")
