"""The experiments: each breaks the buffer in one way, and shows what becomes of the orders."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import Any

import pytest

from lab import faults
from lab.experiment import ALARM_CLEARS, SOON, Experiment
from lab.workload import Workload

# Compressed times: with the defaults (60 s, 5 receives) a poison message takes five minutes to be dead-lettered.
VARIABLES = {"function_timeout": "4", "visibility_timeout": "24", "max_receive_count": "4"}
RECEIVES = int(VARIABLES["max_receive_count"])
# The queue's visibility timeout is lowered further while an experiment runs: longer than the function can run, and
# shorter than six times that, which creating the queue refuses.
RETRY_SECONDS = 5
BACKOFF_SECONDS = 3  # in an outage: the visibility timeout without backoff, and what the backoff starts from
CONCURRENCY = 2  # the default of maximum_concurrency
DEAD_LETTERED = (RECEIVES + 2) * RETRY_SECONDS + SOON  # seconds, at the latest
PERMANENT = "handlers.outcomes.PermanentError"  # no backoff: back after the visibility timeout
THROTTLED = {"mode": "dependency", "service": "dynamodb", "error": "throttling"}


class Buffer(Workload):
    """The pattern as an experiment handles it: orders in, outcomes out."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment, "warehouse")
        self.consumer: dict[str, Any] = experiment.outputs["consumer"]
        self.queue_url: str = self.consumer["queue_url"]
        self.dlq_url: str = self.consumer["dlq_url"]

    def order(self, name: int | str, **fields: Any) -> dict[str, Any]:
        """An order of this experiment, by default one that can be processed."""
        return {"order_id": self.id(name), "customer_id": "c-1", "items": 1, **fields}

    def poison(self, name: int | str, **fields: Any) -> dict[str, Any]:
        """An order that no retry can help."""
        return self.order(name, items="a dozen", **fields)

    def publish(self, *orders: dict[str, Any]) -> set[str]:
        """Has the producer send orders; returns their order ids."""
        self.submit(orders=orders)
        self.experiment.note(f"sent {len(orders)} orders")
        return {order["order_id"] for order in orders}

    def publish_many(self, count: int) -> set[str]:
        return self.publish(*(self.order(number) for number in range(1, count + 1)))

    def publish_as_one_batch(self, *orders: dict[str, Any]) -> set[str]:
        """Sends at most ten orders while the consumer is down, so that it finds them together."""
        with faults.paused(self.deployment, self.consumer["mapping_id"]):
            sent = self.publish(*orders)
            self.waits_until_left(len(orders))
        return sent

    def outcomes(self) -> list[dict[str, Any]]:
        """The "processed" lines, oldest first."""
        return self.experiment.lines("warehouse", "processed")

    def reservations(self) -> list[dict[str, Any]]:
        """The "processed" lines that reserved stock, oldest first: one per order, however often it was delivered."""
        return [line for line in self.outcomes() if line["outcome"] == "reserved"]

    def processed(self) -> Counter[str]:
        """How often each order was processed."""
        return Counter(line["order_id"] for line in self.outcomes())

    def failed(self) -> list[dict[str, Any]]:
        return self.experiment.lines("warehouse", "failed")

    def left(self) -> int:
        return self.experiment.messages_in(self.queue_url)

    def dead_letters(self) -> int:
        return self.experiment.messages_in(self.dlq_url)

    def waits_until_left(self, count: int, within: float = SOON) -> None:
        self.waits_for_messages("orders in the queue", self.queue_url, count, within)

    def waits_until_processed(self, orders: set[str], times: int = 1, within: float = SOON) -> None:
        def done() -> bool:
            processed = self.processed()
            return all(processed[order] >= times for order in orders)

        self.experiment.wait_until(f"{len(orders)} orders processed {times} times", done, within)

    def waits_for_dead_letters(self, count: int) -> None:
        self.waits_for_messages("orders in the DLQ", self.dlq_url, count, DEAD_LETTERED)

    def waits_for_alarm(self, alarm: str, state: str, within: float = SOON) -> None:
        self.waits_for_state(self.consumer["alarms"][alarm], state, within)

    def firing(self) -> list[str]:
        return self.in_alarm(self.consumer["alarms"].values())

    def fault(self, mode: str, **rule: Any) -> AbstractContextManager[None]:
        return self.inject("warehouse", mode, **rule)

    def slow_downstream(self, seconds: float) -> AbstractContextManager[None]:
        return self.fault("latency", seconds=seconds, at="dynamodb.PutItem")

    def backoff(self, base_seconds: int | None) -> AbstractContextManager[None]:
        """The consumer with another backoff; None is without one."""
        seconds = None if base_seconds is None else str(base_seconds)
        return self.environment_changed("warehouse", BACKOFF_BASE_SECONDS=seconds)


@pytest.fixture
def buffer(experiment: Experiment) -> Iterator[Buffer]:
    """The pattern with fast retries, and with empty queues afterwards."""
    pattern = Buffer(experiment)
    with pattern.visibility_timeout(RETRY_SECONDS):
        yield pattern
        experiment.drain(pattern.queue_url, pattern.dlq_url)


def calls(lines: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Begin and end of the call to the downstream behind each "processed" line, in seconds since the epoch.

    The log's clock shows milliseconds: without the two that are taken off, calls one after another seem to overlap.
    """
    ends = [datetime.fromisoformat(line["timestamp"]).timestamp() for line in lines]
    return [(end - line["downstream_seconds"] + 0.002, end) for end, line in zip(ends, lines, strict=True)]


def peak(intervals: list[tuple[float, float]]) -> int:
    """How many of the intervals overlap at most."""
    edges = sorted([(end, -1) for _, end in intervals] + [(begin, 1) for begin, _ in intervals])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


@pytest.mark.real_time(reason="It is about throughput, and sends while it waits.")
@pytest.mark.experiment("SQS-12", failure="None: a burst of 500 orders")
def test_a_burst_waits_and_the_downstream_sees_two_at_a_time(buffer: Buffer, experiment: Experiment) -> None:
    """The queue takes them all, and its depth falls at the pace of the downstream, which never sees more calls at once
    than the mapping's `MaximumConcurrency`; all are processed, none twice."""
    # given a downstream that takes 30 ms for an order
    depths: list[int] = []

    def empty() -> bool:
        depths.append(buffer.left())
        experiment.note("depth", messages=depths[-1])
        return sent.done() and depths[-1] == 0

    # and time enough for a batch on a machine that is busy with something else
    unhurried = buffer.function_changed("warehouse", Timeout=10)
    with unhurried, buffer.visibility_timeout(60), buffer.slow_downstream(0.03), ThreadPoolExecutor(1) as thread:
        # when 500 orders are sent at once
        began = experiment.elapsed
        sent = thread.submit(buffer.publish_many, 500)

        # then the depth rises and falls
        experiment.wait_until("the queue is empty", empty, within=90)
        seconds = experiment.elapsed - began
        buffer.waits_until_processed(sent.result())
    assert max(depths) > 250
    assert depths[-1] == 0

    # and the downstream got every order once, and never more than two at a time
    lines = buffer.outcomes()
    assert Counter(line["order_id"] for line in lines) == Counter(sent.result())
    assert {line["outcome"] for line in lines} == {"reserved"}
    at_once = peak(calls(lines))
    assert at_once == CONCURRENCY
    assert buffer.dead_letters() == 0
    experiment.observe(
        f"depth up to {max(depths)}, 0 after {seconds:.0f} s; at most {at_once} calls at once; 500 of 500 once"
    )


@pytest.mark.experiment("SQS-3", failure="A handler swallows its errors and answers with an empty list")
def test_swallowed_errors_delete_the_batch(buffer: Buffer, experiment: Experiment) -> None:
    """Every message is deleted, though not one was processed: no retry, no dead letter, no alarm. The shared consumer
    guards against it, by raising when a message is neither processed nor reported."""
    # given every order fails, and the answer is that none did
    experiment.wait_until("no alarm fires", lambda: not buffer.firing(), ALARM_CLEARS)
    nothing_failed: dict[str, Any] = {"batchItemFailures": []}
    with (
        buffer.fault("exception", when="order_id"),
        buffer.fault("malformed_response", response=nothing_failed),
        buffer.visibility_timeout(60),  # whatever comes back in this experiment, it is not for lack of time
    ):
        # when ten orders arrive
        orders = buffer.publish_many(10)

        # then all ten fail once, and are gone
        failed = experiment.wait_until("10 orders failed", lambda: len(buffer.failed()) == 10 and buffer.failed(), SOON)
        buffer.waits_until_left(0)
        buffer.lets_alarms_fire()
    assert {line["order_id"] for line in failed} == orders
    assert not buffer.processed()
    assert buffer.dead_letters() == 0
    assert buffer.firing() == []
    experiment.observe("10 of 10 lost: 0 retries, 0 dead letters, 0 alarms")


@pytest.mark.experiment("SQS-2", failure="A poison message in a batch of ten")
def test_with_partial_responses_only_the_poison_message_is_retried(buffer: Buffer, experiment: Experiment) -> None:
    """Only the poison message comes back, and ends in the DLQ; the other nine are processed once."""
    # given a batch of ten, one of which cannot be processed
    poison = buffer.poison(4)
    healthy = [buffer.order(number) for number in range(1, 11) if number != 4]

    # when the consumer takes it
    with buffer.visibility_timeout(2 * RETRY_SECONDS):  # the healthy ones must not come back because of a cold start
        orders = buffer.publish_as_one_batch(*healthy, poison)

        # then the poison message is tried as often as the queue allows, and the others once
        buffer.waits_for_dead_letters(1)
    assert buffer.processed() == Counter(orders - {poison["order_id"]})
    attempts = [(line["order_id"], line["receive_count"]) for line in buffer.failed()]
    assert attempts == [(poison["order_id"], receive) for receive in range(1, RECEIVES + 1)]
    experiment.observe(f"{RECEIVES} receives of one message; 9 others once")


@pytest.mark.experiment("SQS-1", failure="The same without partial batch responses")
def test_without_partial_responses_the_whole_batch_is_retried(buffer: Buffer, experiment: Experiment) -> None:
    """The guard raises, since nobody would read a report, and the whole batch comes back: the healthy nine are
    processed again each time, and can end in the DLQ with the poison message."""
    # given a mapping that does not read reports, and a batch of ten with a poison message
    poison = buffer.poison(4)
    healthy = [buffer.order(number) for number in range(1, 11) if number != 4]
    mapping, function = buffer.consumer["mapping_id"], buffer.consumer["function"]
    with faults.partial_responses_off(buffer.deployment, mapping, function):
        # when the consumer takes it
        orders = buffer.publish_as_one_batch(*healthy, poison)

        # then the poison message ends in the DLQ, and nothing is left in the queue
        experiment.wait_until("poison in the DLQ", lambda: buffer.dead_letters() and buffer.left() == 0, DEAD_LETTERED)
    processed = buffer.processed()
    dead = {json.loads(letter["Body"])["order_id"] for letter in experiment.take(buffer.dlq_url)}

    # and the others were processed more than once
    assert poison["order_id"] in dead
    assert set(processed) == orders - {poison["order_id"]}
    assert min(processed.values()) > 1
    times = " or ".join(str(count) for count in sorted(set(processed.values())))
    experiment.observe(f"9 healthy orders processed {times} times each; {len(dead) - 1} of them in the DLQ as well")


MALFORMED_REPORTS = {
    "unknown-identifier": {"batchItemFailures": [{"itemIdentifier": "no-such-message"}]},
    "empty-identifier": {"batchItemFailures": [{"itemIdentifier": ""}]},
    "wrong-key": {"batchItemFailures": [{"messageId": "some-message"}]},
    "no-json": "everything went well",
}


@pytest.mark.experiment("SQS-4", failure="A malformed partial batch response")
def test_a_malformed_report_brings_the_whole_batch_back(buffer: Buffer, experiment: Experiment) -> None:
    """An unknown identifier, an empty one, a wrong key, or text that is no JSON object: each is a complete failure,
    and finished orders run again."""
    with ExitStack() as malformed:
        # given the consumer's report is malformed, in one way for each pair of orders
        for kind, response in MALFORMED_REPORTS.items():
            when = f"starts_with(order_id, '{buffer.id(kind)}')"
            malformed.enter_context(buffer.fault("malformed_response", response=response, when=when, receive_count=1))

        # when it has processed both orders
        sent = {kind: buffer.publish(*(buffer.order(f"{kind}-{n}") for n in (1, 2))) for kind in MALFORMED_REPORTS}

        # then they come back, and are processed again
        for orders in sent.values():
            buffer.waits_until_processed(orders, times=2)
    received = Counter((line["order_id"], line["receive_count"]) for line in buffer.outcomes())
    for orders in sent.values():
        assert all(received[(order, receive)] == 1 for order in orders for receive in (1, 2))
    reserved = [line["order_id"] for line in buffer.reservations()]
    assert Counter(reserved) == Counter(order for orders in sent.values() for order in orders)
    assert buffer.dead_letters() == 0
    experiment.observe(f"{len(sent)} kinds of malformed report: every order of each was processed again")


@pytest.mark.experiment("SQS-5", failure="An exception after part of the batch is done")
def test_an_exception_voids_the_report(buffer: Buffer, experiment: Experiment) -> None:
    """The report is void: messages that were finished come back with the one that failed, and run again."""
    # given one of ten orders fails, and then the handler itself, after all the others are done
    bad = buffer.id(10)
    with buffer.fault("exception", error=PERMANENT, when=f"order_id == '{bad}'", receive_count=1):
        with buffer.fault("fail_after_commit"):
            # when the consumer takes the batch
            orders = buffer.publish_as_one_batch(*(buffer.order(number) for number in range(1, 11)))
            experiment.wait_until(
                "the handler has raised", lambda: buffer.injected("warehouse", "fail_after_commit"), SOON
            )

        # then every order is processed in the end, and the finished ones ran again
        buffer.waits_until_processed({bad}, within=DEAD_LETTERED)
        buffer.waits_until_processed(orders - {bad}, times=2, within=DEAD_LETTERED)
        buffer.waits_until_left(0, within=DEAD_LETTERED)
    processed = buffer.processed()
    again = [order for order in orders - {bad} if processed[order] > 1]
    assert len(again) == 9
    assert buffer.dead_letters() == 0
    experiment.observe(f"10 of 10 processed; {len(again)} that were finished ran again")


@pytest.mark.experiment("SQS-5", "SQS-1", failure="A timeout after part of the batch is done")
def test_a_timeout_voids_the_report(buffer: Buffer, experiment: Experiment) -> None:
    """The same: what was finished before the timeout runs again."""
    # given the function hangs at the sixth of ten orders, the first time
    with buffer.fault("timeout", when=f"order_id == '{buffer.id(6)}'", receive_count=1):
        # when the consumer takes the batch, then every order is processed in the end
        orders = buffer.publish_as_one_batch(*(buffer.order(number) for number in range(1, 11)))
        buffer.waits_until_processed(orders, within=DEAD_LETTERED)
        experiment.wait_until(
            "the first invocation has timed out", lambda: buffer.injected("warehouse", "timeout"), SOON
        )
    buffer.waits_until_left(0)
    assert len(buffer.injected("warehouse", "timeout")) == 1

    # and what was finished before it hung ran again
    runs = Counter((line["order_id"], line["receive_count"]) for line in buffer.outcomes())
    finished = {order for order, receive in runs if receive == 1}
    assert finished and buffer.id(6) not in finished
    assert {order for order, receive in runs if receive > 1} == orders
    assert max(runs.values()) == 1
    experiment.observe(f"10 of 10 processed; {len(finished)} that were finished ran again")


@pytest.mark.experiment("SQS-11", "SQS-6", failure="The visibility timeout is shorter than the processing")
def test_a_short_visibility_timeout_puts_two_invocations_to_work_on_one_message(
    buffer: Buffer, experiment: Experiment
) -> None:
    """Creating or updating the mapping refuses it; lowered on the queue afterwards, nothing notices: another invocation
    gets the message while the first is still at work on it. With six times the function's timeout it does not."""
    # given a visibility timeout of 1 s, lowered after the mapping was made, and an order that takes 10 s
    client, timeout = experiment.client("lambda"), 20
    with buffer.function_changed("warehouse", Timeout=timeout):
        with buffer.visibility_timeout(1), buffer.slow_downstream(10):
            with pytest.raises(client.exceptions.InvalidParameterValueException):
                client.update_event_source_mapping(UUID=buffer.consumer["mapping_id"], BatchSize=10)

            # when it arrives
            short = buffer.publish(buffer.order("short"))

            # then two invocations work on it at once
            buffer.waits_until_processed(short, times=2)
            buffer.waits_until_left(0)
        lines = buffer.outcomes()
        assert peak(calls(lines)) == 2
        assert len({line["message_id"] for line in lines}) == 1
        assert len({line["function_request_id"] for line in lines}) == len(lines)
        (_, first_ends), (second_begins, _) = sorted(calls(lines))[:2]

        # and with six times the function's timeout, one does
        visibility = 6 * timeout
        with buffer.visibility_timeout(visibility), buffer.slow_downstream(3):
            long = buffer.publish(buffer.order("long"))
            buffer.waits_until_processed(long)
            buffer.waits_until_left(0)
    assert [line["receive_count"] for line in buffer.outcomes() if line["order_id"] in long] == [1]
    experiment.observe(
        f"1 s: two invocations on one message for {first_ends - second_begins:.1f} s; {visibility} s: one invocation"
    )


@pytest.mark.experiment("SQS-8", failure="A message has failed for the last time")
def test_the_move_to_the_dead_letter_queue_comes_with_the_next_receive(buffer: Buffer, experiment: Experiment) -> None:
    """It stays in the queue for another visibility timeout: the next receive moves it to the DLQ, instead of
    delivering it."""
    # given a poison message, when it has failed for the last time
    sent = experiment.elapsed
    buffer.publish(buffer.poison(1))
    failed = experiment.wait_until(
        f"{RECEIVES} failures", lambda: len(buffer.failed()) == RECEIVES and buffer.failed(), DEAD_LETTERED
    )

    # then it takes one more visibility timeout than failures need until it is in the DLQ
    buffer.waits_for_dead_letters(1)
    assert experiment.elapsed - sent >= RECEIVES * RETRY_SECONDS - 0.1
    gap = experiment.elapsed - failed[-1]["at"]
    assert len(buffer.failed()) == RECEIVES
    assert buffer.left() == 0
    experiment.observe(
        f"in the DLQ {gap:.1f} s after failure {RECEIVES}, the visibility timeout being {RETRY_SECONDS} s"
    )


@pytest.mark.experiment("SQS-8", "SQS-7", failure="The downstream is out for longer than all receives, no backoff")
def test_without_backoff_an_outage_dead_letters_healthy_orders(buffer: Buffer, experiment: Experiment) -> None:
    """Every receive falls into the outage: healthy orders end up in the DLQ, with nothing wrong with any of them."""
    # given the downstream throttles, and the consumer does not back off
    with buffer.visibility_timeout(BACKOFF_SECONDS), buffer.backoff(None), buffer.fault(**THROTTLED):
        # when five healthy orders arrive
        sent = experiment.elapsed
        buffer.publish_many(5)

        # then all of them are dead-lettered
        buffer.waits_for_dead_letters(5)
        seconds = experiment.elapsed - sent
        failures = 5 * RECEIVES
        experiment.wait_until(f"{failures} failures", lambda: len(buffer.failed()) == failures, SOON)
    assert not buffer.processed()
    assert {line["error_class"] for line in buffer.failed()} == {"transient"}
    experiment.observe(f"5 of 5 healthy orders in the DLQ after {seconds:.0f} s and {RECEIVES} receives each")


@pytest.mark.experiment("SQS-8", "SQS-7", failure="The same outage, with the consumer's backoff")
def test_with_backoff_the_receives_outlast_the_outage(buffer: Buffer, experiment: Experiment) -> None:
    """Each transient failure hides the message for about twice as long as the one before: some receives are left when
    the downstream recovers, and every order is processed once."""
    # given the downstream throttles, and the consumer backs off from what was the visibility timeout
    outage, visibility = RECEIVES * BACKOFF_SECONDS + 1, int(VARIABLES["visibility_timeout"])
    with buffer.visibility_timeout(visibility), buffer.backoff(BACKOFF_SECONDS):
        with buffer.fault(**THROTTLED):
            # when five orders arrive, and the outage outlasts as many receives without backoff
            orders = buffer.publish_many(5)
            began = experiment.elapsed
            experiment.wait_until("5 failed", lambda: {line["order_id"] for line in buffer.failed()} == orders, SOON)
            experiment.wait_until(f"{outage} s of outage", lambda: experiment.elapsed - began > outage, outage + SOON)
            assert (buffer.left(), buffer.dead_letters()) == (5, 0)

        # then every order is processed once after the recovery
        buffer.waits_until_processed(orders, within=2**RECEIVES * BACKOFF_SECONDS + SOON)
        buffer.waits_until_left(0)
    assert buffer.processed() == Counter(orders)
    assert buffer.dead_letters() == 0
    failed = buffer.failed()
    for line in failed:
        longest = BACKOFF_SECONDS * 2 ** line["receive_count"]
        assert longest / 2 <= line["retry_in_seconds"] <= longest

    # and it was the backoff that brought them back, long before the queue would have
    deliveries = sorted([*failed, *buffer.outcomes()], key=lambda line: line["receive_count"])
    for order in orders:
        first, second = [line["at"] for line in deliveries if line["order_id"] == order][:2]
        assert second - first < visibility - 1
    receives = sorted({line["receive_count"] for line in buffer.outcomes()})
    waits = sorted({line["retry_in_seconds"] for line in failed})
    experiment.observe(
        f"{outage} s of outage: 5 of 5 processed once, at receive {' or '.join(map(str, receives))} of {RECEIVES}, "
        f"after waits of {waits[0]} to {waits[-1]} s"
    )


@pytest.mark.experiment("SQS-14", "SQS-9", failure="Dead letters wait after the cause is fixed")
def test_a_redrive_processes_every_dead_letter(buffer: Buffer, experiment: Experiment) -> None:
    """In the DLQ they keep the id and the time under which they were sent; `make redrive` moves each back as a new
    message, every one is processed, in any order, and the alarm returns to OK."""
    # given three orders in the DLQ, sent one after another, and its alarm
    with buffer.fault("exception", error=PERMANENT, when="order_id"):
        sent = [buffer.publish(buffer.order(number)).pop() for number in (1, 2, 3)]
        last_sent = experiment.elapsed
        buffer.waits_for_dead_letters(3)
        buffer.waits_for_alarm("dlq_depth", "ALARM")
    letters = experiment.client("sqs").receive_message(
        QueueUrl=buffer.dlq_url, MaxNumberOfMessages=10, VisibilityTimeout=0, AttributeNames=["SentTimestamp"]
    )["Messages"]
    assert letters
    assert all(experiment.since(int(letter["Attributes"]["SentTimestamp"]) / 1000) <= last_sent for letter in letters)

    # when the cause is fixed and the dead-letter queue redriven
    with faults.paused(buffer.deployment, buffer.consumer["mapping_id"]):
        moved = faults.redrive(buffer.deployment, buffer.contract.queues["orders"].dlq_arn)
        buffer.waits_until_left(3)
    redriven = experiment.elapsed

    # then every order is processed, from a message with an id of its own, and the alarm clears
    buffer.waits_until_processed(set(sent))
    assert moved == 3
    processed = {line["message_id"] for line in experiment.lines("warehouse", "processed")}
    failed = {line["message_id"] for line in experiment.lines("warehouse", "failed")}
    assert len(processed) == len(failed) == 3
    assert not processed & failed
    assert buffer.dead_letters() == 0
    buffer.waits_for_alarm("dlq_depth", "OK", within=ALARM_CLEARS)
    experiment.observe(
        f"3 of 3 processed under new message ids, the alarm OK {experiment.elapsed - redriven:.0f} s after the redrive"
    )


@pytest.mark.experiment("SQS-17", "SQS-7", failure="The consumer does not read, fails, and finds no concurrency")
def test_each_way_to_be_down_has_its_alarms(buffer: Buffer, experiment: Experiment) -> None:
    """A queue that is not read sets off `orders-age` and nothing else, failing invocations `warehouse-errors`, refused
    ones `warehouse-throttles` and `orders-dlq-depth`. Once that is over and redriven, every order is processed."""
    # given the consumer is down in one way after the other, when an order is sent into each, then its alarms fire
    buffer.goes_down_in_each_way("warehouse", "orders", lambda number: buffer.publish(buffer.order(number)))

    # and after a redrive all are processed
    buffer.waits_until_processed(buffer.ids(1, 2, 3), within=DEAD_LETTERED)
    experiment.observe("3 ways to be down, 4 alarms, each from its own; 3 of 3 orders processed")


@pytest.mark.experiment("INV-1", failure="The producer fails, or finds no concurrency")
def test_who_sends_is_told_when_the_producer_fails(buffer: Buffer, experiment: Experiment) -> None:
    """Whoever invokes it is told, no order is sent, and `producer-errors` or `producer-throttles` fires: an order that
    is not sent again is lost."""
    # given an order, when the producer fails with it, and when it is refused, then who sends it is told
    buffer.tells_its_caller("producer", orders=[buffer.order(1)], correlation_id=experiment.id)

    # and nothing was sent: an order that is sent afterwards is all that arrives
    orders = buffer.publish(buffer.order(2))
    buffer.waits_until_processed(orders)
    assert buffer.processed() == Counter(orders)
    experiment.observe("1 failure and 1 refusal, both told; alarms producer-errors and producer-throttles")


@pytest.mark.variant(fifo="true")
@pytest.mark.experiment("SQS-15", failure="FIFO: a poison message in one message group")
def test_a_poison_message_blocks_its_group_and_no_other(buffer: Buffer, experiment: Experiment) -> None:
    """The customer's later orders wait until the poison message is in the DLQ, and are processed in order then. Another
    customer's order fails too, for a moment: it is retried, and those behind it are processed, while the poison message
    waits for its next receive."""
    # given orders of two customers: the first of one is poison, the first of the other fails once
    one = [buffer.poison(1, customer_id="c-1"), *(buffer.order(n, customer_id="c-1") for n in (2, 3, 4))]
    other = [buffer.order(n, customer_id="c-2") for n in (5, 6, 7, 8)]
    once = buffer.fault(**THROTTLED, when=buffer.one_of(buffer.ids(5)), receive_count=1)

    # and a backoff that is much shorter than the visibility timeout, after which poison comes back
    visibility = int(VARIABLES["visibility_timeout"])
    with buffer.visibility_timeout(visibility), buffer.backoff(1), once:
        # when they arrive together
        buffer.publish(*(order for pair in zip(one, other, strict=True) for order in pair))

        # then the other customer's are processed, in order, the first at its second receive
        buffer.waits_until_processed({order["order_id"] for order in other})
        reserved = buffer.reservations()
        assert [line["order_id"] for line in reserved] == [order["order_id"] for order in other]
        assert [line["receive_count"] for line in reserved] == [2, 1, 1, 1]
        assert buffer.dead_letters() == 0

        # and this one's after the poison message is in the DLQ
        dead_lettered = (RECEIVES + 2) * visibility + SOON
        buffer.waits_until_processed({order["order_id"] for order in one[1:]}, within=dead_lettered)
    reserved = buffer.reservations()
    assert [line["order_id"] for line in reserved] == [order["order_id"] for order in [*other, *one[1:]]]
    poison = [line for line in buffer.failed() if line["order_id"] == one[0]["order_id"]]
    assert [line["receive_count"] for line in poison] == [1, 2, 3, 4]
    assert len(buffer.failed()) == len(poison) + 1
    buffer.waits_for_dead_letters(1)

    # and not one of the other's waited for it
    unblocked, blocked = reserved[len(other) - 1]["at"], reserved[len(other)]["at"]
    assert unblocked < poison[1]["at"]
    experiment.observe(
        f"the other customer's were retried and done {poison[1]['at'] - unblocked:.0f} s before the poison message came"
        f" back; its own group waited {blocked - unblocked:.0f} s longer; order kept in both; 1 dead letter"
    )


@pytest.mark.variant(fifo="true")
@pytest.mark.experiment("SQS-16", failure="FIFO: the producer sends an order twice")
def test_a_duplicate_within_five_minutes_is_dropped(buffer: Buffer, experiment: Experiment) -> None:
    """The queue takes the second one without an error and drops it: the order is processed once."""
    # given an order that was processed
    orders = buffer.publish(buffer.order(1))
    buffer.waits_until_processed(orders)

    # when the producer sends it again, and then another of the same customer
    buffer.publish(buffer.order(1))
    orders |= buffer.publish(buffer.order(2))

    # then the other one is processed, which is behind it, and the duplicate is not
    buffer.waits_until_processed(orders)
    delivered = {(line["order_id"], line["message_id"]) for line in buffer.outcomes()}
    assert Counter(order for order, _ in delivered) == Counter(orders)
    buffer.waits_until_left(0)
    experiment.observe("sent twice without an error, processed once")
