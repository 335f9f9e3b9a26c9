"""What the functions of the pattern make of bad input."""

import pytest

from lab import bad_input
from lab.bad_input import Case, of_any
from lab.handler_testing import Load

ORDER = {"order_id": "o-1", "items": 3}
WHOLE = "and has to be a whole number from 1"
CASES = [
    Case("consumer", {"items": "0"}, f"items is 0, {WHOLE}"),
    Case("consumer", {"items": "2.9"}, f"items is 2.9, {WHOLE}"),
    Case("consumer", {"items": "true"}, f"items is true, {WHOLE}"),
    Case("consumer", {"items": None}, f"items is missing, {WHOLE}"),
]


def test_what_becomes_of_bad_input(load: Load) -> None:
    bad_input.check_cases(bad_input.through(load("consumer")), ORDER, [*CASES, *of_any("consumer")])


def test_whatever_a_message_is_it_fails_alone_and_is_told(load: Load) -> None:
    bad_input.check_consumer(bad_input.through(load("consumer")), ORDER)


def test_whatever_an_order_is_the_producer_sends_the_others(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = load("producer", QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/123456789012/orders")
    queue = bad_input.Taker("MessageBody", max_bytes=1_048_576)
    monkeypatch.setattr(producer.app.sqs, "send_message_batch", lambda **call: queue(call["Entries"]))

    bad_input.check_producer(producer, queue.taken, ORDER)
