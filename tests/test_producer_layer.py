"""The producer that the patterns share: batches, correlation ids, and orders that are refused."""

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


def published(producer: Any, queue: Queue, **event: Any) -> list[dict[str, str]]:
    answer = producer.produce(event, Context(), entry=lambda order: {"order": order}, send=queue.send)
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
    assert [(line["message"], line["order_id"], line["message_id"], line["correlation_id"]) for line in lines] == [
        ("published", "o-0", "m-o-0", "trace-1"),
        ("published", "o-2", "m-o-2", "trace-1"),
    ]
    assert {line["function_request_id"] for line in lines} == {"request-1"}


def test_an_order_is_traced_by_a_message_attribute(producer: Any) -> None:
    attribute = {"DataType": "String", "StringValue": "trace-1"}
    assert producer.traced({"order_id": "o-1", "correlation_id": "trace-1"}) == {"correlation_id": attribute}
