"""The side effect: an entry in the ledger, and the customer's balance that goes with it."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from botocore.config import Config

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LEDGER_TABLE = os.environ["LEDGER_TABLE"]

# boto3's own ten retries on DynamoDB would outlast the function's timeout, and a timeout leaves a payment in doubt
# where an error does not. The queue retries, too. And impatience backfires: a write that is sent again, because its
# answer was late, meets itself, and takes its own key for somebody else's.
dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2}))


@dataclass(frozen=True)
class Payment:
    """`amount` is in euros, to the cent; `message_id` is that of the delivery that asks for it."""

    order_id: str
    customer_id: str
    amount: Decimal
    message_id: str


def receipt(payment: Payment) -> dict[str, Any]:
    """What the payment will be known by. Each call makes another entry: the ledger itself recognises no duplicate."""
    return {"entry_id": f"entry#{uuid4()}", "customer_id": payment.customer_id, "amount": str(payment.amount)}


def writes(payment: Payment, receipt: dict[str, Any]) -> "list[TransactWriteItemTypeDef]":
    """The payment as items of a TransactWriteItems: entry and balance change together or not at all."""
    entry = {
        "customer_id": {"S": payment.customer_id},
        "entry_id": {"S": receipt["entry_id"]},
        "order_id": {"S": payment.order_id},
        "amount": {"N": str(payment.amount)},
        "message_id": {"S": payment.message_id},
        "paid_at": {"S": datetime.now(UTC).isoformat(timespec="milliseconds")},
    }
    return [
        {"Put": {"TableName": LEDGER_TABLE, "Item": entry}},
        {
            "Update": {
                "TableName": LEDGER_TABLE,
                "Key": {"customer_id": {"S": payment.customer_id}, "entry_id": {"S": "balance"}},
                "UpdateExpression": "ADD amount :amount",
                "ExpressionAttributeValues": {":amount": {"N": str(payment.amount)}},
            }
        },
    ]


def pay(payment: Payment) -> dict[str, Any]:
    """Pay, and return the receipt. Paying twice is two payments."""
    done = receipt(payment)
    dynamodb.transact_write_items(TransactItems=writes(payment, done))
    return done
