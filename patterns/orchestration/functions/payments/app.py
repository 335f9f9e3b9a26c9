"""Payments: charges an order, and refunds it. Each happens once, however often it is asked for, and in any order."""

import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers import orders
from handlers.outcomes import PermanentError
from handlers.task import perform

ORDERS_TABLE = os.environ["ORDERS_TABLE"]
CARD_LIMIT = Decimal(5000)  # euros

# Fewer retries than boto3's ten: the state machine retries too, and an error says more than a timeout.
dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2}))


class PaymentDeclined(PermanentError):
    """The card does not bear the amount: nothing was charged."""


class OrderCancelled(PermanentError):
    """The refund was here first: an attempt that comes this late must not charge."""


def put_payment(order_id: str, status: str, amount: Decimal) -> dict[str, str] | None:
    """Writes the order's payment unless there is one; returns the one that was there, or None."""
    item = {
        "order_id": {"S": order_id},
        "record": {"S": "payment"},
        "status": {"S": status},
        "amount": {"N": str(amount)},
        "at": {"S": datetime.now(UTC).isoformat(timespec="milliseconds")},
    }
    try:
        dynamodb.put_item(
            TableName=ORDERS_TABLE,
            Item=item,
            ConditionExpression="attribute_not_exists(order_id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        response: Any = error.response  # boto3's types know no Item in it
        found = response["Item"]
        return {"status": found["status"]["S"], "amount": found["amount"]["N"]}
    return None


def charge(task: dict[str, Any]) -> dict[str, Any]:
    order = task["order"]
    order_id, amount = orders.identifier(order, "order_id"), orders.amount(order)
    if amount > CARD_LIMIT:
        raise PaymentDeclined(f"the card's limit is {CARD_LIMIT} EUR, the order is over {amount} EUR")
    before = put_payment(order_id, "charged", amount)
    if before and before["status"] == "refunded":
        raise OrderCancelled("the order is refunded: it is not charged any more")
    return {"charged": str(amount), "replayed": before is not None}


def refund(task: dict[str, Any]) -> dict[str, Any]:
    """Pay back what was charged, if anything was, and leave a record by which a late charge is refused."""
    order_id = orders.identifier(task["order"], "order_id")
    before = put_payment(order_id, "refunded", Decimal(0))
    if before is None:
        return {"refunded": "0", "replayed": False}
    if before["status"] == "charged":
        dynamodb.update_item(
            TableName=ORDERS_TABLE,
            Key={"order_id": {"S": order_id}, "record": {"S": "payment"}},
            UpdateExpression="SET #status = :refunded",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":refunded": {"S": "refunded"}},
        )
    return {"refunded": before["amount"], "replayed": before["status"] == "refunded"}


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return perform(event, context, {"charge": charge, "refund": refund})
