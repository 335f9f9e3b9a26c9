"""Producer: sends orders to the queue, each with a correlation id."""

import json
import os
from itertools import batched
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
MAX_BATCH_ENTRIES = 10

QUEUE_URL = os.environ["QUEUE_URL"]
logger = Logger()
sqs = boto3.client("sqs")


class SendError(Exception):
    """The queue refused some orders. Those that it took are logged as "sent"."""


def entry(batch_id: str, order: dict[str, Any]) -> dict[str, Any]:
    """A SendMessageBatch entry: the order as its body, with the attribute that the message is traced by."""
    return {
        "Id": batch_id,
        "MessageBody": json.dumps(order),
        "MessageAttributes": {"correlation_id": {"DataType": "String", "StringValue": order["correlation_id"]}},
    }


def send(orders: tuple[dict[str, Any], ...]) -> list[dict[str, str]]:
    """Send at most ten orders; returns `order_id`, `message_id` and `correlation_id` of each."""
    by_id = {str(index): order for index, order in enumerate(orders)}
    response = sqs.send_message_batch(QueueUrl=QUEUE_URL, Entries=[entry(id_, order) for id_, order in by_id.items()])
    sent = [
        {
            "order_id": by_id[success["Id"]]["order_id"],
            "message_id": success["MessageId"],
            "correlation_id": by_id[success["Id"]]["correlation_id"],
        }
        for success in response.get("Successful", [])
    ]
    for receipt in sent:
        logger.info("sent", extra=receipt)
    # SendMessageBatch answers 200 also when entries failed: each one has to be looked at.
    if failed := response.get("Failed"):
        reasons = ", ".join(f"{by_id[each['Id']]['order_id']} ({each['Code']})" for each in failed)
        raise SendError(f"{len(failed)} of {len(orders)} orders were not sent: {reasons}; send them again")
    return sent


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Send `event["orders"]` under `event["correlation_id"]`, or each under an id of its own."""
    orders = [order | {"correlation_id": event.get("correlation_id") or str(uuid4())} for order in event["orders"]]
    batches = batched(orders, MAX_BATCH_ENTRIES, strict=False)
    return {"published": [receipt for batch in batches for receipt in send(batch)]}
