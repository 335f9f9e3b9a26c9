"""The experiments: each breaks the pattern in one way, and shows what becomes of the orders."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from lab.experiment import ALARM_CLEARS, SOON, Experiment
from lab.workload import Workload

# Compressed times: with the defaults (60 s, 5 receives) a poison message takes five minutes to be dead-lettered.
VARIABLES = {"function_timeout": "5", "visibility_timeout": "30", "max_receive_count": "3"}
RECEIVES = int(VARIABLES["max_receive_count"])
# The queue's visibility timeout is lowered further while an experiment runs: longer than a function can run, and
# shorter than six times that, which creating a queue refuses.
RETRY_SECONDS = 6
DEAD_LETTERED = (RECEIVES + 2) * RETRY_SECONDS + SOON  # seconds, at the latest


class Pattern(Workload):
    """The pattern as an experiment handles it: orders in, outcomes out."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        self.consumer: dict[str, Any] = experiment.outputs["consumer"]

    def send(self, count: int) -> set[str]:
        """Has the producer send orders, numbered from 1; returns their ids."""
        ids = [self.id(number) for number in range(1, count + 1)]
        self.submit(orders=[{"order_id": id_, "items": 1} for id_ in ids])
        self.experiment.note(f"sent {count} orders")
        return set(ids)

    def processed(self) -> Counter[str]:
        """How often each order was processed."""
        return Counter(line["order_id"] for line in self.experiment.lines("consumer", "processed"))

    def waits_until_processed(self, orders: set[str]) -> None:
        self.experiment.wait_until(f"{len(orders)} orders processed", lambda: set(self.processed()) >= orders, SOON)


@pytest.fixture
def pattern(experiment: Experiment) -> Iterator[Pattern]:
    """The pattern with fast retries, and with empty queues afterwards."""
    pattern = Pattern(experiment)
    with pattern.visibility_timeout(RETRY_SECONDS):
        yield pattern
        experiment.drain(pattern.consumer["queue_url"], pattern.consumer["dlq_url"])


@pytest.mark.experiment("SQS-1", "SQS-2", failure="A poison message")
def test_a_poison_message_ends_in_the_dead_letter_queue_alone(pattern: Pattern, experiment: Experiment) -> None:
    """It is retried `maxReceiveCount` times and lands in the DLQ, whose alarm fires; every other message is
    processed."""
    # given the consumer cannot process one order
    pattern.waits_for_state(pattern.consumer["alarms"]["dlq_depth"], "OK", within=ALARM_CLEARS)
    poison = pattern.id(1)
    with pattern.inject("consumer", "exception", when=f"order_id == '{poison}'"):
        # when three are sent
        orders = pattern.send(3)

        # then that one is dead-lettered after its retries, and its alarm fires
        pattern.waits_for_messages("orders in the DLQ", pattern.consumer["dlq_url"], 1, DEAD_LETTERED)
        pattern.waits_for_state(pattern.consumer["alarms"]["dlq_depth"], "ALARM")

    # and the others were processed
    pattern.waits_until_processed(orders - {poison})
    assert poison not in pattern.processed()
    failures = [line for line in experiment.lines("consumer", "failed") if line["order_id"] == poison]
    assert max(line["receive_count"] for line in failures) == RECEIVES
    (dead,) = experiment.take(pattern.consumer["dlq_url"])
    assert dead["MessageAttributes"]["correlation_id"]["StringValue"] == experiment.id
    experiment.observe(f"{RECEIVES} receives, then in the DLQ; {len(orders) - 1} others processed")
