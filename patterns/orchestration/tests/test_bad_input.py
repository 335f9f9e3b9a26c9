"""What the functions of the saga make of bad input."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import bad_input
from lab.bad_input import Case, Deliver, of_any
from lab.handler_testing import Load, LoadedFunction

LINES = [{"sku": "book", "quantity": 1}, {"sku": "mug", "quantity": 2}]
ORDER = {"order_id": "o-1", "correlation_id": "trace-1", "country": "DE", "amount": 12.5, "lines": LINES}
REQUEST = {"action": "pick", "order_id": "o-1", "task_token": "t-1", "order": ORDER}

TEXT = "and has to be text of 1 to 512 bytes"
NUMBER = "and has to be a number above 0"
ARRAY = "and has to be an array of at most 100 objects"


def lines(*fields: str) -> str:
    return f"[{','.join(fields)}]"


CASES = [
    Case("starter", {"amount": "1e400"}, f"amount is 1E+400, {NUMBER}"),
    Case("starter", {"amount": "0.001"}, f"amount is 0.001, {NUMBER}"),
    Case("starter", {"amount": "-1"}, f"amount is -1, {NUMBER}"),
    Case("starter", {"amount": "true"}, f"amount is true, {NUMBER}"),
    Case("starter", {"amount": '"12.50"'}, 'amount is "12.50", and has to be a JSON number'),
    Case("starter", {"amount": "0"}, ends="started, and refused by the state machine before anything is done"),
    Case("starter", {"lines": "[]"}, ends="started, and refused by the state machine before anything is done"),
    Case("starter", {"correlation_id": '""'}, f'correlation_id is "", {TEXT}'),
    Case("starter", {"correlation_id": "null"}, f"correlation_id is null, {TEXT}"),
    Case("starter", {"correlation_id": '"\\u0000"'}, 'correlation_id is "\\u0000", and has to be text without control'),
    Case("starter", {"country": "null"}, f"country is null, {TEXT}"),
    Case(
        "starter",
        {"lines": lines(*(f'{{"sku":"book-{number}","quantity":1}}' for number in range(101)))},
        f"lines is an array, {ARRAY}",
        what="101 lines",
    ),
    Case(
        "starter",
        {"lines": f'[{{"sku":"{"s" * 1500}","quantity":1}}]'},
        'sku is "sss',
        what="a `sku` of 1,500 characters",
    ),
    Case(
        "starter",
        {"lines": '[{"sku":"book","quantity":2.0}]'},
        "quantity is 2.0, and has to be a whole number",
        what="a line with `quantity: 2.0`",
    ),
    Case("starter", {"lines": '["book"]'}, f"lines is an array, {ARRAY}"),
    Case(
        "starter",
        {"notes": f'"{"x" * 140_000}"'},
        "the order has 140",
        what="`notes` of 140,000 characters, and so a label of more than 400 KB",
    ),
    Case("starter", {"notes": '"\\ud800"'}, 'notes is "\\ud800", and has to be text'),
    Case("starter", {"order_id": '"o 1"'}, 'order_id is "o 1", and has to be 1 to 80 letters'),
    Case("warehouse", {"action": '"juggle"'}, 'action is "juggle", and has to be pick or cancel'),
    Case("warehouse", {"order_id": '""'}, f'order_id is "", {TEXT}'),
    Case("warehouse", {"task_token": "null"}, "task_token is null, and has to be text"),
    Case("warehouse", {"task_token": '"forged"'}, "no state machine gave out this task_token"),
    Case("warehouse", {"order": "null"}, "malformed message: TypeError"),
    Case("warehouse", {"order": '{"lines":[]}'}, "the order has no lines"),
]


class StateMachine:
    """Step Functions: what it is asked to start, and what tokens are answered with. It refuses what AWS refuses."""

    def __init__(self, exceptions: Any) -> None:
        self.exceptions = exceptions
        self.started: list[str] = []

    def start_execution(self, input: str, name: str, **_: Any) -> dict[str, str]:
        order = json.loads(input, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
        assert len(input.encode()) <= 131_072
        assert name == order["order_id"]
        assert 0 <= order["amount"] <= 10**9
        assert len(order["lines"]) <= 100
        for sku in (line["sku"] for line in order["lines"]):
            assert 1 <= len(f"line#{sku}".encode()) <= 1024
        if name not in self.started:
            self.started.append(name)
        return {"executionArn": f"arn:aws:states:::execution:order:{name}"}

    def __getattr__(self, operation: str) -> Any:
        def answered(taskToken: str, **_: Any) -> None:
            assert 1 <= len(taskToken) <= 2048
            if taskToken != "t-1":
                raise self.exceptions.InvalidToken({"Error": {"Code": "InvalidToken", "Message": "?"}}, operation)

        return answered


@pytest.fixture
def starter(load: Load, monkeypatch: pytest.MonkeyPatch) -> Deliver:
    function = load("starter", STATE_MACHINE_ARN="arn:aws:states:::stateMachine:order", EXECUTION_NAMING="order")
    machine = StateMachine(function.app.stepfunctions.exceptions)
    monkeypatch.setattr(function.app.stepfunctions, "start_execution", machine.start_execution)

    def effects() -> list[str]:
        started, machine.started = machine.started, []
        return started

    return bad_input.through(function, effects)


@pytest.fixture
def warehouse(load: Load, monkeypatch: pytest.MonkeyPatch) -> Deliver:
    function = load("warehouse", ORDERS_TABLE="orders", PACKING_SECONDS="3")
    picked: list[str] = []

    def put_item(Item: dict[str, Any], **_: Any) -> None:
        bad_input.refuse_what_dynamodb_does(Item, "order_id")
        picked.append(Item["order_id"]["S"])

    monkeypatch.setattr(function.app, "stepfunctions", StateMachine(function.app.stepfunctions.exceptions))
    monkeypatch.setattr(function.app.dynamodb, "put_item", put_item)
    return bad_input.through(function)


@pytest.mark.parametrize(("consumer", "message"), [("starter", ORDER), ("warehouse", REQUEST)])
def test_what_becomes_of_bad_input(request: pytest.FixtureRequest, consumer: str, message: dict[str, Any]) -> None:
    own = [case for case in CASES if case.function == consumer]
    # The starter does read the correlation id: the customer's notification is sent with it.
    common = [case for case in of_any(consumer) if consumer == "warehouse" or "correlation_id" not in case.changes]
    cases = [*own, *common]
    bad_input.check_cases(request.getfixturevalue(consumer), message, cases)


@pytest.mark.parametrize(("consumer", "message"), [("starter", ORDER), ("warehouse", REQUEST)])
def test_whatever_a_message_is_it_fails_alone_and_is_told(
    request: pytest.FixtureRequest, consumer: str, message: dict[str, Any]
) -> None:
    bad_input.check_consumer(request.getfixturevalue(consumer), message)


def test_whatever_an_order_is_the_producer_sends_the_others(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = load("producer", QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/123456789012/orders")
    queue = bad_input.Taker("MessageBody", max_bytes=1_048_576)
    monkeypatch.setattr(producer.app.sqs, "send_message_batch", lambda **call: queue(call["Entries"]))

    bad_input.check_producer(producer, queue.taken, ORDER)


class Tables:
    """DynamoDB as the steps use it: it takes every write that AWS would take, and does nothing."""

    def put_item(self, Item: dict[str, Any], **_: Any) -> None:
        bad_input.refuse_what_dynamodb_does(Item, "order_id")
        bad_input.refuse_what_dynamodb_does(Item, "record")

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> None:
        assert 1 <= len(TransactItems) <= 100
        for ((_, write),) in (item.items() for item in TransactItems):
            key = write.get("Key") or write["Item"]
            for name in key.keys() & {"order_id", "record", "sku"}:
                bad_input.refuse_what_dynamodb_does(key, name)
            bad_input.refuse_what_dynamodb_does(key | write.get("ExpressionAttributeValues", {}), next(iter(key)))


@pytest.mark.parametrize(
    ("function", "actions"), [("payments", ("charge", "refund")), ("stock", ("reserve", "ship", "release"))]
)
def test_whatever_a_task_is_its_error_has_a_name_that_the_state_machine_does_not_retry(
    load: Load, monkeypatch: pytest.MonkeyPatch, function: str, actions: tuple[str, ...]
) -> None:
    loaded = load(function, ORDERS_TABLE="orders", STOCK_TABLE="stock", LABEL="reference")
    for operation in ("put_item", "transact_write_items"):
        monkeypatch.setattr(loaded.app.dynamodb, operation, getattr(Tables(), operation))

    @bad_input.SETTINGS
    @given(
        bad_input.batches(ORDER), st.sampled_from(list(lines_of_tasks())), st.sampled_from([*actions, "juggle", None])
    )
    def holds(orders: list[bad_input.Message], line: Any, action: str | None) -> None:
        for order in orders:
            event = {"action": action, "order": bad_input.decoded(order), "line": line, "attempt": 0}
            error = failure(loaded, event)
            (told,) = loaded.lines
            assert told.get("action") == action
            if error is None:
                assert told["message"] == "processed"
            else:
                assert type(error).__name__ in ("MalformedTask", "CarrierRefused", "PaymentDeclined")
                assert (told["message"], told["error_class"]) == ("failed", "permanent")

    with bad_input.brief_tracebacks():
        holds()


def lines_of_tasks() -> Iterator[Any]:
    yield from (LINES[0], None, [], {}, "book")
    for text in bad_input.VALUES:
        with suppress(ValueError, RecursionError):
            yield {"sku": json.loads(text), "quantity": 1}
            yield {"sku": "book", "quantity": json.loads(text)}


def failure(function: LoadedFunction, event: dict[str, Any]) -> Exception | None:
    try:
        function.invoke(event)
    except Exception as error:
        return error
    return None
