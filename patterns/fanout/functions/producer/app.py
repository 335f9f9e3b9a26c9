"""Producer: publishes orders to the topic, each with a correlation id."""

import json
import os
from itertools import batched
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
MAX_BATCH_ENTRIES = 10

TOPIC_ARN = os.environ["TOPIC_ARN"]
logger = Logger()
sns = boto3.client("sns")


class PublishError(Exception):
    """The topic refused some orders. Those that it took are logged as "published"."""


def entry(batch_id: str, order: dict[str, Any]) -> dict[str, Any]:
    """A PublishBatch entry: the order as its message, with the attributes that subscriptions filter and trace by."""
    return {
        "Id": batch_id,
        "Message": json.dumps(order),
        "MessageAttributes": {
            "goods": {"DataType": "String.Array", "StringValue": json.dumps(order["goods"])},
            "correlation_id": {"DataType": "String", "StringValue": order["correlation_id"]},
        },
    }


def publish(orders: tuple[dict[str, Any], ...]) -> list[dict[str, str]]:
    """Publish at most ten orders; returns `order_id`, `message_id` and `correlation_id` of each."""
    by_id = {str(index): order for index, order in enumerate(orders)}
    response = sns.publish_batch(
        TopicArn=TOPIC_ARN, PublishBatchRequestEntries=[entry(id_, order) for id_, order in by_id.items()]
    )
    published = [
        {
            "order_id": by_id[success["Id"]]["order_id"],
            "message_id": success["MessageId"],
            "correlation_id": by_id[success["Id"]]["correlation_id"],
        }
        for success in response["Successful"]
    ]
    for receipt in published:
        logger.info("published", extra=receipt)
    # PublishBatch answers 200 also when entries failed: each one has to be looked at.
    if failed := response.get("Failed"):
        reasons = ", ".join(f"{by_id[each['Id']]['order_id']} ({each['Code']})" for each in failed)
        raise PublishError(f"{len(failed)} of {len(orders)} orders were not published: {reasons}; send them again")
    return published


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish `event["orders"]` under `event["correlation_id"]`, or each under an id of its own."""
    orders = [order | {"correlation_id": event.get("correlation_id") or str(uuid4())} for order in event["orders"]]
    batches = batched(orders, MAX_BATCH_ENTRIES, strict=False)
    return {"published": [receipt for batch in batches for receipt in publish(batch)]}
