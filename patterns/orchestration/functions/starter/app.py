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

from handlers.sqs import consume

STATE_MACHINE_ARN = os.environ["STATE_MACHINE_ARN"]
NAMED_AFTER_THE_ORDER = {"order": True, "service": False}[os.environ["EXECUTION_NAMING"]]

# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html: at most 80 characters. Others
# than these are allowed, but CloudWatch cannot log an execution whose name is not ASCII.
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")

# boto3's own retries must end before the function's timeout does: a timeout brings the whole batch back (SQS-5).
stepfunctions = boto3.client(
    "stepfunctions", config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
)


def parse(order: dict[str, Any]) -> dict[str, Any]:
    """The order itself, if the state machine can read it. Whether it makes sense is for the state machine to say."""
    if not NAME.fullmatch(order["order_id"]):
        raise ValueError(f"order_id is {order['order_id']!r}, which cannot name an execution")
    if not isinstance(order["correlation_id"], str) or not isinstance(order["country"], str):
        raise TypeError("correlation_id and country have to be text")
    if isinstance(order["amount"], bool) or not isinstance(order["amount"], int | float | Decimal):
        raise TypeError(f"amount is {order['amount']!r}, not a number")
    for line in order["lines"]:
        if not isinstance(line["sku"], str) or type(line["quantity"]) is not int or line["quantity"] < 1:
            raise ValueError(f"{line} has no sku with a quantity of at least 1")
    if len({line["sku"] for line in order["lines"]}) < len(order["lines"]):
        raise ValueError("two lines are for the same sku")
    return order


def start(order: dict[str, Any]) -> dict[str, Any]:
    """Start the order's execution.

    While it runs, the same name with the same input answers as the first time did; after that, and with another input,
    the name is refused (SFN-6). Either way the order has its execution: a repeated delivery is done.
    """
    name = {"name": order["order_id"]} if NAMED_AFTER_THE_ORDER else {}
    try:
        answer = stepfunctions.start_execution(
            stateMachineArn=STATE_MACHINE_ARN, input=json.dumps(order, sort_keys=True, default=float), **name
        )
    except stepfunctions.exceptions.ExecutionAlreadyExists:
        return {"execution": order["order_id"], "outcome": "already started"}
    return {"execution": answer["executionArn"].rpartition(":")[2], "outcome": "started"}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, parse=parse, act=start)
