"""Producer: publishes orders to the topic, each with a correlation id."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import orders
from handlers.producer import SNS_BATCH_BYTES, produce, traced

TOPIC_ARN = os.environ["TOPIC_ARN"]
sns = boto3.client("sns")


def entry(order: dict[str, Any]) -> dict[str, Any]:
    """The order as its message, with the attributes that subscriptions filter and trace by."""
    goods = order.get("goods")
    # Of an array SNS takes no objects and no arrays, and filters match nothing that is not one.
    if not (isinstance(goods, list) and all(isinstance(kind, str) for kind in goods)):
        raise orders.refused(order, "goods", "an array of text to be filtered by")
    kinds = {"DataType": "String.Array", "StringValue": json.dumps(goods)}
    return {"Message": json.dumps(order), "MessageAttributes": {"goods": kinds} | traced(order)}


def publish(entries: list[Any]) -> Any:
    return sns.publish_batch(TopicArn=TOPIC_ARN, PublishBatchRequestEntries=entries)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return produce(event, context, entry=entry, send=publish, max_bytes=SNS_BATCH_BYTES)
