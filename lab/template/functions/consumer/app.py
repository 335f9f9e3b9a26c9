"""Consumer: packs the items of every order."""

from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import orders
from handlers.sqs import consume


def parse(body: dict[str, Any]) -> int:
    """How many items the order has."""
    return orders.quantity(body, "items")


def pack(items: int) -> dict[str, Any]:
    return {"packed": items}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=pack)
