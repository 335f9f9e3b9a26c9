"""The functions of the pattern, on moto and sample events: no target needed."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.handler_testing import Load, create_queue, received, sqs_event

EVENTS = sorted((Path(__file__).parents[1] / "events").glob("*.json"))
ORDER = {"order_id": "o-1", "items": 3}


def test_an_order_is_packed(load: Load) -> None:
    consumer = load("consumer")

    response = consumer.invoke(sqs_event(ORDER, correlation_id="trace-1"))

    assert response == {"batchItemFailures": []}
    (line,) = consumer.lines
    said = {name: line[name] for name in ("message", "order_id", "correlation_id", "packed")}
    assert said == {"message": "processed", "order_id": "o-1", "correlation_id": "trace-1", "packed": 3}


@pytest.mark.parametrize("items", ["a dozen", 0, None, 2.9, True])
def test_a_poison_order_fails_alone_and_permanently(load: Load, items: Any) -> None:
    consumer = load("consumer")

    response = consumer.invoke(sqs_event(ORDER, {"order_id": "poison", "items": items}, ORDER))

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    assert [line["message"] for line in consumer.lines] == ["processed", "failed", "processed"]
    assert consumer.lines[1]["error_class"] == "permanent"


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_the_producer_sends_every_order_with_its_correlation_id(load: Load, path: Path) -> None:
    url = create_queue("orders")
    producer = load("producer", QUEUE_URL=url)
    event = json.loads(path.read_text())

    response = producer.invoke({**event, "correlation_id": "trace-1"})

    messages = received(url)
    assert [json.loads(message["Body"]) for message in messages] == [
        {**order, "correlation_id": "trace-1"} for order in event["orders"]
    ]
    assert {message["MessageAttributes"]["correlation_id"]["StringValue"] for message in messages} == {"trace-1"}
    assert [sent["order_id"] for sent in response["published"]] == [order["order_id"] for order in event["orders"]]
