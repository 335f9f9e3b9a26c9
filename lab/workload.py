"""What the experiments of all patterns have in common: sending, reading what became of it, breaking, and waiting."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import astuple
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from lab import faults
from lab.deployment import FunctionFailed
from lab.experiment import ALARM_CLEARS, SOON, Experiment


class Workload:
    """A pattern as an experiment handles it. Each pattern adds the words of its own.

    Functions and queues are called by their short names in the pattern's contract. The timeline of the experiment
    shows what `functions` log (by default all of them).
    """

    def __init__(self, experiment: Experiment, *functions: str) -> None:
        self.experiment = experiment
        self.deployment = experiment.deployment
        self.contract = experiment.deployment.contract
        groups = {name: function.log_group for name, function in self.contract.functions.items()}
        experiment.follow(**{name: groups[name] for name in functions or groups})

    def id(self, name: int | str) -> str:
        """The id of something of this experiment's, which no other experiment has."""
        return f"{self.experiment.id}-{name}"

    def ids(self, *names: int | str) -> set[str]:
        return {self.id(name) for name in names}

    def one_of(self, orders: Iterable[str]) -> str:
        """A rule's condition: the order is one of these."""
        return f"contains(`{json.dumps(sorted(orders))}`, order_id)"

    def submit(self, correlation_id: str = "", **event: Any) -> dict[str, Any]:
        """Invokes the pattern's entry, by default under the experiment's correlation id; returns its answer."""
        sent = {**event, "correlation_id": correlation_id or self.experiment.id}
        return dict(self.deployment.invoke(self.contract.entry, sent))

    def operate(self, operation: str) -> dict[str, Any]:
        """What `make replay` and `make verify` do; returns their answer."""
        answer = dict(self.deployment.invoke(self.contract.operations[operation]))
        self.experiment.note(f"{operation}: {answer['summary']}", problems=len(answer["problems"]))
        return answer

    def injected(self, function: str, mode: str = "") -> list[dict[str, Any]]:
        """The log lines of faults that acted in a function, oldest first."""
        lines = self.experiment.lines(function, "fault injected")
        return [line for line in lines if mode in ("", line["mode"])]

    def items(self, table: str, key: str, prefix: str) -> list[dict[str, Any]]:
        """The items of a DynamoDB table whose attribute `key` begins with a prefix."""
        pages = (
            self.experiment.client("dynamodb")
            .get_paginator("scan")
            .paginate(
                TableName=table,
                ConsistentRead=True,
                FilterExpression="begins_with(#key, :prefix)",
                ExpressionAttributeNames={"#key": key},
                ExpressionAttributeValues={":prefix": {"S": prefix}},
            )
        )
        return [plain(item) for page in pages for item in page["Items"]]

    def items_of_order(self, table: str, order_id: str) -> list[dict[str, Any]]:
        """The items of a DynamoDB table with this partition key, in the order of their sort key."""
        answer = self.experiment.client("dynamodb").query(
            TableName=table,
            KeyConditionExpression="order_id = :id",
            ExpressionAttributeValues={":id": {"S": order_id}},
            ConsistentRead=True,
        )
        return [plain(item) for item in answer["Items"]]

    def inject(self, function: str, mode: str, when: str = "", **rule: Any) -> AbstractContextManager[None]:
        """A fault rule in force for the length of a block, in which it has to act."""
        condition = {"when": when} if when else {}
        return faults.inject(self.deployment, {"function": function, "mode": mode, **condition, **rule})

    def function_changed(self, function: str, **configuration: Any) -> AbstractContextManager[None]:
        """A function with another configuration for the length of a block."""
        return faults.function_changed(self.deployment, self.contract.functions[function].name, **configuration)

    def environment_changed(self, function: str, **variables: str | None) -> AbstractContextManager[None]:
        """A function with other environment variables, without those that are None, for the length of a block."""
        return self.function_changed(function, Environment={"Variables": variables})

    @contextmanager
    def visibility_timeout(self, seconds: int, *queues: str) -> Iterator[None]:
        """Queues (by default all that consumers read) with another visibility timeout for the length of a block."""
        with ExitStack() as changed:
            for queue in queues or self.contract.queues:
                url = self.contract.queues[queue].url
                changed.enter_context(faults.visibility_timeout(self.deployment, url, seconds))
            yield

    def waits_for_messages(self, what: str, queue_url: str, count: int, within: float = SOON) -> None:
        """Waits until a queue holds so many messages; `what` says of what and where, for the timeline."""
        self.experiment.wait_until(f"{count} {what}", lambda: self.experiment.messages_in(queue_url) == count, within)

    def waits_for_state(self, alarm: str, state: str, within: float = SOON) -> None:
        """Waits until an alarm, by its full name, is OK or in ALARM."""
        self.experiment.wait_until(f"alarm {alarm} is {state}", lambda: self.experiment.alarm(alarm) == state, within)

    @contextmanager
    def sets_off(self, *alarms: str, within: float = SOON) -> Iterator[None]:
        """Alarms, by their names without the deployment's, that are quiet before a block and fire because of it."""
        names = [f"{self.deployment.name}-{alarm}" for alarm in alarms]
        before = {}
        for name in names:
            self.waits_for_state(name, "OK", within=ALARM_CLEARS)
            before[name] = self.experiment.times_fired(name)
        yield
        for name in names:

            def fired(name: str = name) -> bool:
                return self.experiment.times_fired(name) > before[name]

            self.experiment.wait_until(f"alarm {name} has fired", fired, within)

    def tells_its_caller(self, function: str, **event: Any) -> None:
        """A function that somebody invokes fails, and then finds no concurrency: each time the caller is told, and an
        alarm of the function's fires."""
        with self.sets_off(f"{function}-errors"), self.inject(function, "exception"), pytest.raises(FunctionFailed):
            self.deployment.invoke(function, event)
        throttled = faults.throttled(self.deployment, self.contract.functions[function].name)
        with self.sets_off(f"{function}-throttles"), throttled, pytest.raises(ClientError, match="TooManyRequests"):
            self.deployment.invoke(function, event)

    def goes_down_in_each_way(self, function: str, queue: str, send: Callable[[int], Any]) -> None:
        """A queue's consumer does not read, then fails whatever it gets, then finds no concurrency: each sets off other
        alarms of its own. `send` puts something into the queue: it is called with 1, 2 and 3.

        The queue that is not read sets off its `-age` and nothing else, failing invocations `-errors`, and refused ones
        `-throttles`, and `-dlq-depth` once all receives are used up. What is dead-lettered by then is redriven.
        """
        name, (url, dlq_arn) = self.contract.functions[function].name, astuple(self.contract.queues[queue])
        own = [f"{queue}-age", f"{queue}-dlq-depth", f"{function}-errors", f"{function}-throttles"]
        age, *others = (f"{self.deployment.name}-{alarm}" for alarm in own)
        [mapping] = self.experiment.client("lambda").list_event_source_mappings(FunctionName=name)[
            "EventSourceMappings"
        ]
        [settings] = self.experiment.client("cloudwatch").describe_alarms(AlarmNames=[age])["MetricAlarms"]
        too_old = settings["Threshold"] + SOON  # seconds
        kept = self.experiment.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        receives = int(json.loads(kept["RedrivePolicy"])["maxReceiveCount"])
        dead_lettered = (receives + 2) * int(kept["VisibilityTimeout"]) + SOON

        for alarm in others:
            self.waits_for_state(alarm, "OK", ALARM_CLEARS)
        with faults.paused(self.deployment, mapping["UUID"]), self.sets_off(own[0], within=too_old):
            send(1)
        assert not self.in_alarm(others)
        with self.sets_off(f"{function}-errors"), self.inject(function, "exception"):
            send(2)
            self.experiment.wait_until(f"{function} has failed", lambda: self.injected(function, "exception"), SOON)
        self.waits_for_messages(f"messages left for {function}", url, 0, dead_lettered)
        with (
            faults.throttled(self.deployment, name),
            self.sets_off(f"{function}-throttles", f"{queue}-dlq-depth", within=dead_lettered),
        ):
            send(3)
            self.waits_for_messages(f"messages left for {function}", url, 0, dead_lettered)
        assert faults.redrive(self.deployment, dlq_arn) >= 1

    def lets_alarms_fire(self) -> None:
        """Waits as long as an alarm may take to fire for what has happened: one that is quiet then has seen it."""
        self.experiment.let_pass(SOON, "every alarm has been evaluated")

    def in_alarm(self, alarms: Iterable[str]) -> list[str]:
        """Those of these alarms, by their full names, that fire."""
        return [alarm for alarm in alarms if self.experiment.alarm(alarm) == "ALARM"]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item of DynamoDB without the types of its attributes."""
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}
