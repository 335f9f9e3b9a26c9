"""The functions of the saga, on moto and sample events, and what they and the state machine must agree on."""

import ast
import json
import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lab import asl
from lab.handler_testing import Load, LoadedFunction, create_queue, create_table, items, received, sqs_event

PATTERN = Path(__file__).parents[1]
DEFINITION = asl.definition(PATTERN / "statemachine/order.asl.json")
RETRIERS = DEFINITION["States"]["Record the order"]["Retry"]
PERMANENT = set(RETRIERS[0]["ErrorEquals"])
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
LAMBDA_SERVICE_ERRORS = {
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
}

LINES: list[dict[str, Any]] = [{"sku": "book", "quantity": 1}, {"sku": "mug", "quantity": 2}]


def numbered(count: int) -> list[dict[str, Any]]:
    """So many lines, each for another article."""
    return [{"sku": f"book-{number}", "quantity": 1} for number in range(count)]


ORDER: dict[str, Any] = {
    "order_id": "o-1",
    "amount": 12.5,
    "country": "DE",
    "lines": LINES,
    "correlation_id": "trace-1",
}


@dataclass
class Stores:
    """The functions that keep records, with their tables."""

    stock: LoadedFunction
    payments: LoadedFunction
    warehouse: LoadedFunction

    def do(self, action: str, order: dict[str, Any] = ORDER, **event: Any) -> dict[str, Any]:
        function = self.payments if action in ("charge", "refund") else self.stock
        answer: dict[str, Any] = function.invoke({"action": action, "order": order, "attempt": 0} | event)
        return answer

    def reserve(self, order: dict[str, Any] = ORDER) -> list[dict[str, Any]]:
        return [self.do("reserve", order, line=line) for line in order["lines"]]

    def records(self, order_id: str = "o-1") -> dict[str, str]:
        return {
            item["record"]: item["status"]
            for item in items("orders")
            if item["order_id"] == order_id and "status" in item
        }

    def left(self) -> dict[str, int]:
        return {item["sku"]: int(item["available"]) for item in items("stock")}


@pytest.fixture
def stores(load: Load) -> Stores:
    create_table("orders", "order_id", "record")
    create_table("stock", "sku")
    for sku in ("book", "mug"):
        boto3.resource("dynamodb").Table("stock").put_item(Item={"sku": sku, "available": 10})
    return Stores(
        stock=load("stock", STOCK_TABLE="stock", ORDERS_TABLE="orders", LABEL="reference"),
        payments=load("payments", ORDERS_TABLE="orders"),
        warehouse=load("warehouse", ORDERS_TABLE="orders", PACKING_SECONDS="3"),
    )


def raised(name: str) -> Any:
    """The error as the state machine sees it: by the name of its class."""

    def is_it(error: BaseException) -> bool:
        return type(error).__name__ == name and name in PERMANENT

    return pytest.RaisesExc(Exception, check=is_it)


# --- What functions and state machine agree on ---


def tasks() -> list[tuple[str, dict[str, Any]]]:
    return [(name, state) for name, state in asl.states(DEFINITION) if state["Type"] == "Task"]


@pytest.mark.parametrize(("name", "state"), tasks(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_task_has_a_timeout_and_the_shared_retriers(name: str, state: dict[str, Any]) -> None:
    assert "TimeoutSeconds" in state
    assert state["Retry"][-len(RETRIERS) :] == RETRIERS
    if "waitForTaskToken" in state["Resource"]:
        assert "HeartbeatSeconds" in state


def test_lambdas_service_errors_are_retried_by_name() -> None:
    assert set(RETRIERS[1]["ErrorEquals"]) == LAMBDA_SERVICE_ERRORS
    assert RETRIERS[0]["MaxAttempts"] == 0


def test_every_permanent_error_of_a_function_is_named_in_the_state_machine_and_no_other() -> None:
    sources = [*PATTERN.glob("functions/*/*.py"), PATTERN.parents[1] / "lambdas/handlers/python/handlers/task.py"]
    classes = {
        node.name
        for file in sources
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == ["PermanentError"]
    }
    # The warehouse raises nothing: it answers with the error's name.
    assert 'error="WarehouseRefused"' in (PATTERN / "functions/warehouse/app.py").read_text()

    assert {*classes, "WarehouseRefused", "States.DataLimitExceeded"} == PERMANENT


def test_every_state_type_is_used() -> None:
    kinds = {state["Type"] for _, state in asl.states(DEFINITION)}
    assert kinds == {"Task", "Choice", "Parallel", "Map", "Wait", "Pass", "Succeed", "Fail"}


def test_every_compensation_parks_what_it_cannot_undo_and_goes_on() -> None:
    states = DEFINITION["States"]
    for name in ("Cancel the picking", "Refund", "Release the items"):
        [catcher] = states[name]["Catch"]
        assert catcher["ErrorEquals"] == ["States.ALL"]
        assert states[catcher["Next"]]["Next"] == states[name]["Next"]


# --- Stock ---


def test_lines_are_reserved_once_and_shipped_once(stores: Stores) -> None:
    assert [line["replayed"] for line in stores.reserve() + stores.reserve()] == [False, False, True, True]
    assert stores.left() == {"book": 9, "mug": 8}

    assert [stores.do("ship")["replayed"] for _ in range(2)] == [False, True]
    assert stores.records() == {"line#book": "shipped", "line#mug": "shipped"}
    assert stores.left() == {"book": 9, "mug": 8}


def test_more_than_there_is_in_stock_is_refused_and_nothing_is_reserved(stores: Stores) -> None:
    with raised("OutOfStock"):
        stores.do("reserve", line={"sku": "book", "quantity": 11})
    with raised("OutOfStock"):
        stores.do("reserve", line={"sku": "unheard of", "quantity": 1})

    assert (stores.records(), stores.left()) == ({}, {"book": 10, "mug": 10})


def test_a_release_gives_back_what_is_reserved_once_and_refuses_what_comes_later(stores: Stores) -> None:
    stores.do("reserve", line=LINES[0])

    assert stores.do("release")["released"] == ["book"]
    assert stores.do("release")["released"] == []
    for line in LINES:
        with raised("OrderCancelled"):
            stores.do("reserve", line=line)
    with raised("OrderCancelled"):
        stores.do("ship")

    assert stores.left() == {"book": 10, "mug": 10}


def test_a_release_gives_back_what_is_shipped(stores: Stores) -> None:
    stores.reserve()
    stores.do("ship")

    assert stores.do("release")["released"] == ["book", "mug"]
    assert stores.left() == {"book": 10, "mug": 10}


def test_what_is_not_reserved_is_not_shipped(stores: Stores) -> None:
    with raised("OrderCancelled"):
        stores.do("ship")
    stores.do("reserve", line=LINES[0])
    with raised("OrderCancelled"):
        stores.do("ship")

    assert stores.records() == {"line#book": "reserved"}


def test_a_country_that_the_carrier_does_not_serve_is_refused(stores: Stores) -> None:
    order = ORDER | {"country": "NZ"}
    stores.reserve(order)

    with raised("CarrierRefused"):
        stores.do("ship", order)
    assert stores.records() == {"line#book": "reserved", "line#mug": "reserved"}


def test_a_label_is_stored_and_returned_as_a_reference(stores: Stores) -> None:
    order = ORDER | {"notes": "x" * 90_000}
    stores.reserve(order)

    reference = stores.do("ship", order)["label"]

    assert len(json.dumps(reference)) < 200
    item: Any = boto3.resource("dynamodb").Table(reference.pop("table")).get_item(Key=reference)["Item"]
    assert len(item["text"]) > 262_144


def test_a_label_can_be_returned_inline(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.reserve()
    monkeypatch.setattr(stores.stock.app, "LABEL_BY_REFERENCE", False)

    assert stores.do("ship")["label"].count("o-1") == 3


def test_a_transaction_in_conflict_with_another_is_not_taken_for_a_refusal(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = stores.stock.app.dynamodb
    response = {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
    }
    conflict = client.exceptions.TransactionCanceledException(response, "TransactWriteItems")

    def fail(**_: Any) -> None:
        raise conflict

    monkeypatch.setattr(client, "transact_write_items", fail)

    with pytest.raises(ClientError):
        stores.do("reserve", line=LINES[0])
    with pytest.raises(ClientError):
        stores.do("release")


@pytest.mark.parametrize("seed", range(5))
def test_any_attempts_in_any_order_balance(stores: Stores, seed: int) -> None:
    """Reservations, shipments and releases of many orders, repeated and mixed; at last half of them are released."""
    chance = random.Random(seed)
    orders = [ORDER | {"order_id": f"o-{number}"} for number in range(8)]
    attempts = [
        (action, order, line)
        for order in orders
        for action, line in [("reserve", LINES[0]), ("reserve", LINES[1]), ("ship", None), ("release", None)]
        for _ in range(chance.randint(0, 2))
    ]
    chance.shuffle(attempts)
    for action, order, line in attempts:
        try:
            stores.do(action, order, line=line)
        except Exception as error:
            assert type(error).__name__ in ("OutOfStock", "OrderCancelled"), f"seed {seed}"

    held = {"book": 0, "mug": 0}
    for order in orders:
        for line in LINES:
            if stores.records(order["order_id"]).get(f"line#{line['sku']}") in ("reserved", "shipped"):
                held[line["sku"]] += line["quantity"]
    assert stores.left() == {sku: 10 - count for sku, count in held.items()}, f"seed {seed}"


# --- Payments ---


def test_an_order_is_charged_once_and_refunded_once(stores: Stores) -> None:
    assert [stores.do("charge")["replayed"] for _ in range(2)] == [False, True]
    assert [stores.do("refund") for _ in range(2)] == [
        {"refunded": "12.50", "replayed": False},
        {"refunded": "12.50", "replayed": True},
    ]
    assert stores.records() == {"payment": "refunded"}


def test_a_charge_that_comes_after_its_refund_is_refused(stores: Stores) -> None:
    assert stores.do("refund") == {"refunded": "0", "replayed": False}

    with raised("OrderCancelled"):
        stores.do("charge")
    assert stores.records() == {"payment": "refunded"}


def test_an_amount_beyond_the_cards_limit_is_declined(stores: Stores) -> None:
    with raised("PaymentDeclined"):
        stores.do("charge", ORDER | {"amount": 5000.01})

    assert stores.records() == {}


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("charge", {"order": ORDER | {"order_id": ""}}),
        ("charge", {"order": ORDER | {"order_id": ["o-1"]}}),
        ("charge", {"order": ORDER | {"amount": 0.001}}),
        ("charge", {"order": ORDER | {"amount": 1e400}}),
        ("charge", {"order": None}),
        ("refund", {"order": {}}),
        ("reserve", {"line": {"sku": "s" * 1500, "quantity": 1}}),
        ("reserve", {"line": {"sku": "book", "quantity": 1e30}}),
        ("reserve", {"line": None}),
        ("ship", {"order": ORDER | {"country": ["DE"]}}),
        ("ship", {"order": ORDER | {"lines": [None]}}),
        ("release", {"order": ORDER | {"lines": [{"sku": ""}]}}),
        ("juggle", {}),
        (["charge"], {}),
    ],
)
def test_a_task_that_a_function_cannot_read_is_malformed_and_not_retried(
    stores: Stores, action: Any, event: dict[str, Any]
) -> None:
    with raised("MalformedTask"):
        stores.do(action, **event)

    assert stores.records() == {}


# --- Warehouse ---


@dataclass
class Answers:
    """Step Functions as the warehouse talks to it: keeps what it was told, or refuses it with an error."""

    exceptions: Any
    refuses: str = ""
    error: str = "TaskTimedOut"

    def __post_init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Any:
        def send(**arguments: Any) -> None:
            if operation == self.refuses:
                raise getattr(self.exceptions, self.error)({"Error": {"Code": self.error}}, operation)
            self.sent.append((operation, arguments))

        return send


def delivered(stores: Stores, answers: Answers, **fields: Any) -> dict[str, Any]:
    """The log line of a request that the warehouse was handed."""
    body = {
        "action": "pick",
        "task_token": "t",
        "order_id": "o-1",
        "correlation_id": "trace-1",
        "order": ORDER,
        **fields,
    }
    stores.warehouse.app.stepfunctions = answers
    stores.warehouse.invoke(sqs_event(body))
    return next(line for line in stores.warehouse.lines if line["message"] in ("processed", "failed"))


@pytest.fixture
def answers(stores: Stores) -> Answers:
    return Answers(stores.warehouse.app.stepfunctions.exceptions)


def test_a_request_is_picked_and_answered(stores: Stores, answers: Answers) -> None:
    line = delivered(stores, answers)

    assert (line["outcome"], line["order_id"], line["correlation_id"]) == ("picked", "o-1", "trace-1")
    assert [operation for operation, _ in answers.sent] == ["send_task_heartbeat", "send_task_success"]
    assert json.loads(answers.sent[1][1]["output"]) == {"ready_in_seconds": 3}
    assert stores.records() == {"picking": "picked"}


@pytest.mark.parametrize("refuses", ["send_task_heartbeat", "send_task_success"])
def test_an_answer_that_nobody_waits_for_is_done_with(stores: Stores, answers: Answers, refuses: str) -> None:
    answers.refuses = refuses

    line = delivered(stores, answers)

    assert (line["message"], line["outcome"]) == ("processed", "answer refused")
    assert stores.records() == ({} if refuses == "send_task_heartbeat" else {"picking": "picked"})


def test_what_is_too_heavy_is_refused_by_name(stores: Stores, answers: Answers) -> None:
    line = delivered(stores, answers, order=ORDER | {"lines": [{"sku": "book", "quantity": 51}]})

    assert line["outcome"] == "not picked"
    assert answers.sent[1][0] == "send_task_failure"
    assert answers.sent[1][1]["error"] == "WarehouseRefused"
    assert stores.records() == {}


@pytest.mark.parametrize(
    ("requests", "outcomes"),
    [
        (["pick", "cancel", "cancel"], ["picked", "put back", "nothing to put back"]),
        (["cancel", "pick"], ["nothing to put back", "cancelled before"]),
    ],
)
def test_a_picking_is_cancelled_in_any_order(
    stores: Stores, answers: Answers, requests: list[str], outcomes: list[str]
) -> None:
    assert [delivered(stores, answers, action=action)["outcome"] for action in requests] == outcomes
    assert stores.records() == {"picking": "cancelled"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"action": "juggle"}, 'action is "juggle", and has to be pick or cancel'),
        ({"action": ["pick"]}, "action is an array, and has to be pick or cancel"),
        ({"order_id": ""}, 'order_id is "", and has to be text'),
        ({"order_id": "o" * 3000}, "order_id is"),
        ({"action": "cancel", "order_id": None}, "order_id is null, and has to be text"),
        ({"task_token": None}, "task_token is null, and has to be text"),
        ({"order": ORDER | {"lines": []}}, "the order has no lines"),
        ({"order": ORDER | {"lines": [{"sku": "book", "quantity": "2"}]}}, 'quantity is "2", and has to be a whole'),
        ({"order": None}, "malformed message: TypeError"),
    ],
)
def test_a_request_that_the_warehouse_cannot_read_is_dead_lettered(
    stores: Stores, answers: Answers, fields: dict[str, Any], error: str
) -> None:
    line = delivered(stores, answers, **fields)

    assert (line["message"], line["error_class"]) == ("failed", "permanent")
    assert error in line["error"]
    assert (answers.sent, stores.records()) == ([], {})


def test_a_token_that_no_state_machine_gave_out_is_dead_lettered(stores: Stores, answers: Answers) -> None:
    answers.refuses, answers.error = "send_task_heartbeat", "InvalidToken"

    line = delivered(stores, answers)

    assert (line["message"], line["error_class"]) == ("failed", "permanent")
    assert stores.records() == {}


# --- Starter ---


@dataclass
class Starter:
    function: LoadedFunction
    state_machine_arn: str

    def parse(self, order: dict[str, Any]) -> dict[str, Any]:
        return dict(self.function.app.parse(order))

    def start(self, order: dict[str, Any]) -> dict[str, Any]:
        return dict(self.function.app.start(self.parse(order)))

    def executions(self) -> list[str]:
        listed = boto3.client("stepfunctions").list_executions(stateMachineArn=self.state_machine_arn)["executions"]
        return [execution["name"] for execution in listed]


@pytest.fixture
def starter(request: pytest.FixtureRequest, load: Load) -> Starter:
    machine = boto3.client("stepfunctions").create_state_machine(
        name="order",
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/any",
    )["stateMachineArn"]
    naming = getattr(request, "param", "order")
    return Starter(load("starter", STATE_MACHINE_ARN=machine, EXECUTION_NAMING=naming), machine)


def test_an_order_is_started_once_under_its_name(starter: Starter) -> None:
    assert starter.start(ORDER) == {"execution": "o-1", "outcome": "started"}
    starter.start(ORDER)
    assert starter.start(ORDER | {"amount": 99.0}) == {"execution": "o-1", "outcome": "already started"}

    assert starter.executions() == ["o-1"]


def test_the_same_order_has_the_same_input_whatever_the_order_of_its_fields(starter: Starter) -> None:
    starter.start(ORDER)

    assert starter.start(dict(reversed(ORDER.items())))["outcome"] == "started"
    assert starter.executions() == ["o-1"]


@pytest.mark.parametrize("starter", ["service"], indirect=True)
def test_named_by_the_service_an_order_is_started_again(starter: Starter) -> None:
    starter.start(ORDER)
    starter.start(ORDER)

    assert len(starter.executions()) == 2
    assert "o-1" not in starter.executions()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"order_id": "with space"}, 'order_id is "with space", and has to be 1 to 80 letters'),
        ({"order_id": "x" * 81}, "order_id is"),
        ({"order_id": 7}, "order_id is 7, and has to be text"),
        ({"amount": "12.5"}, 'amount is "12.5", and has to be a JSON number'),
        ({"amount": True}, "amount is true, and has to be a number"),
        ({"amount": False}, "amount is false, and has to be a number"),
        ({"amount": 0.001}, "amount is 0.001, and has to be a number above 0"),
        ({"amount": Decimal("1e400")}, r"amount is 1E\+400, and has to be a number above 0"),
        ({"amount": -1}, "amount is -1, and has to be a number above 0"),
        ({"country": None}, "country is null, and has to be text"),
        ({"correlation_id": None}, "correlation_id is null, and has to be text"),
        ({"correlation_id": ""}, 'correlation_id is "", and has to be text'),
        ({"correlation_id": "a\x00b"}, "correlation_id is .*, and has to be text without control characters"),
        ({"correlation_id": "\ufffe"}, "correlation_id is .*, and has to be text without control characters"),
        ({"notes": "\ud800"}, "notes is"),
        ({"notes": ["careful"]}, "notes is an array, and has to be text"),
        ({"notes": "x" * 131_072}, "the order has 131... bytes, and the most is 131072"),
        ({"lines": [{"sku": "book"}]}, "quantity is missing, and has to be a whole number"),
        ({"lines": [{"sku": "book", "quantity": 0}]}, "quantity is 0, and has to be a whole number from 1"),
        ({"lines": [{"sku": "book", "quantity": 1.5}]}, "quantity is 1.5, and has to be a whole number"),
        ({"lines": [{"sku": "s" * 1500, "quantity": 1}]}, "sku is .*, and has to be text of 1 to 512 bytes"),
        ({"lines": [{"sku": "", "quantity": 1}]}, 'sku is "", and has to be text'),
        ({"lines": [LINES[0], LINES[0]]}, "two lines are for the same sku"),
        ({"lines": [LINES[0], None]}, "lines is an array, and has to be an array of at most 100 objects"),
        ({"lines": numbered(101)}, "lines is an array, and has to be an array of at most 100 objects"),
        ({"lines": None}, "lines is null, and has to be an array"),
    ],
)
def test_an_order_that_no_execution_could_serve_is_not_started(starter: Starter, fields: Any, error: str) -> None:
    with pytest.raises(starter.function.app.PermanentError, match=error):
        starter.start(ORDER | fields)

    assert starter.executions() == []


def test_the_largest_order_that_is_started_can_be_reserved_and_shipped(starter: Starter, stores: Stores) -> None:
    bare = starter.parse(ORDER | {"lines": numbered(100), "notes": "x"})
    order = starter.parse(bare | {"notes": "x" * (131_072 - len(json.dumps(bare)) + 1)})
    assert len(json.dumps(order)) == 131_072
    for line in order["lines"]:
        boto3.resource("dynamodb").Table("stock").put_item(Item={"sku": line["sku"], "available": 1})
    stores.reserve(order)

    label = stores.do("ship", order)["label"]

    item = (
        boto3.resource("dynamodb").Table("orders").get_item(Key={name: label[name] for name in ("order_id", "record")})
    )
    size = sum(len(name) + len(str(value)) for name, value in item["Item"].items())
    assert size < 400 * 1024  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html


def test_fields_that_no_state_reads_do_not_reach_the_state_machine(starter: Starter) -> None:
    order = ORDER | {"extra": float("inf"), "lines": [LINES[0] | {"extra": "\ud800"}]}

    assert starter.parse(order) == ORDER | {"lines": [LINES[0]]}


@pytest.mark.parametrize("error", ["InvalidExecutionInput", "InvalidName"])
def test_an_order_that_step_functions_refuses_as_it_is_fails_permanently(
    starter: Starter, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    client = starter.function.app.stepfunctions

    def refuse(**_: Any) -> None:
        raise getattr(client.exceptions, error)({"Error": {"Code": error, "Message": "no"}}, "StartExecution")

    monkeypatch.setattr(client, "start_execution", refuse)

    with pytest.raises(starter.function.app.PermanentError, match="refuses the order as it is"):
        starter.start(ORDER)


def test_a_throttled_start_is_reported_as_transient_for_the_queue_to_repeat(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = starter.function.app.stepfunctions

    def throttle(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "StartExecution")

    monkeypatch.setattr(client, "start_execution", throttle)

    answer = starter.function.invoke(sqs_event(ORDER))

    assert len(answer["batchItemFailures"]) == 1
    [failed] = [line for line in starter.function.lines if line.get("message") == "failed"]
    assert (failed["error_class"], failed["order_id"]) == ("transient", "o-1")


def test_an_order_that_makes_no_sense_is_started_for_the_state_machine_to_refuse(starter: Starter) -> None:
    assert starter.parse(ORDER | {"amount": 0})
    assert starter.parse(ORDER | {"lines": []})


@pytest.mark.parametrize("event", sorted(path.stem for path in (PATTERN / "events").glob("*.json")))
def test_the_sample_events_can_be_read_and_fit_the_first_stock(starter: Starter, event: str) -> None:
    for order in json.loads((PATTERN / f"events/{event}.json").read_text())["orders"]:
        parsed = starter.parse(order | {"correlation_id": "trace-1"})
        assert {line["sku"] for line in parsed["lines"]} <= {"book", "chair", "mug"}


# --- Producer ---


def test_the_producer_sends_orders_with_what_they_are_traced_by(load: Load) -> None:
    url = create_queue("orders")

    orders = [{"order_id": f"o-{number}"} for number in range(12)]
    answer = load("producer", QUEUE_URL=url).invoke({"orders": orders, "correlation_id": "trace-1"})

    assert [sent["order_id"] for sent in answer["published"]] == [order["order_id"] for order in orders]
    [message, *_] = received(url)
    assert json.loads(message["Body"])["correlation_id"] == "trace-1"
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == "trace-1"
