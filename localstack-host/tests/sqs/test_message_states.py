"""The states of a queue's messages, against a model too simple to be wrong: a list that is searched each time."""

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from localstack_host.sqs.message_states import Messages, QueuedMessage, State

RETENTION = 60
GROUPS = st.sampled_from(["a", "b", "c"])
SECONDS = st.sampled_from([0, 1, 5, 20])


@dataclass
class Expected:
    queued: QueuedMessage
    group: str
    enqueued: int
    sent: int
    delay: int
    receives: int = 0
    hidden_until: int = 0  # while it is in flight


class ModelOfAQueue(RuleBasedStateMachine):
    fifo: bool

    def __init__(self) -> None:
        super().__init__()
        self.now, self.announced = 0, False
        self.real = Messages(self.fifo, self.announce)
        self.expected: list[Expected] = []

    def announce(self) -> None:
        self.announced = True

    def state(self, one: Expected) -> State:
        if one.receives == 0:
            return State.DELAYED if self.now < one.enqueued + one.delay else State.VISIBLE
        return State.IN_FLIGHT if self.now < one.hidden_until else State.VISIBLE

    def receivable(self) -> list[Expected]:
        """What may be received next, each alone; messages of a group in order."""
        visible = [one for one in self.expected if self.state(one) is State.VISIBLE]
        if not self.fifo:
            return visible
        blocked = {one.group for one in self.expected if self.state(one) is State.IN_FLIGHT}
        return [one for one in visible if one.group not in blocked]

    def pass_time(self) -> None:
        self.expected = [one for one in self.expected if self.now < one.sent + RETENTION]
        self.real.advance(self.now, RETENTION)

    @rule(group=GROUPS, delay=SECONDS, age=SECONDS)
    def put(self, group: str, delay: int, age: int) -> None:
        delay = self.delay if self.fifo else delay
        queued = self.real.put("body", self.now, delay, self.now - age, group)
        self.expected.append(Expected(queued, group, self.now, self.now - age, delay))

    delay = 0

    @precondition(lambda self: self.fifo)
    @rule(delay=SECONDS)
    def change_the_delay(self, delay: int) -> None:
        """FIFO queues: it holds for the messages that are still delayed too
        (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html)."""
        for one in self.expected:
            if self.state(one) is State.DELAYED:
                one.delay = delay
        self.delay = delay
        self.real.delay(self.now, delay)

    @rule(seconds=SECONDS)
    def let_time_pass(self, seconds: int) -> None:
        self.now += seconds
        self.pass_time()

    @rule(most=st.integers(1, 4), visibility=SECONDS, limit=st.none() | st.integers(1, 3))
    def receive(self, most: int, visibility: int, limit: int | None) -> None:
        available = self.receivable()
        alive = [one for one in available if limit is None or one.receives < limit]
        received, dead = self.real.take(self.now, most, visibility, limit)
        of = {id(one.queued): one for one in self.expected}
        assert len(received) == min(most, len(alive))
        for queued in received:
            assert of[id(queued)] in alive
        for queued in dead:
            assert of[id(queued)] in available
            assert of[id(queued)] not in alive
        if len(received) < most:
            assert len(dead) == len(available) - len(alive)
        self.check_order([of[id(queued)] for queued in received], available, dead)
        for queued in dead:
            self.expected.remove(of[id(queued)])
        for queued in received:
            one = of[id(queued)]
            one.receives += 1
            one.hidden_until = self.now + visibility
            assert queued.receive_count == one.receives

    def check_order(self, received: list[Expected], available: list[Expected], dead: list[QueuedMessage]) -> None:
        if self.fifo:
            groups = list(dict.fromkeys(one.group for one in received))
            assert [one.group for one in received] == sorted([one.group for one in received], key=groups.index)
            for group in groups:
                of_group = [one for one in available if one.group == group and one.queued not in dead]
                assert [one for one in received if one.group == group] == of_group[: len(received)][
                    : sum(one.group == group for one in received)
                ]
                if group != groups[-1]:  # as many of one group as there are, before the next
                    assert all(one in received for one in of_group)
        else:
            fresh = [one for one in received if one.receives < 3]
            assert fresh == sorted(fresh, key=lambda one: one.queued.number)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        candidates = [one for one in self.expected if one.receives]
        if candidates:
            one = data.draw(st.sampled_from(candidates))
            self.expected.remove(one)
            self.real.remove(one.queued)

    @rule(data=st.data(), seconds=SECONDS)
    def change_visibility(self, data: st.DataObject, seconds: int) -> None:
        candidates = [one for one in self.expected if self.state(one) is State.IN_FLIGHT]
        if candidates:
            one = data.draw(st.sampled_from(candidates))
            one.hidden_until = self.now + seconds
            self.real.hide(one.queued, self.now, seconds)

    @rule()
    def purge(self) -> None:
        self.expected.clear()
        self.real.clear()

    @invariant()
    def it_holds_what_it_should(self) -> None:
        self.pass_time()
        states = [self.state(one) for one in self.expected]
        assert {state: count for state, count in self.real.counts.items() if state is not State.GONE} == {
            state: states.count(state) for state in State if state is not State.GONE
        }
        assert [one.queued.state for one in self.expected] == states
        assert bool(self.real.open) == bool(self.receivable())
        # Whoever found nothing, and waits, has heard of what there is since.
        assert self.announced or not self.receivable()
        if not self.receivable():
            self.announced = False
        waiting = [one.enqueued + one.delay for one in self.expected if self.state(one) is State.DELAYED]
        waiting += [one.hidden_until for one in self.expected if self.state(one) is State.IN_FLIGHT]
        assert self.real.next_deadline() == min(waiting, default=None)


class StandardQueue(ModelOfAQueue):
    fifo = False


class FifoQueue(ModelOfAQueue):
    fifo = True


TestStandardQueue = StandardQueue.TestCase
TestFifoQueue = FifoQueue.TestCase


def test_a_standard_queue_puts_a_message_behind_the_others_at_its_third_receive() -> None:
    """If a message is received three times or more and not deleted, it moves to the back of the queue
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html)."""
    messages = Messages(fifo=False)
    for body in ("poison", "next"):
        messages.put(body, now=0)
    taken = []
    for _ in range(5):
        received, _ = messages.take(now=0, most=1, visibility=0)
        taken += [queued.message for queued in received]

    assert taken == ["poison"] * 3 + ["next"] * 2


def test_what_is_gone_takes_no_memory() -> None:
    """A message's place among the ages and deadlines is given up soon after the message."""
    messages = Messages(fifo=True)
    for number in range(1000):
        messages.put("body", now=number, group=str(number))
        for queued in messages.take(now=number, most=1, visibility=43_200)[0]:
            messages.know(queued, str(number))
            messages.remove(queued)

    assert len(messages.by_age) + len(messages.by_deadline) < 250
    assert not messages.groups and not messages.by_handle and not messages.held
