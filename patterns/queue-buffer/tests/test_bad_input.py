"""What the warehouse makes of bad input."""

from typing import Any

import pytest

from lab import bad_input
from lab.handler_testing import Load

ORDER = {"order_id": "o-1", "customer_id": "c-1", "items": 2}


def test_whatever_a_message_is_it_fails_alone_and_is_told(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = load("warehouse", TABLE_NAME="reservations")
    client = warehouse.app.dynamodb
    reserved: dict[str, Any] = {}

    def put_item(Item: Any, **_: Any) -> None:
        bad_input.refuse_what_dynamodb_does(Item, key="order_id")
        order_id = Item["order_id"]["S"]
        if order_id in reserved:
            answer: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": reserved[order_id]}
            raise client.exceptions.ConditionalCheckFailedException(answer, "PutItem")
        reserved[order_id] = Item

    def effects() -> list[str]:
        done = list(reserved)
        reserved.clear()
        return done

    monkeypatch.setattr(client, "put_item", put_item)
    bad_input.check_consumer(bad_input.through(warehouse, effects), ORDER)


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_whatever_an_order_is_the_producer_sends_the_others(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    producer = load("producer", QUEUE_URL=f"https://sqs.eu-central-1.amazonaws.com/123456789012/{name}")
    queue = bad_input.Taker("MessageBody", max_bytes=1_048_576)
    monkeypatch.setattr(producer.app.sqs, "send_message_batch", lambda **call: queue(call["Entries"]))

    bad_input.check_producer(producer, queue.taken, ORDER)
