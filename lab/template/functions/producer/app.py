"""Producer: sends orders to the queue, each with a correlation id."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.producer import SQS_BATCH_BYTES, produce, traced

QUEUE_URL = os.environ["QUEUE_URL"]
sqs = boto3.client("sqs")


def entry(order: dict[str, Any]) -> dict[str, Any]:
    """The order as its message, with the attribute that it is traced by."""
    return {"MessageBody": json.dumps(order), "MessageAttributes": traced(order)}


def send(entries: list[Any]) -> Any:
    return sqs.send_message_batch(QueueUrl=QUEUE_URL, Entries=entries)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return produce(event, context, entry=entry, send=send, max_bytes=SQS_BATCH_BYTES)
