"""Pays once per order: one transaction writes key and payment, so that neither is there without the other."""

import json
import os
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import PermanentError
from ledger import Payment, dynamodb, receipt, writes

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

IDEMPOTENCY_TABLE = os.environ["IDEMPOTENCY_TABLE"]
RECORD_EXPIRY_SECONDS = int(os.environ["RECORD_EXPIRY_SECONDS"])


def key_item(payment: Payment, done: dict[str, Any], now: int) -> "TransactWriteItemTypeDef":
    """The key as an item of a TransactWriteItems, which fails if the key is there and has not expired."""
    return {
        "Put": {
            "TableName": IDEMPOTENCY_TABLE,
            "Item": {
                "id": {"S": f"payment#{payment.order_id}"},
                "data": {"S": json.dumps(done)},
                "expiration": {"N": str(now + RECORD_EXPIRY_SECONDS)},
            },
            "ConditionExpression": "attribute_not_exists(#id) OR #expiration < :now",
            "ExpressionAttributeNames": {"#id": "id", "#expiration": "expiration"},
            "ExpressionAttributeValues": {":now": {"N": str(now)}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def pay_once(payment: Payment, context: LambdaContext) -> dict[str, Any]:
    """Pay unless the order is paid; return the receipt of its one payment.

    Raises PermanentError when the order was paid by another customer or with another amount, and boto3's
    TransactionCanceledException, unpaid, when another delivery is at work on the same items: it ends with a retry.
    """
    done = receipt(payment)
    try:
        # boto3 adds a ClientRequestToken: its own retry of a request whose answer was lost is not a second payment.
        dynamodb.transact_write_items(TransactItems=[key_item(payment, done, int(time.time())), *writes(payment, done)])
    except dynamodb.exceptions.TransactionCanceledException as error:
        # One reason per item, in their order.
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
        reason = error.response["CancellationReasons"][0]
        if reason["Code"] != "ConditionalCheckFailed":
            raise
        found: Any = reason["Item"]
        return stored(payment, json.loads(found["data"]["S"]))
    return done


def stored(payment: Payment, before: dict[str, Any]) -> dict[str, Any]:
    """The receipt of an earlier payment of the same order, if it was this very payment."""
    if (before["customer_id"], before["amount"]) != (payment.customer_id, str(payment.amount)):
        raise PermanentError("order_id was paid before, with another customer or amount")
    return before | {"replayed": True}
