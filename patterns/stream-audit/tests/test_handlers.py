"""The functions of the audit trail, on moto and sample events: no target needed."""

import hashlib
import importlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lab.handler_testing import Load, LoadedFunction, create_queue, create_table, items, stream_record, waiting

PATTERN = Path(__file__).parents[1]
TABLES = {"ORDERS_TABLE": "orders", "AUDIT_TABLE": "audit", "HEADS_TABLE": "heads"}


@pytest.fixture(autouse=True)
def tables(aws: None) -> None:
    """The tables of the pattern, empty."""
    create_table("orders", "order_id")
    create_table("audit", "order_id", "sequence_number")
    create_table("heads", "order_id")


# --- The writer ---


Write = Callable[..., dict[str, Any]]


@pytest.fixture
def writer(load: Load) -> LoadedFunction:
    return load("writer", **TABLES)


@pytest.fixture
def write(load: Load) -> Write:
    """Another environment of the writer, so that a test can break the one and not the other."""
    other = load("writer", **TABLES)
    return lambda *changes, **event: dict(other.invoke({"changes": list(changes), "actor": "alice"} | event))


def put(order_id: Any = "o-1", **fields: Any) -> dict[str, Any]:
    return {"operation": "put", "order": {"order_id": order_id, "status": "new", **fields}}


def update(order_id: str = "o-1", **fields: Any) -> dict[str, Any]:
    return {"operation": "update", "order_id": order_id, "set": fields}


def delete(order_id: str = "o-1") -> dict[str, Any]:
    return {"operation": "delete", "order_id": order_id}


def test_a_change_leaves_on_the_order_who_made_it(write: Write) -> None:
    first = write(put(amount=12.5), correlation_id="trace-1")["published"][0]
    assert (first["order_id"], first["actor"], first["correlation_id"]) == ("o-1", "alice", "trace-1")

    second = write(update(status="paid") | {"actor": "bob"})["published"][0]

    (order,) = items("orders")
    assert (float(order["amount"]), order["status"], order["actor"]) == (12.5, "paid", "bob")
    assert order["change_id"] == second["change_id"] != first["change_id"]
    assert order["correlation_id"] == second["correlation_id"] != "trace-1"


def test_a_deletion_signs_the_order_first(
    write: Write, writer: LoadedFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(put())
    signed = []
    monkeypatch.setattr(writer.app.orders, "delete_item", lambda **_: signed.extend(items("orders")))

    writer.invoke({"changes": [delete()], "actor": "carol"})

    assert [(order["actor"], order["deleting"]) for order in signed] == [("carol", True)]
    write(delete())
    assert items("orders") == []


def test_a_deletion_that_did_not_happen_is_no_longer_signed_for_after_the_next_change(
    write: Write,
) -> None:
    write(put(deleting=True), update(status="paid"))

    assert "deleting" not in items("orders")[0]


def test_an_order_that_somebody_changed_meanwhile_is_not_deleted(
    write: Write, writer: LoadedFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(put())
    sign = writer.app.sign

    def overtaken(*arguments: Any, **more: Any) -> None:
        sign(*arguments, **more)
        write(update(status="paid"))

    monkeypatch.setattr(writer.app, "sign", overtaken)
    with pytest.raises(writer.app.ChangeError, match=r"change 1 of 1 \(delete o-1\) was not made"):
        writer.invoke({"changes": [delete()], "actor": "carol"})
    assert items("orders")[0]["status"] == "paid"


def test_the_writer_names_the_change_that_was_not_made(writer: LoadedFunction) -> None:
    with pytest.raises(
        writer.app.ChangeError, match=r"change 2 of 3 \(update o-2\) was not made, those before it were"
    ):
        writer.invoke({"changes": [put(), update("o-2", status="paid"), put("o-3")], "actor": "alice"})
    assert [order["order_id"] for order in items("orders")] == ["o-1"]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({}, "the event has no list of changes"),
        ({"changes": {}}, "the event has no list of changes"),
        ({"changes": [put(), None], "actor": "alice"}, r"change 2 of 2 \(None None\) was not made, .*TypeError"),
        ({"changes": [put(), {"operation": "burn"}], "actor": "a"}, r"change 2 of 2 \(burn None\) .*KeyError: 'burn'"),
        ({"changes": [put(), put(7)], "actor": "alice"}, r"change 2 of 2 \(put 7\) was not made"),
        ({"changes": [put(), put(amount=float("nan"))], "actor": "alice"}, r"change 2 of 2 \(put o-1\) was not made"),
        ({"changes": [put() | {"actor": "a"}, put()]}, "TypeError: actor is null, and a change is signed with text"),
        ({"changes": [put() | {"actor": "a"}, put()], "actor": 7}, "TypeError: actor is 7"),
    ],
)
def test_a_change_that_cannot_be_made_or_signed_is_named_and_those_before_it_are_made(
    writer: LoadedFunction, event: dict[str, Any], error: str
) -> None:
    with pytest.raises(writer.app.ChangeError, match=error):
        writer.invoke(event)

    assert len(items("orders")) == (len(event.get("changes", [])) == 2)


@pytest.mark.parametrize("correlation_id", [7, ["trace-1"], {"a": 1}])
def test_a_change_is_not_signed_with_a_correlation_id_that_is_no_text(
    writer: LoadedFunction, correlation_id: Any
) -> None:
    with pytest.raises(writer.app.ChangeError, match="correlation_id is"):
        writer.invoke({"changes": [put()], "actor": "alice", "correlation_id": correlation_id})
    assert items("orders") == []


@pytest.mark.parametrize("path", sorted((PATTERN / "events").glob("*.json")), ids=lambda path: path.stem)
def test_the_writer_accepts_every_sample_event(write: Write, path: Path) -> None:
    event = json.loads(path.read_text())

    published = write(*event["changes"], actor=event["actor"])["published"]

    assert len(published) == len(event["changes"])
    assert len({receipt["correlation_id"] for receipt in published}) == 1


# --- The auditor ---


def image(order_id: str = "o-1", **attributes: Any) -> dict[str, Any]:
    typed = {name: value if isinstance(value, dict) else {"S": value} for name, value in attributes.items()}
    return {"order_id": {"S": order_id}, **typed}


def signed(change_id: Any, actor: Any = "alice", **attributes: Any) -> dict[str, Any]:
    return image(change_id=change_id, actor=actor, correlation_id="trace-1", **attributes)


A, B, C = signed("c-1"), signed("c-2", status="paid"), signed("c-3", status="shipped")
HISTORY = [stream_record(101, None, A), stream_record(102, A, B), stream_record(103, B, C)]


@dataclass
class Auditor:
    function: LoadedFunction

    def __post_init__(self) -> None:
        self.trail = self.function.modules["trail"]
        self.change = self.function.modules["change"]

    def take(self, *records: dict[str, Any]) -> list[dict[str, Any]]:
        """The log lines of an invocation with these records."""
        self.function.invoke({"Records": list(records)})
        return self.function.lines


@pytest.fixture
def auditor(load: Load) -> Auditor:
    return Auditor(load("auditor", **TABLES))


def entries() -> list[dict[str, Any]]:
    return sorted(items("audit"), key=lambda entry: str(entry["sequence_number"]))


def test_each_record_becomes_an_entry_that_carries_the_hash_of_the_one_before(auditor: Auditor) -> None:
    lines = auditor.take(*HISTORY)

    assert [(line["outcome"], line["entry"], line["late"]) for line in lines] == [
        ("audited", number, False) for number in (1, 2, 3)
    ]
    first, second, third = entries()
    assert first["previous"] == "0" * 64
    assert (second["previous"], third["previous"]) == (first["hash"], second["hash"])
    assert second["sequence_number"] == "102".zfill(40)
    assert second["happened_at"] == "2026-01-01T00:00:00+00:00"
    assert (json.loads(second["old_image"]), json.loads(second["new_image"])) == (A, B)
    assert items("heads") == [
        {"order_id": "o-1", "seq": 3, "hash": third["hash"], "latest": third["sequence_number"]},
    ]


def test_a_record_that_comes_again_adds_nothing(auditor: Auditor) -> None:
    auditor.take(*HISTORY)
    before = items("audit"), items("heads")

    lines = auditor.take(*HISTORY[1:])

    assert [(line["outcome"], line["entry"]) for line in lines] == [("already audited", 2), ("already audited", 3)]
    assert (items("audit"), items("heads")) == before


def test_a_record_that_was_discarded_comes_late_to_the_end_of_the_chain(auditor: Auditor) -> None:
    auditor.take(HISTORY[0], HISTORY[2])

    (line,) = auditor.take(HISTORY[1])

    assert (line["outcome"], line["entry"], line["late"]) == ("audited", 3, True)
    assert [(entry["seq"], entry["late"]) for entry in entries()] == [(1, False), (3, True), (2, False)]


EXPIRED = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
DECLARED = {"actor_type": "declared", "actor": "alice", "correlation_id": "trace-1"}
UNKNOWN = {"actor_type": "unknown"}
BY_SERVICE = {"actor_type": "service", "actor": "dynamodb.amazonaws.com"}


@pytest.mark.parametrize(
    ("old", "new", "identity", "expected"),
    [
        (None, A, None, DECLARED),
        (A, B, None, DECLARED),
        (signed("c-1", deleting={"BOOL": True}), None, None, DECLARED),
        (None, image(), None, UNKNOWN),
        (A, signed("c-1", status="changed past the writer"), None, UNKNOWN),
        (A, None, None, UNKNOWN),
        (A, image(change_id="c-9"), None, UNKNOWN),
        (A, signed("c-9", actor={"N": "7"}), None, UNKNOWN),
        (A, signed("c-9", actor=""), None, UNKNOWN),
        (A, B | {"correlation_id": {"NULL": True}}, None, UNKNOWN),
        (A, B | {"change_id": {"N": "7"}}, None, UNKNOWN),
        (signed("c-1", actor={"SS": ["alice"]}, deleting={"BOOL": True}), None, None, UNKNOWN),
        (
            signed("c-1", deleting={"BOOL": True}),
            None,
            EXPIRED,
            {"actor_type": "service"} | {"actor": EXPIRED["principalId"]},
        ),
    ],
    ids=[
        *("put", "update", "delete", "put unsigned", "update unsigned", "delete unsigned", "no actor"),
        *("actor is a number", "actor is empty", "correlation id is null", "change id is a number", "actors"),
        "expired",
    ],
)
def test_who_made_a_change(auditor: Auditor, old: Any, new: Any, identity: Any, expected: dict[str, str]) -> None:
    assert auditor.change.signature(old, new, identity) == expected


def test_an_image_is_the_same_text_whatever_the_order_of_attributes_and_sets(auditor: Auditor) -> None:
    one = {"tags": {"SS": ["b", "a"]}, "lines": {"L": [{"N": "2"}, {"N": "1"}]}, "SS": {"S": "a name"}}
    other = {"SS": {"S": "a name"}, "lines": {"L": [{"N": "2"}, {"N": "1"}]}, "tags": {"SS": ["a", "b"]}}

    assert auditor.change.canonical(one) == auditor.change.canonical(other)
    assert '[{"N":"2"},{"N":"1"}]' in auditor.change.canonical(one)


def test_when_the_chain_has_grown_meanwhile_the_entry_goes_to_its_new_end(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = auditor.trail
    auditor.take(HISTORY[0])
    stale = trail.read_head("o-1")
    auditor.take(HISTORY[2])
    read_head, heads = trail.read_head, [stale]
    monkeypatch.setattr(trail, "read_head", lambda order_id: heads.pop() if heads else read_head(order_id))

    (line,) = auditor.take(HISTORY[1])

    assert (line["outcome"], line["entry"]) == ("audited", 3)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "TransactWriteItems")


def cancelled(*codes: str) -> ClientError:
    client = boto3.client("dynamodb")
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "no"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return client.exceptions.TransactionCanceledException(response, "TransactWriteItems")


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (lambda: refused("ThrottlingException"), "transient"),
        (lambda: refused("ValidationException"), "permanent"),
        (lambda: cancelled("ValidationError", "None"), "permanent"),
        (lambda: cancelled("None", "TransactionConflict"), "transient"),
        (lambda: ReadTimeoutError(endpoint_url="https://dynamodb"), "transient"),
    ],
    ids=["throttled", "refused", "too large", "conflict", "slow"],
)
def test_what_dynamodb_refuses_as_it_is_no_retry_can_help(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], error_class: str
) -> None:
    def raising(**_: Any) -> None:
        raise error()

    trail = auditor.trail
    monkeypatch.setattr(trail.dynamodb, "transact_write_items", raising)

    (line,) = auditor.take(HISTORY[0])

    assert (line["message"], line["error_class"]) == ("failed", error_class)


def test_an_entry_of_another_event_is_not_taken_for_this_ones(auditor: Auditor) -> None:
    auditor.take(HISTORY[0])

    (line,) = auditor.take(HISTORY[0] | {"eventID": "e-of-another-stream"})

    assert line["error_class"] == "permanent"
    assert "is there more than one stream?" in line["error"]


def test_a_record_without_images_is_permanent(auditor: Auditor) -> None:
    keys_only = stream_record(101, None, A)
    del keys_only["dynamodb"]["NewImage"]

    (line,) = auditor.take(keys_only)

    assert line["error_class"] == "permanent"
    assert "NEW_AND_OLD_IMAGES" in line["error"]


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("NewImage", "an image", "NewImage is a JSON str, not an object"),
        ("Keys", {"order_id": {"N": "7"}}, "KeyError: 'S'"),
        ("Keys", {"order_id": {"S": 7}}, "TypeError: a int, not text"),
        ("Keys", {"order_id": {"S": "\ud800"}}, "UnicodeEncodeError"),
        ("Keys", None, "TypeError"),
        ("SequenceNumber", "9" * 41, "a sequence number has up to 40 digits"),
        ("ApproximateCreationDateTime", 1e30, "OverflowError|ValueError"),
        ("ApproximateCreationDateTime", "today", "TypeError"),
    ],
)
def test_a_record_that_is_none_of_the_stream_is_permanent(auditor: Auditor, field: str, value: Any, error: str) -> None:
    record = stream_record(101, None, A)
    record["dynamodb"][field] = value

    (line,) = auditor.take(record)

    assert (line["message"], line["error_class"]) == ("failed", "permanent")
    assert re.search(error, line["error"])
    assert entries() == []


# --- The verifier ---


@pytest.fixture
def verifier(load: Load, monkeypatch: pytest.MonkeyPatch) -> LoadedFunction:
    """The verifier, which does not wait."""
    function = load("verifier", **TABLES)
    monkeypatch.setattr(function.app, "GRACE_SECONDS", 0)
    return function


def order_is(order_id: str, change_id: Any) -> None:
    boto3.resource("dynamodb").Table("orders").put_item(Item={"order_id": order_id, "change_id": change_id})


@pytest.fixture
def verify(auditor: Auditor, verifier: LoadedFunction) -> Callable[[], dict[str, Any]]:
    """The verifier, of a trail that the auditor wrote."""
    auditor.take(*HISTORY)
    other = image("o-2", change_id="c-9", actor="bob")
    auditor.take(stream_record(104, None, other))
    order_is("o-1", "c-3")
    order_is("o-2", "c-9")
    return lambda: dict(verifier.invoke({}))


def edit(number: int, **attributes: Any) -> None:
    """Changes an entry of o-1; None removes it; `hash="fits"` is one that fits the rest."""
    entry = next(entry for entry in entries() if entry["order_id"] == "o-1" and entry["seq"] == number)
    audit = boto3.resource("dynamodb").Table("audit")
    if not attributes:
        audit.delete_item(Key={name: entry[name] for name in ("order_id", "sequence_number")})
        return
    entry |= attributes
    if attributes.get("hash") == "fits":
        content = {name: int(value) if name == "seq" else value for name, value in entry.items() if name != "hash"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        entry["hash"] = hashlib.sha256(text.encode()).hexdigest()
    audit.put_item(Item=entry)


def remove(*numbers: int) -> None:
    for number in numbers:
        edit(number)


def drop_head(order_id: str) -> None:
    boto3.resource("dynamodb").Table("heads").delete_item(Key={"order_id": order_id})


def test_a_whole_trail_verifies(verify: Callable[[], dict[str, Any]]) -> None:
    assert verify() == {"summary": "4 entries of 2 orders verified", "problems": []}


@pytest.mark.parametrize(
    ("tamper", "problems"),
    [
        (
            lambda: edit(2, actor="mallory"),
            ["entry 2 (of 2026-01-01T00:00:00+00:00) was changed: it does not match its hash"],
        ),
        (lambda: edit(2), ["entry 2 is missing"]),
        (lambda: remove(1, 2), ["entries 1 to 2 are missing"]),
        (lambda: edit(3), ["entry 3 is missing at the end"]),
        (
            lambda: edit(1, actor="mallory", hash="fits"),
            ["entry 2 does not continue entry 1: one of them is not the original"],
        ),
        (lambda: edit(3, actor="mallory", hash="fits"), ["entry 3, the last, is not the original"]),
        (lambda: edit(3, sequence_number="9" * 40, hash="fits"), ["there is more than one entry 3"]),
        (
            lambda: edit(3, sequence_number="9" * 40, seq=4, previous=entries()[2]["hash"], hash="fits"),
            ["entry 4 is not added by the auditor"],
        ),
        (lambda: drop_head("o-1"), ["there is no head to say how many entries there were"]),
    ],
    ids=["changed", "removed", "first two", "last", "rewritten", "last rewritten", "copied", "added", "headless"],
)
def test_what_was_done_to_the_trail_is_named(
    verify: Callable[[], dict[str, Any]], tamper: Callable[[], None], problems: list[str]
) -> None:
    tamper()

    found = verify()["problems"]

    assert [problem.removeprefix("o-1: ") for problem in found][: len(problems)] == problems


def test_a_change_that_was_never_audited_is_a_gap_until_it_is(auditor: Auditor, verifier: LoadedFunction) -> None:
    order_is("o-1", "c-3")
    auditor.take(HISTORY[0], HISTORY[2])
    assert verifier.invoke({})["problems"] == ["o-1: a change between entries 1 and 2 was not audited"]

    auditor.take(HISTORY[1])
    assert verifier.invoke({})["problems"] == []


@pytest.mark.parametrize(
    ("change_id", "typed"),
    [
        (7, {"N": "7"}),
        (Decimal("7.5"), {"N": "7.5"}),
        (None, {"NULL": True}),
        (b"\x00\x01", {"B": "AAE="}),
        ({b"\x00", b"\x01"}, {"BS": ["AQ==", "AA=="]}),
        ({"x"}, {"SS": ["x"]}),
        ("", {"S": ""}),
    ],
    ids=["number", "fraction", "null", "binary", "binary set", "set", "empty"],
)
def test_a_change_whose_id_is_no_text_is_audited_and_verifies(
    auditor: Auditor, verifier: LoadedFunction, change_id: Any, typed: dict[str, Any]
) -> None:
    order_is("o-1", change_id)
    last = signed(typed, status="paid")

    lines = auditor.take(stream_record(101, None, A), stream_record(102, A, last))

    assert [line["outcome"] for line in lines] == ["audited", "audited"]
    assert entries()[1]["actor_type"] == "unknown"
    assert verifier.invoke({})["problems"] == []


def test_a_change_of_which_the_id_is_no_text_any_more_is_named_if_it_was_not_audited(
    auditor: Auditor, verifier: LoadedFunction
) -> None:
    order_is("o-1", 7)
    auditor.take(stream_record(101, None, A))

    (problem,) = verifier.invoke({})["problems"]

    assert problem.startswith("o-1: its last change is not audited")


@pytest.mark.parametrize(
    "attributes",
    [
        {"new_image": "no image"},
        {"new_image": "[]"},
        {"seq": "two"},
        {"seq": None},
        {"hash": 7},
        {"happened_at": ...},
        {"previous": ...},
        {"hash": ...},
    ],
)
def test_an_entry_that_the_auditor_could_not_have_written_is_named(
    verify: Callable[[], dict[str, Any]], attributes: dict[str, Any]
) -> None:
    entry = entries()[1]
    for name, value in attributes.items():
        if value is ...:
            del entry[name]
        else:
            entry[name] = value
    boto3.resource("dynamodb").Table("audit").put_item(Item=entry)

    answer = verify()

    assert answer["problems"]
    assert {problem.partition(":")[0] for problem in answer["problems"]} == {"o-1"}


def test_a_fraction_is_not_taken_for_the_number_below_it(verify: Callable[[], dict[str, Any]]) -> None:
    entry = entries()[2] | {"seq": Decimal("3.5")}
    boto3.resource("dynamodb").Table("audit").put_item(Item=entry)

    assert verify()["problems"]


def test_an_order_whose_creation_was_never_audited_is_a_gap(auditor: Auditor, verifier: LoadedFunction) -> None:
    order_is("o-1", "c-3")
    auditor.take(*HISTORY[1:])

    assert verifier.invoke({})["problems"] == ["o-1: a change before entry 1 was not audited"]


@pytest.mark.parametrize("audited", [0, 2], ids=["no entry at all", "the last one lost"])
def test_an_order_whose_last_change_is_not_in_its_trail_is_named(
    auditor: Auditor, verifier: LoadedFunction, audited: int
) -> None:
    order_is("o-1", "c-3")
    auditor.take(*HISTORY[:audited], stream_record(104, None, image("o-2")))

    assert verifier.invoke({})["problems"] == [
        "o-1: its last change is not audited: it was discarded or lost, or the auditor is behind"
    ]


def test_a_deletion_that_was_never_audited_is_named(auditor: Auditor, verifier: LoadedFunction) -> None:
    auditor.take(*HISTORY)

    (problem,) = verifier.invoke({})["problems"]

    assert problem.startswith("o-1: its last change is not audited")


def test_what_is_changed_and_audited_while_the_trail_is_read_is_no_problem(
    auditor: Auditor, verifier: LoadedFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_is("o-1", "c-2")
    auditor.take(*HISTORY[:2])
    scan = verifier.app.audit.scan

    def grows(**arguments: Any) -> Any:
        auditor.take(HISTORY[2])
        order_is("o-1", "c-4")  # whose change is still on its way
        return scan(**arguments)

    monkeypatch.setattr(verifier.app.audit, "scan", grows)

    assert verifier.invoke({})["problems"] == []
    assert len(entries()) == 3


# --- The replayer ---


class Trimmed(Exception):
    """What the stream answers when the records are older than 24 hours."""


@dataclass
class Stream:
    """What the replayer asks of DynamoDB Streams. It answers one record at a time, and sometimes none."""

    records: list[dict[str, Any]]

    class exceptions:
        TrimmedDataAccessException = Trimmed
        ResourceNotFoundException = KeyError

    def get_shard_iterator(self, SequenceNumber: str, **_: Any) -> dict[str, Any]:
        if not self.records:
            raise Trimmed("gone")
        numbers = [record["dynamodb"]["SequenceNumber"] for record in self.records]
        return {"ShardIterator": 2 * numbers.index(SequenceNumber) if SequenceNumber in numbers else 0}

    def get_records(self, ShardIterator: int) -> dict[str, Any]:
        at, there = divmod(ShardIterator, 2)
        return {"Records": self.records[at : at + 1] if there else [], "NextShardIterator": ShardIterator + 1}


@dataclass
class Functions:
    """The auditor, as the replayer invokes it."""

    auditor: Auditor

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:
        assert FunctionName == "auditor"
        try:
            answer = self.auditor.function.invoke(json.loads(Payload))
        except Exception as error:
            answer = {"errorMessage": str(error)}
            return {"FunctionError": "Unhandled", "Payload": io.StringIO(json.dumps(answer))}
        return {"Payload": io.StringIO(json.dumps(answer))}


@dataclass
class Replayer:
    function: LoadedFunction
    queue_url: str

    def discard(self, first: int, last: int) -> None:
        info = {
            "shardId": "shard-1",
            "startSequenceNumber": str(first),
            "endSequenceNumber": str(last),
            "batchSize": last - first + 1,
            "streamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026",
        }
        self.keep({"DDBStreamBatchInfo": info})

    def keep(self, body: Any) -> None:
        """Puts a message into the queue."""
        text = body if isinstance(body, str) else json.dumps(body)
        boto3.client("sqs").send_message(QueueUrl=self.queue_url, MessageBody=text)

    def replay(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.function.invoke({})
        return answer

    def left(self) -> int:
        return waiting(self.queue_url)


def as_read(event: dict[str, Any]) -> dict[str, Any]:
    """A record as GetRecords has it."""
    data = event["dynamodb"]
    created = datetime.fromtimestamp(data["ApproximateCreationDateTime"], UTC)
    return event | {"dynamodb": data | {"ApproximateCreationDateTime": created}}


@pytest.fixture
def replayer(auditor: Auditor, load: Load, monkeypatch: pytest.MonkeyPatch) -> Replayer:
    """The replayer, of a stream with HISTORY, and an auditor that has seen none of it."""
    queue_url = create_queue("discarded", VisibilityTimeout="300")
    function = load("replayer", AUDITOR="auditor", DISCARDED_QUEUE_URL=queue_url)
    app = function.app
    monkeypatch.setattr(app, "streams", Stream([as_read(event) for event in HISTORY]))
    monkeypatch.setattr(app, "functions", Functions(auditor))
    sqs = importlib.import_module("handlers.replay").sqs
    receive = sqs.receive_message
    monkeypatch.setattr(sqs, "receive_message", lambda **arguments: receive(**arguments | {"WaitTimeSeconds": 0}))
    return Replayer(function, queue_url)


def test_discarded_records_are_read_from_the_stream_and_audited(replayer: Replayer) -> None:
    replayer.discard(102, 103)
    replayer.discard(101, 101)

    assert replayer.replay() == {"summary": "3 records of 2 discarded batches replayed", "problems": []}

    assert {entry["event_id"] for entry in entries()} == {"e-101", "e-102", "e-103"}
    assert replayer.left() == 0


def test_a_record_that_fails_again_stays_and_keeps_no_other_out(
    replayer: Replayer, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = auditor.function.app.audit

    def poisoned(record: dict[str, Any]) -> dict[str, Any]:
        if record["eventID"] == "e-101":
            raise ValueError("still broken")
        return dict(audit(record))

    monkeypatch.setattr(auditor.function.app, "audit", poisoned)
    replayer.discard(101, 103)

    answer = replayer.replay()

    assert answer["summary"] == "0 records of 0 discarded batches replayed"
    (problem,) = answer["problems"]
    assert "stays in the queue: 1 of 3 records failed again: the auditor reports 101" in problem
    assert {entry["event_id"] for entry in entries()} == {"e-102", "e-103"}
    assert replayer.left() == 1


@pytest.mark.parametrize("left", [0, 2], ids=["all trimmed", "the first trimmed"])
def test_records_that_the_stream_no_longer_has_are_named(
    replayer: Replayer, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [as_read(event) for event in HISTORY][len(HISTORY) - left :]
    monkeypatch.setattr(replayer.function.app, "streams", Stream(kept))
    replayer.discard(101, 103)

    (problem,) = replayer.replay()["problems"]

    assert "sequence numbers 101 to 103 of shard-1 are" in problem
    assert "24 hours" in problem
    assert replayer.left() == 1
    assert entries() == []


def test_a_message_that_is_no_discarded_batch_does_not_keep_the_others_from_replay(replayer: Replayer) -> None:
    replayer.keep({})
    replayer.discard(101, 101)

    answer = replayer.replay()

    assert answer["summary"] == "1 records of 1 discarded batches replayed"
    assert len(answer["problems"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        "[" * 10_000,
        {"DDBStreamBatchInfo": None},
        {"DDBStreamBatchInfo": {"shardId": "shard-1"}},
        {
            "DDBStreamBatchInfo": {
                "shardId": "shard-1",
                "streamArn": "arn",
                "startSequenceNumber": "first",
                "endSequenceNumber": "last",
            }
        },
    ],
)
def test_a_message_that_lambda_did_not_send_is_named_and_there_for_the_next_run_at_once(
    replayer: Replayer, body: Any
) -> None:
    replayer.keep(body)

    first, second = replayer.replay(), replayer.replay()

    (problem,) = first["problems"]
    assert "stays in the queue: Lambda did not send it" in problem
    assert second == first


def test_a_record_reaches_the_auditor_as_lambda_would_send_it(replayer: Replayer) -> None:
    by_lambda = stream_record(101, signed("c-1", photo={"B": "AAE="}), None, userIdentity=EXPIRED)
    read = as_read(stream_record(101, signed("c-1", photo={"B": b"\x00\x01"}), None))
    read |= {"userIdentity": {"Type": EXPIRED["type"], "PrincipalId": EXPIRED["principalId"]}}

    assert replayer.function.app.as_event(read) == by_lambda
