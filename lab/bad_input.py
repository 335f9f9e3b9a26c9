"""What anybody may send, and what no handler may make of it.

    def test_whatever_a_message_is(load):
        billing = load("billing")
        bad_input.check_consumer(bad_input.through(billing), ORDER)

and the same for inputs with a name, which are a table of docs/bad-input.md:

    CASES = [Case("billing", {"amount": "1e27"}, "amount is 1E+27, and has to be a number above 0")]

    def test_what_becomes_of_bad_input(load):
        bad_input.check_cases(bad_input.through(load("billing")), ORDER, CASES)

Messages are made as text, not as Python values: JSON can say what Python would not write (`1e400`, brackets nested ten
thousand times, a lone surrogate). What Lambda itself writes is taken for granted: a message id, and where it is from.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import batched, cycle
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from lab.handler_testing import LoadedFunction, sqs_record

BATCH = 10
# Hypothesis also tries what it finds written in the modules that happen to be loaded: which inputs a test gets would
# depend on the tests that ran before it.
assert hasattr(providers.HypothesisProvider, "_local_constants")
providers.HypothesisProvider._local_constants = Constants()  # type: ignore[assignment]
# The same inputs each time, so that what fails for one person fails for everybody.
SETTINGS = settings(
    max_examples=1000,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# Of messages, where everything that is listed has been delivered already.
FURTHER = settings(SETTINGS, max_examples=200)
NESTED = "[" * 10_000

# Values as JSON text. Each was bad input to some function once, or is next to one that was.
VALUES = (
    *("null", "true", "false", "0", "-1", "-0.0", "1", "2", "2.0", "2.9", "5", "0.001", "120.105", "1e2", "1e27"),
    *("1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity", "12345678901234567.89", "1" * 400, "9" * 5000),
    *('""', '" "', '"0"', '"1"', '"1_000"', '"+1"', '" 1 "', '"1e2"', '"NaN"', '"2.9"', '"one hundred"', '"None"'),
    *('"\\ud800"', '"o-\\udfff-1"', '"\\u0000"', '"\\ufeff"', '"\\u202e"', '"\\uff11\\uff12"', '"\\u0661"', '"ü b"'),
    *(f'"{"x" * 512}"', f'"{"x" * 513}"', f'"{"x" * 3000}"', f'"{"ü" * 257}"', f'"{"x" * 30_000}"'),
    *("[]", "{}", '["physical"]', "[null]", '{"a":1}', '{"S":"o-1"}'),
    *("[" * 5000 + "]" * 5000, '{"a":' * 300 + "1" + "}" * 300),
)  # fmt: skip
# Bodies that are no order at all.
NOISE = (
    *("", " ", "{", "[", "null", "1", '"o-1"', "[1]", "{}", "not json", "<order/>", '{"order_id":', "\ufeff{}", "\x00"),
    *("\ud800", "e30=", "ÿþ", "{'order_id': 'o-1'}", NESTED, NESTED + "]" * 10_000, '{"a":' * 10_000, "9" * 5000),
    *('{"Type":"Notification","Message":"{}"}', '{"Event":"s3:TestEvent"}', '{"order_id":"o-1"}{"order_id":"o-2"}'),
    '{"order_id":"o-1","order_id":null}',
)
# Fields of a record beside its body, as they are when somebody else chose them; `...` is a field that is missing.
ENVELOPES: tuple[dict[str, Any], ...] = (
    {"messageAttributes": {"correlation_id": {"dataType": "Binary", "binaryValue": "3q2+7w=="}}},
    {"messageAttributes": {"correlation_id": {"dataType": "Number", "stringValue": "1"}}},
    {"messageAttributes": {"correlation_id": {"dataType": "String"}}},
    {"messageAttributes": {"correlation_id": {"dataType": "String", "stringValue": "\ud800"}}},
    {"messageAttributes": {"correlation_id": {"dataType": "String", "stringValue": "x" * 100_000}}},
    {"messageAttributes": {"correlation_id": None}},
    {"messageAttributes": {"correlation_id": "trace-1"}},
    {"messageAttributes": None},
    {"messageAttributes": ...},
    {"attributes": ...},
    {"attributes": {}},
    {"attributes": {"ApproximateReceiveCount": "many"}},
    {"attributes": {"ApproximateReceiveCount": 1}},
    {"receiptHandle": ...},
)

Record = dict[str, Any]


DEAD_LETTER_QUEUE = "the dead-letter queue"


@dataclass(frozen=True)
class Case:
    """An input with a name: an order with some fields' JSON changed (None: left out), or with another envelope, or a
    body that is no order. Without `says` it is processed; else it fails permanently, and so its log line begins.

    `what` and `ends` are for the table: what it is, unless the changed JSON says it, and where it ends.
    """

    function: str
    changes: dict[str, str | None] = field(default_factory=dict)
    says: str = ""
    ends: str = ""
    what: str = ""
    envelope: dict[str, Any] = field(default_factory=dict)
    body: str | None = None

    def __str__(self) -> str:
        changes = ", ".join(f"`{name}: {_cut(value)}`" for name, value in self.changes.items())
        return self.what or changes.replace(": missing`", "` missing")

    def message(self, order: dict[str, Any], number: int) -> "Message":
        return _Draft(tuple(self.changes.items()), self.envelope, self.body, not self.says).message(order, number)

    @property
    def row(self) -> list[str]:
        """The case as cells of a table, after that of its function."""
        ends = self.ends or (DEAD_LETTER_QUEUE if self.says else "processed")
        return [str(self), "permanent" if self.says else "", f"`{self.says}`" if self.says else "", ends]


def of_any(function: str) -> list[Case]:
    """What may be in any message of a queue, for one of the functions that take orders from one."""
    binary = {"messageAttributes": {"correlation_id": {"dataType": "Binary", "binaryValue": "3q2+7w=="}}}
    empty = {"messageAttributes": {"correlation_id": {"dataType": "String"}}}
    deep = "[" * 5000 + "]" * 5000
    return [
        Case(function, says="malformed message: RecursionError", body=NESTED, what="`[` ten thousand times"),
        Case(function, says="malformed message: JSONDecodeError", body="order o-1", what="a body that is not JSON"),
        Case(function, says="malformed message: JSONDecodeError", body="\ud800", what="a body that is not UTF-8"),
        Case(function, says="malformed message: TypeError: the body is a JSON list", body="[1]", what="`[1]`"),
        Case(function, envelope=binary, what="an attribute `correlation_id` of the type Binary"),
        Case(function, envelope=empty, what="an attribute `correlation_id` without a value"),
        Case(function, {"note": '"\\ud800"'}, what="a lone surrogate in a field that is not read"),
        Case(function, {"correlation_id": '"\\ud800"'}, what="a lone surrogate as `correlation_id`"),
        Case(function, {"correlation_id": '{"a":1}'}, what="an object as `correlation_id`"),
        Case(function, {"note": deep}, what="5,000 nested arrays in a field that is not read"),
        Case(function, {"key": '"k-1"'}, what="an order with a field `key`: its line has `order_id`, too"),
    ]


def check_cases(deliver: "Deliver", order: dict[str, Any], cases: Iterable[Case]) -> None:
    """Delivers each case between two healthy orders. Raises AssertionError when one does not become what it says."""
    for case in cases:
        batch = [_Draft().message(order, 1), case.message(order, 2), _Draft().message(order, 3)]

        outcome = deliver([message.record for message in batch])

        judge(batch, outcome)
        lines = [line for line in outcome.lines if line["message"] in ("processed", "failed")]
        told = [line["message"] for line in lines]
        assert told == ["processed", "failed" if case.says else "processed", "processed"], case
        error = lines[1].get("error", "")
        assert error.removeprefix("PermanentError: ").startswith(case.says), (case, error)
        if "order_id" not in case.changes and case.body is None:
            assert lines[1]["order_id"] == "o-2", case


@dataclass(frozen=True)
class Message:
    """A message of a batch: its record, and whether it is healthy, that is, has to be processed."""

    record: Record
    is_healthy: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: the handler's answer, the log lines, and the order ids that had an effect, if any can."""

    response: Any
    lines: list[dict[str, Any]]
    effects: list[str] | None = None


Deliver = Callable[[list[Record]], Outcome]


def through(function: LoadedFunction, effects: Callable[[], list[str]] | None = None) -> Deliver:
    """Delivers to a function. `effects()` are the order ids that it has acted on since it was asked before."""

    def deliver(records: list[Record]) -> Outcome:
        if effects:
            effects()
        response = function.invoke({"Records": records})
        return Outcome(response, function.lines, effects() if effects else None)

    return deliver


def refuse_what_dynamodb_does(item: dict[str, Any], key: str) -> None:
    """Raises ClientError, as DynamoDB does, on what cannot be the key of an item, or a number of it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    text = item[key].get("S")
    try:
        fits = isinstance(text, str) and 1 <= len(text.encode()) <= 2048
        numbers = [Decimal(value["N"]) for value in item.values() if "N" in value]
    except (UnicodeEncodeError, InvalidOperation):
        fits, numbers = False, []
    if not fits or any(not number.is_finite() or len(number.as_tuple().digits) > 38 for number in numbers):
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "refused"}}, "PutItem")


class Taker:
    """A queue or a topic, which takes a batch with such a body whole, if AWS would take it, and else fails it whole."""

    def __init__(self, body: str, max_bytes: int) -> None:
        self.body = body
        self.max_bytes = max_bytes
        self._taken: list[str] = []

    def __call__(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        texts = [entry[self.body] for entry in entries]
        for entry in entries:
            texts += [text for value in entry["MessageAttributes"].values() for text in value.values()]
            texts += [entry[name] for name in ("MessageGroupId", "MessageDeduplicationId") if name in entry]
        assert 1 <= len(entries) <= BATCH
        assert sum(len(text.encode()) for text in texts) <= self.max_bytes
        assert all(
            re.fullmatch("[\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]+", text) for text in texts
        )
        self._taken += [str(json.loads(entry[self.body]).get("order_id")) for entry in entries]
        return {"Successful": [{"Id": entry["Id"], "MessageId": f"sent-{entry['Id']}"} for entry in entries]}

    def taken(self) -> list[str]:
        """The ids of the orders taken since it was asked before."""
        taken, self._taken = self._taken, []
        return taken


def check_consumer(deliver: Deliver, order: dict[str, Any]) -> None:
    """Delivers `of_all_kinds(order)`. Raises AssertionError, with the batch, if something is not true of a batch that
    has to be true of all.
    """

    @of_all_kinds(order)
    def holds(batch: list[Message]) -> None:
        judge(batch, deliver([message.record for message in batch]))

    with brief_tracebacks():
        holds()


def judge(batch: list[Message], outcome: Outcome) -> None:
    """Every message has one line that names it. What is healthy is processed once; the rest fails permanently, or is
    processed once if it is an order after all; and what fails is reported, and nothing else.
    """
    ids = [message.record["messageId"] for message in batch]
    told = [line for line in outcome.lines if line["message"] in ("processed", "failed")]
    assert [line["message_id"] for line in told] == ids
    assert all(len(json.dumps(line)) < 20_000 for line in outcome.lines)

    failed = [line["message_id"] for line in told if line["message"] == "failed"]
    assert outcome.response == {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
    assert {line["error_class"] for line in told if line["message"] == "failed"} <= {"permanent"}
    healthy = [message.record["messageId"] for message in batch if message.is_healthy]
    assert not set(healthy) & set(failed)

    if outcome.effects is not None:
        processed = [line["order_id"] for line in told if line["message"] == "processed"]
        assert set(outcome.effects) == set(processed)
        assert len(outcome.effects) == len(set(outcome.effects))


def check_producer(producer: LoadedFunction, sent: Callable[[], list[str]], order: dict[str, Any]) -> None:
    """The same for a producer. `sent()` are the ids, as text, of the orders that it has sent since the last call."""

    @of_all_kinds(order)
    def holds(batch: list[Message]) -> None:
        sent()
        orders = [decoded(message) for message in batch]
        failures = 0
        try:
            producer.invoke({"orders": orders})
        except Exception as error:
            assert type(error).__name__ == "PublishError"
            failures = int(str(error).split()[0])
        told = Counter(line["message"] for line in producer.lines)
        assert told == Counter({"published": BATCH - failures, "failed": failures}) - Counter()
        assert all(len(json.dumps(line)) < 20_000 for line in producer.lines)
        ids = Counter(sent())
        assert ids.total() == BATCH - failures
        healthy = [given["order_id"] for message, given in zip(batch, orders, strict=True) if message.is_healthy]
        assert [ids[order_id] for order_id in healthy] == [1] * len(healthy)

    with brief_tracebacks():
        holds()


class Failures:
    """An on-failure destination, as handlers.replay uses it, and what became of its messages."""

    def __init__(self) -> None:
        self.waiting: list[Record] = []
        self.deleted: list[str] = []
        self.put_back: list[str] = []

    def fill(self, batch: list[Message]) -> None:
        self.waiting = [
            {
                "MessageId": message.record["messageId"],
                "ReceiptHandle": message.record["messageId"],
                "Body": message.record["body"],
                "Attributes": {"SentTimestamp": "0"},
            }
            for message in batch
        ]
        self.deleted, self.put_back = [], []

    def receive_message(self, **_: Any) -> dict[str, Any]:
        messages, self.waiting = self.waiting, []
        return {"Messages": messages} if messages else {}

    def delete_message(self, ReceiptHandle: str, **_: Any) -> None:
        self.deleted.append(ReceiptHandle)

    def change_message_visibility(self, ReceiptHandle: str, **_: Any) -> None:
        self.put_back.append(ReceiptHandle)


def check_replay(function: LoadedFunction, queue: Failures, record: dict[str, Any]) -> None:
    """The same for an operator's function that replays an on-failure destination, of ten messages at a time.

    What is healthy is replayed once; every other is replayed, or put back, logged and named.
    """

    @of_all_kinds(record)
    def holds(batch: list[Message]) -> None:
        queue.fill(batch)
        problems = function.invoke({})["problems"]
        healthy = {message.record["messageId"] for message in batch if message.is_healthy}
        assert healthy <= set(queue.deleted)
        assert sorted(queue.deleted + queue.put_back) == sorted(message.record["messageId"] for message in batch)
        assert [problem.split()[1] for problem in problems] == queue.put_back
        assert [line["message_id"] for line in function.lines if line["message"] == "not replayed"] == queue.put_back
        assert all(len(problem) < 2000 for problem in problems)

    with brief_tracebacks():
        holds()


def of_all_kinds(order: dict[str, Any]) -> Callable[[Callable[[list[Message]], None]], Callable[[], None]]:
    """Decorates a test of a batch of ten messages, made from a healthy order: it is called with each change of one
    field, each envelope and each noise that is listed above, between healthy orders, and then with 200 of `batches`.
    """
    healthy, changed, noise = _listed(order)
    alternating = [draft for pair in zip(changed + noise, cycle(healthy), strict=False) for draft in pair]
    alternating += [_Draft()] * (-len(alternating) % BATCH)

    def decorate(test: Callable[[list[Message]], None]) -> Callable[[], None]:
        for drafts in batched(alternating, BATCH, strict=True):
            test = example(_messages(drafts, order))(test)
        return FURTHER(given(batches(order))(test))

    return decorate


def batches(order: dict[str, Any]) -> st.SearchStrategy[list[Message]]:
    """Batches of ten: healthy orders, orders of which something is wrong, and noise, listed and made up."""
    healthy, changed, noise = _listed(order)
    # Each choice takes its time, so what can be listed is one choice: of each kind about as many.
    listed = [*changed, *_repeated(healthy, len(changed)), *_repeated(noise, len(changed))]
    made_up = st.one_of(
        st.builds(
            lambda one, other, envelope: _Draft((one, other), envelope, is_healthy=False),
            st.sampled_from([change for draft in changed for change in draft.changes]),
            st.tuples(st.sampled_from(_names(order)), _json()),
            st.sampled_from(ENVELOPES),
        ),
        st.text(max_size=20).map(lambda noise: _Draft(noise=noise, is_healthy=False)),
    )
    drafts = st.tuples(*[st.sampled_from(listed)] * (BATCH - 2), made_up, made_up)
    return drafts.map(lambda drafted: _messages(drafted, order))


def _names(order: dict[str, Any]) -> list[str]:
    return [*order, "correlation_id", "key", "extra"]


def _listed(order: dict[str, Any]) -> tuple[list["_Draft"], list["_Draft"], list["_Draft"]]:
    """What is healthy, what has one field changed, and noise."""
    healthy = [
        _Draft(),
        *(_Draft(envelope=envelope) for envelope in ENVELOPES),
        *(_Draft((("extra", value),)) for value in VALUES if _is_decodable(value)),
    ]
    changes = [(name, value) for name in _names(order) for value in (None, *VALUES)]
    changed = [_Draft((change,), is_healthy=False) for change in changes]
    return healthy, changed, [_Draft(noise=noise, is_healthy=False) for noise in NOISE]


def _repeated(drafts: list["_Draft"], upto: int) -> list["_Draft"]:
    return drafts * max(1, upto // len(drafts))


def _messages(drafts: Iterable["_Draft"], order: dict[str, Any]) -> list[Message]:
    return [draft.message(order, number) for number, draft in enumerate(drafts, start=1)]


@dataclass(frozen=True)
class _Draft:
    """A message before it has a number: an order with some fields' JSON changed (None: left out), or else noise."""

    changes: tuple[tuple[str, str | None], ...] = ()
    envelope: dict[str, Any] = field(default_factory=dict)
    noise: str | None = None
    is_healthy: bool = True

    def message(self, order: dict[str, Any], number: int) -> Message:
        fields = {name: json.dumps(value) for name, value in order.items()} | {"order_id": f'"o-{number}"'}
        changed = (fields | dict(self.changes)).items()
        body = ",".join(f"{json.dumps(name)}:{value}" for name, value in changed if value is not None)
        record = sqs_record(f"{{{body}}}" if self.noise is None else self.noise, f"m-{number}") | self.envelope
        return Message({name: value for name, value in record.items() if value is not ...}, self.is_healthy)


def decoded(message: Message) -> Any:
    """A body as an order of a producer's event; text where it is no JSON."""
    body = message.record["body"]
    return json.loads(body) if _is_decodable(body) else body


def brief_tracebacks() -> AbstractContextManager[Any]:
    """Lines have no traceback but the error: to write them takes half of the time."""
    return patch.object(logging.Formatter, "formatException", lambda _, error: f"{error[1]!r}")


def _cut(text: str | None) -> str:
    """JSON as it is shown in a table."""
    if text is None:
        return "missing"
    return text if len(text) <= 30 else f"{text[:8]}...{text[-2:]}"


def _is_decodable(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json() -> st.SearchStrategy[str]:
    """Values that are nobody's idea."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=3,
    ).map(json.dumps)
