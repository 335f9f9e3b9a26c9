"""The functions of the queue buffer, on moto and sample events: no target needed."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lab.handler_testing import Load, LoadedFunction, create_queue, create_table, received, sqs_event

PATTERN = Path(__file__).parents[1]
TABLE = "reservations"

ORDER = {"order_id": "o-1", "customer_id": "c-1", "items": 2, "correlation_id": "trace-1"}
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutItem")


@dataclass
class Warehouse:
    function: LoadedFunction
    lines: list[dict[str, Any]] = field(default_factory=list)  # of all invocations

    def invoke(self, *orders: dict[str, Any], **fields: Any) -> Any:
        response = self.function.invoke(sqs_event(*orders, correlation_id="trace-1", **fields))
        self.lines += self.function.lines
        return response

    def reservations(self) -> list[dict[str, Any]]:
        return [{**item} for item in boto3.client("dynamodb").scan(TableName=TABLE)["Items"]]

    def downstream_raises(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def put_item(**_: Any) -> None:
            raise error

        monkeypatch.setattr(self.function.app.dynamodb, "put_item", put_item)


@pytest.fixture
def warehouse(load: Load) -> Callable[..., Warehouse]:
    """Loads the consumer, on an empty table, with more variables of its environment."""
    create_table(TABLE, "order_id")
    return lambda **environment: Warehouse(load("warehouse", TABLE_NAME=TABLE, **environment))


def test_an_order_is_reserved_and_logged_with_what_the_downstream_took(warehouse: Callable[..., Warehouse]) -> None:
    consumer = warehouse()

    assert consumer.invoke(ORDER) == {"batchItemFailures": []}

    assert consumer.reservations() == [{"order_id": {"S": "o-1"}, "customer_id": {"S": "c-1"}, "items": {"N": "2"}}]
    (line,) = consumer.lines
    expected = {
        "message": "processed",
        "order_id": "o-1",
        "correlation_id": "trace-1",
        "outcome": "reserved",
        "items": 2,
    }
    assert {name: line.get(name) for name in expected} == expected
    assert line["downstream_seconds"] >= 0


def test_an_order_that_is_delivered_again_is_reserved_once(warehouse: Callable[..., Warehouse]) -> None:
    consumer = warehouse()
    consumer.invoke(ORDER)

    assert consumer.invoke(ORDER) == {"batchItemFailures": []}

    assert [line["outcome"] for line in consumer.lines] == ["reserved", "already reserved"]
    assert [item["items"] for item in consumer.reservations()] == [{"N": "2"}]


@pytest.mark.parametrize("other", [{"items": 50}, {"customer_id": "c-2"}])
def test_another_order_under_a_used_id_is_refused_and_the_reservation_stands(
    warehouse: Callable[..., Warehouse], other: dict[str, Any]
) -> None:
    consumer = warehouse()
    consumer.invoke(ORDER)

    assert consumer.invoke(ORDER | other) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}

    assert consumer.lines[1]["error_class"] == "permanent"
    assert "order_id was reserved before, for another customer or number of items" in consumer.lines[1]["error"]
    assert consumer.reservations() == [{"order_id": {"S": "o-1"}, "customer_id": {"S": "c-1"}, "items": {"N": "2"}}]


@pytest.mark.parametrize(
    ("poison", "error"),
    [
        ({"items": "a dozen"}, 'PermanentError: items is "a dozen", and has to be a whole number'),
        ({"items": 0}, "PermanentError: items is 0, and has to be a whole number"),
        ({"items": 2.9}, "PermanentError: items is 2.9"),
        ({"items": True}, "PermanentError: items is true"),
        ({"items": None}, "PermanentError: items is null"),
        ({"customer_id": ...}, "PermanentError: customer_id is missing"),
        ({"customer_id": None}, "PermanentError: customer_id is null"),
    ],
)
def test_a_poison_order_fails_alone_and_permanently(
    warehouse: Callable[..., Warehouse], poison: dict[str, Any], error: str
) -> None:
    consumer = warehouse()
    poisoned = {name: value for name, value in (ORDER | poison).items() if value is not ...}

    response = consumer.invoke(ORDER | {"order_id": "o-before"}, poisoned, ORDER | {"order_id": "o-after"})

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    assert [(line["message"], line["order_id"]) for line in consumer.lines] == [
        ("processed", "o-before"),
        ("failed", "o-1"),
        ("processed", "o-after"),
    ]
    assert consumer.lines[1]["error_class"] == "permanent"
    assert error in consumer.lines[1]["error"]


@pytest.mark.parametrize("order_id", [None, 5, [], "", "x" * 3000, "\ud800"], ids=lambda order_id: repr(order_id)[:8])
def test_what_cannot_be_a_key_is_permanent_and_gets_no_backoff(
    warehouse: Callable[..., Warehouse], order_id: Any
) -> None:
    consumer = warehouse(QUEUE_URL=create_queue("orders"), BACKOFF_BASE_SECONDS="60")

    consumer.invoke(ORDER | {"order_id": order_id})

    (line,) = consumer.lines
    assert line["error_class"] == "permanent"
    assert line["error"].startswith("PermanentError: order_id is ")
    assert "retry_in_seconds" not in line and "not_postponed" not in line


@pytest.mark.parametrize(
    "error", [THROTTLED, ReadTimeoutError(endpoint_url="https://dynamodb")], ids=["throttled", "slow"]
)
def test_a_downstream_that_refuses_is_a_transient_error(
    warehouse: Callable[..., Warehouse], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    consumer = warehouse()
    consumer.downstream_raises(monkeypatch, error)

    assert consumer.invoke(ORDER) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}

    (line,) = consumer.lines
    assert line["error_class"] == "transient"
    assert "retry_in_seconds" not in line


def test_with_backoff_a_transient_failure_hides_the_message_and_a_permanent_one_does_not(
    warehouse: Callable[..., Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs, url = boto3.client("sqs"), create_queue("orders", VisibilityTimeout="0")
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    consumer = warehouse(QUEUE_URL=url, BACKOFF_BASE_SECONDS="60")
    consumer.downstream_raises(monkeypatch, THROTTLED)

    consumer.invoke(ORDER, ORDER | {"items": 0}, receipt_handle=message["ReceiptHandle"])

    transient, permanent = consumer.lines
    assert 60 <= transient["retry_in_seconds"] <= 120
    assert "retry_in_seconds" not in permanent
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_message_that_cannot_be_hidden_is_reported_all_the_same(
    warehouse: Callable[..., Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://sqs.eu-central-1.amazonaws.com/000000000000/no-such-queue"
    consumer = warehouse(QUEUE_URL=url, BACKOFF_BASE_SECONDS="60")
    consumer.downstream_raises(monkeypatch, THROTTLED)

    assert consumer.invoke(ORDER) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert "NonExistentQueue" in consumer.lines[0]["not_postponed"]


@dataclass
class Queue:
    producer: LoadedFunction
    url: str


@pytest.fixture(params=["orders", "orders.fifo"])
def queue(request: pytest.FixtureRequest, load: Load) -> Queue:
    """The producer, on a standard and on a FIFO queue."""
    url = create_queue(request.param, **({"FifoQueue": "true"} if request.param.endswith(".fifo") else {}))
    return Queue(load("producer", QUEUE_URL=url), url)


def orders(count: int) -> list[dict[str, Any]]:
    return [{"order_id": f"o-{number}", "customer_id": "c-1", "items": 1} for number in range(count)]


def test_the_producer_sends_an_order_with_what_it_is_traced_by(queue: Queue) -> None:
    response = queue.producer.invoke({"orders": orders(1), "correlation_id": "trace-1"})

    (message,) = received(queue.url)
    assert json.loads(message["Body"]) == orders(1)[0] | {"correlation_id": "trace-1"}
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == "trace-1"
    (receipt,) = response["published"]
    assert receipt == {"order_id": "o-0", "message_id": message["MessageId"], "correlation_id": "trace-1"}


@pytest.mark.parametrize("queue", ["orders.fifo"], indirect=True)
def test_on_a_fifo_queue_a_customer_is_a_group_and_an_order_sent_twice_is_one_message(queue: Queue) -> None:
    queue.producer.invoke({"orders": orders(1)})
    queue.producer.invoke({"orders": orders(1)})

    (message,) = received(queue.url)
    assert message["Attributes"]["MessageGroupId"] == "c-1"
    assert message["Attributes"]["MessageDeduplicationId"] == "o-0"


@pytest.mark.parametrize("queue", ["orders.fifo"], indirect=True)
@pytest.mark.parametrize("field", ["customer_id", "order_id"])
@pytest.mark.parametrize("value", ["a b", "ü", "", "x" * 129, "\n", None, 5])
def test_on_a_fifo_queue_an_id_that_sqs_refuses_is_told_before_it_is_sent(queue: Queue, field: str, value: Any) -> None:
    with pytest.raises(Exception, match="1 of 2 orders were not published") as refused:
        queue.producer.invoke({"orders": [orders(1)[0] | {field: value}, orders(2)[1]]})

    assert f"{field} is " in str(refused.value)
    assert "SQS takes 1 to 128 letters, digits and punctuation of ASCII" in str(refused.value)
    assert str(refused.value).endswith("correct them first")
    assert [json.loads(message["Body"])["order_id"] for message in received(queue.url)] == ["o-1"]


def test_ten_large_orders_are_more_than_one_batch(queue: Queue) -> None:
    large = [order | {"notes": "x" * 150_000} for order in orders(10)]

    answer = queue.producer.invoke({"orders": large})

    assert [receipt["order_id"] for receipt in answer["published"]] == [order["order_id"] for order in large]
    assert len(received(queue.url)) == 10


@pytest.mark.parametrize("path", sorted((PATTERN / "events").glob("*.json")), ids=lambda path: path.stem)
def test_the_producer_accepts_every_sample_event(queue: Queue, path: Path) -> None:
    event = json.loads(path.read_text())

    response = queue.producer.invoke(event)

    assert [each["order_id"] for each in response["published"]] == [order["order_id"] for order in event["orders"]]
    assert len(received(queue.url)) == len(event["orders"])


def test_of_the_poison_event_the_warehouse_refuses_only_the_poison_order(warehouse: Callable[..., Warehouse]) -> None:
    consumer = warehouse()

    consumer.invoke(*json.loads((PATTERN / "events/poison.json").read_text())["orders"])

    assert [(line["order_id"], line["message"]) for line in consumer.lines] == [
        ("o-1", "failed"),
        ("o-2", "processed"),
    ]
