"""The experiments: each delivers an order more than once in some way, and counts how often it is paid."""

import hashlib
import json
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from lab import faults
from lab.experiment import SOON, Experiment
from lab.workload import Workload, plain

# Compressed: with the defaults (10 s, 60 s, 5 receives) a delivery that died is repeated after a minute.
VARIABLES = {
    "strategy": "business-key",
    "function_timeout": "4",
    "visibility_timeout": "24",  # the least that six times the function's timeout allows (SQS-6)
    "max_receive_count": "3",
}
RECEIVES = int(VARIABLES["max_receive_count"])
TIMEOUT = float(VARIABLES["function_timeout"])  # seconds
RETRY_SECONDS = 5  # seconds: the queue's visibility timeout while experiments run; still longer than a function can
DEAD_LETTERED = (RECEIVES + 2) * RETRY_SECONDS + SOON  # seconds, at the latest

# Calls of the consumer: what it does to the payment's key, and the payment itself.
LOCK, PAY, STORE = "PutItem", "TransactWriteItems", "UpdateItem"


class Payments(Workload):
    """The pattern as an experiment handles it: orders in, ledger entries out."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment, "payments")
        self.out: dict[str, Any] = experiment.outputs["payments"]
        self.customer = f"{experiment.id}-customer"

    def order(self, number: int, **fields: Any) -> dict[str, Any]:
        return {"order_id": self.id(number), "customer_id": self.customer, "amount": 10.0, **fields}

    def send(self, *orders: dict[str, Any], correlation_id: str = "") -> None:
        """Has the producer send orders, each in a message of its own."""
        self.submit(correlation_id, orders=orders)
        if not correlation_id:
            self.experiment.note(f"sent {', '.join(order['order_id'] for order in orders)}")

    def ledger(self) -> list[dict[str, Any]]:
        """The items of this experiment's customers: entries, and a balance for each."""
        return self.items(self.out["ledger_table"], "customer_id", self.experiment.id)

    def entries(self) -> list[dict[str, Any]]:
        """The payments, oldest first."""
        return sorted(
            (item for item in self.ledger() if item["entry_id"] != "balance"), key=lambda item: item["paid_at"]
        )

    def paid(self) -> Counter[str]:
        """How often each order was paid."""
        return Counter(entry["order_id"] for entry in self.entries())

    def record(self, number: int) -> dict[str, Any]:
        """Powertools' record of an order; empty when there is none."""
        key = hashlib.md5(json.dumps(self.id(number)).encode()).hexdigest()
        answer = self.experiment.client("dynamodb").get_item(
            TableName=self.out["idempotency_table"], Key={"id": {"S": f"payment#{key}"}}, ConsistentRead=True
        )
        return plain(answer.get("Item", {}))

    def processed(self) -> list[dict[str, Any]]:
        return self.experiment.lines("payments", "processed")

    def failed(self) -> list[dict[str, Any]]:
        return self.experiment.lines("payments", "failed")

    def replayed(self) -> Counter[str]:
        """How often each order was answered with the receipt of an earlier payment."""
        return Counter(line["order_id"] for line in self.processed() if line["replayed"])

    def waits_until_processed(self, count: int, within: float = SOON) -> None:
        def done() -> bool:
            return len({line["message_id"] for line in self.processed()}) >= count

        self.experiment.wait_until(f"{count} messages processed", done, within)

    def waits_until_paid(self, number: int, times: int = 1, within: float = SOON) -> None:
        what = f"{self.id(number)} is paid{' again' if times > 1 else ''}"
        self.experiment.wait_until(what, lambda: self.paid()[self.id(number)] >= times, within)

    def waits_for_dead_letters(self, count: int) -> None:
        self.waits_for_messages("messages in the DLQ", self.out["dlq_url"], count, DEAD_LETTERED)

    def fault(self, mode: str, number: int, **rule: Any) -> AbstractContextManager[None]:
        """A fault that acts on the first delivery of an order."""
        when = f"order_id == '{self.id(number)}'"
        return self.inject("payments", mode, when, receive_count=1, **rule)

    def redrives_a_paid_order(self) -> None:
        """An order that is paid and dead-lettered all the same: each delivery dies before Lambda hears that it is done.

        Then the cause is gone, and the dead-letter queue is redriven.
        """
        with self.inject("payments", "crash", f"order_id == '{self.id(1)}'", at="end"):
            self.send(self.order(1))
            self.waits_for_dead_letters(1)
        assert self.paid() == {self.id(1): 1}
        delivered = len({line["message_id"] for line in self.processed()})
        assert faults.redrive(self.experiment.deployment, self.contract.queues["payments"].dlq_arn) == 1
        self.waits_until_processed(delivered + 1)

    def configured(self, **variables: str) -> AbstractContextManager[None]:
        """The consumer with other environment variables: what Terraform's variables of the same purpose set."""
        changed = ", ".join(f"{name}={value}" for name, value in variables.items())
        self.experiment.note(f"the consumer runs with {changed}")
        return self.environment_changed("payments", **variables)


@pytest.fixture
def payments(experiment: Experiment) -> Iterator[Payments]:
    """The pattern with short visibility, and with empty queues before and after."""
    pattern = Payments(experiment)
    with pattern.visibility_timeout(RETRY_SECONDS):
        yield pattern
        experiment.drain(pattern.out["queue_url"], pattern.out["dlq_url"])


@pytest.mark.experiment("IDM-4", failure="The function dies between paying and storing the result; Powertools")
def test_with_powertools_a_crash_after_the_payment_pays_twice(payments: Payments, experiment: Experiment) -> None:
    """The key stays locked until the time that the dead attempt had left is over; then the message is taken for one
    that was never paid, and the order is paid twice."""
    # given the process dies after its payment, right before Powertools stores the result
    with payments.visibility_timeout(12), payments.fault("crash", 1, at=f"dynamodb.{STORE}"):
        # when an order is sent, then it is paid
        payments.send(payments.order(1))
        payments.waits_until_paid(1)
        assert payments.record(1)["status"] == "INPROGRESS"

        # and paid again when the message is back
        payments.waits_until_processed(1, within=DEAD_LETTERED)
    assert payments.paid() == {payments.id(1): 2}
    assert not payments.replayed()
    first, second = (datetime.fromisoformat(entry["paid_at"]) for entry in payments.entries())
    experiment.observe(f"1 order, 2 payments, {(second - first).total_seconds():.0f} s apart")


@pytest.mark.variant(strategy="transaction")
@pytest.mark.experiment("IDM-4", failure="The function dies right before or right after paying; transaction")
def test_in_the_transaction_a_crash_cannot_pay_twice(payments: Payments, experiment: Experiment) -> None:
    """Payment and key are there together or not at all: a retry pays if they are not, and finds the receipt if they
    are."""
    # given the process dies at one order right before its transaction, and at another right after it
    with (
        payments.visibility_timeout(12),
        payments.fault("crash", 1, at=f"dynamodb.{PAY}"),
        payments.fault("crash", 2, at="end"),
    ):
        # when they are sent, each in a batch of its own, then both are processed, the second by both attempts
        payments.send(payments.order(1))
        payments.waits_until_processed(1, within=DEAD_LETTERED)
        payments.send(payments.order(2))
        second = payments.id(2)
        experiment.wait_until("the second is answered again", lambda: payments.replayed()[second], DEAD_LETTERED)
    assert len(payments.injected("payments")) == 2

    # and paid once: the first by the retry, the second by the attempt that died
    assert payments.paid() == {payments.id(1): 1, payments.id(2): 1}
    assert payments.replayed() == {payments.id(2): 1}
    experiment.observe("2 crashes, 2 orders, 2 payments")


@pytest.mark.experiment("SQS-10", "SQS-11", failure="One message is delivered twice")
def test_a_message_that_is_delivered_twice_is_paid_once(payments: Payments, experiment: Experiment) -> None:
    """It is paid once; the second delivery gets the stored receipt."""
    # given a message becomes visible again while its first delivery has paid and still runs
    with payments.visibility_timeout(1), payments.fault("latency", 1, at="end", seconds=TIMEOUT - 1):
        # when it is sent, then it is delivered twice
        payments.send(payments.order(1))
        experiment.wait_until("processed twice", lambda: len(payments.processed()) >= 2, SOON)
    first, second = sorted(payments.processed(), key=lambda line: line["replayed"])[:2]
    assert first["message_id"] == second["message_id"]

    # and paid once
    assert payments.paid() == {payments.id(1): 1}
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert second["entry_id"] == first["entry_id"]
    experiment.observe("2 deliveries, 1 payment, the same receipt for both")


@pytest.mark.experiment("IDM-6", failure="The producer retries; key: message id")
def test_with_message_ids_a_producers_retry_is_paid_twice(payments: Payments, experiment: Experiment) -> None:
    """The retry is another message, so it has another key: the order is paid twice, and no error tells."""
    # given the key is the message id
    with payments.configured(STRATEGY="message-id"), payments.visibility_timeout(60):
        # when the producer sends one order twice
        payments.send(payments.order(1))
        payments.send(payments.order(1))

        # then each message is paid
        payments.waits_until_processed(2)
    assert payments.paid() == {payments.id(1): 2}
    assert not payments.replayed()
    assert not payments.failed()
    experiment.observe("1 order in 2 messages, 2 payments, no error")


@pytest.mark.experiment("IDM-6", failure="The producer retries; key: order")
def test_with_business_keys_a_producers_retry_is_paid_once(payments: Payments, experiment: Experiment) -> None:
    """Both messages name the same order: it is paid once, and the second message gets the receipt."""
    # given the key is the order, when the producer sends one order twice
    with payments.visibility_timeout(60):
        payments.send(payments.order(1))
        payments.waits_until_processed(1)
        payments.send(payments.order(1))

        # then the second message gets the receipt of the first
        payments.waits_until_processed(2)
    assert payments.paid() == {payments.id(1): 1}
    assert payments.replayed() == {payments.id(1): 1}
    experiment.observe("1 order in 2 messages, 1 payment")


@pytest.mark.experiment("SQS-14", "IDM-6", failure="A paid order is redriven from the DLQ; key: message id")
def test_with_message_ids_a_redrive_pays_again(payments: Payments, experiment: Experiment) -> None:
    """The redriven message is a new message, so it has another key: the order is paid a second time, and no error
    tells."""
    # given the key is the message id, when an order is paid, dead-lettered and redriven
    with payments.configured(STRATEGY="message-id"):
        payments.redrives_a_paid_order()

    # then it is paid again, under another message id
    assert payments.paid() == {payments.id(1): 2}
    last = payments.processed()[-1]
    assert not last["replayed"]
    assert last["receive_count"] == 1
    experiment.observe("1 order in 1 message, paid before its dead letter was redriven and again after: 2 payments")


@pytest.mark.experiment("SQS-14", "IDM-6", failure="A paid order is redriven from the DLQ; key: order")
def test_with_business_keys_a_redrive_finds_the_receipt(payments: Payments, experiment: Experiment) -> None:
    """The redriven message names the same order: it gets the receipt, and nothing is paid."""
    # given the key is the order, when one is paid, dead-lettered and redriven
    payments.redrives_a_paid_order()

    # then the new message gets the receipt
    assert payments.paid() == {payments.id(1): 1}
    assert payments.processed()[-1]["replayed"]
    experiment.observe("1 order, redriven after it was paid: 1 payment, and the receipt")


@pytest.mark.experiment("IDM-2", failure="Two deliveries at once")
def test_of_two_deliveries_at_once_the_second_is_refused_and_finds_the_receipt_later(
    payments: Payments, experiment: Experiment
) -> None:
    """The second is refused while the first is at work, comes back after the visibility timeout, and finds the
    receipt."""
    # given the first delivery has paid, and is slow to store the result
    with (
        payments.function_changed("payments", Timeout=20),
        payments.visibility_timeout(20),
        payments.fault("latency", 1, at=f"dynamodb.{STORE}", seconds=8),
    ):
        payments.send(payments.order(1))
        payments.waits_until_paid(1)

        # when the order arrives in another message, then that is refused
        payments.send(payments.order(1))
        payments.waits_until_processed(2, within=DEAD_LETTERED)
    refused = payments.failed()
    assert {line["error"].split(":")[0] for line in refused} == {"IdempotencyAlreadyInProgressError"}
    assert {line["error_class"] for line in refused} == {"transient"}

    # and finds the receipt when it is back
    first, second = payments.processed()
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert refused[0]["message_id"] == second["message_id"]
    assert payments.paid() == {payments.id(1): 1}
    experiment.observe(f"refused while in progress, answered {second['at'] - refused[0]['at']:.0f} s later; 1 payment")


@pytest.mark.experiment("IDM-3", failure="The payment fails")
def test_a_payment_that_fails_is_tried_again(payments: Payments, experiment: Experiment) -> None:
    """The exception unlocks the key; the retry pays, once."""
    # given the ledger does not take the first attempt
    refused = {"service": "dynamodb", "operation": PAY, "error": "server_error"}
    with payments.visibility_timeout(15), payments.fault("dependency", 1, **refused):
        # when an order is sent, then it fails, and its key is free
        payments.send(payments.order(1))
        experiment.wait_until("the payment failed", payments.failed, SOON)
        assert payments.record(1) == {}
        assert payments.paid() == {}

        # and the retry pays
        payments.waits_until_processed(1)
    assert payments.paid() == {payments.id(1): 1}
    assert not payments.replayed()
    experiment.observe(f"{len(payments.failed())} attempt failed, the record deleted; 1 payment by the retry")


def time_out(payments: Payments) -> None:
    """Sends order 1, of which the first attempt times out before it pays, and order 2, after it has paid."""
    payments.send(payments.order(1))
    payments.experiment.wait_until("the first attempt at order 1 has begun", lambda: payments.record(1), SOON)
    payments.send(payments.order(2))
    payments.waits_until_paid(2)


@pytest.mark.experiment("IDM-4", failure="A timeout, before or after paying")
def test_after_a_timeout_the_order_is_processed_again(payments: Payments, experiment: Experiment) -> None:
    """With the Lambda context registered the key is free again once the attempt's time is over: what was not paid is
    paid, and what was paid is paid twice."""
    # given the first attempt times out, at one order before it pays, at another after it has
    with (
        payments.fault("timeout", 1, at=f"dynamodb.{PAY}"),
        payments.fault("timeout", 2, at=f"dynamodb.{STORE}"),
    ):
        # when they are sent, then both are processed in the end
        time_out(payments)
        payments.waits_until_processed(2, within=DEAD_LETTERED)

    # and the second was paid by both attempts
    assert payments.paid() == {payments.id(1): 1, payments.id(2): 2}
    experiment.observe("timeout before the payment: 1 payment; after it: 2 payments")


@pytest.mark.experiment("IDM-4", failure="The same timeouts, the Lambda context not registered")
def test_without_the_lambda_context_a_timeout_locks_the_order(payments: Payments, experiment: Experiment) -> None:
    """Powertools does not know when the attempt's time is over: every retry is refused until the record expires, and
    both orders are dead-lettered, one of them unpaid."""
    # given Powertools is not told of the Lambda context, and the same timeouts
    with (
        payments.configured(REGISTER_LAMBDA_CONTEXT="false"),
        payments.fault("timeout", 1, at=f"dynamodb.{PAY}"),
        payments.fault("timeout", 2, at=f"dynamodb.{STORE}"),
    ):
        # when the orders are sent
        time_out(payments)

        # then every retry is refused, and both end in the dead-letter queue
        payments.waits_for_dead_letters(2)
    assert {line["error"].split(":")[0] for line in payments.failed()} == {"IdempotencyAlreadyInProgressError"}
    assert {line["order_id"] for line in payments.failed()} == payments.ids(1, 2)
    assert not payments.processed()

    # one of them unpaid
    assert payments.paid() == {payments.id(2): 1}
    left = int(payments.record(1)["expiration"]) - int(experiment.target.now())
    experiment.observe(
        f"both in the DLQ after {len(payments.failed())} refusals, 1 of 2 paid; locked for {left // 86400} more days"
    )


@pytest.mark.experiment("IDM-5", failure="The same order with another amount")
def test_an_order_with_another_amount_is_refused(payments: Payments, experiment: Experiment) -> None:
    """It is refused as a permanent error and dead-lettered; it is never paid, and the first payment stands."""
    # given an order is paid
    with payments.visibility_timeout(60):
        payments.send(payments.order(1, amount=10.0))
        payments.waits_until_processed(1)

    # when it comes again with another amount, then it is refused until it is dead-lettered
    payments.send(payments.order(1, amount=1000.0))
    payments.waits_for_dead_letters(1)
    assert [line["error_class"] for line in payments.failed()] == ["permanent"] * RECEIVES
    [letter] = experiment.take(payments.out["dlq_url"])
    assert json.loads(letter["Body"])["amount"] == 1000.0

    # and the ledger has the first amount only
    assert [entry["amount"] for entry in payments.entries()] == [Decimal(10)]
    experiment.observe(f"refused {len(payments.failed())} times and dead-lettered; 1 payment, of the first amount")


@pytest.mark.experiment("IDM-1", failure="A duplicate comes after the record's expiry")
def test_a_duplicate_after_the_expiry_is_paid_again(payments: Payments, experiment: Experiment) -> None:
    """It is paid again, even while the record is still in the table: what counts is the record's expiry, not that the
    table's TTL deletes it."""
    # given records expire after seconds, and an order is paid
    expiry = 8
    table = payments.out["idempotency_table"]
    with (
        faults.time_to_live_off(payments.deployment, table, "expiration"),
        payments.configured(RECORD_EXPIRY_SECONDS=str(expiry)),
        payments.visibility_timeout(60),
    ):
        payments.send(payments.order(1))
        payments.waits_until_processed(1)

        # when a duplicate comes within the expiry, then it gets the receipt
        payments.send(payments.order(1))
        payments.waits_until_processed(2)
        assert payments.paid() == {payments.id(1): 1}
        assert payments.replayed() == {payments.id(1): 1}

        # and when one comes after it, then it is paid, although the record is there
        experiment.wait_until(
            "the record has expired",
            lambda: experiment.target.now() > payments.record(1)["expiration"] + 1,
            expiry + SOON,
        )
        assert payments.record(1)["status"] == "COMPLETED"
        payments.send(payments.order(1))
        payments.waits_until_processed(3)
    assert payments.paid() == {payments.id(1): 2}
    experiment.observe(f"within {expiry} s answered with the receipt; after that paid again, the record still there")


@pytest.mark.experiment("IDM-7", failure="The idempotency table is throttled, or access is denied")
def test_without_the_idempotency_table_nothing_is_paid(payments: Payments, experiment: Experiment) -> None:
    """The consumer fails closed: nothing is paid without its key, and everything is processed once the table works
    again."""
    # given no key can be written, for two reasons
    throttled, denied = payments.ids(1, 2, 3), payments.ids(4, 5, 6)
    everyone = throttled | denied
    call = {"service": "dynamodb", "operation": LOCK}
    with (
        payments.inject("payments", "dependency", payments.one_of(throttled), **call, error="throttling"),
        payments.inject("payments", "dependency", payments.one_of(denied), **call, error="access_denied"),
    ):
        # when orders are sent, then all fail, and none is paid
        payments.send(*(payments.order(number) for number in range(1, 7)))
        experiment.wait_until(
            "all orders failed",
            lambda: {line["order_id"] for line in payments.failed()} == everyone,
            SOON,
        )
        assert payments.paid() == {}
    errors = payments.failed()
    assert {line["error"].split(":")[0] for line in errors} == {"IdempotencyPersistenceLayerError"}
    assert {line["error_class"] for line in errors} == {"transient"}

    # and each is paid once when the table works again
    payments.waits_until_processed(len(everyone), within=DEAD_LETTERED)
    assert payments.paid() == Counter(everyone)
    experiment.observe(f"{len(errors)} attempts failed, 0 paid; after recovery 6 of 6 paid once")


@pytest.mark.experiment("SQS-17", "SQS-7", failure="The consumer does not read, fails, and finds no concurrency")
def test_each_way_to_be_down_has_its_alarms(payments: Payments, experiment: Experiment) -> None:
    """A queue that is not read sets off `payments-age` and nothing else, failing invocations `payments-errors`, refused
    ones `payments-throttles` and `payments-dlq-depth`. Once that is over and redriven, each order is paid once."""
    # given the consumer is down in one way after the other, when an order is sent into each, then its alarms fire
    payments.goes_down_in_each_way("payments", "payments", lambda number: payments.send(payments.order(number)))

    # and after a redrive all are paid
    payments.waits_until_processed(3, within=DEAD_LETTERED)
    assert payments.paid() == dict.fromkeys(payments.ids(1, 2, 3), 1)
    experiment.observe("3 ways to be down, 4 alarms, each from its own; 3 of 3 orders paid once")


@pytest.mark.experiment("INV-1", failure="The producer fails, or finds no concurrency")
def test_who_sends_is_told_when_the_producer_fails(payments: Payments, experiment: Experiment) -> None:
    """Whoever invokes it is told, no order is sent, and `producer-errors` or `producer-throttles` fires: an order that
    is not sent again is lost."""
    # given an order, when the producer fails with it, and when it is refused, then who sends it is told
    payments.tells_its_caller("producer", orders=[payments.order(1)], correlation_id=experiment.id)

    # and nothing was sent: an order that is sent afterwards is all that is paid
    payments.send(payments.order(2))
    payments.waits_until_processed(1)
    assert payments.paid() == {payments.id(2): 1}
    experiment.observe("1 failure and 1 refusal, both told; alarms producer-errors and producer-throttles")


# What becomes of a delivery: the fault's mode and place, and how many of the thousand orders' messages it befalls.
FATES = {
    "crash before": ("crash", f"dynamodb.{PAY}", 6),
    "crash after": ("crash", "end", 6),
    "timeout before": ("timeout", f"dynamodb.{PAY}", 3),
    "timeout after": ("timeout", "end", 3),
}
ORDERS = 1000
BULK = 250  # orders that the producer sends at once


@pytest.mark.variant(strategy="transaction")
@pytest.mark.experiment("IDM-4", "SQS-10", failure="Everything at once: duplicates, disorder, crashes, timeouts")
def test_the_ledger_is_exact_whatever_happens(payments: Payments, experiment: Experiment) -> None:
    """1,000 orders, each sent one to three times, in random order, with crashes and timeouts right before and right
    after paying: each is paid once, and every balance is the sum of its orders. SEED repeats a run."""
    # given a seed that decides how often and in which order what is sent, and which messages meet with which fate
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**32))
    experiment.note(f"SEED={seed}")
    chance = random.Random(seed)
    orders = [
        payments.order(
            number, customer_id=f"{payments.customer}-{number % 50}", amount=chance.randrange(1, 100_000) / 100
        )
        for number in range(ORDERS)
    ]
    messages = [dict(order) for order in orders for _ in range(chance.randint(1, 3))]
    chance.shuffle(messages)
    fates = [fate for fate, (_, _, count) in FATES.items() for _ in range(count)]
    for message, fate in zip(chance.sample(messages, len(fates)), fates, strict=True):
        message["fate"] = fate
    rules = [
        {"function": "payments", "mode": mode, "at": at, "when": f"fate == '{fate}'", "receive_count": 1}
        for fate, (mode, at, _) in FATES.items()
    ]

    def empty(queue: str) -> bool:
        return experiment.messages_in(payments.out[queue]) == 0

    # when they are sent
    began = experiment.elapsed
    with faults.inject(payments.deployment, *rules):
        for start in range(0, len(messages), BULK):
            payments.send(*messages[start : start + BULK], correlation_id=f"{experiment.id}-bulk")
        experiment.note(f"sent {len(messages)} messages")
        experiment.wait_until(f"the queue is empty (SEED={seed})", lambda: empty("queue_url"), 180)
    dead = experiment.messages_in(payments.out["dlq_url"])
    if dead:  # used up their receives beside others that killed their batch
        faults.redrive(payments.deployment, payments.out["dlq_arn"])
        experiment.wait_until(f"the queue is empty again (SEED={seed})", lambda: empty("queue_url"), DEAD_LETTERED)
    seconds = experiment.elapsed - began

    # then each order is paid once, with its amount
    faulty = payments.injected("payments")
    assert faulty, f"no fault acted: SEED={seed}"
    assert empty("dlq_url"), f"SEED={seed}"
    items = payments.ledger()
    entries = [item for item in items if item["entry_id"] != "balance"]
    wanted = {order["order_id"]: Decimal(str(order["amount"])) for order in orders}
    assert Counter(entry["order_id"] for entry in entries) == Counter(wanted.keys()), f"SEED={seed}"
    assert {entry["order_id"]: entry["amount"] for entry in entries} == wanted, f"SEED={seed}"

    # and each balance is the sum of its customer's orders
    balances = {item["customer_id"]: item["amount"] for item in items if item["entry_id"] == "balance"}
    sums: dict[str, Decimal] = {}
    for order in orders:
        sums[order["customer_id"]] = sums.get(order["customer_id"], Decimal(0)) + wanted[order["order_id"]]
    assert balances == sums, f"SEED={seed}"
    modes = Counter(line["mode"] for line in faulty)
    experiment.observe(
        f"{len(messages)} messages, {modes['crash']} crashes, {modes['timeout']} timeouts, {seconds:.0f} s: "
        f"{len(entries)} payments for {ORDERS} orders"
    )
