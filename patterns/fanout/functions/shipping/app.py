"""Shipping: a packing list for every order with physical goods."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import orders
from handlers.outcomes import PermanentError
from handlers.sqs import consume

KINDS = ("physical", "digital")


@dataclass(frozen=True)
class Order:
    """`goods` is one kind, "physical" or "digital", per item."""

    customer_id: str
    goods: tuple[str, ...]


def parse(body: dict[str, Any]) -> Order:
    goods = body.get("goods")
    if not isinstance(goods, list) or not all(kind in KINDS for kind in goods):
        raise orders.refused(body, "goods", f"an array of {' and '.join(KINDS)}")
    if "physical" not in goods:
        raise PermanentError("nothing to ship: the subscription's filter policy should have kept this order away")
    return Order(customer_id=orders.identifier(body, "customer_id"), goods=tuple(goods))


def packing_list(order: Order) -> dict[str, Any]:
    """Positions (from 1) of the items to pack: what is digital never leaves the warehouse."""
    items = [position for position, kind in enumerate(order.goods, start=1) if kind == "physical"]
    return {"customer_id": order.customer_id, "items_to_pack": items}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=packing_list)
