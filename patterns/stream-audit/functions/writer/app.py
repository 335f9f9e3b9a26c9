"""Writer: changes orders, and signs every change, so that the audit trail can say who made it.

A stream record has no sender. Each change therefore leaves on the item who asked for it (`actor`), in which business
process (`correlation_id`), and a `change_id` of its own. A deletion leaves no item to sign: the record of it has only
the image from before. So the item is signed first, with `deleting`, and deleted then, provided that nobody changed it
in between. Two writes, two records: who is about to delete the order, and that it is gone.
"""

import json
import os
from decimal import Decimal
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from handlers.outcomes import MALFORMED, at, logger, named, shown

dynamodb = boto3.resource("dynamodb", config=Config(connect_timeout=1, read_timeout=5))
orders = dynamodb.Table(os.environ["ORDERS_TABLE"])


class ChangeError(Exception):
    """A change that was not made. Those before it were."""


def put(change: dict[str, Any], signature: dict[str, str]) -> None:
    orders.put_item(Item=change["order"] | signature)


def update(change: dict[str, Any], signature: dict[str, str]) -> None:
    sign(change["order_id"], change["set"] | signature, unsign=" REMOVE deleting")


def delete(change: dict[str, Any], signature: dict[str, str]) -> None:
    order_id = change["order_id"]
    sign(order_id, signature | {"deleting": True})
    orders.delete_item(
        Key={"order_id": order_id},
        ConditionExpression="change_id = :mine",
        ExpressionAttributeValues={":mine": signature["change_id"]},
    )


def sign(order_id: str, attributes: dict[str, Any], unsign: str = "") -> None:
    """Sets attributes of an order that exists."""
    names = {f"#{index}": name for index, name in enumerate(attributes)}
    orders.update_item(
        Key={"order_id": order_id},
        UpdateExpression="SET " + ", ".join(f"{name} = :{name[1:]}" for name in names) + unsign,
        ConditionExpression="attribute_exists(order_id)",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={f":{index}": value for index, value in enumerate(attributes.values())},
    )


OPERATIONS = {"put": put, "update": update, "delete": delete}


def order_id_of(change: Any) -> Any:
    return at(change, "order", "order_id") if at(change, "order") else at(change, "order_id")


def apply(change: dict[str, Any], signer: dict[str, Any]) -> dict[str, Any]:
    """Makes one change; returns its order's id and its signature. Raises what makes it malformed, or ClientError."""
    for name, value in signer.items():
        if not isinstance(value, str) or not value:
            raise TypeError(f"{name} is {shown(value)}, and a change is signed with text")
    # DynamoDB takes no floats: they would carry more digits than were written.
    exact = json.loads(json.dumps(change), parse_float=Decimal)
    signature = signer | {"change_id": str(uuid4())}
    OPERATIONS[exact["operation"]](exact, signature)
    return {"order_id": order_id_of(exact)} | signature


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Makes `event["changes"]` one after another, as `event["actor"]` or the change's own `actor`.

    A change is `{"operation": "put", "order": {...}}`, `{"operation": "update", "order_id", "set": {...}}` or
    `{"operation": "delete", "order_id"}`. Raises ChangeError at the first that cannot be made.
    """
    changes = at(event, "changes")
    if not isinstance(changes, list):
        raise ChangeError("the event has no list of changes")
    correlation_id = at(event, "correlation_id") or str(uuid4())
    published: list[dict[str, Any]] = []
    for number, change in enumerate(changes, start=1):
        signer = {"actor": at(change, "actor") or at(event, "actor"), "correlation_id": correlation_id}
        try:
            receipt = apply(change, signer)
        except (*MALFORMED, BotoCoreError, ClientError) as error:
            which = f"{named(at(change, 'operation'))!s:.40} {named(order_id_of(change))!s:.80}"
            raise ChangeError(
                f"change {number} of {len(changes)} ({which}) was not made, "
                f"those before it were: {type(error).__name__}: {error!s:.1000}"
            ) from error
        logger.info("changed", extra=receipt | {"operation": change["operation"]})
        published.append(receipt)
    return {"published": published}
