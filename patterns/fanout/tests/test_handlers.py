"""The functions of the fan-out pattern, on moto and sample events: no target needed."""

import importlib.util
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

PATTERN = Path(__file__).parents[1]

ORDER = {
    "order_id": "o-1",
    "amount": 120.1,
    "goods": ["physical", "digital", "physical"],
    "customer_id": "c-1",
    "correlation_id": "trace-1",
}


@dataclass
class Context:
    function_name: str = "fanout"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:fanout"
    aws_request_id: str = "request-1"


def load(function: str) -> ModuleType:
    """The function's app.py under a name of its own: on Lambda each is the only `app`."""
    spec = importlib.util.spec_from_file_location(f"fanout_{function}", PATTERN / "functions" / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def sqs_event(*orders: dict[str, Any]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m-{index}",
                "body": json.dumps(order),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {
                    "correlation_id": {"stringValue": order["correlation_id"], "dataType": "String"},
                    "goods": {"stringValue": json.dumps(order["goods"]), "dataType": "String.Array"},
                },
                "eventSource": "aws:sqs",
            }
            for index, order in enumerate(orders, start=1)
        ]
    }


@pytest.fixture(autouse=True)
def lambda_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "POWERTOOLS_SERVICE_NAME": "fanout",
        "POWERTOOLS_METRICS_NAMESPACE": "fanout",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delitem(sys.modules, "consumer", raising=False)


Invoke = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


@pytest.fixture
def invoke() -> Invoke:
    def run(function: str, *orders: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The response and the log lines of a consumer that got these orders."""
        handler = load(function).handler
        stream = io.StringIO()
        sys.modules["consumer"].logger.registered_handler.stream = stream
        response = handler(sqs_event(*orders), Context())
        return response, [json.loads(line) for line in stream.getvalue().splitlines()]

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
        ("billing", {"amount": "one hundred"}, "ValueError: could not convert string to float: 'one hundred'"),
        ("billing", {"amount": 0}, "ValueError: amount is 0.0"),
        ("billing", {"amount": float("nan")}, "ValueError: amount is NaN"),
        ("billing", {"customer_id": ...}, "KeyError: 'customer_id'"),
        ("shipping", {"goods": ["digital"]}, "ValueError: nothing to ship"),
        ("shipping", {"customer_id": ...}, "KeyError: 'customer_id'"),
        ("analytics", {"amount": "one hundred"}, "ValueError"),
        ("analytics", {"amount": -1}, "ValueError: amount is -1.0"),
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
    producer: ModuleType
    received: Callable[[], list[dict[str, Any]]]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Topic]:
    """The producer, on a topic with one queue subscribed by raw message delivery."""
    with mock_aws():
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic_arn = sns.create_topic(Name="orders")["TopicArn"]
        queue_url = sqs.create_queue(QueueName="billing")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(
            TopicArn=topic_arn,
            Protocol="sqs",
            Endpoint=attributes["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        monkeypatch.setenv("TOPIC_ARN", topic_arn)

        def received() -> list[dict[str, Any]]:
            messages: list[dict[str, Any]] = []
            while batch := sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            ).get("Messages"):
                messages += batch
            return messages

        yield Topic(load("producer"), received)


def orders(count: int) -> list[dict[str, Any]]:
    return [
        {"order_id": f"o-{number}", "amount": 10.5, "goods": ["physical"], "customer_id": "c-1"}
        for number in range(count)
    ]


def test_the_producer_publishes_an_order_with_what_subscriptions_filter_and_trace_by(topic: Topic) -> None:
    response = topic.producer.handler({"orders": orders(1), "correlation_id": "trace-1"}, Context())

    (message,) = topic.received()
    assert json.loads(message["Body"]) == orders(1)[0] | {"correlation_id": "trace-1"}
    attributes = {
        name: (value["DataType"], value["StringValue"]) for name, value in message["MessageAttributes"].items()
    }
    assert attributes == {"goods": ("String.Array", '["physical"]'), "correlation_id": ("String", "trace-1")}
    (receipt,) = response["published"]
    assert receipt.pop("message_id")
    assert receipt == {"order_id": "o-0", "correlation_id": "trace-1"}


def test_the_default_event_reaches_one_two_and_three_consumers() -> None:
    # Given the subscriptions: billing takes every order, shipping physical goods, analytics amounts from 100.
    event = json.loads((PATTERN / "events/default.json").read_text())

    reached = [1 + ("physical" in order["goods"]) + (order["amount"] >= 100) for order in event["orders"]]

    assert reached == [1, 2, 3]


@pytest.mark.parametrize("path", sorted((PATTERN / "events").glob("*.json")), ids=lambda path: path.stem)
def test_the_producer_accepts_every_sample_event(topic: Topic, path: Path) -> None:
    event = json.loads(path.read_text())

    response = topic.producer.handler(event, Context())

    assert [each["order_id"] for each in response["published"]] == [order["order_id"] for order in event["orders"]]
    assert len(topic.received()) == len(event["orders"])


def test_of_the_poison_event_billing_refuses_only_the_poison_order(invoke: Invoke) -> None:
    event = json.loads((PATTERN / "events/poison.json").read_text())

    _, lines = invoke("billing", *(order | {"correlation_id": "trace-1"} for order in event["orders"]))

    assert [(line["order_id"], line["message"]) for line in lines] == [
        ("o-1", "failed"),
        ("o-2", "processed"),
    ]
