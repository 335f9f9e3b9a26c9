"""Producer: sends orders to the queue, each with a correlation id."""

import json
import os
import re
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import PermanentError, shown
from handlers.producer import SQS_BATCH_BYTES, produce, traced

QUEUE_URL = os.environ["QUEUE_URL"]
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatchRequestEntry.html
FIFO_ID = re.compile(r"[!-~]{1,128}")

sqs = boto3.client("sqs")


def entry(order: dict[str, Any]) -> dict[str, Any]:
    """The order as its message, with the attribute that it is traced by."""
    message = {"MessageBody": json.dumps(order), "MessageAttributes": traced(order)}
    return message | (fifo_fields(order) if QUEUE_URL.endswith(".fifo") else {})


def fifo_fields(order: dict[str, Any]) -> dict[str, str]:
    """In order per customer; the same order sent again within five minutes is dropped by the queue (SQS-16).

    Raises PermanentError on an id that SQS refuses, however often it is sent.
    """
    return {
        "MessageGroupId": fifo_id(order, "customer_id"),
        "MessageDeduplicationId": fifo_id(order, "order_id"),
    }


def fifo_id(order: dict[str, Any], name: str) -> str:
    value = order.get(name)
    if isinstance(value, str) and FIFO_ID.fullmatch(value):
        return value
    raise PermanentError(
        f"{name} is {shown(value)}, and SQS takes 1 to 128 letters, digits and punctuation of ASCII, without spaces"
    )


def send(entries: list[Any]) -> Any:
    return sqs.send_message_batch(QueueUrl=QUEUE_URL, Entries=entries)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return produce(event, context, entry=entry, send=send, max_bytes=SQS_BATCH_BYTES)
