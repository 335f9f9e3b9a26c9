"""The functions of the idempotent consumer, on moto and sample events: no target needed."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from botocore.exceptions import ClientError

from lab.handler_testing import (
    Context,
    Load,
    LoadedFunction,
    create_queue,
    create_table,
    items,
    received,
    sqs_record,
)

# Powertools says so of a handler that is killed before it has counted anything; a process that dies says nothing
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

PATTERN = Path(__file__).parents[1]
STRATEGIES = ("message-id", "business-key", "transaction")

ORDER = {"order_id": "o-1", "amount": 12.5, "customer_id": "c-1", "correlation_id": "trace-1"}


def record(order: dict[str, Any], message_id: str = "m-1", receive_count: int = 1) -> dict[str, Any]:
    return sqs_record(order, message_id, receive_count, correlation_id=order.get("correlation_id", "trace-1"))


@dataclass
class Payments:
    """The consumer, in one strategy, with its tables."""

    function: LoadedFunction

    @property
    def dynamodb(self) -> Any:
        """The client with which it pays."""
        return self.function.modules["ledger"].dynamodb

    def deliver(self, *records: dict[str, Any], context: Context | None = None) -> list[dict[str, Any]]:
        """The log lines of an invocation with these records; what is reported as failed is what is logged so."""
        response = self.function.invoke({"Records": list(records)}, context)
        lines = self.function.lines
        failed = [{"itemIdentifier": line["message_id"]} for line in lines if line["message"] == "failed"]
        assert response == {"batchItemFailures": failed}
        return lines

    def ledger(self) -> list[dict[str, Any]]:
        return [item for item in items("ledger") if item["entry_id"] != "balance"]

    def balances(self) -> dict[str, Decimal]:
        return {item["customer_id"]: item["amount"] for item in items("ledger") if item["entry_id"] == "balance"}

    def paid(self) -> Counter[str]:
        """How often each order was paid. Ledger and balances must agree on how much."""
        entries = self.ledger()
        sums: Counter[str] = Counter()
        for entry in entries:
            sums[entry["customer_id"]] += entry["amount"]
        assert dict(sums) == self.balances()
        return Counter(entry["order_id"] for entry in entries)

    def keys(self) -> list[dict[str, Any]]:
        return items("idempotency")


@pytest.fixture
def payments(request: pytest.FixtureRequest, load: Load) -> Payments:
    """The consumer in the strategy that the parameter names."""
    create_table("ledger", "customer_id", "entry_id")
    create_table("idempotency", "id")
    function = load(
        "payments",
        STRATEGY=request.param,
        RECORD_EXPIRY_SECONDS="3600",
        REGISTER_LAMBDA_CONTEXT="true",
        IDEMPOTENCY_TABLE="idempotency",
        LEDGER_TABLE="ledger",
    )
    return Payments(function)


in_each_strategy = pytest.mark.parametrize("payments", STRATEGIES, indirect=True)
by_business_key = pytest.mark.parametrize("payments", ["business-key", "transaction"], indirect=True)
with_powertools = pytest.mark.parametrize("payments", ["message-id", "business-key"], indirect=True)


def strategy(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("payments", [name], indirect=True)


@in_each_strategy
def test_a_payment_is_an_entry_and_a_balance_and_the_log_line_has_its_receipt(payments: Payments) -> None:
    (line,) = payments.deliver(record(ORDER))

    (entry,) = payments.ledger()
    assert (entry["order_id"], entry["amount"], entry["message_id"]) == ("o-1", Decimal("12.5"), "m-1")
    assert payments.balances() == {"c-1": Decimal("12.5")}
    expected = {
        "message": "processed",
        "order_id": "o-1",
        "correlation_id": "trace-1",
        "message_id": "m-1",
        "receive_count": 1,
        "entry_id": entry["entry_id"],
        "amount": "12.50",
        "replayed": False,
    }
    assert {name: line.get(name) for name in expected} == expected


@in_each_strategy
def test_the_same_message_again_is_paid_once_and_gets_the_stored_receipt(payments: Payments) -> None:
    (first,) = payments.deliver(record(ORDER))
    (second,) = payments.deliver(record(ORDER, receive_count=2))

    assert payments.paid() == {"o-1": 1}
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert second["entry_id"] == first["entry_id"]


@strategy("message-id")
def test_with_message_ids_a_producers_retry_is_another_payment(payments: Payments) -> None:
    payments.deliver(record(ORDER, "m-1"))
    (second,) = payments.deliver(record(ORDER, "m-2"))

    assert payments.paid() == {"o-1": 2}
    assert not second["replayed"]


@by_business_key
def test_with_business_keys_a_producers_retry_is_the_same_payment(payments: Payments) -> None:
    (first, second) = payments.deliver(record(ORDER, "m-1"), record(ORDER, "m-2"))

    assert payments.paid() == {"o-1": 1}
    assert (second["replayed"], second["entry_id"]) == (True, first["entry_id"])


@by_business_key
@pytest.mark.parametrize("changed", [{"amount": 1000.0}, {"customer_id": "c-2"}])
def test_the_same_key_with_another_payload_is_refused_for_good(payments: Payments, changed: dict[str, Any]) -> None:
    payments.deliver(record(ORDER, "m-1"))
    (refused,) = payments.deliver(record(ORDER | changed, "m-2"))

    assert (refused["message"], refused["error_class"]) == ("failed", "permanent")
    assert "order_id was paid before, with another customer or amount" in refused["error"]
    assert payments.paid() == {"o-1": 1}


@by_business_key
def test_the_same_amount_written_otherwise_is_the_same_payload(payments: Payments) -> None:
    payments.deliver(record(ORDER | {"amount": 12.5}, "m-1"))
    (second,) = payments.deliver(record(ORDER | {"amount": "12.50"}, "m-2"))

    assert second["replayed"]


@in_each_strategy
@pytest.mark.parametrize(
    ("poison", "error"),
    [
        ({"amount": "one hundred"}, 'PermanentError: amount is "one hundred", and has to be a number'),
        ({"amount": "1_000"}, 'PermanentError: amount is "1_000"'),
        ({"amount": True}, "PermanentError: amount is true"),
        ({"amount": 0}, "PermanentError: amount is 0, and has to be a number above 0"),
        ({"amount": 0.004}, "PermanentError: amount is 0.004, and has to be a number above 0"),
        ({"amount": 120.105}, "PermanentError: amount is 120.105"),
        ({"amount": float("nan")}, "PermanentError: amount is NaN"),
        ({"amount": float("inf")}, "PermanentError: amount is Infinity"),
        ({"order_id": ...}, "PermanentError: order_id is missing"),
        ({"order_id": None}, "PermanentError: order_id is null, and has to be text"),
        ({"order_id": "x" * 3000}, f'PermanentError: order_id is "{"x" * 40}"... (3000 characters)'),
        ({"customer_id": ...}, "PermanentError: customer_id is missing"),
        ({"customer_id": None}, "PermanentError: customer_id is null"),
        ({"customer_id": {"a": 1}}, "PermanentError: customer_id is an object"),
        ({"customer_id": "x" * 3000}, "PermanentError: customer_id is "),
    ],
)
def test_a_poison_order_fails_alone_and_permanently(payments: Payments, poison: dict[str, Any], error: str) -> None:
    poisoned = {name: value for name, value in (ORDER | poison).items() if value is not ...}
    before, after = ORDER | {"order_id": "o-before"}, ORDER | {"order_id": "o-after"}

    lines = payments.deliver(record(before, "m-1"), record(poisoned, "m-2"), record(after, "m-3"))

    assert [line["message"] for line in lines] == ["processed", "failed", "processed"]
    assert lines[1]["error_class"] == "permanent"
    assert error in lines[1]["error"]
    assert payments.paid() == {"o-before": 1, "o-after": 1}


class Killed(BaseException):
    """The end of the process, as far as one process can show it: nothing catches it, nothing is cleaned up."""


def killed_at(client: Any, monkeypatch: pytest.MonkeyPatch, operation: str, error: BaseException) -> None:
    """Lets the client's next call of an operation end with the error."""
    real = client._make_api_call

    def call(name: str, arguments: dict[str, Any]) -> Any:
        if name == operation:
            client._make_api_call = real
            raise error
        return real(name, arguments)

    monkeypatch.setattr(client, "_make_api_call", call)


THROTTLED: Any = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}


@with_powertools
def test_a_payment_that_fails_unlocks_its_key(payments: Payments, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ClientError(THROTTLED, "TransactWriteItems")
    killed_at(payments.dynamodb, monkeypatch, "TransactWriteItems", error)

    (failed,) = payments.deliver(record(ORDER))
    assert failed["error_class"] == "transient"
    assert (payments.keys(), payments.paid()) == ([], {})

    payments.deliver(record(ORDER, receive_count=2))
    assert payments.paid() == {"o-1": 1}


@pytest.mark.parametrize(
    ("payments", "operation"),
    [
        ("message-id", "PutItem"),
        ("business-key", "PutItem"),
        ("transaction", "TransactWriteItems"),
    ],
    indirect=["payments"],
)
def test_a_key_that_cannot_be_stored_is_not_paid(
    payments: Payments, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(payments.dynamodb, monkeypatch, operation, ClientError(THROTTLED, operation))

    (failed,) = payments.deliver(record(ORDER))

    assert failed["error_class"] == "transient"
    assert payments.paid() == {}
    payments.deliver(record(ORDER, receive_count=2))
    assert payments.paid() == {"o-1": 1}


@with_powertools
def test_a_delivery_that_dies_before_its_result_is_stored_is_paid_again_once_its_time_is_over(
    payments: Payments, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(payments.dynamodb, monkeypatch, "UpdateItem", Killed())
    with pytest.raises(Killed):
        payments.deliver(record(ORDER), context=Context(remaining_ms=60_000))

    (refused,) = payments.deliver(record(ORDER, receive_count=2))
    assert refused["error"].startswith(IdempotencyAlreadyInProgressError.__name__)
    assert payments.paid() == {"o-1": 1}

    boto3.resource("dynamodb").Table("idempotency").update_item(
        Key={"id": payments.keys()[0]["id"]},
        UpdateExpression="SET in_progress_expiration = :past",
        ExpressionAttributeValues={":past": 0},
    )
    payments.deliver(record(ORDER, receive_count=3))
    assert payments.paid() == {"o-1": 2}


@with_powertools
def test_without_the_lambda_context_a_delivery_that_died_locks_its_key(
    payments: Payments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTER_LAMBDA_CONTEXT", "false")
    killed_at(payments.dynamodb, monkeypatch, "TransactWriteItems", Killed())
    with pytest.warns(UserWarning, match="Couldn't determine the remaining time"), pytest.raises(Killed):
        payments.deliver(record(ORDER), context=Context(remaining_ms=0))

    assert "in_progress_expiration" not in payments.keys()[0]
    with pytest.warns(UserWarning, match="Couldn't determine the remaining time"):
        (refused,) = payments.deliver(record(ORDER, receive_count=2))
    assert refused["error"].startswith(IdempotencyAlreadyInProgressError.__name__)
    assert payments.paid() == {}


@strategy("transaction")
def test_a_transaction_in_conflict_with_another_is_retried(payments: Payments, monkeypatch: pytest.MonkeyPatch) -> None:
    client = payments.dynamodb
    reasons = [{"Code": "None"}, {"Code": "None"}, {"Code": "TransactionConflict"}]
    response = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
    conflict = client.exceptions.TransactionCanceledException(response, "TransactWriteItems")
    killed_at(client, monkeypatch, "TransactWriteItems", conflict)

    (failed,) = payments.deliver(record(ORDER))
    assert failed["error_class"] == "transient"

    payments.deliver(record(ORDER, receive_count=2))
    assert payments.paid() == {"o-1": 1}


@in_each_strategy
def test_a_key_that_has_expired_is_paid_again_though_its_record_is_still_there(payments: Payments) -> None:
    payments.deliver(record(ORDER))
    (key,) = payments.keys()
    boto3.resource("dynamodb").Table("idempotency").update_item(
        Key={"id": key["id"]}, UpdateExpression="SET expiration = :past", ExpressionAttributeValues={":past": 1}
    )

    (line,) = payments.deliver(record(ORDER, receive_count=2))

    assert not line["replayed"]
    assert payments.paid() == {"o-1": 2}


@strategy("transaction")
@pytest.mark.parametrize("seed", range(5))
def test_any_deliveries_with_any_deaths_pay_each_order_once(
    payments: Payments, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each order one to three times, in random order, one delivery in three dying before or after its transaction."""
    chance = random.Random(seed)
    orders = [ORDER | {"order_id": f"o-{number}", "customer_id": f"c-{number % 3}"} for number in range(30)]
    deliveries = [order for order in orders for _ in range(chance.randint(1, 3))]
    chance.shuffle(deliveries)
    client = payments.dynamodb
    real = client.transact_write_items

    def dying(before: bool) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            if before:
                raise Killed
            real(**arguments)
            raise Killed

        return call

    while deliveries:
        order = deliveries.pop()
        if chance.random() < 1 / 3:
            with monkeypatch.context() as patched, pytest.raises((Killed, client.exceptions.ClientError)):
                patched.setattr(client, "transact_write_items", dying(before=chance.random() < 0.5))
                payments.deliver(record(order, f"m-{len(deliveries)}"))
                raise Killed  # it was paid before, and refused as such
            deliveries.insert(chance.randint(0, len(deliveries)), order)
        else:
            payments.deliver(record(order, f"m-{len(deliveries)}"))

    assert payments.paid() == {order["order_id"]: 1 for order in orders}, f"seed {seed}"


# --- The producer ---


@dataclass
class Queue:
    producer: LoadedFunction
    url: str


@pytest.fixture
def queue(load: Load) -> Queue:
    url = create_queue("payments")
    return Queue(load("producer", QUEUE_URL=url), url)


def orders(count: int) -> list[dict[str, Any]]:
    return [{"order_id": f"o-{number}", "amount": 10.5, "customer_id": "c-1"} for number in range(count)]


def test_the_producer_sends_an_order_with_what_it_is_traced_by(queue: Queue) -> None:
    response = queue.producer.invoke({"orders": orders(1), "correlation_id": "trace-1"})

    (message,) = received(queue.url)
    assert json.loads(message["Body"]) == orders(1)[0] | {"correlation_id": "trace-1"}
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == "trace-1"
    assert response == {
        "published": [{"order_id": "o-0", "correlation_id": "trace-1", "message_id": message["MessageId"]}]
    }


@by_business_key
@pytest.mark.parametrize(
    ("event", "paid", "refused"),
    [
        ("default", {"o-1": 1, "o-2": 1, "o-3": 1}, 0),
        ("retry", {"o-4": 1}, 0),
        ("conflict", {"o-5": 1}, 1),
    ],
)
def test_what_becomes_of_the_sample_events(payments: Payments, event: str, paid: dict[str, int], refused: int) -> None:
    orders = json.loads((PATTERN / f"events/{event}.json").read_text())["orders"]

    lines = payments.deliver(*(record(order, f"m-{index}") for index, order in enumerate(orders)))

    assert payments.paid() == paid
    assert [line["message"] for line in lines].count("failed") == refused


def test_every_sample_event_has_its_test() -> None:
    assert {path.stem for path in (PATTERN / "events").glob("*.json")} == {"default", "retry", "conflict"}
