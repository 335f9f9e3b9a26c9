"""Billing: an invoice for every order."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import orders
from handlers.sqs import consume

VAT_RATE = Decimal("0.19")


@dataclass(frozen=True)
class Order:
    """`amount` is net, in euros."""

    customer_id: str
    amount: Decimal


def parse(body: dict[str, Any]) -> Order:
    return Order(customer_id=orders.identifier(body, "customer_id"), amount=orders.amount(body))


def invoice(order: Order) -> dict[str, Any]:
    """The invoice's lines as strings, so that no reader of the log rounds them."""
    vat = (order.amount * VAT_RATE).quantize(orders.CENT, ROUND_HALF_UP)
    total = order.amount + vat
    return {"customer_id": order.customer_id, "net": str(order.amount), "vat": str(vat), "total": str(total)}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=invoice)
