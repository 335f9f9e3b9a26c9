"""The functions of the audit trail, on moto and sample events: no target needed."""

import importlib.util
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

PATTERN = Path(__file__).parents[1]
OWN_MODULES = ("chain", "change", "trail")
TABLES = {"orders": "", "audit": "sequence_number", "heads": ""}
QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/discarded"


@dataclass
class Context:
    function_name: str = "stream-audit"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:stream-audit"
    aws_request_id: str = "request-1"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tables of the pattern, empty, and the environment of its functions."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "POWERTOOLS_SERVICE_NAME": "stream-audit",
        "POWERTOOLS_METRICS_NAMESPACE": "stream-audit",
        "ORDERS_TABLE": "orders",
        "AUDIT_TABLE": "audit",
        "HEADS_TABLE": "heads",
        "AUDITOR": "auditor",
        "DISCARDED_QUEUE_URL": QUEUE_URL,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "REPORT_BATCH_ITEM_FAILURES"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        for table, range_key in TABLES.items():
            keys = {"order_id": "HASH"} | ({range_key: "RANGE"} if range_key else {})
            boto3.client("dynamodb").create_table(
                TableName=table,
                KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        yield
    for module in OWN_MODULES:
        sys.modules.pop(module, None)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads a function's app.py under a name of its own, with the modules beside it, as its environment says then."""

    def loaded(function: str) -> ModuleType:
        for name in (*OWN_MODULES, "consumer", "stream_consumer"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        folder = PATTERN / "functions" / function
        with monkeypatch.context() as path:
            path.syspath_prepend(str(folder))
            spec = importlib.util.spec_from_file_location(f"stream_audit_{function}", folder / "app.py")
            assert spec and spec.loader
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return module

    return loaded


def table(name: str) -> list[dict[str, Any]]:
    return list(boto3.resource("dynamodb").Table(name).scan()["Items"])


# --- The writer ---


@pytest.fixture
def write(load: Callable[[str], ModuleType]) -> Callable[..., dict[str, Any]]:
    writer = load("writer")
    return lambda *changes, **event: writer.handler({"changes": changes, "actor": "alice"} | event, Context())


def put(order_id: str = "o-1", **fields: Any) -> dict[str, Any]:
    return {"operation": "put", "order": {"order_id": order_id, "status": "new", **fields}}


def update(order_id: str = "o-1", **fields: Any) -> dict[str, Any]:
    return {"operation": "update", "order_id": order_id, "set": fields}


def delete(order_id: str = "o-1") -> dict[str, Any]:
    return {"operation": "delete", "order_id": order_id}


def test_a_change_leaves_on_the_order_who_made_it(write: Callable[..., dict[str, Any]]) -> None:
    first = write(put(amount=12.5), correlation_id="trace-1")["published"][0]
    assert (first["order_id"], first["actor"], first["correlation_id"]) == ("o-1", "alice", "trace-1")

    second = write(update(status="paid") | {"actor": "bob"})["published"][0]

    (order,) = table("orders")
    assert (float(order["amount"]), order["status"], order["actor"]) == (12.5, "paid", "bob")
    assert order["change_id"] == second["change_id"] != first["change_id"]
    assert order["correlation_id"] == second["correlation_id"] != "trace-1"


def test_a_deletion_signs_the_order_first(
    write: Callable[..., dict[str, Any]], load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = load("writer")
    write(put())
    signed = []
    monkeypatch.setattr(writer.orders, "delete_item", lambda **_: signed.extend(table("orders")))

    writer.handler({"changes": [delete()], "actor": "carol"}, Context())

    assert [(order["actor"], order["deleting"]) for order in signed] == [("carol", True)]
    write(delete())
    assert table("orders") == []


def test_a_deletion_that_did_not_happen_is_no_longer_signed_for_after_the_next_change(
    write: Callable[..., dict[str, Any]],
) -> None:
    write(put(deleting=True), update(status="paid"))

    assert "deleting" not in table("orders")[0]


def test_an_order_that_somebody_changed_meanwhile_is_not_deleted(
    write: Callable[..., dict[str, Any]], load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = load("writer")
    write(put())
    sign = writer.sign

    def overtaken(*arguments: Any, **more: Any) -> None:
        sign(*arguments, **more)
        write(update(status="paid"))

    monkeypatch.setattr(writer, "sign", overtaken)
    with pytest.raises(writer.ChangeError, match=r"change 1 of 1 \(delete o-1\) was not made"):
        writer.handler({"changes": [delete()], "actor": "carol"}, Context())
    assert table("orders")[0]["status"] == "paid"


def test_the_writer_names_the_change_that_was_not_made(load: Callable[[str], ModuleType]) -> None:
    writer = load("writer")

    with pytest.raises(writer.ChangeError, match=r"change 2 of 3 \(update o-2\) was not made, those before it were"):
        writer.handler({"changes": [put(), update("o-2", status="paid"), put("o-3")], "actor": "alice"}, Context())
    assert [order["order_id"] for order in table("orders")] == ["o-1"]


@pytest.mark.parametrize("path", sorted((PATTERN / "events").glob("*.json")), ids=lambda path: path.stem)
def test_the_writer_accepts_every_sample_event(write: Callable[..., dict[str, Any]], path: Path) -> None:
    event = json.loads(path.read_text())

    published = write(*event["changes"], actor=event["actor"])["published"]

    assert len(published) == len(event["changes"])
    assert len({receipt["correlation_id"] for receipt in published}) == 1


# --- The auditor ---


def image(order_id: str = "o-1", **attributes: Any) -> dict[str, Any]:
    typed = {name: value if isinstance(value, dict) else {"S": value} for name, value in attributes.items()}
    return {"order_id": {"S": order_id}, **typed}


def signed(change_id: str, actor: str = "alice", **attributes: Any) -> dict[str, Any]:
    return image(change_id=change_id, actor=actor, correlation_id="trace-1", **attributes)


def record(
    sequence_number: int, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A stream record as Lambda hands it to the function."""
    images = {name: value for name, value in (("OldImage", old), ("NewImage", new)) if value}
    return {
        "eventID": f"e-{sequence_number}",
        "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": 1767225600,
            "Keys": {"order_id": (new or old or {})["order_id"]},
            "SequenceNumber": str(sequence_number),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
        **more,
    }


A, B, C = signed("c-1"), signed("c-2", status="paid"), signed("c-3", status="shipped")
HISTORY = [record(101, None, A), record(102, A, B), record(103, B, C)]


@dataclass
class Auditor:
    app: ModuleType

    def __post_init__(self) -> None:
        self.trail = sys.modules["trail"]
        self.change = sys.modules["change"]
        self.consumer = sys.modules["consumer"]

    def take(self, *records: dict[str, Any]) -> list[dict[str, Any]]:
        """The log lines of an invocation with these records."""
        stream = io.StringIO()
        self.consumer.logger.registered_handler.stream = stream
        self.app.handler({"Records": list(records)}, Context())
        return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def auditor(load: Callable[[str], ModuleType]) -> Auditor:
    return Auditor(load("auditor"))


def entries() -> list[dict[str, Any]]:
    return sorted(table("audit"), key=lambda entry: str(entry["sequence_number"]))


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
    assert table("heads") == [
        {"order_id": "o-1", "seq": 3, "hash": third["hash"], "latest": third["sequence_number"]},
    ]


def test_a_record_that_comes_again_adds_nothing(auditor: Auditor) -> None:
    auditor.take(*HISTORY)
    before = table("audit"), table("heads")

    lines = auditor.take(*HISTORY[1:])

    assert [(line["outcome"], line["entry"]) for line in lines] == [("already audited", 2), ("already audited", 3)]
    assert (table("audit"), table("heads")) == before


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
        (
            signed("c-1", deleting={"BOOL": True}),
            None,
            EXPIRED,
            {"actor_type": "service"} | {"actor": EXPIRED["principalId"]},
        ),
    ],
    ids=["put", "update", "delete", "put unsigned", "update unsigned", "delete unsigned", "no actor", "expired"],
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
    trail: Any = auditor.trail
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

    trail: Any = auditor.trail
    monkeypatch.setattr(trail.dynamodb, "transact_write_items", raising)

    (line,) = auditor.take(HISTORY[0])

    assert (line["message"], line["error_class"]) == ("failed", error_class)


def test_an_entry_of_another_event_is_not_taken_for_this_ones(auditor: Auditor) -> None:
    auditor.take(HISTORY[0])

    (line,) = auditor.take(HISTORY[0] | {"eventID": "e-of-another-stream"})

    assert line["error_class"] == "permanent"
    assert "is there more than one stream?" in line["error"]


def test_a_record_without_images_is_permanent(auditor: Auditor) -> None:
    keys_only = record(101, None, A)
    del keys_only["dynamodb"]["NewImage"]

    (line,) = auditor.take(keys_only)

    assert line["error_class"] == "permanent"
    assert "NEW_AND_OLD_IMAGES" in line["error"]


# --- The verifier ---


@pytest.fixture
def verifier(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Callable[[], ModuleType]:
    """Loads the verifier, which does not wait."""

    def loaded() -> ModuleType:
        module = load("verifier")
        monkeypatch.setattr(module, "GRACE_SECONDS", 0)
        return module

    return loaded


def order_is(order_id: str, change_id: str) -> None:
    boto3.resource("dynamodb").Table("orders").put_item(Item={"order_id": order_id, "change_id": change_id})


@pytest.fixture
def verify(auditor: Auditor, verifier: Callable[[], ModuleType]) -> Callable[[], dict[str, Any]]:
    """The verifier, of a trail that the auditor wrote."""
    auditor.take(*HISTORY)
    other = image("o-2", change_id="c-9", actor="bob")
    auditor.take(record(104, None, other))
    order_is("o-1", "c-3")
    order_is("o-2", "c-9")
    module = verifier()
    return lambda: dict(module.handler({}, Context()))


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
        entry["hash"] = sys.modules["chain"].digest(content)
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


def test_a_change_that_was_never_audited_is_a_gap_until_it_is(
    auditor: Auditor, verifier: Callable[[], ModuleType]
) -> None:
    order_is("o-1", "c-3")
    auditor.take(HISTORY[0], HISTORY[2])
    assert verifier().handler({}, Context())["problems"] == ["o-1: a change between entries 1 and 2 was not audited"]

    auditor.take(HISTORY[1])
    assert verifier().handler({}, Context())["problems"] == []


def test_an_order_whose_creation_was_never_audited_is_a_gap(
    auditor: Auditor, verifier: Callable[[], ModuleType]
) -> None:
    order_is("o-1", "c-3")
    auditor.take(*HISTORY[1:])

    assert verifier().handler({}, Context())["problems"] == ["o-1: a change before entry 1 was not audited"]


@pytest.mark.parametrize("audited", [0, 2], ids=["no entry at all", "the last one lost"])
def test_an_order_whose_last_change_is_not_in_its_trail_is_named(
    auditor: Auditor, verifier: Callable[[], ModuleType], audited: int
) -> None:
    order_is("o-1", "c-3")
    auditor.take(*HISTORY[:audited], record(104, None, image("o-2")))

    assert verifier().handler({}, Context())["problems"] == [
        "o-1: its last change is not audited: it was discarded or lost, or the auditor is behind"
    ]


def test_a_deletion_that_was_never_audited_is_named(auditor: Auditor, verifier: Callable[[], ModuleType]) -> None:
    auditor.take(*HISTORY)

    (problem,) = verifier().handler({}, Context())["problems"]

    assert problem.startswith("o-1: its last change is not audited")


def test_what_is_changed_and_audited_while_the_trail_is_read_is_no_problem(
    auditor: Auditor, verifier: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    order_is("o-1", "c-2")
    auditor.take(*HISTORY[:2])
    module = verifier()
    scan = module.audit.scan

    def grows(**arguments: Any) -> Any:
        auditor.take(HISTORY[2])
        order_is("o-1", "c-4")  # whose change is still on its way
        return scan(**arguments)

    monkeypatch.setattr(module.audit, "scan", grows)

    assert module.handler({}, Context())["problems"] == []
    assert len(entries()) == 3


# --- The redriver ---


class Trimmed(Exception):
    """What the stream answers when the records are older than 24 hours."""


@dataclass
class Stream:
    """What the redriver asks of DynamoDB Streams. It answers one record at a time, and sometimes none."""

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
    """The auditor, as the redriver invokes it."""

    auditor: Auditor

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:
        assert FunctionName == "auditor"
        try:
            answer = self.auditor.app.handler(json.loads(Payload), Context())
        except Exception as error:
            answer = {"errorMessage": str(error)}
            return {"FunctionError": "Unhandled", "Payload": io.StringIO(json.dumps(answer))}
        return {"Payload": io.StringIO(json.dumps(answer))}


@dataclass
class Redriver:
    app: ModuleType
    queue: Any

    def discard(self, first: int, last: int) -> None:
        info = {
            "shardId": "shard-1",
            "startSequenceNumber": str(first),
            "endSequenceNumber": str(last),
            "batchSize": last - first + 1,
            "streamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026",
        }
        self.queue.send_message(QueueUrl=QUEUE_URL, MessageBody=json.dumps({"DDBStreamBatchInfo": info}))

    def replay(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.app.handler({}, Context())
        return answer

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.queue.get_queue_attributes(QueueUrl=QUEUE_URL, AttributeNames=names)["Attributes"]
        return sum(map(int, attributes.values()))


def as_read(event: dict[str, Any]) -> dict[str, Any]:
    """A record as GetRecords has it."""
    data = event["dynamodb"]
    created = datetime.fromtimestamp(data["ApproximateCreationDateTime"], UTC)
    return event | {"dynamodb": data | {"ApproximateCreationDateTime": created}}


@pytest.fixture
def redriver(auditor: Auditor, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Redriver:
    """The redriver, of a stream with HISTORY, and an auditor that has seen none of it."""
    sqs = boto3.client("sqs")
    sqs.create_queue(QueueName="discarded", Attributes={"VisibilityTimeout": "300"})
    app = load("redriver")
    monkeypatch.setattr(app, "streams", Stream([as_read(event) for event in HISTORY]))
    monkeypatch.setattr(app, "functions", Functions(auditor))
    receive = app.sqs.receive_message
    monkeypatch.setattr(app.sqs, "receive_message", lambda **arguments: receive(**arguments | {"WaitTimeSeconds": 0}))
    return Redriver(app, sqs)


def test_discarded_records_are_read_from_the_stream_and_audited(redriver: Redriver) -> None:
    redriver.discard(102, 103)
    redriver.discard(101, 101)

    assert redriver.replay() == {"summary": "3 records of 2 discarded batches replayed", "problems": []}

    assert {entry["event_id"] for entry in entries()} == {"e-101", "e-102", "e-103"}
    assert redriver.left() == 0


def test_a_record_that_fails_again_stays_and_keeps_no_other_out(
    redriver: Redriver, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = auditor.app.audit

    def poisoned(record: dict[str, Any]) -> dict[str, Any]:
        if record["eventID"] == "e-101":
            raise ValueError("still broken")
        return dict(audit(record))

    monkeypatch.setattr(auditor.app, "audit", poisoned)
    redriver.discard(101, 103)

    answer = redriver.replay()

    assert answer["summary"] == "0 records of 0 discarded batches replayed"
    (problem,) = answer["problems"]
    assert "stays in the queue: 1 of 3 records failed again: the auditor reports 101" in problem
    assert {entry["event_id"] for entry in entries()} == {"e-102", "e-103"}
    assert redriver.left() == 1


@pytest.mark.parametrize("left", [0, 2], ids=["all trimmed", "the first trimmed"])
def test_records_that_the_stream_no_longer_has_are_named(
    redriver: Redriver, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [as_read(event) for event in HISTORY][len(HISTORY) - left :]
    monkeypatch.setattr(redriver.app, "streams", Stream(kept))
    redriver.discard(101, 103)

    (problem,) = redriver.replay()["problems"]

    assert "sequence numbers 101 to 103 of shard-1 are" in problem
    assert "24 hours" in problem
    assert redriver.left() == 1
    assert entries() == []


def test_a_message_that_is_no_discarded_batch_does_not_keep_the_others_from_replay(redriver: Redriver) -> None:
    redriver.queue.send_message(QueueUrl=QUEUE_URL, MessageBody="{}")
    redriver.discard(101, 101)

    answer = redriver.replay()

    assert answer["summary"] == "1 records of 1 discarded batches replayed"
    assert len(answer["problems"]) == 1


def test_a_record_reaches_the_auditor_as_lambda_would_send_it(redriver: Redriver) -> None:
    by_lambda = record(101, signed("c-1", photo={"B": "AAE="}), None, userIdentity=EXPIRED)
    read = as_read(record(101, signed("c-1", photo={"B": b"\x00\x01"}), None))
    read |= {"userIdentity": {"Type": EXPIRED["type"], "PrincipalId": EXPIRED["principalId"]}}

    assert redriver.app.as_event(read) == by_lambda
