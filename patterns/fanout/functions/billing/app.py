"""Billing: an invoice for every order."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.sqs import consume

VAT_RATE = Decimal("0.19")
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Order:
    """`amount` is net, in euros."""

    customer_id: str
    amount: Decimal


def parse(body: dict[str, Any]) -> Order:
    # Through str: Decimal(120.1) would carry the float's binary digits into the invoice.
    order = Order(customer_id=body["customer_id"], amount=Decimal(str(float(body["amount"]))))
    if not (order.amount.is_finite() and order.amount > 0):
        raise ValueError(f"amount is {order.amount}, an invoice needs a positive one")
    return order


def invoice(order: Order) -> dict[str, Any]:
    """The invoice's lines as strings, so that no reader of the log rounds them."""
    vat = (order.amount * VAT_RATE).quantize(CENT, ROUND_HALF_UP)
    net = order.amount.quantize(CENT, ROUND_HALF_UP)
    return {"customer_id": order.customer_id, "net": str(net), "vat": str(vat), "total": str(net + vat)}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=invoice)
