"""What the consumers of the fan-out make of bad input."""

import pytest

from lab import bad_input
from lab.handler_testing import Load

ORDER = {"order_id": "o-1", "amount": 120.1, "goods": ["physical", "digital"], "customer_id": "c-1"}


@pytest.mark.parametrize("consumer", ["analytics", "billing", "shipping"])
def test_whatever_a_message_is_it_fails_alone_and_is_told(load: Load, consumer: str) -> None:
    bad_input.check_consumer(bad_input.through(load(consumer)), ORDER)


def test_whatever_an_order_is_the_producer_publishes_the_others(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = load("producer", TOPIC_ARN="arn:aws:sns:eu-central-1:123456789012:orders")
    topic = bad_input.Taker("Message", max_bytes=262_144)
    monkeypatch.setattr(producer.app.sns, "publish_batch", lambda **call: topic(call["PublishBatchRequestEntries"]))

    bad_input.check_producer(producer, topic.taken, ORDER)
