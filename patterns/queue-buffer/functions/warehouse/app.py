"""Warehouse: reserves the stock of every order, in a system that is slower than the shop."""

import os
import time
from dataclasses import dataclass
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from handlers import orders
from handlers.backoff import by_visibility_timeout
from handlers.outcomes import PermanentError, TransientError
from handlers.sqs import consume

TABLE_NAME = os.environ["TABLE_NAME"]
# The queue is what retries. A retry in here would hold up the rest of the batch, and use up its time.
dynamodb = boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=5))
postpone = by_visibility_timeout(os.environ)


@dataclass(frozen=True)
class Order:
    """`items` is how many pieces to reserve."""

    order_id: str
    customer_id: str
    items: int


def parse(body: dict[str, Any]) -> Order:
    return Order(
        order_id=orders.identifier(body, "order_id"),
        customer_id=orders.identifier(body, "customer_id"),
        items=orders.quantity(body, "items"),
    )


def reserve(order: Order) -> dict[str, Any]:
    """Writes the reservation unless there is one: a message that is delivered again changes nothing.

    Raises PermanentError when the order's id was used for another order, and TransientError when the downstream does
    not take the reservation.
    """
    began = time.monotonic()
    wanted = item(order)
    try:
        dynamodb.put_item(
            TableName=TABLE_NAME,
            Item=wanted,
            ConditionExpression="attribute_not_exists(order_id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        outcome = "reserved"
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        answer: Any = error.response
        if answer["Item"] != wanted:
            raise PermanentError("order_id was reserved before, for another customer or number of items") from error
        outcome = "already reserved"
    except (BotoCoreError, ClientError) as error:
        raise TransientError(f"no reservation in {TABLE_NAME}: {error}") from error
    return {"outcome": outcome, "items": order.items, "downstream_seconds": round(time.monotonic() - began, 3)}


def item(order: Order) -> dict[str, Any]:
    return {
        "order_id": {"S": order.order_id},
        "customer_id": {"S": order.customer_id},
        "items": {"N": str(order.items)},
    }


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=reserve, postpone=postpone)
