"""The experiments: each breaks the fan-out in one way, and shows what becomes of the orders."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from lab import faults
from lab.experiment import ALARM_CLEARS, SOON, Experiment
from lab.workload import Workload

# Compressed times: with the defaults (60 s, 5 receives) a poison message takes five minutes to be dead-lettered.
VARIABLES = {"function_timeout": "5", "visibility_timeout": "30", "max_receive_count": "3"}
RECEIVES = int(VARIABLES["max_receive_count"])
# The queues' visibility timeout is lowered further while an experiment runs: longer than a function can run, and
# shorter than six times that, which creating a queue refuses.
RETRY_SECONDS = 6
DEAD_LETTERED = (RECEIVES + 2) * RETRY_SECONDS + SOON  # seconds, at the latest
AGE_SECONDS = (RECEIVES + 1) * int(VARIABLES["visibility_timeout"])  # the threshold of the age's alarm
CONSUMERS = ("billing", "shipping", "analytics")

DEAR_AND_PHYSICAL = {"amount": 250.0, "goods": ["physical", "digital"]}  # reaches every consumer


class Fanout(Workload):
    """The pattern as an experiment handles it: orders in, outcomes out."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment, *CONSUMERS)
        self.consumers: dict[str, Any] = experiment.outputs["consumers"]

    def order(self, number: int, **fields: Any) -> dict[str, Any]:
        """An order of this experiment, by default one that reaches every consumer."""
        return {"order_id": self.id(number), "customer_id": "c-1", **DEAR_AND_PHYSICAL, **fields}

    def publish(self, *orders: dict[str, Any]) -> set[str]:
        """Has the producer publish orders; returns their order ids."""
        self.submit(orders=orders)
        self.experiment.note(f"sent {len(orders)} orders")
        return {order["order_id"] for order in orders}

    def publish_many(self, count: int, first: int = 1) -> set[str]:
        return self.publish(*(self.order(number) for number in range(first, first + count)))

    def processed(self, consumer: str) -> Counter[str]:
        """How often a consumer processed each order."""
        return Counter(line["order_id"] for line in self.experiment.lines(consumer, "processed"))

    def failed(self, consumer: str) -> list[dict[str, Any]]:
        return self.experiment.lines(consumer, "failed")

    def waits_until_processed(self, consumer: str, orders: set[str], within: float = SOON) -> None:
        self.experiment.wait_until(
            f"{consumer} has processed {len(orders)} orders", lambda: set(self.processed(consumer)) >= orders, within
        )

    def waits_for_alarm(self, consumer: str, alarm: str, state: str, within: float = SOON) -> None:
        self.waits_for_state(self.consumers[consumer]["alarms"][alarm], state, within)

    def firing(self, *consumers: str) -> list[str]:
        """The alarms of these consumers that are in ALARM."""
        return self.in_alarm(name for consumer in consumers for name in self.consumers[consumer]["alarms"].values())

    def waits_until_quiet(self, *consumers: str) -> None:
        """Waits until no alarm of these consumers is left over from an earlier experiment."""
        self.experiment.wait_until(f"no alarm of {consumers} fires", lambda: not self.firing(*consumers), ALARM_CLEARS)

    def waits_for_dead_letters(self, consumer: str, count: int) -> None:
        dlq = self.consumers[consumer]["dlq_url"]
        self.waits_for_messages(f"orders in {consumer}'s DLQ", dlq, count, DEAD_LETTERED)

    def undelivered(self, consumer: str) -> list[dict[str, Any]]:
        """Takes what SNS could not deliver to a consumer's queue."""
        return self.experiment.take(self.consumers[consumer]["undelivered_url"])

    def paused(self, consumer: str) -> AbstractContextManager[None]:
        return faults.paused(self.deployment, self.consumers[consumer]["mapping_id"])


@pytest.fixture
def fanout(experiment: Experiment) -> Iterator[Fanout]:
    """The pattern with fast retries, and with empty queues afterwards."""
    pattern = Fanout(experiment)
    with pattern.visibility_timeout(RETRY_SECONDS):
        yield pattern
        queues = ("queue_url", "dlq_url", "undelivered_url")
        experiment.drain(*(pattern.consumers[consumer][queue] for consumer in CONSUMERS for queue in queues))


@pytest.mark.experiment("SNS-1", failure="None: one order is published")
def test_an_order_reaches_exactly_the_consumers_whose_filters_match(fanout: Fanout, experiment: Experiment) -> None:
    """Each order reaches exactly the consumers whose filter matches, on attributes (shipping) and on the body
    (analytics); what does not match is never delivered."""
    # given orders that match one, two, two and all three subscriptions
    digital, physical = {"goods": ["digital"]}, {"goods": ["physical"]}
    orders = {
        1: {"amount": 20.0, **digital},
        2: {"amount": 20.0, **physical},
        3: {"amount": 100.0, **digital},
        4: {"amount": 100.0, **physical},
    }

    # when they are published
    with fanout.visibility_timeout(60):
        fanout.publish(*(fanout.order(number, **fields) for number, fields in orders.items()))

        # then each consumer processes its own, once; an order for all that is published later finds nothing else
        wanted = {"billing": [1, 2, 3, 4], "shipping": [2, 4], "analytics": [3, 4]}
        for consumer, numbers in wanted.items():
            fanout.waits_until_processed(consumer, {fanout.id(number) for number in numbers})
        fanout.publish(fanout.order(5))
        for consumer, numbers in wanted.items():
            fanout.waits_until_processed(consumer, {fanout.id(5)})
            assert fanout.processed(consumer) == Counter(fanout.id(number) for number in [*numbers, 5])
    experiment.observe("4 orders: billing 4, shipping 2, analytics 2, each once")


@pytest.mark.experiment("SNS-4", failure="One consumer fails on everything")
def test_the_other_consumers_are_not_slowed(fanout: Fanout, experiment: Experiment) -> None:
    """The other consumers process every order meanwhile, and their alarms stay OK; the broken one processes all of its
    own once it works again, while their receives last."""
    slowest = 0.0
    for first, broken in enumerate(CONSUMERS):
        others = [consumer for consumer in CONSUMERS if consumer != broken]
        # given one raises an exception, whatever it gets
        fanout.waits_until_quiet(*CONSUMERS)
        with fanout.visibility_timeout(15, broken), fanout.inject(broken, "exception"):
            # when ten orders are published
            sent = experiment.elapsed
            orders = fanout.publish_many(10, first=10 * first + 1)

            # then the others process them while it fails
            for consumer in others:
                fanout.waits_until_processed(consumer, orders)
            slowest = max(slowest, experiment.elapsed - sent)
            fanout.waits_for_alarm(broken, "errors", "ALARM")
            assert fanout.firing(*others) == []
            assert not orders & fanout.processed(broken).keys()

        # and it catches up
        fanout.waits_until_processed(broken, orders, within=DEAD_LETTERED)
        assert fanout.firing(*others) == []
    experiment.observe(f"each of 3 in turn: the others done within {slowest:.1f} s, their alarms OK; none of 10 lost")


@pytest.mark.experiment("SQS-1", "SQS-2", "SQS-8", failure="A poison message for one consumer")
def test_a_poison_message_ends_in_the_dead_letter_queue_alone(fanout: Fanout, experiment: Experiment) -> None:
    """It is retried `maxReceiveCount` times and lands in that consumer's DLQ with body, attributes and correlation id
    intact; the DLQ alarm fires; every other message of its batches is processed exactly once."""
    # given billing cannot process one order
    fanout.waits_for_alarm("billing", "dlq_depth", "OK", within=ALARM_CLEARS)
    poison = fanout.order(3)
    with (
        fanout.visibility_timeout(2 * RETRY_SECONDS, "billing"),  # the others must not come back for a cold start
        fanout.inject("billing", "exception", when=f"order_id == '{poison['order_id']}'"),
    ):
        # when it is published among nine others
        sent = experiment.elapsed
        orders = fanout.publish_many(10)

        # then it is tried as often as the queue allows, and the others once
        fanout.waits_for_dead_letters("billing", 1)
        dead_lettered = experiment.elapsed
        fanout.waits_for_alarm("billing", "dlq_depth", "ALARM")
    assert fanout.processed("billing") == Counter(orders - {poison["order_id"]})
    attempts = fanout.failed("billing")
    assert [(line["order_id"], line["receive_count"]) for line in attempts] == [
        (poison["order_id"], receive) for receive in range(1, RECEIVES + 1)
    ]

    # and the message is intact
    [letter] = experiment.take(fanout.consumers["billing"]["dlq_url"])
    assert json.loads(letter["Body"]) == {**poison, "correlation_id": experiment.id}
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["correlation_id"] == experiment.id
    assert json.loads(attributes["goods"]) == poison["goods"]
    experiment.observe(
        f"{len(attempts)} receives, in the DLQ {dead_lettered - sent:.0f} s after it was sent, "
        f"{dead_lettered - attempts[-1]['at']:.0f} s after the last failure; 9 others once"
    )


@pytest.mark.experiment("SNS-4", failure="A consumer's mapping is disabled while orders arrive")
def test_nothing_is_lost_while_a_consumer_is_down(fanout: Fanout, experiment: Experiment) -> None:
    """Its queue keeps the orders, for four days; all of them are processed once the mapping is enabled again."""
    # given shipping is down
    with fanout.paused("shipping"):
        # when 50 orders arrive
        orders = fanout.publish_many(50)

        # then they wait, and nothing is invoked
        fanout.waits_for_messages("orders wait", fanout.consumers["shipping"]["queue_url"], 50)
        fanout.waits_until_processed("billing", orders)
        assert not fanout.processed("shipping")
    back = experiment.elapsed

    # and all are processed after it comes back
    fanout.waits_until_processed("shipping", orders, within=2 * SOON)
    assert set(fanout.processed("shipping")) == orders
    experiment.observe(f"50 waited, 50 processed within {experiment.elapsed - back:.1f} s of its return")


@pytest.mark.experiment("SQS-1", "SQS-10", failure="A consumer crashes in mid-batch")
def test_a_crash_in_mid_batch_loses_nothing(fanout: Fanout, experiment: Experiment) -> None:
    """The whole batch comes back after the visibility timeout: nothing is lost, and what was done before the crash is
    done twice."""
    # given a batch of ten is waiting, and the process will die at one of its orders, the first time
    with fanout.inject("billing", "crash", when=f"order_id == '{fanout.id(6)}'", receive_count=1):
        with fanout.paused("billing"):
            orders = fanout.publish_many(10)
            fanout.waits_for_messages("orders wait", fanout.consumers["billing"]["queue_url"], 10)

        # when the consumer takes it, then every order is processed in the end
        fanout.waits_until_processed("billing", orders, within=DEAD_LETTERED)
    assert len(fanout.injected("billing", "crash")) == 1

    # and what ran twice is what the crash cut off from its acknowledgement
    processed = experiment.lines("billing", "processed")
    runs = Counter((line["order_id"], line["receive_count"]) for line in processed)
    before = {order for order, receive in runs if receive == 1}
    assert before and fanout.id(6) not in before
    assert {order for order, receive in runs if receive > 1} == orders
    assert max(runs.values()) == 1
    experiment.observe(f"10 of 10 processed, {len(before)} of them twice")


def lost_delivery(
    fanout: Fanout, experiment: Experiment, broken: AbstractContextManager[None], consumer: str, first: int = 1
) -> None:
    """Publishes to a consumer that cannot be delivered to, first with the subscription's DLQ, then without."""
    kept, lost, later = (fanout.order(first + number) for number in range(3))
    # given deliveries to the consumer's queue are refused for good
    fanout.waits_for_alarm(consumer, "undelivered", "OK", within=ALARM_CLEARS)
    with broken:
        # when an order is published, then it goes to the subscription's dead-letter queue
        fanout.publish(kept)
        fanout.waits_for_messages("order could not be delivered", fanout.consumers[consumer]["undelivered_url"], 1)
        fanout.waits_for_alarm(consumer, "undelivered", "ALARM")
        assert [json.loads(message["Body"])["order_id"] for message in fanout.undelivered(consumer)] == [
            kept["order_id"]
        ]

        # and when one is published without that queue
        with faults.no_dead_letter_queue(fanout.deployment, fanout.consumers[consumer]["subscription_arn"]):
            fanout.publish(lost)
            for other in set(CONSUMERS) - {consumer}:
                fanout.waits_until_processed(other, {kept["order_id"], lost["order_id"]})

    # then it is lost: what is published after the repair arrives, and it does not
    fanout.publish(later)
    fanout.waits_until_processed(consumer, {later["order_id"]})
    assert not {kept["order_id"], lost["order_id"]} & fanout.processed(consumer).keys()
    assert fanout.undelivered(consumer) == []
    experiment.observe("with the subscription's DLQ: 1 of 1 kept; without: 1 of 1 lost, no error anywhere")


@pytest.mark.experiment("SNS-3", failure="A consumer's queue is deleted")
def test_orders_for_a_deleted_queue_go_to_the_subscriptions_dead_letter_queue(
    fanout: Fanout, experiment: Experiment
) -> None:
    """The topic does not retry: the order goes to the subscription's DLQ at once; without one it is lost, and nothing
    tells."""
    for number, consumer in enumerate(CONSUMERS):
        deleted = faults.queue_deleted(fanout.deployment, fanout.consumers[consumer]["queue_url"])
        lost_delivery(fanout, experiment, deleted, consumer, first=3 * number + 1)


@pytest.mark.gap("queue-policy")
@pytest.mark.experiment("SNS-3", failure="A consumer's queue loses its policy")
def test_orders_for_a_queue_that_refuses_go_to_the_subscriptions_dead_letter_queue(
    fanout: Fanout, experiment: Experiment
) -> None:
    """The same: a refusal is an error of the client's, which SNS does not retry."""
    url = fanout.consumers["shipping"]["queue_url"]
    lost_delivery(fanout, experiment, faults.queue_policy_revoked(fanout.deployment, url), "shipping")


@pytest.mark.experiment("SQS-7", failure="A consumer is throttled")
def test_throttling_uses_up_receives(fanout: Fanout, experiment: Experiment) -> None:
    """Messages wait, but each visibility timeout of refusals uses up a receive: with a low `maxReceiveCount`, healthy
    messages end up in the DLQ without a single attempt to process them."""
    # given shipping has no concurrency to run in
    for alarm in ("throttles", "dlq_depth"):
        fanout.waits_for_alarm("shipping", alarm, "OK", within=ALARM_CLEARS)
    function = fanout.consumers["shipping"]["function"]
    with faults.throttled(fanout.deployment, function):
        # when healthy orders arrive
        sent = experiment.elapsed
        orders = fanout.publish_many(3)

        # then they are dead-lettered, and no code of ours has seen one
        fanout.waits_for_alarm("shipping", "throttles", "ALARM")
        fanout.waits_for_dead_letters("shipping", len(orders))
        seconds = experiment.elapsed - sent
        fanout.waits_for_alarm("shipping", "dlq_depth", "ALARM")
    assert not fanout.processed("shipping")
    assert not fanout.failed("shipping")
    experiment.observe(f"3 healthy orders in the DLQ after {seconds:.0f} s and {RECEIVES} receives, 0 invocations")


@pytest.mark.experiment("SQS-17", "SQS-7", failure="Nobody reads; everything fails; everything is refused")
def test_each_way_to_be_down_has_its_alarms(fanout: Fanout, experiment: Experiment) -> None:
    """A queue that nobody reads sets off its `-age` alarm and no other; a consumer that fails on everything sets off
    `-dlq-depth`, a throttled one `-throttles` and `-dlq-depth`. Of these two `-age` stays quiet: their messages are
    dead-lettered before they are old enough."""
    seconds = []
    for first, unread in enumerate(CONSUMERS):
        failing, refused = (CONSUMERS * 2)[first + 1 : first + 3]
        # given one consumer is paused, another fails on every order, and the third has no concurrency
        fanout.waits_until_quiet(*CONSUMERS)
        numbers = (2 * first + 1, 2 * first + 2)
        with (
            fanout.paused(unread),
            fanout.inject(failing, "exception", when=fanout.one_of(fanout.ids(*numbers))),
            faults.throttled(fanout.deployment, fanout.consumers[refused]["function"]),
        ):
            # when orders for all of them are published
            orders = fanout.publish_many(2, first=numbers[0])
            published = experiment.elapsed

            # then each has its own alarms
            fanout.waits_for_alarm(refused, "throttles", "ALARM")
            for consumer in (failing, refused):
                fanout.waits_for_dead_letters(consumer, len(orders))
                fanout.waits_for_alarm(consumer, "dlq_depth", "ALARM")
            fanout.waits_for_alarm(unread, "age", "ALARM", within=AGE_SECONDS + SOON)
            seconds.append(experiment.elapsed - published)

            # and no other: only the throttles of the third may be over by now
            alarms = {consumer: fanout.consumers[consumer]["alarms"] for consumer in CONSUMERS}
            assert fanout.firing(unread) == [alarms[unread]["age"]]
            assert fanout.firing(failing) == [alarms[failing]["dlq_depth"]]
            assert set(fanout.firing(refused)) - {alarms[refused]["throttles"]} == {alarms[refused]["dlq_depth"]}
        fanout.waits_until_processed(unread, orders)
        experiment.drain(*(fanout.consumers[consumer]["dlq_url"] for consumer in (failing, refused)))
    experiment.observe(
        f"each of 3 in turn: unread: age after {max(seconds):.0f} s, nothing else; failing: dlq-depth; "
        "throttled: throttles and dlq-depth"
    )


@pytest.mark.experiment("INV-1", failure="The producer fails, or finds no concurrency")
def test_who_publishes_is_told_when_the_producer_fails(fanout: Fanout, experiment: Experiment) -> None:
    """Whoever invokes it is told, no order is published, and `producer-errors` or `producer-throttles` fires: an order
    that is not sent again is lost."""
    # given an order, when the producer fails with it, and when it is refused, then who sends it is told
    fanout.tells_its_caller("producer", orders=[fanout.order(1)], correlation_id=experiment.id)

    # and nothing was published: an order that is sent afterwards is all that arrives
    orders = fanout.publish(fanout.order(2))
    fanout.waits_until_processed("billing", orders)
    assert fanout.processed("billing") == Counter(orders)
    experiment.observe("1 failure and 1 refusal, both told; alarms producer-errors and producer-throttles")


@pytest.mark.experiment("SQS-14", failure="Dead letters wait after the cause is fixed")
def test_a_redrive_processes_every_dead_letter(fanout: Fanout, experiment: Experiment) -> None:
    """`make redrive` moves them back to the queue, every one is processed, and the alarm returns to OK."""
    # given analytics could not process three orders, and its alarm fires
    fanout.waits_for_alarm("analytics", "dlq_depth", "OK", within=ALARM_CLEARS)
    with fanout.inject("analytics", "exception", when=fanout.one_of(fanout.ids(1, 2, 3))):
        orders = fanout.publish_many(3)
        fanout.waits_for_dead_letters("analytics", 3)
        fanout.waits_for_alarm("analytics", "dlq_depth", "ALARM")
    assert not fanout.processed("analytics")

    # when the cause is fixed and the dead-letter queue redriven
    with fanout.visibility_timeout(60, "analytics"):
        moved = faults.redrive(fanout.deployment, fanout.consumers["analytics"]["dlq_arn"])
        redriven = experiment.elapsed

        # then every order is processed, once, and the alarm clears
        assert moved == len(orders)
        fanout.waits_until_processed("analytics", orders)
    assert fanout.processed("analytics") == Counter(orders)
    fanout.waits_for_alarm("analytics", "dlq_depth", "OK", within=ALARM_CLEARS)
    experiment.observe(f"3 of 3 processed, the alarm OK {experiment.elapsed - redriven:.0f} s after the redrive")
