"""What the functions of the audit trail make of bad input."""

import importlib
import io
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import bad_input
from lab.bad_input import Case
from lab.handler_testing import Load, LoadedFunction, stream_record

# The order after a change, in DynamoDB's JSON.
CHANGED = {"change_id": {"S": "c-2"}, "actor": {"S": "alice"}, "correlation_id": {"S": "trace-1"}}

DECLARED = "audited, as declared by its actor"
UNKNOWN = "audited, as that of an unknown; `make verify` agrees"
DISCARDED = "the on-failure destination; a replay names it"

ORDER_CASES = [
    Case("auditor", {"note": '{"BS":["AQ==","AA=="]}'}, ends=DECLARED, what="an order with a binary set"),
    Case("auditor", {"actor": '{"N":"7"}'}, ends=UNKNOWN, what="an `actor` that is a number"),
    Case("auditor", {"actor": '{"S":""}'}, ends=UNKNOWN, what="an `actor` that is empty"),
    Case("auditor", {"actor": None}, ends=UNKNOWN),
    Case("auditor", {"correlation_id": '{"NULL":true}'}, ends=UNKNOWN, what="a `correlation_id` that is null"),
    Case("auditor", {"correlation_id": None}, ends=DECLARED),
    Case("auditor", {"change_id": '{"N":"7"}'}, ends=UNKNOWN, what="a `change_id` that is a number"),
    Case("auditor", {"change_id": '{"BS":["AQ=="]}'}, ends=UNKNOWN, what="a `change_id` that is a binary set"),
    Case("auditor", {"change_id": None}, ends=UNKNOWN),
]
RECORD_CASES = [
    Case("auditor", {"NewImage": None}, "malformed record: ValueError: neither an old", DISCARDED),
    Case("auditor", {"NewImage": '"an image"'}, "malformed record: TypeError: NewImage is a JSON str", DISCARDED),
    Case("auditor", {"Keys": '{"order_id":{"N":"7"}}'}, "malformed record: KeyError", DISCARDED),
    Case("auditor", {"Keys": "null"}, "malformed record: TypeError", DISCARDED),
    Case("auditor", {"ApproximateCreationDateTime": "1e30"}, "malformed record: ", DISCARDED),
]
CASES = [*ORDER_CASES, *RECORD_CASES]


# --- The auditor ---


class Trail:
    """The tables of the trail, as the auditor writes them."""

    def __init__(self, exceptions: Any) -> None:
        self.exceptions = exceptions
        self.clear()

    def clear(self) -> None:
        self.heads: dict[str, Any] = {}
        self.entries: dict[tuple[str, str], Any] = {}

    def get_item(self, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        bad_input.refuse_what_dynamodb_does(Key, "order_id")
        head = self.heads.get(Key["order_id"]["S"])
        return {"Item": head} if head else {}

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> None:
        entry, head = (item["Put"]["Item"] for item in TransactItems)
        bad_input.refuse_what_dynamodb_does(entry, "order_id")
        order_id, number = entry["order_id"]["S"], entry["sequence_number"]["S"]
        if (order_id, number) in self.entries:
            found = {"Code": "ConditionalCheckFailed", "Item": self.entries[order_id, number]}
            response: Any = {"Error": {"Code": "any"}, "CancellationReasons": [found, {"Code": "None"}]}
            raise self.exceptions.TransactionCanceledException(response, "TransactWriteItems")
        self.entries[order_id, number] = entry
        self.heads[order_id] = head

    def of(self, order_id: str) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Entries and head of an order, as the verifier reads them."""
        entries = [plain(entry) for (found, _), entry in self.entries.items() if found == order_id]
        return entries, plain(self.heads[order_id]) if order_id in self.heads else None


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item of text, whole numbers and booleans."""
    return {name: int(typed["N"]) if "N" in typed else next(iter(typed.values())) for name, typed in item.items()}


@pytest.fixture
def auditor(load: Load) -> LoadedFunction:
    return load("auditor", AUDIT_TABLE="audit", HEADS_TABLE="heads")


@pytest.fixture
def trail(auditor: LoadedFunction, monkeypatch: pytest.MonkeyPatch) -> Trail:
    client = auditor.modules["trail"].dynamodb
    made = Trail(client.exceptions)
    for operation in ("get_item", "transact_write_items"):
        monkeypatch.setattr(client, operation, getattr(made, operation))
    return made


@pytest.fixture
def chain(auditor: LoadedFunction, load: Load) -> Any:
    """What the verifier judges by."""
    return load("verifier", ORDERS_TABLE="orders", AUDIT_TABLE="audit", HEADS_TABLE="heads").modules["chain"]


def problems(chain: Any, trail: Trail, last: dict[str, Any] | None) -> list[str]:
    """What is wrong with the trail of o-1, if this is its last image."""
    change_id = (last or {}).get("change_id", {}).get("S")
    return list(chain.problems("o-1", *trail.of("o-1"), change_id))


def image(order_id: Any = "o-1", **attributes: Any) -> dict[str, Any]:
    """An image of an order; `...` is an attribute that is missing."""
    typed = {"order_id": {"S": order_id}} | attributes
    return {name: value for name, value in typed.items() if value is not ...}


def deliver(auditor: LoadedFunction, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Delivers a shard's records as Lambda does, without a retry of what is alone; returns those that are discarded.

    A batch whose invocation fails is split (STR-2), and one of which a record is reported goes on with it (STR-3).
    """
    waiting, discarded = [records], []
    while waiting:
        batch = waiting.pop(0)
        try:
            failures = auditor.invoke({"Records": batch})["batchItemFailures"]
        except Exception as error:
            assert type(error).__name__ == "FailedAtHead"
            assert len(batch) > 1
            waiting[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        else:
            rest = [record for record in batch if failures and number(record) >= failures[0]["itemIdentifier"]]
            if len(batch) == 1:
                discarded += rest
            elif rest:
                waiting.insert(0, rest)
        assert is_told(auditor.lines, batch)
    return discarded


def is_told(lines: list[dict[str, Any]], batch: list[dict[str, Any]]) -> bool:
    """Whether there is one line for each record up to the first that failed, and that permanently."""
    tried = [record for record, _ in zip(batch, lines, strict=False)]
    return (
        [line["sequence_number"] for line in lines] == [number(record) for record in tried]
        and {line["message"] for line in lines[:-1]} <= {"processed"}
        and lines[-1].get("error_class", "permanent") == "permanent"
        and max(len(json.dumps(line)) for line in lines) < 20_000
    )


def number(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


@pytest.mark.parametrize("case", ORDER_CASES, ids=str)
def test_what_becomes_of_an_order_that_is_otherwise(
    auditor: LoadedFunction, chain: Any, trail: Trail, case: Case
) -> None:
    before = image(**CHANGED | {"change_id": {"S": "c-1"}})
    after = image(**CHANGED | {name: json.loads(value) if value else ... for name, value in case.changes.items()})

    assert deliver(auditor, [stream_record(101, None, before), stream_record(102, before, after)]) == []

    (_, entry), _ = trail.of("o-1")
    assert entry["actor_type"] == ("declared" if case.ends == DECLARED else "unknown")
    assert problems(chain, trail, after) == []


@pytest.mark.parametrize("case", RECORD_CASES, ids=str)
def test_what_becomes_of_a_record_that_is_none(auditor: LoadedFunction, trail: Trail, case: Case) -> None:
    first, bad, last = (stream_record(number, None, image(**CHANGED)) for number in (101, 102, 103))
    for name, value in case.changes.items():
        bad["dynamodb"][name] = json.loads(value) if value else None

    assert deliver(auditor, [first, bad, last]) == [bad]
    assert [entry["event_id"] for entry in trail.of("o-1")[0]] == ["e-101", "e-103"]

    auditor.invoke({"Records": [bad]})
    (line,) = auditor.lines
    assert line["error"].removeprefix("PermanentError: ").startswith(case.says)


# What an attribute can be, in DynamoDB's JSON.
TYPED: list[Any] = [
    *({"S": text} for text in ("c-1", "c-2", "", " ", "None", "\ufeff", "x" * 3000, "\U0001f600")),
    *({"N": number} for number in ("7", "-7.5", "1E+125", "9" * 38)),
    *({"NULL": True}, {"BOOL": True}, {"BOOL": False}, {"B": ""}, {"B": "AQ=="}),
    *({"SS": ["b", "a"]}, {"NS": ["2", "1"]}, {"BS": ["AQ==", "AA=="]}, {"L": []}, {"L": [{"N": "1"}]}),
    *({"M": {}}, {"M": {"S": {"S": "a"}, "SS": {"SS": ["b", "a"]}, "change_id": {"S": "c-1"}}}),
]
OTHERWISE = [(name, value) for name in ("actor", "change_id", "correlation_id", "deleting") for value in (*TYPED, ...)]
# What the order can be after a change: deleted, as the writer writes it, or otherwise.
IMAGES = [
    *[None] * 10,
    *(image(**CHANGED | {"change_id": {"S": f"c-{number}"}}) for number in range(20)),
    *(image(**CHANGED | {name: value}) for name, value in OTHERWISE),
    *(image(**{name: value, "note": value}) for name, value in OTHERWISE),
]
EXPIRED = {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}


def values() -> Iterator[Any]:
    for text in bad_input.VALUES:
        with suppress(ValueError, RecursionError):
            yield json.loads(text)


def noise() -> Iterator[dict[str, Any]]:
    """What is otherwise with a record of another order: none of the stream, or only nearly."""
    for value in (*values(), ...):
        yield from ({"dynamodb": {name: value}} for name in ("Keys", "NewImage", "ApproximateCreationDateTime"))
        yield {"dynamodb": {"Keys": {"order_id": value if value != {"S": "o-1"} else 1}}}
        yield {"dynamodb": {"Keys": {"order_id": {"S": value}}}}
        yield {"dynamodb": {"NewImage": image("o-2", actor=value, change_id=value)}}
        yield from ({name: value} for name in ("eventID", "eventName", "userIdentity"))
        yield {"userIdentity": {"type": "Service", "principalId": value}}


NOISE = list(noise())
CHANGES, OTHERS = 6, 4
MIXED = [random.Random(seed).sample("c" * CHANGES + "n" * OTHERS, CHANGES + OTHERS) for seed in range(50)]


def noisy(sequence_number: int, otherwise: dict[str, Any]) -> dict[str, Any]:
    record = stream_record(sequence_number, None, image("o-2"))
    changed = record | otherwise | {"dynamodb": record["dynamodb"] | otherwise.get("dynamodb", {})}
    changed["dynamodb"] = {name: value for name, value in changed["dynamodb"].items() if value is not ...}
    return {name: value for name, value in changed.items() if value is not ...}


def test_whatever_is_in_the_stream_every_change_is_audited_once_and_verifies(
    auditor: LoadedFunction, chain: Any, trail: Trail
) -> None:
    change = st.tuples(st.sampled_from(IMAGES), st.sampled_from([{}, {}, EXPIRED]))

    @bad_input.SETTINGS
    @given(st.tuples(*[change] * CHANGES), st.tuples(*[st.sampled_from(NOISE)] * OTHERS), st.sampled_from(MIXED))
    def holds(changes: Any, others: Any, mixed: list[str]) -> None:
        trail.clear()
        images, noises, before = iter(changes), iter(others), None
        records, mine = [], []
        for sequence_number, kind in enumerate(mixed, start=100):
            if kind == "n":
                records.append(noisy(sequence_number, next(noises)))
                continue
            after, more = next(images)
            if before or after:
                records.append(stream_record(sequence_number, before, after, **more))
                mine.append(records[-1])
            before = after

        discarded = deliver(auditor, records)

        assert not [record for record in mine if record in discarded]
        assert [entry["event_id"] for entry in trail.of("o-1")[0]] == [record["eventID"] for record in mine]
        assert problems(chain, trail, before) == []

    with bad_input.brief_tracebacks():
        holds()


# --- The verifier ---


def test_whatever_is_done_to_a_trail_is_named(auditor: LoadedFunction, chain: Any, trail: Trail) -> None:
    images = [None, *(image(**CHANGED | {"change_id": {"S": f"c-{number}"}}) for number in range(10))]
    deliver(auditor, [stream_record(101 + at, *images[at : at + 2]) for at in range(10)])
    entries, head = trail.of("o-1")
    assert list(chain.problems("o-1", entries, head, "c-9")) == []
    edits = [
        (at, name, value)
        for at in range(10)
        for name in entries[1]
        if name not in ("order_id", "sequence_number")  # the key, which an edit cannot change
        for value in (*values(), ...)
    ]
    changed_heads = [{"seq": value, "hash": head["hash"]} for value in values()] if head else []

    @bad_input.SETTINGS
    @given(st.tuples(*[st.sampled_from(edits)] * bad_input.BATCH), st.sampled_from(changed_heads))
    def holds(edited: Any, changed_head: Any) -> None:
        for at, name, value in edited:
            entry = {key: kept for key, kept in (entries[at] | {name: value}).items() if kept is not ...}
            if json.dumps(entry, sort_keys=True) == json.dumps(entries[at], sort_keys=True):
                continue
            for found_head in (head, changed_head, None):
                found = list(chain.problems("o-1", [*entries[:at], entry, *entries[at + 1 :]], found_head, "c-9"))
                assert found
                assert all(problem.startswith("o-1: ") for problem in found)

    holds()


# --- The replayer and the writer ---


class Stream:
    """DynamoDB Streams as the replayer uses it: it has the records that are asked for."""

    class exceptions:
        TrimmedDataAccessException = ResourceNotFoundException = KeyError

    def get_shard_iterator(self, SequenceNumber: str, **_: Any) -> dict[str, str]:
        return {"ShardIterator": SequenceNumber}

    def get_records(self, ShardIterator: str) -> dict[str, Any]:
        return {"Records": [{"dynamodb": {"SequenceNumber": ShardIterator}}]}


def test_whatever_waits_for_a_replay_is_replayed_or_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    function = load("replayer", AUDITOR="auditor", DISCARDED_QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/1/q")
    queue = bad_input.Failures()
    monkeypatch.setattr(importlib.import_module("handlers.replay"), "sqs", queue)
    monkeypatch.setattr(function.app, "streams", Stream())
    audited = '{"batchItemFailures": []}'
    monkeypatch.setattr(function.app.functions, "invoke", lambda **_: {"Payload": io.StringIO(audited)})
    position = {"shardId": "s-1", "streamArn": "arn", "startSequenceNumber": "101", "endSequenceNumber": "101"}

    bad_input.check_replay(function, queue, {"DDBStreamBatchInfo": position})


CHANGE = {"operation": "put", "order": {"order_id": "o-1", "amount": 12.5}, "set": {"status": "paid"}, "actor": "bob"}


def test_whatever_is_to_be_changed_the_writer_makes_what_comes_before_it(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = load("writer", ORDERS_TABLE="orders")
    answer = type("Answer", (), {"status_code": 200})()
    # After parameters are checked and serialized, and before anything is sent.
    writer.app.orders.meta.client.meta.events.register("before-call.dynamodb", lambda **_: (answer, {}))

    @bad_input.SETTINGS
    @given(bad_input.batches(CHANGE), st.sampled_from(["put", "update", "delete"]))
    def holds(batch: list[bad_input.Message], operation: str) -> None:
        changes: list[Any] = [bad_input.decoded(message) for message in batch]
        for change, message in zip(changes, batch, strict=True):
            if message.is_healthy:
                change["operation"] = operation
        made, error = bad_input.BATCH, ""
        try:
            writer.invoke({"changes": changes})
        except Exception as raised:
            assert type(raised).__name__ == "ChangeError"
            error = str(raised)
            made = int(error.removeprefix("change ").split()[0]) - 1
        assert [line["message"] for line in writer.lines] == ["changed"] * made
        assert len(error) < 3000
        assert made == bad_input.BATCH or not batch[made].is_healthy

    holds()
