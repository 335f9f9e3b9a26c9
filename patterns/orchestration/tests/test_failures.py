"""The experiments: each lets a step of the saga fail in some way, and looks at what was done, undone, or done twice."""

import json
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from lab import asl, executions, faults, paths
from lab.executions import Visit
from lab.experiment import SOON, Experiment
from lab.workload import Workload

# Compressed: with the defaults a silent warehouse is given up after a minute, and retries wait 2, 4 and 8 s.
VARIABLES = {
    "function_timeout": "6",
    "visibility_timeout": "36",  # the least that six times the function's timeout allows (SQS-6)
    "task_timeout": "7",
    "retry_interval": "1",
    "retry_attempts": "2",
    "warehouse_heartbeat": "7",
    "warehouse_timeout": "20",
    "execution_timeout": "120",
    "max_receive_count": "10",  # a slow machine must not dead-letter what an experiment sees come back
    "packing_seconds": "0",
}
TASK_TIMEOUT = float(VARIABLES["task_timeout"])  # seconds
HEARTBEAT = float(VARIABLES["warehouse_heartbeat"])  # seconds
RETRIES = int(VARIABLES["retry_attempts"])
RETRY_SECONDS = 10  # seconds: the queues' visibility timeout while experiments run; longer than the heartbeat
ENDED = 60.0  # seconds: an order with retries, a silent warehouse and compensations

DEFINITION = asl.definition(paths.PATTERNS / "orchestration/statemachine/order.asl.json")
PIECES = 1000  # of each article, at the beginning

CANCEL, REFUND, RELEASE = "Cancel the picking", "Refund", "Release the items"


class Shop(Workload):
    """The pattern as an experiment handles it: orders in, executions and records out."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        self.out: dict[str, Any] = experiment.outputs["orders"]
        self.machine = self.contract.state_machines["order"].arn
        self.steps = experiment.client("stepfunctions")
        self.skus = [f"{experiment.id}-{article}" for article in ("book", "mug", "chair")]
        for sku in self.skus:
            item = {"sku": {"S": sku}, "available": {"N": str(PIECES)}}
            experiment.client("dynamodb").put_item(TableName=self.out["stock_table"], Item=item)

    def lines(self, *quantities: int) -> list[dict[str, Any]]:
        """A line for each quantity: of the first article, of the second, and so on."""
        return [{"sku": sku, "quantity": count} for sku, count in zip(self.skus, quantities, strict=False)]

    def order(self, number: int, **fields: Any) -> dict[str, Any]:
        return {
            "order_id": self.id(number), "amount": 10.0, "country": "DE", "lines": self.lines(1, 2), **fields
        }  # fmt: skip

    def send(self, *orders: dict[str, Any], correlation_id: str = "") -> None:
        self.submit(correlation_id, orders=orders)
        if not correlation_id:
            self.experiment.note(f"sent {', '.join(order['order_id'] for order in orders)}")

    def arn(self, number: int) -> str:
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{self.id(number)}"

    def describe(self, number: int) -> dict[str, Any]:
        """The execution that is named after the order."""
        return dict(self.steps.describe_execution(executionArn=self.arn(number)))

    def listed(self, **filtered: str) -> list[dict[str, Any]]:
        """The executions of the state machine, newest first; `filtered` as ListExecutions takes it."""
        pages = self.steps.get_paginator("list_executions").paginate(stateMachineArn=self.machine, **filtered)
        return [execution for page in pages for execution in page["executions"]]

    def statuses(self) -> dict[str, str]:
        """The status of each execution that is named after an order of this experiment."""
        return {
            execution["name"]: execution["status"]
            for execution in self.listed()
            if execution["name"].startswith(self.experiment.id)
        }

    def waits_for_end(self, *numbers: int, within: float = ENDED) -> None:
        """Waits until the executions of these orders have ended, and notes how."""
        wanted = {self.id(number) for number in numbers}

        def ended() -> bool:
            found = self.statuses()
            return all(found.get(name, "RUNNING") != "RUNNING" for name in wanted)

        self.experiment.wait_until(f"{len(wanted)} executions have ended", ended, within)
        found = self.statuses()
        self.experiment.note("the executions' end", **{name: found[name] for name in sorted(wanted)[:10]})

    def visited(self, number: int) -> list[Visit]:
        return executions.visits(self.steps, self.arn(number))

    def path(self, number: int) -> list[str]:
        """The states that the order's execution visited, without those inside Map and Parallel states."""
        return [row.state for row in self.visited(number) if row.depth == 0]

    def row(self, number: int, state: str) -> Visit:
        return next(row for row in self.visited(number) if row.state == state)

    def errors(self, number: int) -> set[str]:
        """The errors of all attempts at all states of an order's execution; none before it is started."""
        if self.id(number) not in self.statuses():
            return set()
        return {error for row in self.visited(number) for error in row.errors}

    def undone(self, number: int) -> list[str]:
        """The compensations that ran, in their order."""
        return [state for state in self.path(number) if state in (CANCEL, REFUND, RELEASE)]

    def records(self, number: int) -> dict[str, dict[str, Any]]:
        """What is recorded of an order: `order`, `payment`, `picking`, `label`, and `line#...` of each line."""
        return {item["record"]: item for item in self.items_of_order(self.out["orders_table"], self.id(number))}

    def state_of(self, number: int) -> dict[str, str]:
        """The status of each record of an order."""
        return {name: record["status"] for name, record in self.records(number).items() if "status" in record}

    def stock(self) -> list[int]:
        """How many pieces of each article are left."""
        keys = [{"sku": {"S": sku}} for sku in self.skus]
        table = self.out["stock_table"]
        answer = self.experiment.client("dynamodb").batch_get_item(
            RequestItems={table: {"Keys": keys, "ConsistentRead": True}}
        )
        left = {item["sku"]["S"]: int(item["available"]["N"]) for item in answer["Responses"][table]}
        return [left[sku] for sku in self.skus]

    def is_as_it_began(self, number: int) -> bool:
        """Whether nothing of an order is charged, reserved, shipped or picked."""
        return {
            status for name, status in self.state_of(number).items() if name != "order"
        } <= {"refunded", "released", "cancelled"}  # fmt: skip

    def received(self) -> set[str]:
        """The orders that the starter is done with, at least once."""
        return {line["order_id"] for line in self.experiment.lines("starter", "processed")}

    def is_empty(self, queue: str) -> bool:
        """Whether a queue holds nothing, seen twice: a message that comes back is missed for a moment."""
        url = self.contract.queues[queue].url
        return not self.experiment.messages_in(url) and not self.experiment.messages_in(url)

    def performed(
        self, function: str, number: int, action: str, message: str = "processed", count: int = 1
    ) -> list[dict[str, Any]]:
        """A step's log lines about an order, once there are so many: they come after what the step has done."""

        def lines() -> list[dict[str, Any]]:
            found = self.experiment.lines(function, message)
            mine = [line for line in found if line["order_id"] == self.id(number) and line.get("action") == action]
            return mine if len(mine) >= count else []

        return list(self.experiment.wait_until(f"{action}: {message}", lines, SOON))

    def refused(self) -> set[str]:
        """The orders of which the state machine refused an answer of the warehouse: nobody waited for it any more."""
        lines = self.experiment.lines("warehouse", "processed")
        return {line["order_id"] for line in lines if line.get("outcome") == "answer refused"}

    def task(self, number: int, action: str, more: str = "") -> str:
        """A rule's condition: this action for this order."""
        return f"order.order_id == '{self.id(number)}' && action == '{action}'{more and f' && {more}'}"

    def alarms(self) -> dict[str, str]:
        """The state of every alarm but the functions' own: state machine, parked compensations, dead letters."""
        alarms = self.out["alarms"]
        names = [
            *alarms["state_machine"].values(), alarms["compensation_failed"],
            *(alarms[queue]["dlq_depth"] for queue in ("orders_queue", "warehouse_queue")),
        ]  # fmt: skip
        return {name: self.experiment.alarm(name) for name in names}


@pytest.fixture
def shop(experiment: Experiment) -> Iterator[Shop]:
    """The pattern with short visibility timeouts, and with empty queues afterwards."""
    pattern = Shop(experiment)
    with pattern.visibility_timeout(RETRY_SECONDS):
        yield pattern
    experiment.drain(pattern.out["parked_url"], *pattern.out["dlq_urls"].values())


ORDERS = 6
# Where the starter times out: at which order of the batch, in which of its deliveries.
TIMEOUTS = {1: 3, 2: 5, 3: 6}


def runs(shop: Shop, first: int, naming: str) -> tuple[Counter[str], dict[str, int]]:
    """Sends a batch of orders, of which the starter finishes the fourth delivery only.

    Returns how many executions each order has, and the row of the README's table.
    """
    known = {execution["executionArn"] for execution in shop.listed()}
    numbers = range(first, first + ORDERS)
    batch = [shop.order(number) for number in numbers]
    rules = [
        {"function": "starter", "mode": "timeout", "at": "stepfunctions.StartExecution", "receive_count": delivery,
         "when": f"order_id == '{shop.id(first + place - 1)}'"}
        for delivery, place in TIMEOUTS.items()
    ]  # fmt: skip

    def new() -> list[dict[str, Any]]:
        return [execution for execution in shop.listed() if execution["executionArn"] not in known]

    with (
        shop.environment_changed("starter", EXECUTION_NAMING=naming),
        faults.inject(shop.deployment, *rules),
    ):
        with faults.paused(shop.deployment, shop.out["starter_mapping"]):
            shop.send(*batch)
        shop.experiment.wait_until(
            f"the batch is done, executions named by the {naming}",
            lambda: shop.received() >= {order["order_id"] for order in batch} and shop.is_empty("orders"),
            ENDED,
        )
    # a list may be behind: an execution that was just started is missing (API_ListExecutions)
    shop.experiment.wait_until(
        "every execution has ended",
        lambda: len(found := new()) >= ORDERS and all(each["status"] != "RUNNING" for each in found),
        ENDED,
    )
    shop.lets_alarms_fire()
    assert {each["status"] for each in new()} == {"SUCCEEDED"}
    arns = [each["executionArn"] for each in new()]
    inputs = [shop.steps.describe_execution(executionArn=arn)["input"] for arn in arns]
    mails = [row for arn in arns for row in executions.visits(shop.steps, arn) if row.state == "Notify the customer"]
    fired = [name for name, state in shop.alarms().items() if state == "ALARM"]
    row = {"Orders": ORDERS, "Executions": len(arns), "Mails to customers": len(mails), "Alarms": len(fired)}
    return Counter(json.loads(given)["order_id"] for given in inputs), row


@pytest.mark.experiment("SQS-5", "SFN-6", failure="The starter times out in mid-batch, and the whole batch comes back")
def test_named_by_the_service_orders_run_again_and_named_after_the_order_once(
    shop: Shop, experiment: Experiment
) -> None:
    """Named by the service, orders run two, three and four times, every execution succeeds, and the alarms of the state
    machine and its queues are OK; named after the order, each order runs once."""
    # given a starter that dies at the 3rd, the 5th and the 6th order of its batch, one delivery after another
    # when a batch is sent, with executions named by the service
    by_service, repeated = runs(shop, 1, "service")

    # then every order of the finished part of a batch runs again
    assert set(by_service) == {shop.id(number) for number in range(1, 1 + ORDERS)}
    assert max(by_service.values()) >= 3, by_service
    assert by_service.total() >= 2 * ORDERS

    # and when executions are named after the order, each order runs once
    by_order, once = runs(shop, 1 + ORDERS, "order")
    assert by_order == Counter(shop.id(number) for number in range(1 + ORDERS, 1 + 2 * ORDERS))

    # and no alarm tells the one from the other
    assert repeated["Alarms"] == once["Alarms"] == 0, shop.alarms()
    each = ", ".join(str(count) for count in sorted(by_service.values()))
    experiment.observe(
        f"{ORDERS} orders: {by_service.total()} executions by the service ({each}), {by_order.total()} after the order",
        [{"`execution_naming`": "`service`"} | repeated, {"`execution_naming`": "`order` (default)"} | once],
    )


@pytest.mark.experiment("SFN-1", failure="None: the happy path")
def test_the_happy_path_visits_what_the_drawing_says(shop: Shop, experiment: Experiment) -> None:
    """An order goes from state to state as the drawing has it, is shipped and charged once, and its correlation id is
    in the log of every hop and in the execution's input."""
    # given nothing is broken, when an order is sent
    shop.send(shop.order(1))
    shop.waits_for_end(1)

    # then its execution follows the solid lines of the drawing
    path = shop.path(1)
    assert (path[0], path[-1]) == (DEFINITION["StartAt"], "Shipped")
    for state, following in pairwise(path):
        assert (following, "") in list(asl.transitions(DEFINITION["States"][state])), f"{state} to {following}"
    inside = {row.state for row in shop.visited(1) if row.depth == 1}
    assert inside == {"Reserve one item", "Charge", "Notify the customer"}

    # and the order is shipped
    assert shop.state_of(1) == {
        "order": "shipped", "payment": "charged", "picking": "picked",
        **{f"line#{line['sku']}": "shipped" for line in shop.lines(1, 2)},
    }  # fmt: skip
    assert shop.stock() == [PIECES - 1, PIECES - 2, PIECES]

    # and every hop has the correlation id
    for function in shop.contract.functions:
        lines = partial(experiment.lines, function, "processed", "published")
        experiment.wait_until(f"a line of {function}", lines, SOON)
    assert json.loads(shop.describe(1)["input"])["correlation_id"] == experiment.id
    described = shop.describe(1)
    seconds = (described["stopDate"] - described["startDate"]).total_seconds()
    experiment.observe(
        f"{len(path)} states and {len(inside)} inside them, {seconds:.1f} s; {len(shop.contract.functions)} logs"
    )


@pytest.mark.experiment("SFN-1", failure="A step fails for a moment, before or after it is done")
def test_a_transient_error_is_retried_with_backoff_and_nothing_is_done_twice(
    shop: Shop, experiment: Experiment
) -> None:
    """The task is retried after one interval, then after two, and succeeds; a retry finds what an attempt has done, so
    that nothing is charged or reserved twice."""
    # given reserving fails once before it is done, and charging twice after it is done
    with (
        shop.sets_off("stock-errors", "payments-errors"),
        shop.inject("stock", "exception", shop.task(1, "reserve", "attempt == `0`")),
        shop.inject("payments", "fail_after_commit", shop.task(1, "charge", "attempt < `2`")),
    ):
        # when an order is sent, then it is shipped
        shop.send(shop.order(1))
        shop.waits_for_end(1)
    assert shop.path(1)[-1] == "Shipped"

    # after retries with growing pauses
    assert [row.retries for row in shop.visited(1) if row.state == "Reserve one item"] == [1, 1]
    charge = shop.row(1, "Charge")
    assert (charge.retries, set(charge.errors)) == (2, {"InjectedFault"})
    attempts = shop.performed("payments", 1, "charge", count=3)
    pauses = [later["at"] - earlier["at"] for earlier, later in pairwise(attempts)]
    assert pauses[0] >= 1 and pauses[1] >= 2, pauses

    # and nothing is done twice
    assert [line["replayed"] for line in attempts] == [False, True, True]
    assert shop.records(1)["payment"]["amount"] == Decimal(10)
    assert shop.stock() == [PIECES - 1, PIECES - 2, PIECES]
    shown = " and ".join(f"{pause:.1f}" for pause in pauses)
    experiment.observe(f"charged at the first of 3 attempts, {shown} s apart: 1 charge; 2 lines, each reserved once")


@pytest.mark.experiment("SFN-1", failure="Each step in turn fails for good")
def test_what_was_done_is_undone_in_reverse_order(shop: Shop, experiment: Experiment) -> None:
    """A named error is not retried; the compensations of exactly the steps that were done run in reverse order, and the
    stores end as they began."""
    # given five orders, each of which another step refuses
    wanted = {
        "InvalidOrder": (shop.order(1, amount=0), []),
        "OutOfStock": (shop.order(2, lines=shop.lines(1, PIECES + 1)), [RELEASE]),
        "PaymentDeclined": (shop.order(3, amount=6000), [RELEASE]),
        "WarehouseRefused": (shop.order(4, lines=shop.lines(60)), [REFUND, RELEASE]),
        "CarrierRefused": (shop.order(5, country="NZ"), [CANCEL, REFUND, RELEASE]),
    }

    # when they are sent
    shop.send(*(order for order, _ in wanted.values()))
    shop.waits_for_end(*range(1, 6))

    # then what was done is undone, in reverse order
    for number, (error, (_, compensations)) in enumerate(wanted.items(), start=1):
        assert shop.undone(number) == compensations, error
        assert shop.errors(number) == ({error} if compensations else set()), error
        assert max(row.retries for row in shop.visited(number)) == 0, error
    assert shop.describe(1)["error"] == "InvalidOrder"
    assert {shop.statuses()[shop.id(number)] for number in range(2, 6)} == {"SUCCEEDED"}
    assert [shop.records(number)["order"]["reason"] for number in range(2, 6)] == list(wanted)[1:]

    # and the stores end as they began
    experiment.wait_until("what was picked is put back", lambda: shop.state_of(5)["picking"] == "cancelled", SOON)
    assert all(shop.is_as_it_began(number) for number in range(1, 6))
    assert shop.stock() == [PIECES] * 3
    experiment.observe("5 orders, refused at 5 steps: 0, 1, 1, 2 and 3 compensations, stock and payments as before")


@pytest.mark.experiment("SFN-1", failure="A compensation fails for good")
def test_a_compensation_that_fails_is_parked_and_the_others_run(shop: Shop, experiment: Experiment) -> None:
    """It is retried, then parked on a queue for a person, and its alarm fires; the rest of the compensation still
    runs."""
    # given an order cannot be refunded, and the carrier refuses it
    with shop.inject("payments", "exception", shop.task(1, "refund")):
        # when it is sent, then the refund is retried and parked
        shop.send(shop.order(1, country="NZ"))
        shop.waits_for_end(1)
    assert shop.row(1, REFUND).retries == RETRIES
    assert (shop.describe(1)["status"], shop.describe(1)["error"]) == ("FAILED", "CompensationFailed")

    # and its alarm fires
    shop.waits_for_state(shop.out["alarms"]["compensation_failed"], "ALARM")
    shop.waits_for_state(shop.out["alarms"]["state_machine"]["failed"], "ALARM")

    # and the others run
    assert shop.undone(1) == [CANCEL, REFUND, RELEASE]
    assert shop.stock() == [PIECES] * 3
    assert shop.state_of(1)["payment"] == "charged"
    [parked] = experiment.take(shop.out["parked_url"])
    body = json.loads(parked["Body"])
    assert (body["compensation"], body["order_id"], body["correlation_id"]) == ("refund", shop.id(1), experiment.id)
    experiment.observe(f"1 refund parked after {RETRIES + 1} attempts, 2 of 2 other compensations done, 2 alarms")


@pytest.mark.experiment("SFN-5", failure="One branch of Parallel fails, the other has finished or is still at work")
def test_what_the_other_branch_did_is_undone_and_what_it_still_does_is_refused(
    shop: Shop, experiment: Experiment
) -> None:
    """The state fails and its branches are stopped, but a function that was invoked runs on. A finished charge is
    refunded; a charge that comes after its refund is refused."""
    # given the customers' topic is gone, and the card of one order is slow
    slow = 9.0
    with (
        shop.function_changed("payments", Timeout=30),
        shop.inject("payments", "latency", shop.task(2, "charge"), at="dynamodb.PutItem", seconds=slow),
    ):
        shop.send(shop.order(3))  # warms payments up: charging has to be faster than giving up on the topic
        shop.waits_for_end(3)
        with faults.topic_deleted(shop.deployment, shop.out["customers_topic"]):
            # when two orders are sent
            shop.send(shop.order(1))
            shop.performed("payments", 1, "charge")
            shop.send(shop.order(2))
            shop.waits_for_end(1, 2)

        # then a charge that was done is refunded
        assert shop.undone(1) == shop.undone(2) == [REFUND, RELEASE]
        [refund] = shop.performed("payments", 1, "refund")
        assert Decimal(refund["refunded"]) == 10

        # and one that comes after the refund is refused
        [early] = shop.performed("payments", 2, "refund")
        assert Decimal(early["refunded"]) == 0
        late = shop.performed("payments", 2, "charge", "failed")
    assert late[0]["error"].startswith("OrderCancelled")
    assert late[0]["at"] > early["at"]
    assert shop.is_as_it_began(1) and shop.is_as_it_began(2)
    assert shop.stock() == [PIECES - 1, PIECES - 2, PIECES]  # order 3 was shipped
    experiment.observe(f"1 charge refunded; 1 refused, {late[0]['at'] - early['at']:.1f} s after its refund")


@pytest.mark.experiment("SFN-5", failure="One line of Map fails")
def test_the_items_reserved_so_far_are_released(shop: Shop, experiment: Experiment) -> None:
    """The Map state fails with its line. What is reserved is released, and a line that is reserved after that, by a
    function that runs on, is refused."""
    # given the second line is slow, and the third is out of stock a moment after the first is reserved
    second, third = (f"{shop.task(1, 'reserve')} && line.sku == '{sku}'" for sku in shop.skus[1:])
    at = "dynamodb.TransactWriteItems"

    def patient(definition: dict[str, Any]) -> None:
        definition["States"]["Reserve the items"]["ItemProcessor"]["States"]["Reserve one item"]["TimeoutSeconds"] = 60

    with (
        faults.definition_changed(shop.deployment, shop.machine, patient),
        shop.function_changed("stock", Timeout=60),
        shop.inject("stock", "latency", second, at=at, seconds=13),
        shop.inject("stock", "latency", third, at=at, seconds=5),
    ):
        # when the order is sent
        shop.send(shop.order(1, lines=shop.lines(1, 2, PIECES + 1)))
        shop.waits_for_end(1)

        # then what was reserved is released
        [released] = shop.performed("stock", 1, "release")
        assert released["released"] == shop.skus[:1]

        # and what comes later is refused
        refused = shop.performed("stock", 1, "reserve", "failed", count=2)
    assert [line["error"].split(":")[0] for line in refused] == ["OutOfStock", "OrderCancelled"]
    assert refused[0]["at"] < released["at"] < refused[1]["at"]
    assert shop.undone(1) == [RELEASE]
    assert shop.is_as_it_began(1)
    assert shop.stock() == [PIECES] * 3
    experiment.observe("3 lines: 1 reserved and released, 1 out of stock, 1 too late and refused; the stock as before")


@pytest.mark.experiment("SFN-3", failure="The warehouse is silent, answers too late, or answers twice")
def test_a_silent_warehouse_is_given_up_and_a_late_or_second_answer_changes_nothing(
    shop: Shop, experiment: Experiment
) -> None:
    """A missed heartbeat ends the wait, and the order is cancelled. The answer that comes later, and the second one to
    a request that was answered, are refused, and nothing changes."""
    # given the warehouse loses one request, and dies after its answer to another, so that both come again
    silent, twice = f"order_id == '{shop.id(1)}' && action == 'pick'", f"order_id == '{shop.id(2)}'"
    with (
        shop.inject("warehouse", "exception", silent, receive_count=1),
        shop.inject("warehouse", "crash", twice, at="end", receive_count=1),
    ):
        # when two orders are sent, then the first is cancelled and the second shipped
        shop.send(shop.order(1))
        shop.send(shop.order(2))
        shop.waits_for_end(1, 2)
        assert shop.undone(1) == [CANCEL, REFUND, RELEASE]
        assert shop.path(2)[-1] == "Shipped"
        experiment.wait_until("the picking is cancelled", lambda: shop.state_of(1).get("picking") == "cancelled", SOON)
        before = [shop.state_of(number) for number in (1, 2)]

        # and the later answers are refused
        experiment.wait_until("both requests were delivered again", lambda: len(shop.refused()) == 2, SOON)
    waited = shop.row(1, "Ask the warehouse")
    assert set(waited.errors) <= {"States.Timeout", "States.HeartbeatTimeout"} and waited.seconds is not None
    assert HEARTBEAT <= waited.seconds < float(VARIABLES["warehouse_timeout"])
    assert shop.refused() == shop.ids(1, 2)

    # and nothing changes
    assert [shop.state_of(number) for number in (1, 2)] == before
    assert shop.is_as_it_began(1)
    assert shop.stock() == [PIECES - 1, PIECES - 2, PIECES]
    experiment.observe(f"given up after {waited.seconds:.1f} s; a late and a second answer refused, nothing changed")


@pytest.mark.experiment("SFN-3", failure="A task hangs")
def test_a_task_that_hangs_is_ended_by_its_own_timeout(shop: Shop, experiment: Experiment) -> None:
    """The task's timeout ends the attempt, not the workflow, and the retry succeeds. The function is not ended: it runs
    on, and finds the order charged."""
    # given charging hangs at its first attempt, in a function that is allowed to run longer than its task
    hangs = 2 * TASK_TIMEOUT
    with (
        shop.function_changed("payments", Timeout=30),
        shop.inject(
            "payments", "latency", shop.task(1, "charge", "attempt == `0`"), at="dynamodb.PutItem", seconds=hangs
        ),
    ):
        # when an order is sent, then it is shipped by the second attempt
        shop.send(shop.order(1))
        shop.waits_for_end(1)
        charge = shop.row(1, "Charge")
        assert (charge.errors, charge.retries) == (["States.Timeout"], 1)
        assert charge.seconds is not None and TASK_TIMEOUT <= charge.seconds < 3 * TASK_TIMEOUT
        assert shop.path(1)[-1] == "Shipped"

        # and the first one finds it charged
        lines = shop.performed("payments", 1, "charge", count=2)
    assert [(line["attempt"], line["replayed"]) for line in lines] == [(1, False), (0, True)]
    assert shop.records(1)["payment"]["amount"] == Decimal(10)
    experiment.observe(f"ended after {TASK_TIMEOUT:.0f} s, shipped by the retry; the late attempt changed nothing")


@pytest.mark.experiment("SFN-6", failure="An order is started again, while it runs and after it has ended")
def test_an_order_that_is_started_again_has_one_execution(shop: Shop, experiment: Experiment) -> None:
    """While it runs, a start with the same input answers with the running execution; with another input, or after its
    end, it is refused. There is one execution, and the starter is done with every message."""

    def outcomes() -> list[str]:
        return [line["outcome"] for line in experiment.lines("starter", "processed")]

    def delivered(times: int) -> bool:
        return len(outcomes()) == times

    def patient(definition: dict[str, Any]) -> None:
        definition["States"]["Ask the warehouse"] |= {"TimeoutSeconds": 90, "HeartbeatSeconds": 80}

    # given an order that waits for the warehouse, when it is sent twice
    with (
        faults.definition_changed(shop.deployment, shop.machine, patient),
        faults.paused(shop.deployment, shop.out["warehouse_mapping"]),
    ):
        for deliveries in (1, 2):
            shop.send(shop.order(1))
            experiment.wait_until(f"{deliveries} deliveries", partial(delivered, deliveries), SOON)
        assert shop.describe(1)["status"] == "RUNNING"

        # and once with another amount, while it runs, then the same input finds the running execution
        shop.send(shop.order(1, amount=99.0))
        experiment.wait_until("3 deliveries", partial(delivered, 3), SOON)
        assert shop.describe(1)["status"] == "RUNNING"
    shop.waits_for_end(1)

    # and when it is sent again after its end
    shop.send(shop.order(1))
    experiment.wait_until("4 deliveries", partial(delivered, 4), SOON)

    # then every other start is refused, and there is one execution
    assert sorted(outcomes()) == ["already started", "already started", "started", "started"]
    assert shop.statuses() == {shop.id(1): "SUCCEEDED"}
    assert not experiment.lines("starter", "failed")
    assert shop.records(1)["payment"]["amount"] == Decimal(10)
    assert shop.stock() == [PIECES - 1, PIECES - 2, PIECES]
    experiment.observe("4 starts of 1 order: 1 execution, 1 answer with the running one, 2 refused")


def without_the_name(definition: dict[str, Any]) -> None:
    """Takes States.DataLimitExceeded out of the shipping task: States.ALL is all that is left to catch it."""
    ship = definition["States"]["Ship"]
    ship["Catch"] = [catcher for catcher in ship["Catch"] if catcher["ErrorEquals"] == ["States.ALL"]]
    for retrier in ship["Retry"]:
        retrier["ErrorEquals"] = [name for name in retrier["ErrorEquals"] if name != "States.DataLimitExceeded"]


@pytest.mark.experiment("SFN-7", "SFN-4", failure="A step returns more than 262,144 bytes")
def test_a_result_that_is_too_large_fails_its_state(shop: Shop, experiment: Experiment) -> None:
    """Its state fails with States.DataLimitExceeded. AWS documents that States.ALL does not catch this error, and a
    recording of a Lambda task shows that it does: the pattern names it, and compensates. The label as a reference, it
    does not happen."""
    # given orders whose label is three times as long as their notes, and a label that is returned inline
    notes = "x" * 90_000
    with shop.environment_changed("stock", LABEL="inline"):
        # when one is sent, then shipping fails, and what was done is undone
        shop.send(shop.order(1, notes=notes))
        shop.waits_for_end(1)

        # and when the error is not named
        with faults.definition_changed(shop.deployment, shop.machine, without_the_name):
            shop.send(shop.order(2, notes=notes))
            shop.waits_for_end(2)
    assert set(shop.row(1, "Ship").errors) == {"States.DataLimitExceeded"}
    assert (shop.row(1, "Ship").retries, shop.undone(1)) == (0, [CANCEL, REFUND, RELEASE])
    assert shop.is_as_it_began(1)
    unnamed = shop.describe(2)
    assert set(shop.row(2, "Ship").errors) == {"States.DataLimitExceeded"}

    # and a label by reference gets through
    shop.send(shop.order(3, notes=notes))
    shop.waits_for_end(3)
    assert shop.path(3)[-1] == "Shipped"
    size = len(shop.records(3)["label"]["text"])
    assert size > 262_144
    caught = "caught by States.ALL too" if unnamed["status"] == "SUCCEEDED" else "not caught by States.ALL, half done"
    experiment.observe(f"{size} bytes: named, compensated; not named, {caught} on this target; by reference, shipped")


@pytest.mark.experiment("SFN-2", failure="Lambda throttles a step")
def test_a_throttled_step_is_retried_by_name(shop: Shop, experiment: Experiment) -> None:
    """Lambda.TooManyRequestsException is retried with backoff and jitter, up to six times, and the order completes."""
    throttled = "Lambda.TooManyRequestsException"

    def refused(function: str) -> AbstractContextManager[None]:
        return faults.throttled(shop.deployment, shop.contract.functions[function].name)

    # given stock may not run, when an order is sent, then its alarm fires, and the order completes
    with shop.sets_off("stock-throttles"), refused("stock"):
        shop.send(shop.order(4))
        experiment.wait_until("a reservation was throttled", lambda: throttled in shop.errors(4), SOON)
    shop.waits_for_end(4)
    assert shop.path(4)[-1] == "Shipped"

    # given payments may not run
    with shop.sets_off("payments-throttles"), refused("payments"):
        # when orders are sent, then charging them is retried
        shop.send(*(shop.order(number) for number in range(1, 4)))
        experiment.wait_until(
            "each charge was throttled", lambda: all(throttled in shop.errors(number) for number in (1, 2, 3)), SOON
        )

    # and they complete when it may
    shop.waits_for_end(1, 2, 3)
    charges = [shop.row(number, "Charge") for number in (1, 2, 3)]
    assert {error for charge in charges for error in charge.errors} == {throttled}
    assert {shop.path(number)[-1] for number in (1, 2, 3)} == {"Shipped"}
    experiment.observe(f"4 of 4 orders shipped, after {', '.join(str(charge.retries) for charge in charges)} retries")


@pytest.mark.experiment("SFN-8", failure="Somebody stops an execution, or its own timeout does")
def test_a_stopped_execution_undoes_nothing_and_is_redriven(shop: Shop, experiment: Experiment) -> None:
    """What was done stays done: the order is charged, its items are reserved, and no compensation runs. `order-aborted`
    fires, or `order-timed-out`. `redrive-execution` goes on at the state where it ended, with a new task token: the
    answer to the request from before is refused, and the order is shipped."""

    def patient(definition: dict[str, Any], **more: Any) -> None:
        definition["States"]["Ask the warehouse"] |= {"TimeoutSeconds": 40, "HeartbeatSeconds": 30}
        definition |= more

    def waits_for_the_warehouse() -> bool:
        return shop.id(1) in shop.statuses() and shop.path(1)[-1:] == ["Ask the warehouse"]

    def last_event(number: int) -> str:
        newest = shop.steps.get_execution_history(executionArn=shop.arn(number), reverseOrder=True, maxResults=1)
        return str(newest["events"][0]["type"])

    # given two orders that wait for the warehouse, of which one may not take long
    deployment, hurried = shop.deployment, partial(patient, TimeoutSeconds=20)
    with faults.paused(deployment, shop.out["warehouse_mapping"]):
        with shop.sets_off("order-aborted"), faults.definition_changed(deployment, shop.machine, patient):
            shop.send(shop.order(1))
            experiment.wait_until("the order waits for the warehouse", waits_for_the_warehouse, ENDED)
            # when somebody stops the one
            shop.steps.stop_execution(executionArn=shop.arn(1))
            shop.waits_for_end(1)

        # and the other is ended by its timeout
        with shop.sets_off("order-timed-out"), faults.definition_changed(deployment, shop.machine, hurried):
            shop.send(shop.order(2))
            shop.waits_for_end(2)
            experiment.wait_until("its history says so", lambda: last_event(2) == "ExecutionTimedOut", SOON)
        assert shop.statuses() == {shop.id(1): "ABORTED", shop.id(2): "TIMED_OUT"}

        # then nothing is undone
        for number in (1, 2):
            assert shop.undone(number) == []
            assert shop.state_of(number)["payment"] == "charged"
        assert shop.stock() == [PIECES - 2, PIECES - 4, PIECES]

        # and each goes on where it ended, when it is redriven
        for number in (1, 2):
            shop.steps.redrive_execution(executionArn=shop.arn(number))
    shop.waits_for_end(1, 2)
    assert set(shop.statuses().values()) == {"SUCCEEDED"}
    assert [shop.state_of(number)["order"] for number in (1, 2)] == ["shipped"] * 2
    assert shop.stock() == [PIECES - 2, PIECES - 4, PIECES]

    # and what the warehouse answered to the requests from before was refused
    experiment.wait_until("both requests from before are refused", lambda: shop.refused() == shop.ids(1, 2), SOON)
    experiment.observe("1 stopped, 1 timed out: 0 compensations, 2 alarms; both redriven and shipped, charged once")


@pytest.mark.experiment("SQS-17", "SQS-7", failure="A queue's consumer does not read, fails, finds no concurrency")
def test_each_way_to_be_down_has_its_alarms(shop: Shop, experiment: Experiment) -> None:
    """A queue that is not read sets off its `-age` and nothing else, failing invocations `-errors`, refused ones
    `-throttles` and `-dlq-depth`. Orders wait for the starter and are shipped; those that the warehouse keeps waiting
    are compensated."""
    # given the starter is down in one way after the other, when an order is sent into each, then its alarms fire
    shop.goes_down_in_each_way("starter", "orders", lambda number: shop.send(shop.order(number)))

    # and after a redrive all are shipped
    shop.waits_for_end(1, 2, 3)
    assert {shop.state_of(number)["order"] for number in (1, 2, 3)} == {"shipped"}

    # given the warehouse is down in the same ways, when an order comes to it in each, then its alarms fire
    shop.goes_down_in_each_way("warehouse", "warehouse", lambda number: shop.send(shop.order(number + 3)))

    # and none is left half done
    shop.waits_for_end(4, 5, 6)
    experiment.wait_until("the warehouse's queue is empty", lambda: shop.is_empty("warehouse"), ENDED)
    for number in (4, 5, 6):
        assert shop.state_of(number)["order"] == "shipped" or shop.is_as_it_began(number), shop.state_of(number)
    assert shop.is_as_it_began(4)
    shipped = sum(shop.state_of(number)["order"] == "shipped" for number in range(1, 7))
    experiment.observe(
        f"2 consumers, 3 ways to be down, 8 alarms, each from its own; {shipped} of 6 shipped, none half"
    )


@pytest.mark.experiment("INV-1", failure="The producer fails, or finds no concurrency")
def test_who_sends_is_told_when_the_producer_fails(shop: Shop, experiment: Experiment) -> None:
    """Whoever invokes it is told, no order is sent, and `producer-errors` or `producer-throttles` fires: an order that
    is not sent again is lost."""
    # given an order, when the producer fails with it, and when it is refused, then who sends it is told
    shop.tells_its_caller("producer", orders=[shop.order(1)], correlation_id=experiment.id)

    # and nothing was sent: an order that is sent afterwards is all that is started
    shop.send(shop.order(2))
    shop.waits_for_end(2)
    assert shop.statuses() == {shop.id(2): "SUCCEEDED"}
    experiment.observe("1 failure and 1 refusal, both told; alarms producer-errors and producer-throttles")


# What becomes of an order: the rule by which a step of it fails, and how many of the hundred it befalls.
STEPS: list[tuple[str, str, str, str, dict[str, Any], int]] = [
    ("reserve once", "stock", "exception", "action == 'reserve' && attempt == `0`", {}, 5),
    ("reserve lost", "stock", "fail_after_commit", "action == 'reserve' && attempt == `0`", {}, 5),
    ("reserve never", "stock", "fail_after_commit", "action == 'reserve'", {}, 5),
    ("charge once", "payments", "exception", "action == 'charge' && attempt == `0`", {}, 5),
    ("charge lost", "payments", "fail_after_commit", "action == 'charge' && attempt == `0`", {}, 5),
    ("charge never", "payments", "fail_after_commit", "action == 'charge'", {}, 5),
    ("pick silent", "warehouse", "exception", "action == 'pick'", {"receive_count": 1}, 4),
    ("pick twice", "warehouse", "crash", "action == 'pick'", {"receive_count": 1, "at": "end"}, 2),
    ("ship once", "stock", "exception", "action == 'ship' && attempt == `0`", {}, 5),
    ("ship never", "stock", "fail_after_commit", "action == 'ship'", {}, 5),
    ("refund lost", "payments", "fail_after_commit", "action == 'refund' && attempt == `0`", {}, 5),
    ("release lost", "stock", "fail_after_commit", "action == 'release' && attempt == `0`", {}, 5),
]
MANY = 100
AT_ONCE = 25  # orders under way: more would only wait for each other
BULK = 5  # orders that the producer sends at once


@pytest.mark.experiment("SFN-1", "SFN-5", failure="Everything at once: 100 orders, with faults at every step")
def test_every_order_ends_as_shipped_or_compensated_whatever_happens(shop: Shop, experiment: Experiment) -> None:
    """Each order ends as shipped or as wholly compensated, and the stores balance: what is missing from the stock was
    shipped, and what was shipped is paid. SEED repeats a run."""
    # given a seed that decides what is ordered, and what befalls which order
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**32))
    experiment.note(f"SEED={seed}")
    chance = random.Random(seed)
    numbers = range(1, MANY + 1)
    orders = {
        number: shop.order(
            number,
            amount=chance.randrange(1, 600_000) / 100,  # some are declined
            country=chance.choice(["AT", "CH", "DE", "DE", "FR", "NZ"]),  # some are refused
            lines=chance.sample(shop.lines(*(chance.choice([1, 2, 3, 60]) for _ in range(3))), k=chance.randint(1, 2)),
        )
        for number in numbers
    }
    rules, left = [], chance.sample(numbers, MANY)
    for fate, function, mode, when, more, count in STEPS:
        fated, left = left[:count], left[count:]
        for number in fated:
            orders[number] |= {"country": "NZ" if fate in ("refund lost", "release lost") else "DE"}
            if not fate.startswith("reserve"):  # nothing refuses the order before it meets its fate
                orders[number] |= {"amount": 10.0, "lines": shop.lines(1, 2)}
        theirs = f"contains(`{json.dumps([shop.id(number) for number in fated])}`, order.order_id)"
        rules.append({"function": function, "mode": mode, "when": f"{theirs} && {when}", **more})

    # when they are sent, not all at once
    began = experiment.elapsed
    waiting = list(numbers)
    orders_url = shop.contract.queues["orders"].url
    with faults.inject(shop.deployment, *rules):
        while waiting:
            batch, waiting = waiting[:BULK], waiting[BULK:]
            shop.send(*(orders[number] for number in batch), correlation_id=f"{experiment.id}-bulk")
            experiment.wait_until(
                f"{MANY - len(waiting)} sent, few under way (SEED={seed})",
                lambda: experiment.messages_in(orders_url) + len(shop.listed(statusFilter="RUNNING")) <= AT_ONCE - BULK,
                ENDED,
            )
        experiment.wait_until("every order is started", lambda: shop.is_empty("orders"), ENDED)
        shop.waits_for_end(*numbers, within=ENDED)
        experiment.wait_until("the warehouse's queue is empty", lambda: shop.is_empty("warehouse"), ENDED)
    seconds = experiment.elapsed - began

    # then each is shipped or compensated
    assert set(shop.statuses().values()) == {"SUCCEEDED"}, f"SEED={seed}"
    states = {number: shop.state_of(number) for number in numbers}
    shipped = {number for number in numbers if states[number]["order"] == "shipped"}
    for number in numbers:
        lines = {f"line#{line['sku']}": "shipped" for line in orders[number]["lines"]}
        wanted = {"order": "shipped", "payment": "charged", "picking": "picked", **lines}
        if number in shipped:
            assert states[number] == wanted, f"{shop.id(number)}, SEED={seed}"
        else:
            assert states[number]["order"] == "cancelled", f"{shop.id(number)}, SEED={seed}"
            assert shop.is_as_it_began(number), f"{shop.id(number)}, {states[number]}, SEED={seed}"

    # and the stores balance
    sold: Counter[str] = Counter()
    for number in shipped:
        sold.update({line["sku"]: line["quantity"] for line in orders[number]["lines"]})
    assert shop.stock() == [PIECES - sold[sku] for sku in shop.skus], f"SEED={seed}"
    injected = sum(len(shop.injected(name)) for name in ("stock", "payments", "warehouse"))
    assert shipped and len(shipped) < MANY and injected, f"SEED={seed}"
    experiment.observe(
        f"{injected} faults, {seconds:.0f} s: {len(shipped)} shipped and paid, {MANY - len(shipped)} wholly compensated"
    )
