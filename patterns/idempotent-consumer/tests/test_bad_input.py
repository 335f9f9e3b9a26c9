"""What payments make of bad input."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer

from lab import bad_input
from lab.bad_input import Case, Deliver, of_any
from lab.handler_testing import Load

ORDER = {"order_id": "o-1", "amount": 12.5, "customer_id": "c-1"}


@dataclass
class Tables:
    """Both tables, as far as payments need them: who has a key, and what was paid."""

    client: Any
    keys: dict[str, Any] = field(default_factory=dict)
    paid: list[str] = field(default_factory=list)

    def put_item(self, Item: dict[str, Any], **_: Any) -> dict[str, Any]:
        bad_input.refuse_what_dynamodb_does(Item, key="id")
        if found := self.keys.get(Item["id"]["S"]):
            answer: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": found}
            raise self.client.exceptions.ConditionalCheckFailedException(answer, "PutItem")
        self.keys[Item["id"]["S"]] = Item
        return {}

    def update_item(self, Key: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]
        stored = {names[f"#{value[1:]}"]: content for value, content in values.items()}
        self.keys[Key["id"]["S"]] = self.keys[Key["id"]["S"]] | stored
        return {}

    def delete_item(self, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        del self.keys[Key["id"]["S"]]
        return {}

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> None:
        *key, entry, balance = TransactItems
        bad_input.refuse_what_dynamodb_does(entry["Put"]["Item"], key="customer_id")
        bad_input.refuse_what_dynamodb_does(balance["Update"]["Key"], key="customer_id")
        for item in key:
            try:
                self.put_item(item["Put"]["Item"])
            except self.client.exceptions.ConditionalCheckFailedException as error:
                reasons = [{"Code": "ConditionalCheckFailed", "Item": error.response["Item"]}]
                answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
                raise self.client.exceptions.TransactionCanceledException(answer, "TransactWriteItems") from error
        self.paid.append(TypeDeserializer().deserialize(entry["Put"]["Item"]["order_id"]))

    def effects(self) -> list[str]:
        done = list(self.paid)
        self.keys.clear()
        self.paid.clear()
        return done


TEXT = "and has to be text of 1 to 512 bytes"
NUMBER = "and has to be a number above 0"
CASES = [
    Case("payments", {"customer_id": "null"}, f"customer_id is null, {TEXT}"),
    Case("payments", {"customer_id": '{"a":1}'}, f"customer_id is an object, {TEXT}"),
    Case(
        "payments",
        {"customer_id": f'"{"x" * 3000}"'},
        'customer_id is "xxx',
        what="a `customer_id` of 3,000 characters",
    ),
    Case("payments", {"order_id": "null"}, f"order_id is null, {TEXT}"),
    Case("payments", {"order_id": f'"{"x" * 3000}"'}, 'order_id is "xxx', what="an `order_id` of 3,000 characters"),
    Case("payments", {"order_id": '"\\ud800"'}, f'order_id is "\\ud800", {TEXT}'),
    Case("payments", {"amount": "null"}, f"amount is null, {NUMBER}"),
    Case("payments", {"amount": "true"}, f"amount is true, {NUMBER}"),
    Case("payments", {"amount": '"1_000"'}, f'amount is "1_000", {NUMBER}'),
    Case(
        "payments",
        {"amount": '"\\uff11\\uff12"'},
        'amount is "\\uff11\\uff12"',
        what="an `amount` in full-width digits",
    ),
    Case("payments", {"amount": "0.001"}, f"amount is 0.001, {NUMBER}"),
    Case("payments", {"amount": "120.105"}, f"amount is 120.105, {NUMBER}"),
    Case("payments", {"amount": "12345678901234567.89"}, f"amount is 12345678901234567.89, {NUMBER}"),
    Case("payments", {"amount": "1e400"}, f"amount is 1E+400, {NUMBER}"),
    Case("payments", {"amount": '"12.50"'}),
    Case(
        "payments",
        {"order_id": '"o-1"', "amount": "50"},
        "order_id was paid before, with another customer or amount",
        what="another amount, or customer, under an `order_id` that was paid",
    ),
]


@pytest.fixture(params=["business-key", "transaction"])
def deliver(request: pytest.FixtureRequest, load: Load, monkeypatch: pytest.MonkeyPatch) -> Deliver:
    """To payments in both strategies that know an order again, on tables that refuse what DynamoDB refuses."""
    payments = load(
        "payments",
        STRATEGY=request.param,
        RECORD_EXPIRY_SECONDS="3600",
        REGISTER_LAMBDA_CONTEXT="true",
        IDEMPOTENCY_TABLE="idempotency",
        LEDGER_TABLE="ledger",
    )
    client = payments.modules["ledger"].dynamodb
    tables = Tables(client)
    for operation in ("put_item", "update_item", "delete_item", "transact_write_items"):
        monkeypatch.setattr(client, operation, getattr(tables, operation))
    return bad_input.through(payments, tables.effects)


def test_what_becomes_of_bad_input(deliver: Deliver) -> None:
    bad_input.check_cases(deliver, ORDER, [*CASES, *of_any("payments")])


def test_whatever_a_message_is_it_fails_alone_and_is_told(deliver: Deliver) -> None:
    bad_input.check_consumer(deliver, ORDER)


def test_whatever_an_order_is_the_producer_sends_the_others(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = load("producer", QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/123456789012/orders")
    queue = bad_input.Taker("MessageBody", max_bytes=1_048_576)
    monkeypatch.setattr(producer.app.sqs, "send_message_batch", lambda **call: queue(call["Entries"]))

    bad_input.check_producer(producer, queue.taken, ORDER)
