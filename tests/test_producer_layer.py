"""The producer that the patterns share: batches, correlation ids, and orders that are refused."""

import json
from types import ModuleType
from typing import Any

import pytest

from lab.handler_testing import Context, LogLines

ORDERS = [{"order_id": f"o-{number}"} for number in range(23)]


class Queue:
    """Takes what it is sent but for the refused, as SendMessageBatch and PublishBatch answer."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.batches: list[list[dict[str, Any]]] = []

    def send(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.batches.append(entries)
        answer: dict[str, Any] = {}
        for entry in entries:
            if entry["order"]["order_id"] in self.refused:
                failed = {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
                answer.setdefault("Failed", []).append(failed)
            else:
                taken = {"Id": entry["Id"], "MessageId": f"m-{entry['order']['order_id']}"}
                answer.setdefault("Successful", []).append(taken)
        return answer


@pytest.fixture
def producer(handlers_layer: ModuleType) -> Any:
    return handlers_layer.producer


def entry(order: dict[str, Any]) -> dict[str, Any]:
    attribute = {"DataType": "String", "StringValue": "x" * order.get("attribute", 0)}
    return {"order": order, "MessageBody": "x" * order.get("body", 1), "MessageAttributes": {"padding": attribute}}


def published(producer: Any, queue: Queue, max_bytes: int = 1000, **event: Any) -> list[dict[str, str]]:
    answer = producer.produce(event, Context(), entry=entry, send=queue.send, max_bytes=max_bytes)
    receipts: list[dict[str, str]] = answer["published"]
    return receipts


def test_orders_are_sent_ten_at_a_time_in_their_order(producer: Any) -> None:
    queue = Queue()

    receipts = published(producer, queue, orders=ORDERS, correlation_id="trace-1")

    assert [len(batch) for batch in queue.batches] == [10, 10, 3]
    assert all(len({entry["Id"] for entry in batch}) == len(batch) for batch in queue.batches)
    sent = [entry["order"] for batch in queue.batches for entry in batch]
    assert sent == [order | {"correlation_id": "trace-1"} for order in ORDERS]
    assert receipts == [
        {"order_id": order["order_id"], "message_id": f"m-{order['order_id']}", "correlation_id": "trace-1"}
        for order in ORDERS
    ]


def test_without_a_correlation_id_each_order_gets_its_own(producer: Any) -> None:
    queue = Queue()

    receipts = published(producer, queue, orders=ORDERS)

    ids = [entry["order"]["correlation_id"] for batch in queue.batches for entry in batch]
    assert len(set(ids)) == len(ORDERS)
    assert [receipt["correlation_id"] for receipt in receipts] == ids


def test_refused_orders_are_named_and_the_others_logged(producer: Any, logged: LogLines) -> None:
    with pytest.raises(producer.PublishError, match=r"^1 of 3 orders .*: o-1 \(InternalError\); send them again$"):
        published(producer, Queue("o-1"), orders=ORDERS[:3], correlation_id="trace-1")

    lines = logged()
    assert [
        (line["message"], line["order_id"], line.get("message_id"), line.get("error_class"), line["correlation_id"])
        for line in lines
    ] == [
        ("published", "o-0", "m-o-0", None, "trace-1"),
        ("published", "o-2", "m-o-2", None, "trace-1"),
        ("failed", "o-1", None, "transient", "trace-1"),
    ]
    assert {line["function_request_id"] for line in lines} == {"request-1"}


def test_an_order_is_traced_by_a_message_attribute(producer: Any) -> None:
    attribute = {"DataType": "String", "StringValue": "trace-1"}
    assert producer.traced({"order_id": "o-1", "correlation_id": "trace-1"}) == {"correlation_id": attribute}


def test_a_batch_ends_before_it_is_too_large(producer: Any) -> None:
    queue = Queue()
    orders = [{"order_id": f"o-{number}", "body": 280, "attribute": 100} for number in range(5)]

    # 280 of the body, 7 + 6 + 100 of the attribute
    published(producer, queue, max_bytes=2 * 393, orders=orders)

    assert [len(batch) for batch in queue.batches] == [2, 2, 1]


def test_an_order_that_alone_is_too_large_is_refused_by_name_and_the_others_are_sent(
    producer: Any, logged: LogLines
) -> None:
    queue = Queue()
    orders = [{"order_id": "o-0"}, {"order_id": "o-1", "body": 1000}, {"order_id": "o-2"}]

    with pytest.raises(producer.PublishError) as refused:
        published(producer, queue, orders=orders)

    reason = "the message has 1013 bytes, and the most that can be sent is 1000"
    assert str(refused.value) == f"1 of 3 orders were not published: o-1 ({reason}); correct them first"
    assert [entry["order"]["order_id"] for entry in queue.batches[0]] == ["o-0", "o-2"]
    failed = next(line for line in logged() if line["message"] == "failed")
    assert (failed["order_id"], failed["error_class"], failed["error"]) == (
        "o-1",
        "permanent",
        f"PermanentError: {reason}",
    )


def test_orders_behind_a_batch_of_which_one_was_refused_are_sent_too(producer: Any) -> None:
    queue = Queue("o-1")

    with pytest.raises(producer.PublishError, match=r"^1 of 23 orders"):
        published(producer, queue, orders=ORDERS)

    assert [len(batch) for batch in queue.batches] == [10, 10, 3]


def test_an_order_that_can_never_be_sent_is_told_apart_from_one_that_can(producer: Any) -> None:
    def send(entries: list[dict[str, Any]]) -> dict[str, Any]:
        codes = [("InvalidMessageContents", True), ("InternalError", False), ("RequestThrottled", True)]
        return {
            "Failed": [
                {"Id": entry["Id"], "Code": code, "SenderFault": fault, "Message": "no"}
                for entry, (code, fault) in zip(entries, codes, strict=True)
            ]
        }

    with pytest.raises(producer.PublishError) as refused:
        producer.produce({"orders": ORDERS[:3]}, Context(), entry=entry, send=send, max_bytes=1000)

    assert str(refused.value) == (
        "2 of 3 orders were not published: o-1 (InternalError: no), o-2 (RequestThrottled: no); send them again. "
        "1 of 3 orders were not published: o-0 (InvalidMessageContents: no); correct them first"
    )


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("order", "name", "error"),
    [
        (None, r"orders\[1\]", "the order is null, and has to be an object"),
        ("o-1", r"orders\[1\]", 'the order is "o-1", and has to be an object'),
        ({}, r"orders\[1\]", "malformed order: KeyError: 'order_id'"),
        ({"order_id": None}, r"orders\[1\]", "malformed order: TypeError"),
        ({"order_id": "o-x", "more": nested(100_000)}, "o-x", "malformed order: RecursionError"),
        ({"order_id": "\ud800"}, r"\\ud800", "malformed order: UnicodeEncodeError"),
    ],
    ids=lambda value: repr(value)[:20] if isinstance(value, str) else None,
)
def test_whatever_an_order_is_the_others_are_sent(producer: Any, order: Any, name: str, error: str) -> None:
    queue = Queue()

    def strict(order: dict[str, Any]) -> dict[str, Any]:
        return {"order": order, "MessageBody": order["order_id"] + json.dumps(order)}

    with pytest.raises(producer.PublishError, match=rf"^1 of 3 orders were not published: {name} \({error}"):
        producer.produce(
            {"orders": [ORDERS[0], order, ORDERS[2]]}, Context(), entry=strict, send=queue.send, max_bytes=1000
        )

    assert [entry["order"]["order_id"] for entry in queue.batches[0]] == ["o-0", "o-2"]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (None, "orders is null"),
        ([], "orders is null"),
        ({}, "orders is null, and has to be an array"),
        ({"orders": {}}, "orders is an object"),
        ({"orders": ORDERS, "correlation_id": 5}, "correlation_id is 5"),
        ({"orders": ORDERS, "correlation_id": ""}, 'correlation_id is ""'),
        ({"orders": ORDERS, "correlation_id": "\ud800"}, "correlation_id is"),
        ({"orders": ORDERS, "correlation_id": "\x00"}, "correlation_id is"),
        ({"orders": ORDERS, "correlation_id": "x" * 513}, "correlation_id is"),
    ],
    ids=lambda value: str(value)[-30:].encode("ascii", "replace").decode(),
)
def test_an_event_without_orders_is_refused(producer: Any, event: Any, error: str) -> None:
    queue = Queue()

    with pytest.raises(producer.PermanentError, match=error):
        producer.produce(event, Context(), entry=entry, send=queue.send, max_bytes=1000)

    assert queue.batches == []
