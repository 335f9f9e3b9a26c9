"""Starter: one execution of the state machine per order, named after the order.

EXECUTION_NAMING is `order`; `service` leaves the name to Step Functions, to show what becomes of a repeated delivery.
"""

import json
import os
import re
from decimal import Decimal
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers import orders
from handlers.outcomes import PermanentError
from handlers.sqs import consume

STATE_MACHINE_ARN = os.environ["STATE_MACHINE_ARN"]
NAMED_AFTER_THE_ORDER = {"order": True, "service": False}[os.environ["EXECUTION_NAMING"]]

# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html: at most 80 characters. Others
# than these are allowed, but CloudWatch cannot log an execution whose name is not ASCII.
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
# All lines are shipped in one transaction.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MAX_LINES = 100
# As JSON in ASCII. Three copies of it, the label, fit into one item of 400 KB, and the order with its results into the
# 256 KiB that a state passes on (SFN-7).
MAX_ORDER_BYTES = 128 * 1024
# What SQS and SNS take in a body or an attribute, which is where the state machine puts text.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
SENDABLE = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

# boto3's own retries must end before the function's timeout does: a timeout brings the whole batch back (SQS-5).
stepfunctions = boto3.client(
    "stepfunctions", config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
)


def parse(order: dict[str, Any]) -> dict[str, Any]:
    """The order as the input of its execution, without fields that no state reads. Raises PermanentError.

    What no step could do is refused here, where nothing is charged yet. Whether the rest makes sense, an amount of 0 or
    no line at all, is for the state machine to say.
    """
    if not NAME.fullmatch(orders.identifier(order, "order_id")):
        raise orders.refused(order, "order_id", "1 to 80 letters, digits, - and _: it names the execution")
    for name in ("correlation_id", "country"):
        orders.identifier(order, name)
    for name in ("correlation_id", "country", "notes"):
        value = order.get(name)
        if value is not None and not (isinstance(value, str) and SENDABLE.fullmatch(value)):
            raise orders.refused(order, name, "text without control characters, which no queue or topic takes")
    read: dict[str, Any] = {
        name: order[name] for name in ("order_id", "correlation_id", "country", "notes") if name in order
    }
    read |= {"amount": amount(order), "lines": lines(order)}
    if (size := len(json.dumps(read))) > MAX_ORDER_BYTES:
        raise PermanentError(
            f"the order has {size} bytes, and the most is {MAX_ORDER_BYTES}: its label is three times as large"
        )
    return read


def amount(order: dict[str, Any]) -> int | float:
    """A JSON number, which is what the state machine compares."""
    value = order.get("amount")
    if isinstance(value, str):
        raise orders.refused(order, "amount", "a JSON number")
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and value == 0:
        return 0
    exact = orders.amount(order)
    return int(exact) if isinstance(value, int) else float(exact)


def lines(order: dict[str, Any]) -> list[dict[str, Any]]:
    found = order.get("lines")
    if not isinstance(found, list) or len(found) > MAX_LINES or not all(isinstance(line, dict) for line in found):
        raise orders.refused(order, "lines", f"an array of at most {MAX_LINES} objects")
    read = [{"sku": orders.identifier(line, "sku"), "quantity": orders.quantity(line, "quantity")} for line in found]
    if len({line["sku"] for line in read}) < len(read):
        raise PermanentError("two lines are for the same sku")
    return read


def start(order: dict[str, Any]) -> dict[str, Any]:
    """Start the order's execution.

    While it runs, the same name with the same input answers as the first time did; after that, and with another input,
    the name is refused (SFN-6). Either way the order has its execution: a repeated delivery is done.
    """
    name = {"name": order["order_id"]} if NAMED_AFTER_THE_ORDER else {}
    try:
        answer = stepfunctions.start_execution(
            stateMachineArn=STATE_MACHINE_ARN, input=json.dumps(order, sort_keys=True), **name
        )
    except stepfunctions.exceptions.ExecutionAlreadyExists:
        return {"execution": order["order_id"], "outcome": "already started"}
    except (stepfunctions.exceptions.InvalidExecutionInput, stepfunctions.exceptions.InvalidName) as error:
        raise PermanentError(f"Step Functions refuses the order as it is: {error}") from error
    return {"execution": answer["executionArn"].rpartition(":")[2], "outcome": "started"}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=start)
