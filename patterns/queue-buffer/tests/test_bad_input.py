"""What the warehouse makes of bad input."""

from typing import Any

import pytest

from lab import bad_input
from lab.bad_input import Case, Deliver, of_any
from lab.handler_testing import Load

ORDER = {"order_id": "o-1", "customer_id": "c-1", "items": 2}


TEXT = "and has to be text of 1 to 512 bytes"
NUMBER = "and has to be a whole number from 1"
CASES = [
    *(
        Case("warehouse", {"order_id": json}, f"order_id is {shown}, {TEXT}")
        for json, shown in [("null", "null"), ("5", "5"), ("[]", "an array"), ('""', '""'), (None, "missing")]
    ),
    Case("warehouse", {"order_id": '"\\ud800"'}, f'order_id is "\\ud800", {TEXT}'),
    Case("warehouse", {"order_id": f'"{"x" * 3000}"'}, 'order_id is "xxxx', what="an `order_id` of 3,000 characters"),
    Case("warehouse", {"customer_id": "null"}, f"customer_id is null, {TEXT}"),
    Case("warehouse", {"items": "0"}, f"items is 0, {NUMBER}"),
    Case("warehouse", {"items": "2.9"}, f"items is 2.9, {NUMBER}"),
    Case("warehouse", {"items": "true"}, f"items is true, {NUMBER}"),
    Case("warehouse", {"items": '"2"'}, f'items is "2", {NUMBER}'),
    Case("warehouse", {"items": "1e400"}, f"items is 1E+400, {NUMBER}"),
    Case(
        "warehouse",
        {"order_id": '"o-1"', "items": "50"},
        "order_id was reserved before, for another customer or number of items",
        what="another order under an `order_id` that has a reservation",
    ),
]


@pytest.fixture
def deliver(load: Load, monkeypatch: pytest.MonkeyPatch) -> Deliver:
    """To the warehouse, on a table that refuses what DynamoDB refuses."""
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
    return bad_input.through(warehouse, effects)


def test_what_becomes_of_bad_input(deliver: Deliver) -> None:
    bad_input.check_cases(deliver, ORDER, [*CASES, *of_any("warehouse")])


def test_whatever_a_message_is_it_fails_alone_and_is_told(deliver: Deliver) -> None:
    bad_input.check_consumer(deliver, ORDER)


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_whatever_an_order_is_the_producer_sends_the_others(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    producer = load("producer", QUEUE_URL=f"https://sqs.eu-central-1.amazonaws.com/123456789012/{name}")
    queue = bad_input.Taker("MessageBody", max_bytes=1_048_576)
    monkeypatch.setattr(producer.app.sqs, "send_message_batch", lambda **call: queue(call["Entries"]))

    bad_input.check_producer(producer, queue.taken, ORDER)
