"""Worker: books the invoice of a work item, once, and only if no newer version of the object is known.

The booking is the manifest's entry itself. One conditional write sees to it that a work item that comes twice, from
SQS or because ingest sent it twice, is done once.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers import orders
from handlers.outcomes import PermanentError
from handlers.sqs import consume

MANIFEST_TABLE = os.environ["MANIFEST_TABLE"]
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024

dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2}))


@dataclass(frozen=True)
class WorkItem:
    key: str
    version_id: str
    invoice_id: str
    amount: Decimal


def parse(body: dict[str, Any]) -> WorkItem:
    return WorkItem(
        key=orders.identifier(body, "key", MAX_KEY_BYTES),
        version_id=orders.identifier(body, "version_id", MAX_KEY_BYTES),
        invoice_id=orders.identifier(body, "invoice_id"),
        amount=orders.amount(body),
    )


def book(item: WorkItem) -> dict[str, Any]:
    """Book the invoice; `outcome` is booked, already booked, or superseded by a newer version.

    Raises PermanentError for a key that the manifest does not know: ingest notes it before it sends a work item.
    """
    values = {":version": item.version_id, ":processed": "processed", ":invoice": item.invoice_id}
    values[":now"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        dynamodb.update_item(
            TableName=MANIFEST_TABLE,
            Key={"key": {"S": item.key}},
            UpdateExpression="SET #status = :processed, processed_at = :now, invoice_id = :invoice, amount = :amount",
            ConditionExpression="version_id = :version AND #status <> :processed",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                **{name: {"S": value} for name, value in values.items()},
                ":amount": {"N": str(item.amount)},
            },
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        response: Any = error.response  # boto3's types know no Item in it
        if "Item" not in response:
            raise PermanentError(f"the manifest knows no object {item.key}: ingest did not send this") from error
        is_newest = response["Item"]["version_id"]["S"] == item.version_id
        return {"version_id": item.version_id, "outcome": "already booked" if is_newest else "superseded"}
    return {"version_id": item.version_id, "outcome": "booked"}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=book)
