"""Stock: reserves the lines of an order, ships them, and releases them. Each line once, however often it is asked for.

The stock of an article and the order's line change in one transaction, under a condition on the line: what was done is
found again by a retry, and what comes after a release is refused.
"""

import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers import orders
from handlers.outcomes import PermanentError
from handlers.task import perform
from label import label

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

STOCK_TABLE = os.environ["STOCK_TABLE"]
ORDERS_TABLE = os.environ["ORDERS_TABLE"]
LABEL_BY_REFERENCE = {"reference": True, "inline": False}[os.environ["LABEL"]]
SERVED = {"AT", "BE", "CH", "DE", "FR", "NL"}

# Fewer retries than boto3's ten: the state machine retries too, and an error says more than a timeout.
dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2}))


class OutOfStock(PermanentError):
    """There is less in stock than the line asks for: nothing was reserved."""


class CarrierRefused(PermanentError):
    """The carrier does not serve the country: nothing was shipped."""


class OrderCancelled(PermanentError):
    """The release was here first: an attempt that comes this late must not reserve or ship."""


def lines(order: dict[str, Any]) -> list[dict[str, Any]]:
    found = order["lines"]
    if not isinstance(found, list) or not found:
        raise orders.refused(order, "lines", "an array of at least one line")
    return found


def key(order: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    order_id, sku = orders.identifier(order, "order_id"), orders.identifier(line, "sku")
    return {"order_id": {"S": order_id}, "record": {"S": f"line#{sku}"}}


def put_line(order: dict[str, Any], line: dict[str, Any], status: str) -> "TransactWriteItemTypeDef":
    """A line that must not be there yet, as an item of a TransactWriteItems."""
    return {
        "Put": {
            "TableName": ORDERS_TABLE,
            "Item": key(order, line) | {"status": {"S": status}, "quantity": {"N": str(line["quantity"])}},
            "ConditionExpression": "attribute_not_exists(order_id)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def move_line(order: dict[str, Any], line: dict[str, Any], before: str, after: str) -> "TransactWriteItemTypeDef":
    """A line's change of status, as an item of a TransactWriteItems."""
    return {
        "Update": {
            "TableName": ORDERS_TABLE,
            "Key": key(order, line),
            "UpdateExpression": "SET #status = :after",
            "ConditionExpression": "#status = :before",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {":before": {"S": before}, ":after": {"S": after}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def change_stock(line: dict[str, Any], sign: int) -> "TransactWriteItemTypeDef":
    """Takes the line's quantity from the stock, or gives it back, as an item of a TransactWriteItems."""
    quantity = orders.quantity(line, "quantity")
    return {
        "Update": {
            "TableName": STOCK_TABLE,
            "Key": {"sku": {"S": line["sku"]}},
            "UpdateExpression": "SET available = available + :change",
            "ConditionExpression": "available >= :least",
            "ExpressionAttributeValues": {
                ":change": {"N": str(sign * quantity)},
                ":least": {"N": str(quantity if sign < 0 else 0)},
            },
        }
    }


def conflicts(*writes: "TransactWriteItemTypeDef") -> list[dict[str, Any]] | None:
    """Writes all or nothing; returns None, or what became of each write if a condition did not hold.

    `Code` of each is "None" or "ConditionalCheckFailed", with the `Item` that was found, if there was one. Raises
    boto3's TransactionCanceledException for every other reason, such as a transaction in conflict with another one.
    """
    try:
        dynamodb.transact_write_items(TransactItems=list(writes))
    except dynamodb.exceptions.TransactionCanceledException as error:
        # One reason per write, in their order.
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
        reasons: list[Any] = error.response["CancellationReasons"]
        if {reason["Code"] for reason in reasons} <= {"None", "ConditionalCheckFailed"}:
            return reasons
        raise
    return None


def found_status(reason: dict[str, Any]) -> str | None:
    """The status of the line that was found instead of the expected one; None if there was no line."""
    return reason["Item"]["status"]["S"] if "Item" in reason else None


def reserve(task: dict[str, Any]) -> dict[str, Any]:
    order, line = task["order"], task["line"]
    reasons = conflicts(put_line(order, line, "reserved"), change_stock(line, -1))
    fields = {"sku": line["sku"], "quantity": line["quantity"]}
    if reasons is None:
        return {**fields, "replayed": False}
    if found_status(reasons[0]) == "released":
        raise OrderCancelled(f"{line['sku']} is released: it is not reserved any more")
    if reasons[0]["Code"] == "None":
        raise OutOfStock(f"there are not {line['quantity']} of {line['sku']} in stock")
    return {**fields, "replayed": True}


def ship(task: dict[str, Any]) -> dict[str, Any]:
    order = task["order"]
    if order["country"] not in SERVED:
        raise CarrierRefused(f"the carrier does not serve {order['country']}")
    reasons = conflicts(*(move_line(order, line, "reserved", "shipped") for line in lines(order)))
    if reasons and {found_status(reason) for reason in reasons} != {"shipped"}:
        raise OrderCancelled("the items are not reserved any more: they are not shipped")
    text = label(order)
    if not LABEL_BY_REFERENCE:
        return {"label": text, "replayed": reasons is not None}
    reference = {"order_id": order["order_id"], "record": "label"}
    item = {name: {"S": value} for name, value in {**reference, "text": text}.items()}
    dynamodb.put_item(TableName=ORDERS_TABLE, Item=item)
    return {"label": {"table": ORDERS_TABLE, **reference}, "replayed": reasons is not None}


def release(task: dict[str, Any]) -> dict[str, Any]:
    """Give back what is reserved or shipped, and leave a record by which a late attempt is refused."""
    order = task["order"]
    return {"released": [line["sku"] for line in lines(order) if release_line(order, line)]}


def release_line(order: dict[str, Any], line: dict[str, Any]) -> bool:
    """Whether there was anything to release."""
    # In the order of a line's life: what changes its status meanwhile can only be met further on.
    if conflicts(put_line(order, line, "released")) is None:
        return False
    return any(
        conflicts(move_line(order, line, before, "released"), change_stock(line, +1)) is None
        for before in ("reserved", "shipped")
    )


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return perform(event, context, {"reserve": reserve, "ship": ship, "release": release})
