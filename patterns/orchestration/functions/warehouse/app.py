"""Warehouse: picks what the state machine asks for, and answers with the task token of the request.

Every request can come twice, too late, or after its cancellation: the queue delivers at least once, and in no order.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers import orders
from handlers.outcomes import PermanentError
from handlers.sqs import consume

ORDERS_TABLE = os.environ["ORDERS_TABLE"]
PACKING_SECONDS = int(os.environ["PACKING_SECONDS"])
MOST_OF_ONE = 50  # pieces of one article that a person can carry
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
MAX_TOKEN_BYTES = 2048

config = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2})
dynamodb = boto3.client("dynamodb", config=config)
stepfunctions = boto3.client("stepfunctions", config=config)

# What a token is answered with that nobody waits for any more: the state was left, or the token was used before.
NOT_WAITING = (stepfunctions.exceptions.TaskTimedOut, stepfunctions.exceptions.TaskDoesNotExist)


@dataclass(frozen=True)
class Request:
    """`action` is pick or cancel; a cancellation has no token and no quantities. A request to pick has both."""

    action: str
    order_id: str
    token: str
    quantities: list[int]


def parse(body: dict[str, Any]) -> Request:
    order_id = orders.identifier(body, "order_id")
    match body.get("action"):
        case "cancel":
            return Request("cancel", order_id, "", [])
        case "pick":
            token = orders.identifier(body, "task_token", MAX_TOKEN_BYTES)
            lines = body["order"]["lines"]
            if not lines:
                raise PermanentError("the order has no lines: there is nothing to pick")
            return Request("pick", order_id, token, [orders.quantity(line, "quantity") for line in lines])
    raise orders.refused(body, "action", "pick or cancel")


def act(request: Request) -> dict[str, Any]:
    return {"action": request.action} | (pick(request) if request.action == "pick" else cancel(request))


def pick(request: Request) -> dict[str, Any]:
    try:
        # Tells the state machine that the warehouse is at work, and the warehouse whether anybody still waits for it.
        stepfunctions.send_task_heartbeat(taskToken=request.token)
        if max(request.quantities) > MOST_OF_ONE:
            cause = f"more than {MOST_OF_ONE} pieces of one article"
            stepfunctions.send_task_failure(taskToken=request.token, error="WarehouseRefused", cause=cause)
            return {"outcome": "not picked", "cause": cause}
        if record(request.order_id, "picked") == "cancelled":
            return {"outcome": "cancelled before"}
        output = json.dumps({"ready_in_seconds": PACKING_SECONDS})
        stepfunctions.send_task_success(taskToken=request.token, output=output)
    except NOT_WAITING as error:
        return {"outcome": "answer refused", "cause": str(error)}
    except stepfunctions.exceptions.InvalidToken as error:
        raise PermanentError(f"no state machine gave out this task_token: {error}") from error
    return {"outcome": "picked"}


def cancel(request: Request) -> dict[str, Any]:
    """Put back what was picked, and leave a record by which a late request to pick is refused."""
    if record(request.order_id, "cancelled") == "picked":
        dynamodb.update_item(
            TableName=ORDERS_TABLE,
            Key={"order_id": {"S": request.order_id}, "record": {"S": "picking"}},
            UpdateExpression="SET #status = :cancelled",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":cancelled": {"S": "cancelled"}},
        )
        return {"outcome": "put back"}
    return {"outcome": "nothing to put back"}


def record(order_id: str, status: str) -> str | None:
    """Writes the order's picking unless there is one; returns the status of the one that was there, or None."""
    try:
        dynamodb.put_item(
            TableName=ORDERS_TABLE,
            Item={"order_id": {"S": order_id}, "record": {"S": "picking"}, "status": {"S": status}},
            ConditionExpression="attribute_not_exists(order_id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        response: Any = error.response  # boto3's types know no Item in it
        return str(response["Item"]["status"]["S"])
    return None


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=act)
