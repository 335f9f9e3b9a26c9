"""The functions of the fan-out pattern, on moto and sample events: no target needed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab.handler_testing import Load, LoadedFunction, create_queue, received, sqs_event

PATTERN = Path(__file__).parents[1]

ORDER = {
    "order_id": "o-1",
    "amount": 120.1,
    "goods": ["physical", "digital", "physical"],
    "customer_id": "c-1",
    "correlation_id": "trace-1",
}


Invoke = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


@pytest.fixture
def invoke(load: Load) -> Invoke:
    def run(function: str, *orders: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The response and the log lines of a consumer that got these orders."""
        consumer = load(function)
        response = consumer.invoke(sqs_event(*orders, correlation_id="trace-1"))
        return response, consumer.lines

    return run


@pytest.mark.parametrize(
    ("function", "effect"),
    [
        ("billing", {"customer_id": "c-1", "net": "120.10", "vat": "22.82", "total": "142.92"}),
        ("shipping", {"customer_id": "c-1", "items_to_pack": [1, 3]}),
        ("analytics", {"size_class": "standard"}),
    ],
)
def test_a_consumer_logs_its_effect_with_the_order_and_its_correlation_id(
    invoke: Invoke, function: str, effect: dict[str, Any]
) -> None:
    response, (line,) = invoke(function, ORDER)

    assert response == {"batchItemFailures": []}
    expected = {
        "message": "processed",
        "order_id": "o-1",
        "correlation_id": "trace-1",
        "message_id": "m-1",
        "receive_count": 1,
    } | effect
    assert {name: line.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("function", "poison", "error"),
    [
        ("billing", {"amount": "one hundred"}, 'PermanentError: amount is "one hundred", and has to be a number'),
        ("billing", {"amount": 0}, "PermanentError: amount is 0, and has to be a number above 0"),
        ("billing", {"amount": 120.105}, "PermanentError: amount is 120.105, and has to be a number"),
        ("billing", {"amount": float("nan")}, "PermanentError: amount is NaN"),
        ("billing", {"amount": 1e27}, "PermanentError: amount is 1E+27"),
        ("billing", {"customer_id": ...}, "PermanentError: customer_id is missing, and has to be text"),
        ("billing", {"customer_id": None}, "PermanentError: customer_id is null, and has to be text"),
        ("shipping", {"goods": ["digital"]}, "PermanentError: nothing to ship"),
        ("shipping", {"goods": "physical"}, 'PermanentError: goods is "physical", and has to be an array'),
        ("shipping", {"goods": ["physical", None]}, "PermanentError: goods is an array, and has to be an array of"),
        ("shipping", {"goods": {"physical": 1}}, "PermanentError: goods is an object, and has to be an array"),
        ("shipping", {"customer_id": ...}, "PermanentError: customer_id is missing"),
        ("analytics", {"amount": "one hundred"}, "PermanentError: amount is"),
        ("analytics", {"amount": -1}, "PermanentError: amount is -1, and has to be a number above 0"),
    ],
)
def test_a_poison_order_fails_alone_and_permanently(
    invoke: Invoke, function: str, poison: dict[str, Any], error: str
) -> None:
    poisoned = {name: value for name, value in (ORDER | poison).items() if value is not ...}
    healthy = [ORDER | {"order_id": "o-before"}, ORDER | {"order_id": "o-after"}]

    response, lines = invoke(function, healthy[0], poisoned, healthy[1])

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    assert [(line["message"], line["order_id"]) for line in lines] == [
        ("processed", "o-before"),
        ("failed", "o-1"),
        ("processed", "o-after"),
    ]
    assert (lines[1]["error_class"], lines[1]["correlation_id"]) == ("permanent", "trace-1")
    assert error in lines[1]["error"]


@pytest.mark.parametrize(
    ("amount", "size"), [(100, "standard"), (249.99, "standard"), (250, "large"), (1000, "enterprise")]
)
def test_analytics_sorts_orders_into_size_classes(invoke: Invoke, amount: float, size: str) -> None:
    _, (line,) = invoke("analytics", ORDER | {"amount": amount})

    assert line["size_class"] == size


@dataclass
class Topic:
    producer: LoadedFunction
    queue_url: str


@pytest.fixture
def topic(load: Load) -> Topic:
    """The producer, on a topic with one queue subscribed by raw message delivery."""
    sns, sqs, queue_url = boto3.client("sns"), boto3.client("sqs"), create_queue("billing")
    topic_arn = sns.create_topic(Name="orders")["TopicArn"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=attributes["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return Topic(load("producer", TOPIC_ARN=topic_arn), queue_url)


def orders(count: int) -> list[dict[str, Any]]:
    return [
        {"order_id": f"o-{number}", "amount": 10.5, "goods": ["physical"], "customer_id": "c-1"}
        for number in range(count)
    ]


def test_the_producer_publishes_an_order_with_what_subscriptions_filter_and_trace_by(topic: Topic) -> None:
    response = topic.producer.invoke({"orders": orders(1), "correlation_id": "trace-1"})

    (message,) = received(topic.queue_url)
    assert json.loads(message["Body"]) == orders(1)[0] | {"correlation_id": "trace-1"}
    attributes = {
        name: (value["DataType"], value["StringValue"]) for name, value in message["MessageAttributes"].items()
    }
    assert attributes == {"goods": ("String.Array", '["physical"]'), "correlation_id": ("String", "trace-1")}
    (receipt,) = response["published"]
    assert receipt.pop("message_id")
    assert receipt == {"order_id": "o-0", "correlation_id": "trace-1"}


@pytest.mark.parametrize("goods", [None, "physical", [None], [["physical"]], {"physical": 1}])
def test_an_order_that_cannot_be_filtered_is_refused_and_the_others_are_published(topic: Topic, goods: Any) -> None:
    with pytest.raises(Exception, match=r"1 of 2 orders were not published: o-0 \(goods is .*; correct them first"):
        topic.producer.invoke({"orders": [orders(1)[0] | {"goods": goods}, orders(2)[1]]})

    assert [json.loads(message["Body"])["order_id"] for message in received(topic.queue_url)] == ["o-1"]


def test_the_default_event_reaches_one_two_and_three_consumers() -> None:
    # Given the subscriptions: billing takes every order, shipping physical goods, analytics amounts from 100.
    event = json.loads((PATTERN / "events/default.json").read_text())

    reached = [1 + ("physical" in order["goods"]) + (order["amount"] >= 100) for order in event["orders"]]

    assert reached == [1, 2, 3]


@pytest.mark.parametrize("path", sorted((PATTERN / "events").glob("*.json")), ids=lambda path: path.stem)
def test_the_producer_accepts_every_sample_event(topic: Topic, path: Path) -> None:
    event = json.loads(path.read_text())

    response = topic.producer.invoke(event)

    assert [each["order_id"] for each in response["published"]] == [order["order_id"] for order in event["orders"]]
    assert len(received(topic.queue_url)) == len(event["orders"])


def test_of_the_poison_event_billing_refuses_only_the_poison_order(invoke: Invoke) -> None:
    event = json.loads((PATTERN / "events/poison.json").read_text())

    _, lines = invoke("billing", *(order | {"correlation_id": "trace-1"} for order in event["orders"]))

    assert [(line["order_id"], line["message"]) for line in lines] == [
        ("o-1", "failed"),
        ("o-2", "processed"),
    ]
