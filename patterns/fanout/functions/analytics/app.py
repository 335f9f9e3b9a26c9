"""Analytics: the size class of every large order."""

from decimal import Decimal
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import orders
from handlers.sqs import consume

# Least amount of each class in euros, highest first.
SIZE_CLASSES = ((1000, "enterprise"), (250, "large"), (0, "standard"))


def size_class(amount: Decimal) -> dict[str, Any]:
    return {"size_class": next(name for least, name in SIZE_CLASSES if amount >= least)}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=orders.amount, act=size_class)
