"""Shipping: a packing list for every order with physical goods."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.sqs import consume


@dataclass(frozen=True)
class Order:
    """`goods` is one kind, "physical" or "digital", per item."""

    customer_id: str
    goods: tuple[str, ...]


def parse(body: dict[str, Any]) -> Order:
    order = Order(customer_id=body["customer_id"], goods=tuple(body["goods"]))
    if "physical" not in order.goods:
        raise ValueError("nothing to ship: the subscription's filter policy should have kept this order away")
    return order


def packing_list(order: Order) -> dict[str, Any]:
    """Positions (from 1) of the items to pack: what is digital never leaves the warehouse."""
    items = [position for position, kind in enumerate(order.goods, start=1) if kind == "physical"]
    return {"customer_id": order.customer_id, "items_to_pack": items}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=packing_list)
