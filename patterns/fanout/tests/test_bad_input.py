"""What the consumers of the fan-out make of bad input."""

import pytest

from lab import bad_input
from lab.bad_input import Case, of_any
from lab.handler_testing import Load

ORDER = {"order_id": "o-1", "amount": 120.1, "goods": ["physical", "digital"], "customer_id": "c-1"}


CONSUMERS = ("analytics", "billing", "shipping")
NUMBER = "and has to be a number above 0"
TEXT = "and has to be text of 1 to 512 bytes"
GOODS = "and has to be an array of physical and digital"
CASES = [
    Case("analytics", {"amount": "-1"}, f"amount is -1, {NUMBER}"),
    Case("analytics", {"amount": "true"}, f"amount is true, {NUMBER}"),
    Case("billing", {"amount": "null"}, f"amount is null, {NUMBER}"),
    Case("billing", {"amount": "true"}, f"amount is true, {NUMBER}"),
    Case("billing", {"amount": '"one hundred"'}, f'amount is "one hundred", {NUMBER}'),
    Case("billing", {"amount": '"1_000"'}, f'amount is "1_000", {NUMBER}'),
    Case(
        "billing",
        {"amount": '"\\uff11\\uff12"'},
        f'amount is "\\uff11\\uff12", {NUMBER}',
        what="an `amount` in full-width digits",
    ),
    Case("billing", {"amount": "120.105"}, f"amount is 120.105, {NUMBER}"),
    Case("billing", {"amount": "0.001"}, f"amount is 0.001, {NUMBER}"),
    Case("billing", {"amount": "12345678901234567.89"}, f"amount is 12345678901234567.89, {NUMBER}"),
    Case("billing", {"amount": "1e27"}, f"amount is 1E+27, {NUMBER}"),
    Case("billing", {"amount": "1e400"}, f"amount is 1E+400, {NUMBER}"),
    Case("billing", {"amount": "NaN"}, f"amount is NaN, {NUMBER}"),
    Case("billing", {"amount": '"120.10"'}),
    Case("billing", {"customer_id": "null"}, f"customer_id is null, {TEXT}"),
    Case("billing", {"customer_id": '{"a":1}'}, f"customer_id is an object, {TEXT}"),
    Case("shipping", {"goods": None}, f"goods is missing, {GOODS}"),
    Case("shipping", {"goods": '"physical"'}, f'goods is "physical", {GOODS}'),
    Case("shipping", {"goods": '{"physical":1}'}, f"goods is an object, {GOODS}"),
    Case("shipping", {"goods": '["digital"]'}, "nothing to ship"),
]


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_becomes_of_bad_input(load: Load, consumer: str) -> None:
    cases = [*(case for case in CASES if case.function == consumer), *of_any(consumer)]
    bad_input.check_cases(bad_input.through(load(consumer)), ORDER, cases)


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_whatever_a_message_is_it_fails_alone_and_is_told(load: Load, consumer: str) -> None:
    bad_input.check_consumer(bad_input.through(load(consumer)), ORDER)


def test_whatever_an_order_is_the_producer_publishes_the_others(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = load("producer", TOPIC_ARN="arn:aws:sns:eu-central-1:123456789012:orders")
    topic = bad_input.Taker("Message", max_bytes=262_144)
    monkeypatch.setattr(producer.app.sns, "publish_batch", lambda **call: topic(call["PublishBatchRequestEntries"]))

    bad_input.check_producer(producer, topic.taken, ORDER)
