"""Analytics: the size class of every large order."""

from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.sqs import consume

# Least amount of each class in euros, highest first.
SIZE_CLASSES = ((1000, "enterprise"), (250, "large"), (0, "standard"))


def parse(body: dict[str, Any]) -> float:
    """The order's amount in euros."""
    amount = float(body["amount"])
    if not amount >= 0:
        raise ValueError(f"amount is {amount}, which is in no size class")
    return amount


def size_class(amount: float) -> dict[str, Any]:
    return {"size_class": next(name for least, name in SIZE_CLASSES if amount >= least)}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=size_class)
