"""A producer brings what an order becomes, and where it is sent to:

    def handler(event, context):
        return produce(event, context, entry=entry, send=send, max_bytes=SQS_BATCH_BYTES)

What every producer does is here: publish orders in batches, each with a correlation id, and name those that were not
published. One log line per order: "published", with its `order_id`, `message_id` and `correlation_id`, or "failed",
with `error_class` and `error`. What is in an order is for the consumers to judge; a producer refuses what no queue or
topic would take.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import (
    MALFORMED,
    PermanentError,
    TransientError,
    at,
    classify,
    log_failure,
    logger,
    named,
    shown,
)

MAX_BATCH_ENTRIES = 10
# All messages of a batch together, and so each of them, attributes included.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
SQS_BATCH_BYTES = 1_048_576
# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
SNS_BATCH_BYTES = 262_144

# What SQS takes in a body or an attribute: no control characters, no lone surrogates.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_ATTRIBUTE = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]{1,512}")

Order = dict[str, Any]
Entry = dict[str, Any]


class PublishError(Exception):
    """Some orders were not published. Those that were are logged as "published"."""


@logger.inject_lambda_context
def produce(
    event: dict[str, Any],
    context: LambdaContext,
    entry: Callable[[Order], Entry],
    send: Callable[[list[Entry]], Mapping[str, Any]],
    max_bytes: int,
) -> dict[str, list[dict[str, Any]]]:
    """Publishes `event["orders"]` under `event["correlation_id"]`, or each under an id of its own.

    `entry(order)` is an order, with its `correlation_id`, as an entry of SendMessageBatch or PublishBatch, but for its
    Id; what it raises on malformed data (handlers.outcomes.MALFORMED) or as PermanentError keeps that order from being
    sent, and no other. `send(entries)` sends at most ten of them, of `max_bytes` together, and returns what the service
    answers. Returns `published`: the `order_id`, `message_id` and `correlation_id` of each order. Raises PublishError
    after all that can be published is, and PermanentError on an event that has no orders.
    """
    orders = _orders(event)
    entries, failures = _entries(orders, entry, max_bytes)
    receipts = []
    for batch in _batches(entries, max_bytes):
        answer = send([{"Id": str(index), **sent} for index, sent in batch.items()])
        for success in answer.get("Successful", []):
            receipt = _described(orders[int(success["Id"])]) | {"message_id": success["MessageId"]}
            logger.info("published", extra=receipt)
            receipts.append(receipt)
        # Both services answer 200 also when entries failed: each one has to be looked at.
        failures |= {int(failure["Id"]): _error(failure) for failure in answer.get("Failed", [])}
    for index, error in failures.items():
        log_failure(error, _described(orders[index]), traceback=False)
    if failures:
        raise PublishError(_told(orders, failures))
    return {"published": receipts}


def traced(order: Order) -> dict[str, dict[str, str]]:
    """The message attribute by which an order is traced."""
    return {"correlation_id": {"DataType": "String", "StringValue": order["correlation_id"]}}


def _orders(event: Any) -> list[Any]:
    """The orders of an event, each with its correlation id. Raises PermanentError."""
    orders, correlation_id = at(event, "orders"), at(event, "correlation_id")
    if not isinstance(orders, list):
        raise PermanentError(f'orders is {shown(orders)}, and has to be an array: {{"orders": [{{...}}]}}')
    if correlation_id is not None and not (isinstance(correlation_id, str) and _ATTRIBUTE.fullmatch(correlation_id)):
        raise PermanentError(
            f"correlation_id is {shown(correlation_id)}, and has to be text of 1 to 512 characters that SQS takes"
        )
    return [
        order | {"correlation_id": correlation_id or str(uuid4())} if isinstance(order, dict) else order
        for order in orders
    ]


def _entries(
    orders: list[Any], entry: Callable[[Order], Entry], max_bytes: int
) -> tuple[dict[int, Entry], dict[int, Exception]]:
    """The entries of the orders, by their place, and why an order has none that could be sent."""
    entries: dict[int, Entry] = {}
    failures: dict[int, Exception] = {}
    for index, order in enumerate(orders):
        try:
            if not isinstance(order, dict):
                raise PermanentError(f"the order is {shown(order)}, and has to be an object")
            made = entry(order)
            if (size := _bytes(made)) > max_bytes:
                raise PermanentError(f"the message has {size} bytes, and the most that can be sent is {max_bytes}")
            entries[index] = made
        except PermanentError as error:
            failures[index] = error
        except MALFORMED as error:
            failures[index] = PermanentError(f"malformed order: {type(error).__name__}: {error}")
    return entries, failures


def _batches(entries: dict[int, Entry], max_bytes: int) -> Iterator[dict[int, Entry]]:
    """The entries in their sequence, at most ten at a time, and no more than fit."""
    batch: dict[int, Entry] = {}
    size = 0
    for index, entry in entries.items():
        more = _bytes(entry)
        if len(batch) == MAX_BATCH_ENTRIES or size + more > max_bytes:
            yield batch
            batch, size = {}, 0
        batch[index] = entry
        size += more
    if batch:
        yield batch


def _bytes(entry: Entry) -> int:
    """The size of a message as SQS and SNS count it: its body, and its attributes' names, types and values."""
    texts = [entry.get("MessageBody") or entry["Message"]]
    for name, attribute in entry.get("MessageAttributes", {}).items():
        texts += [name, attribute["DataType"], attribute["StringValue"]]
    return sum(len(text.encode()) for text in texts)


def _described(order: Any) -> dict[str, Any]:
    return {"order_id": named(at(order, "order_id")), "correlation_id": at(order, "correlation_id")}


def _error(failure: Mapping[str, Any]) -> Exception:
    """What an entry failed of. The sender is at fault also of being throttled, and can only try again."""
    is_refused = failure.get("SenderFault") and "Throttl" not in failure["Code"]
    text = f"{failure['Code']}: {failure['Message']}" if "Message" in failure else failure["Code"]
    return PermanentError(text) if is_refused else TransientError(text)


def _told(orders: list[Any], failures: dict[int, Exception]) -> str:
    """Which orders were not published and why, and what is to be done about them."""
    parts = []
    for error_class, advice in (("transient", "send them again"), ("permanent", "correct them first")):
        reasons = [
            f"{_name(orders, index)} ({error})" for index, error in failures.items() if classify(error) == error_class
        ]
        if reasons:
            told = f"{len(reasons)} of {len(orders)} orders were not published: {', '.join(reasons)}"
            parts.append(f"{told}; {advice}")
    return ". ".join(parts)


def _name(orders: list[Any], index: int) -> str:
    """The order's id, as an error can be written with it; its place among the orders if it has none."""
    order_id = named(at(orders[index], "order_id"))
    return order_id.encode(errors="backslashreplace").decode() if isinstance(order_id, str) else f"orders[{index}]"
