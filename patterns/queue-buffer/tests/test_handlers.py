"""The functions of the queue buffer, on moto and sample events: no target needed."""

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
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

PATTERN = Path(__file__).parents[1]
TABLE = "reservations"

ORDER = {"order_id": "o-1", "customer_id": "c-1", "items": 2, "correlation_id": "trace-1"}
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutItem")


@dataclass
class Context:
    function_name: str = "queue-buffer"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:queue-buffer"
    aws_request_id: str = "request-1"


def load(function: str) -> ModuleType:
    """The function's app.py under a name of its own: on Lambda each is the only `app`."""
    path = PATTERN / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"queue_buffer_{function}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def sqs_event(*orders: dict[str, Any], handle: str = "handle") -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m-{index}",
                "receiptHandle": handle,
                "body": json.dumps(order),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {"correlation_id": {"stringValue": "trace-1", "dataType": "String"}},
                "eventSource": "aws:sqs",
            }
            for index, order in enumerate(orders, start=1)
        ]
    }


@pytest.fixture(autouse=True)
def lambda_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "POWERTOOLS_SERVICE_NAME": "queue-buffer",
        "POWERTOOLS_METRICS_NAMESPACE": "queue-buffer",
        "TABLE_NAME": TABLE,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "BACKOFF_BASE_SECONDS", "REPORT_BATCH_ITEM_FAILURES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "consumer", raising=False)
    with mock_aws():
        yield


@dataclass
class Warehouse:
    module: ModuleType
    stream: io.StringIO

    def invoke(self, *orders: dict[str, Any], **more: Any) -> dict[str, Any]:
        response: dict[str, Any] = self.module.handler(sqs_event(*orders, **more), Context())
        return response

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def reservations(self) -> list[dict[str, Any]]:
        return list(boto3.client("dynamodb").scan(TableName=TABLE)["Items"])

    def downstream_raises(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def put_item(**_: Any) -> None:
            raise error

        monkeypatch.setattr(self.module.dynamodb, "put_item", put_item)


@pytest.fixture
def warehouse() -> Callable[[], Warehouse]:
    """Loads the consumer, on an empty table, as its environment says then."""
    boto3.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "order_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "order_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def loaded() -> Warehouse:
        module, stream = load("warehouse"), io.StringIO()
        sys.modules["consumer"].logger.registered_handler.stream = stream
        return Warehouse(module, stream)

    return loaded


def test_an_order_is_reserved_and_logged_with_what_the_downstream_took(warehouse: Callable[[], Warehouse]) -> None:
    consumer = warehouse()

    assert consumer.invoke(ORDER) == {"batchItemFailures": []}

    assert consumer.reservations() == [{"order_id": {"S": "o-1"}, "customer_id": {"S": "c-1"}, "items": {"N": "2"}}]
    (line,) = consumer.lines()
    expected = {
        "message": "processed",
        "order_id": "o-1",
        "correlation_id": "trace-1",
        "outcome": "reserved",
        "items": 2,
    }
    assert {name: line.get(name) for name in expected} == expected
    assert line["downstream_seconds"] >= 0


def test_an_order_that_is_delivered_again_is_reserved_once(warehouse: Callable[[], Warehouse]) -> None:
    consumer = warehouse()
    consumer.invoke(ORDER)

    assert consumer.invoke(ORDER | {"items": 5}) == {"batchItemFailures": []}

    assert [line["outcome"] for line in consumer.lines()] == ["reserved", "already reserved"]
    assert [item["items"] for item in consumer.reservations()] == [{"N": "2"}]


@pytest.mark.parametrize(
    ("poison", "error"),
    [
        ({"items": "a dozen"}, "ValueError: invalid literal for int() with base 10: 'a dozen'"),
        ({"items": 0}, "ValueError: items is 0"),
        ({"items": None}, "TypeError"),
        ({"customer_id": ...}, "KeyError: 'customer_id'"),
    ],
)
def test_a_poison_order_fails_alone_and_permanently(
    warehouse: Callable[[], Warehouse], poison: dict[str, Any], error: str
) -> None:
    consumer = warehouse()
    poisoned = {name: value for name, value in (ORDER | poison).items() if value is not ...}

    response = consumer.invoke(ORDER | {"order_id": "o-before"}, poisoned, ORDER | {"order_id": "o-after"})

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    assert [(line["message"], line["order_id"]) for line in consumer.lines()] == [
        ("processed", "o-before"),
        ("failed", "o-1"),
        ("processed", "o-after"),
    ]
    assert consumer.lines()[1]["error_class"] == "permanent"
    assert error in consumer.lines()[1]["error"]


@pytest.mark.parametrize(
    "error", [THROTTLED, ReadTimeoutError(endpoint_url="https://dynamodb")], ids=["throttled", "slow"]
)
def test_a_downstream_that_refuses_is_a_transient_error(
    warehouse: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    consumer = warehouse()
    consumer.downstream_raises(monkeypatch, error)

    assert consumer.invoke(ORDER) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}

    (line,) = consumer.lines()
    assert line["error_class"] == "transient"
    assert "retry_in_seconds" not in line


def test_with_backoff_a_transient_failure_hides_the_message_and_a_permanent_one_does_not(
    warehouse: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    monkeypatch.setenv("QUEUE_URL", url)
    monkeypatch.setenv("BACKOFF_BASE_SECONDS", "60")
    consumer = warehouse()
    consumer.downstream_raises(monkeypatch, THROTTLED)

    consumer.invoke(ORDER, ORDER | {"items": 0}, handle=message["ReceiptHandle"])

    transient, permanent = consumer.lines()
    assert 60 <= transient["retry_in_seconds"] <= 120
    assert "retry_in_seconds" not in permanent
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_message_that_cannot_be_hidden_is_reported_all_the_same(
    warehouse: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/000000000000/no-such-queue")
    monkeypatch.setenv("BACKOFF_BASE_SECONDS", "60")
    consumer = warehouse()
    consumer.downstream_raises(monkeypatch, THROTTLED)

    assert consumer.invoke(ORDER) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert "NonExistentQueue" in consumer.lines()[0]["not_postponed"]


@dataclass
class Queue:
    producer: ModuleType
    received: Callable[[], list[dict[str, Any]]]


@pytest.fixture(params=["orders", "orders.fifo"])
def queue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The producer, on a standard and on a FIFO queue."""
    sqs = boto3.client("sqs")
    attributes = {"FifoQueue": "true"} if request.param.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=request.param, Attributes=attributes)["QueueUrl"]
    monkeypatch.setenv("QUEUE_URL", url)

    def received() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while batch := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in batch:  # a FIFO queue holds the rest of the group back until then
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            messages += batch
        return messages

    return Queue(load("producer"), received)


def orders(count: int) -> list[dict[str, Any]]:
    return [{"order_id": f"o-{number}", "customer_id": "c-1", "items": 1} for number in range(count)]


def test_the_producer_sends_an_order_with_what_it_is_traced_by(queue: Queue) -> None:
    response = queue.producer.handler({"orders": orders(1), "correlation_id": "trace-1"}, Context())

    (message,) = queue.received()
    assert json.loads(message["Body"]) == orders(1)[0] | {"correlation_id": "trace-1"}
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == "trace-1"
    (receipt,) = response["published"]
    assert receipt == {"order_id": "o-0", "message_id": message["MessageId"], "correlation_id": "trace-1"}


@pytest.mark.parametrize("queue", ["orders.fifo"], indirect=True)
def test_on_a_fifo_queue_a_customer_is_a_group_and_an_order_sent_twice_is_one_message(queue: Queue) -> None:
    queue.producer.handler({"orders": orders(1)}, Context())
    queue.producer.handler({"orders": orders(1)}, Context())

    (message,) = queue.received()
    assert message["Attributes"]["MessageGroupId"] == "c-1"
    assert message["Attributes"]["MessageDeduplicationId"] == "o-0"


@pytest.mark.parametrize("path", sorted((PATTERN / "events").glob("*.json")), ids=lambda path: path.stem)
def test_the_producer_accepts_every_sample_event(queue: Queue, path: Path) -> None:
    event = json.loads(path.read_text())

    response = queue.producer.handler(event, Context())

    assert [each["order_id"] for each in response["published"]] == [order["order_id"] for order in event["orders"]]
    assert len(queue.received()) == len(event["orders"])


def test_of_the_poison_event_the_warehouse_refuses_only_the_poison_order(warehouse: Callable[[], Warehouse]) -> None:
    consumer = warehouse()

    consumer.invoke(*json.loads((PATTERN / "events/poison.json").read_text())["orders"])

    assert [(line["order_id"], line["message"]) for line in consumer.lines()] == [
        ("o-1", "failed"),
        ("o-2", "processed"),
    ]
