"""A producer brings what an order becomes, and where it is sent to:

    def handler(event, context):
        return produce(event, context, entry=entry, send=send)

What every producer does is here: publish orders in batches, each with a correlation id, and name those that were
refused. One log line per order: "published", with its `order_id`, `message_id` and `correlation_id`.
"""

from collections.abc import Callable, Mapping
from itertools import batched
from typing import Any
from uuid import uuid4

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import logger

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
MAX_BATCH_ENTRIES = 10

Order = dict[str, Any]
Entry = dict[str, Any]


class PublishError(Exception):
    """Some orders were refused. Those that were taken are logged as "published"."""


@logger.inject_lambda_context
def produce(
    event: dict[str, Any],
    context: LambdaContext,
    entry: Callable[[Order], Entry],
    send: Callable[[list[Entry]], Mapping[str, Any]],
) -> dict[str, list[dict[str, str]]]:
    """Publish `event["orders"]` under `event["correlation_id"]`, or each under an id of its own.

    `entry(order)` is an order, with its `correlation_id`, as an entry of SendMessageBatch or PublishBatch, but for its
    Id; `send(entries)` sends at most ten of them, and returns what the service answers. Returns `published`: the
    `order_id`, `message_id` and `correlation_id` of each order. Raises PublishError.
    """
    orders = [order | {"correlation_id": event.get("correlation_id") or str(uuid4())} for order in event["orders"]]
    batches = batched(orders, MAX_BATCH_ENTRIES, strict=False)
    return {"published": [receipt for batch in batches for receipt in _publish(batch, entry, send)]}


def traced(order: Order) -> dict[str, dict[str, str]]:
    """The message attribute by which an order is traced."""
    return {"correlation_id": {"DataType": "String", "StringValue": order["correlation_id"]}}


def _publish(
    orders: tuple[Order, ...], entry: Callable[[Order], Entry], send: Callable[[list[Entry]], Mapping[str, Any]]
) -> list[dict[str, str]]:
    by_id = {str(index): order for index, order in enumerate(orders)}
    answer = send([{"Id": id_} | entry(order) for id_, order in by_id.items()])
    receipts = [
        {
            "order_id": by_id[success["Id"]]["order_id"],
            "message_id": success["MessageId"],
            "correlation_id": by_id[success["Id"]]["correlation_id"],
        }
        for success in answer.get("Successful", [])
    ]
    for receipt in receipts:
        logger.info("published", extra=receipt)
    # Both services answer 200 also when entries failed: each one has to be looked at.
    if failed := answer.get("Failed"):
        reasons = ", ".join(f"{by_id[each['Id']]['order_id']} ({each['Code']})" for each in failed)
        raise PublishError(f"{len(failed)} of {len(orders)} orders were not published: {reasons}; send them again")
    return receipts
