"""Verifier: walks every chain of the audit trail, and names what is not as it was. It writes nothing."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from boto3.dynamodb.conditions import Key

from chain import problems
from handlers.outcomes import logger

dynamodb = boto3.resource("dynamodb")
audit = dynamodb.Table(os.environ["AUDIT_TABLE"])
heads = dynamodb.Table(os.environ["HEADS_TABLE"])
orders = dynamodb.Table(os.environ["ORDERS_TABLE"])
# A change that was under way when its order was read is audited this much later, unless something is wrong.
GRACE_SECONDS = 2
# A chain that keeps growing is read again; one that has grown this often is judged as it was found.
MAX_READS = 5
SIGNATURES: dict[str, Any] = {"ConsistentRead": True, "ProjectionExpression": "order_id, change_id"}


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Verifies the whole trail; returns `summary` and `problems`, each of which begins with its order's id."""
    change_of = {order["order_id"]: signature(order) for order in pages(orders.scan, **SIGNATURES)}
    head_of = {head["order_id"]: head for head in pages(heads.scan, ConsistentRead=True)}
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in pages(audit.scan, ConsistentRead=True):
        chains[entry["order_id"]].append(entry)
    # Three scans are no snapshot: a change that comes during them can be in one of the tables only.
    suspects = [
        order_id
        for order_id in sorted(change_of.keys() | head_of.keys() | chains.keys())
        if any(problems(order_id, chains[order_id], head_of.get(order_id), change_of.get(order_id)))
    ]
    if suspects:
        time.sleep(GRACE_SECONDS)
    found = [problem for order_id in suspects for problem in again(order_id, change_of.get(order_id))]
    count = sum(map(len, chains.values()))
    logger.info("verified", extra={"entries": count, "orders": len(chains), "problems": len(found)})
    return {"summary": f"{count} entries of {len(chains)} orders verified", "problems": found}


def again(order_id: str, change_id: str | None) -> Iterator[str]:
    """What is still wrong with an order. Of one that has changed again, the last change is left to the next run."""
    now = signature(orders.get_item(Key={"order_id": order_id}, **SIGNATURES).get("Item", {}))
    entries, head = steady(order_id)
    return problems(order_id, entries, head, change_id, settled=now == change_id)


def signature(order: dict[str, Any]) -> str | None:
    """The order's `change_id`; None where there is none that is text: it is no signature, for the auditor neither."""
    change_id = order.get("change_id")
    return change_id if isinstance(change_id, str) else None


def steady(order_id: str) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Entries and head of a chain, as they were at one moment."""
    head = read_head(order_id)
    for _ in range(MAX_READS):
        entries = list(pages(audit.query, ConsistentRead=True, KeyConditionExpression=Key("order_id").eq(order_id)))
        before, head = head, read_head(order_id)
        if head == before:
            break
    return entries, head


def read_head(order_id: str) -> dict[str, Any] | None:
    item = heads.get_item(Key={"order_id": order_id}, ConsistentRead=True).get("Item")
    return item and plain(item)


def pages(operation: Any, **arguments: Any) -> Iterator[dict[str, Any]]:
    """The items of a scan or query, page by page."""
    while True:
        answer = operation(**arguments)
        yield from map(plain, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item with whole numbers as they were written: boto3 makes Decimals of them."""
    return {
        name: int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value
        for name, value in item.items()
    }
