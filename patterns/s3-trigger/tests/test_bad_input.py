"""What the functions of the S3 trigger make of bad input."""

import importlib
import io
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from lab import bad_input
from lab.bad_input import Case, Message, of_any
from lab.handler_testing import Load, LoadedFunction

KEY = "incoming/a.json"
INVOICE = {"invoice_id": "i-1", "amount": 10.5}
WORK_ITEM = {"key": KEY, "version_id": "v-1", **INVOICE}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
UPLOADED = {
    "eventSource": "aws:s3",
    "s3": {"bucket": {"name": "uploads"}, "object": {"key": KEY, "versionId": "v-1", "sequencer": "0A"}},
}

TEXT = "and has to be text of 1 to 512 bytes"
LONG_TEXT = "and has to be text of 1 to 1024 bytes"
NUMBER = "and has to be a number above 0"
QUARANTINE = "the quarantine, with this reason"
DESTINATION = "the on-failure destination, with this error; a replay names it"

WORK_CASES = [
    Case("worker", {"key": '"incoming/x.json"'}, "the manifest knows no object incoming/x.json"),
    Case("worker", {"key": "null"}, f"key is null, {LONG_TEXT}"),
    Case("worker", {"key": None}, f"key is missing, {LONG_TEXT}"),
    Case("worker", {"key": f'"{"x" * 3000}"'}, 'key is "xxx', what="a `key` of 3,000 characters"),
    Case("worker", {"version_id": '{"a":1}'}, f"version_id is an object, {LONG_TEXT}"),
    Case("worker", {"version_id": '"v-0"'}, ends="processed: superseded"),
    Case("worker", {"amount": "1e-200"}, f"amount is 1E-200, {NUMBER}"),
    Case("worker", {"amount": "1e27"}, f"amount is 1E+27, {NUMBER}"),
    Case("worker", {"amount": "true"}, f"amount is true, {NUMBER}"),
    Case("worker", {"invoice_id": "null"}, f"invoice_id is null, {TEXT}"),
]


def content(what: str, body: str, says: str) -> tuple[Case, dict[str, Any]]:
    """An object with a content, and what becomes of it."""
    return Case("ingest", says=says, ends=QUARANTINE, what=what), {"content": body.encode("utf-8", "surrogatepass")}


def refused(code: str, what: str, says: str) -> tuple[Case, dict[str, Any]]:
    """An object that S3 does not hand out, and what becomes of it."""
    return Case("ingest", says=says, ends=QUARANTINE, what=what), {"refused": code}


def event(what: str, value: Any, says: str) -> tuple[Case, dict[str, Any]]:
    """An event, and what becomes of it."""
    return Case("ingest", says=says, ends=DESTINATION if says else "processed", what=what), {"event": value}


def uploaded(**changes: Any) -> dict[str, Any]:
    """An event of an upload, of which something is otherwise; `...` is a field that is missing."""
    described: dict[str, Any] = UPLOADED["s3"]["object"] | changes  # type: ignore[index]
    described = {name: value for name, value in described.items() if value is not ...}
    return {"Records": [UPLOADED | {"s3": {"bucket": {"name": "uploads"}, "object": described}}]}


NO_VERSION = Case("ingest", says="no version id", ends=QUARANTINE, what="a record without `versionId`")
INGEST_CASES = [
    content("an empty object", "", "empty"),
    content("`[` ten thousand times", bad_input.NESTED, "not JSON"),
    content("an object that is no text", "\ud800", "not JSON"),
    content("`[1]`", "[1]", "a JSON list, not an object"),
    content("`amount: true`", '{"invoice_id":"i-1","amount":true}', f"amount is true, {NUMBER}"),
    content("`amount: 1e400`", '{"invoice_id":"i-1","amount":1e400}', f"amount is 1E+400, {NUMBER}"),
    content("`invoice_id: null`", '{"invoice_id":null,"amount":1}', f"invoice_id is null, {TEXT}"),
    refused("InvalidObjectState", "an object that is archived (GLACIER)", "archived: restore it"),
    refused(
        "InvalidRequest", "an object that is encrypted with a key of the uploader's (SSE-C)", "encrypted with a key"
    ),
    refused("NoSuchVersion", "a version that is deleted", "deleted for good"),
    event("`s3:TestEvent`", {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}, ""),
    (NO_VERSION, {"event": uploaded(versionId=...)}),
    event("a record whose `sequencer` is no number", uploaded(sequencer="later"), "UnknownEvent: no event of S3"),
    event("an event of EventBridge", {"source": "aws.s3", "detail": {}}, "UnknownEvent: no event of S3"),
    event("an event of SQS", {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}, "UnknownEvent: no event of S3"),
    event("`{}`", {}, "UnknownEvent: no event of S3"),
]
CASES = [*(case for case, _ in INGEST_CASES), *WORK_CASES]


# --- The worker ---


@pytest.fixture
def worker(load: Load, monkeypatch: pytest.MonkeyPatch) -> LoadedFunction:
    """The worker, on a manifest that has one object."""
    function = load("worker", MANIFEST_TABLE="manifest")
    client = function.app.dynamodb

    def update_item(Key: dict[str, Any], ExpressionAttributeValues: dict[str, Any], **_: Any) -> None:
        bad_input.refuse_what_dynamodb_does(Key, "key")
        bad_input.refuse_what_dynamodb_does(Key | ExpressionAttributeValues, "key")
        known, version = Key["key"]["S"] == KEY, ExpressionAttributeValues[":version"]["S"]
        if not known or version != "v-1":
            response: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}}
            response |= {"Item": {"version_id": {"S": "v-1"}}} if known else {}
            raise client.exceptions.ConditionalCheckFailedException(response, "UpdateItem")

    monkeypatch.setattr(client, "update_item", update_item)
    return function


def test_what_becomes_of_a_bad_work_item(worker: LoadedFunction) -> None:
    common = [case for case in of_any("worker") if "key" not in case.changes]
    bad_input.check_cases(bad_input.through(worker), WORK_ITEM, [*WORK_CASES, *common])


def test_whatever_a_work_item_is_it_fails_alone_and_is_told(worker: LoadedFunction) -> None:
    bad_input.check_consumer(bad_input.through(worker), WORK_ITEM)


# --- Ingest ---


class Services:
    """S3, the manifest and the queue as ingest uses them. They refuse what AWS refuses."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.codes: dict[str, str] = {}
        self.quarantined: list[str] = []
        self.sent: list[str] = []

    def get_object(self, Bucket: str, Key: str, VersionId: str) -> dict[str, Any]:
        assert Bucket == "uploads"
        if Key in self.codes or Key not in self.contents:
            refuse(self.codes.get(Key, "AccessDenied"))
        body = self.contents[Key]
        return {"Metadata": {"correlation-id": "trace-1"}, "ContentLength": len(body), "Body": io.BytesIO(body)}

    def head_object(self, **_: Any) -> NoReturn:
        refuse("AccessDenied")

    def put_object(self, Key: str, Metadata: dict[str, str], **_: Any) -> None:
        assert all(value.isascii() and value.isprintable() for value in Metadata.values())
        assert sum(map(len, [*Metadata, *Metadata.values()])) <= 2048
        self.quarantined.append(Key)

    copy_object = put_object

    def put_item(self, Item: dict[str, Any], **_: Any) -> None:
        bad_input.refuse_what_dynamodb_does(Item, "key")

    def update_item(self, Key: dict[str, Any], **_: Any) -> None:
        bad_input.refuse_what_dynamodb_does(Key, "key")

    def send_message(self, MessageBody: str, MessageAttributes: dict[str, Any], **_: Any) -> None:
        assert re.fullmatch("[!-~]{1,1024}", MessageAttributes["correlation_id"]["StringValue"])
        self.sent.append(json.loads(MessageBody)["key"])


def refuse(code: str) -> NoReturn:
    raise ClientError({"Error": {"Code": code, "Message": "because"}}, "any")


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def ingest(load: Load, monkeypatch: pytest.MonkeyPatch, services: Services) -> LoadedFunction:
    function = load(
        "ingest",
        QUARANTINE_BUCKET="quarantine",
        MANIFEST_TABLE="manifest",
        MAX_OBJECT_BYTES="100000",
        QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/123456789012/work",
    )
    for module, client, operations in (
        ("objects", "s3", ("get_object", "head_object", "put_object", "copy_object")),
        ("manifest", "dynamodb", ("put_item", "update_item")),
        ("work", "sqs", ("send_message",)),
    ):
        for operation in operations:
            monkeypatch.setattr(getattr(function.modules[module], client), operation, getattr(services, operation))
    return function


def delivered(function: LoadedFunction, value: Any) -> str:
    """What an event ends with: the name of the error that Lambda gets, if any."""
    try:
        function.invoke(value)
    except Exception as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize(("case", "given_"), INGEST_CASES, ids=[str(case) for case, _ in INGEST_CASES])
def test_what_becomes_of_a_bad_object_or_event(
    ingest: LoadedFunction, services: Services, case: Case, given_: dict[str, Any]
) -> None:
    services.contents[KEY] = given_.get("content", json.dumps(INVOICE).encode())
    services.codes |= {KEY: given_["refused"]} if "refused" in given_ else {}

    error = delivered(ingest, given_.get("event", uploaded()))

    assert error == ("UnknownEvent" if case.ends == DESTINATION else "")
    (line,) = ingest.lines
    assert line["message"] == ("failed" if case.says else "processed")
    assert line.get("error", "").startswith(case.says)
    assert line.get("error_class") == ("permanent" if case.says else None)
    assert services.quarantined == ([KEY] if case.ends == QUARANTINE else [])
    assert services.sent == []


# Of a record, by the path to it; `...` is a field that is missing.
Twist = tuple[tuple[str, ...], Any]
TWISTS: list[Twist] = [
    (path, value)
    for path in (
        *(("s3",), ("s3", "bucket"), ("s3", "object"), ("s3", "bucket", "name")),
        *(("s3", "object", name) for name in ("key", "versionId", "sequencer")),
    )
    for value in (..., None, "", " ", "x" * 3000, "\ud800", "%ff", "0A", 5, 1.5, True, [], {}, [None], {"name": 1})
]
CODES = ("InvalidObjectState", "InvalidRequest", "NoSuchVersion", "MethodNotAllowed", "SlowDown", "AccessDenied")


def record(number: int, twist: Twist | None) -> dict[str, Any]:
    """The record of an upload, of which something is otherwise."""
    made: dict[str, Any] = json.loads(json.dumps(UPLOADED))
    made["s3"]["object"]["key"] = f"incoming/{number}.json"
    if twist:
        (*path, name), value = twist
        at = made
        for part in path:
            at = at[part]
        at[name] = value
        if value is ...:
            del at[name]
    return made


# What is otherwise with a record, if anything, and as what S3 refuses its object, if it does.
FATES: list[tuple[Twist | None, str | None]] = [(twist, None) for twist in TWISTS] + [(None, code) for code in CODES]
FATES += [(None, None)] * len(FATES)


def test_whatever_an_event_is_about_each_object_ends_in_one_place(ingest: LoadedFunction, services: Services) -> None:
    @bad_input.SETTINGS
    @given(bad_input.batches(INVOICE), st.tuples(*[st.sampled_from(FATES)] * bad_input.BATCH))
    def holds(objects: list[Message], fates: tuple[tuple[Twist | None, str | None], ...]) -> None:
        keys = [f"incoming/{number}.json" for number in range(bad_input.BATCH)]
        bodies = [message.record["body"].encode("utf-8", "surrogatepass") for message in objects]
        services.contents = dict(zip(keys, bodies, strict=True))
        services.codes = {key: code for key, (_, code) in zip(keys, fates, strict=True) if code}
        services.sent, services.quarantined = [], []

        error = delivered(ingest, {"Records": [record(number, twist) for number, (twist, _) in enumerate(fates)]})

        assert len(ingest.lines) == bad_input.BATCH
        assert all(len(json.dumps(line)) < 20_000 for line in ingest.lines)
        unfinished = [line for line in ingest.lines if line["message"] == "failed" and "outcome" not in line]
        assert bool(error) == bool(unfinished)
        for message, (twist, code), key, line in zip(objects, fates, keys, ingest.lines, strict=True):
            if not twist:
                assert line["key"] == key
                assert line.get("correlation_id")
                assert (line in unfinished) == (code in ("SlowDown", "AccessDenied"))
            if line in unfinished and not code:
                # A key that is one, but of no object, is denied: S3 tells who may not list only that.
                assert line["error_class"] == "permanent" or "AccessDenied" in line["error"]
            if not twist and not code and message.is_healthy:
                assert line["outcome"] == "queued"
        for ended, outcome in ((services.sent, "queued"), (services.quarantined, "quarantined")):
            assert ended == [line["key"] for line in ingest.lines if line.get("outcome") == outcome]

    with bad_input.brief_tracebacks():
        holds()


@pytest.mark.parametrize("body", bad_input.NOISE)
def test_whatever_is_no_event_of_s3_is_told_once_and_left_to_the_destination(
    ingest: LoadedFunction, services: Services, body: str
) -> None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = body

    error = delivered(ingest, value)

    (line,) = ingest.lines
    if isinstance(value, dict) and "Event" in value:
        assert (error, line["message"]) == ("", "processed")
    else:
        assert (error, line["message"], line["error_class"]) == ("UnknownEvent", "failed", "permanent")
    assert services.sent == services.quarantined == []


# --- The replayer and the uploader ---


def test_whatever_waits_for_a_replay_is_replayed_or_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    function = load("replayer", QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/1/failed", FUNCTION_NAME="ingest")
    queue = bad_input.Failures()
    monkeypatch.setattr(importlib.import_module("handlers.replay"), "sqs", queue)
    monkeypatch.setattr(function.app.lambda_, "invoke", lambda Payload, **_: json.loads(Payload))
    failed_event = {
        "requestContext": {"requestId": "r-1", "condition": "RetriesExhausted"},
        "requestPayload": {"Records": [UPLOADED]},
    }

    bad_input.check_replay(function, queue, failed_event)


def test_whatever_is_to_be_uploaded_the_others_are(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    uploader = load("uploader", BUCKET="uploads")
    put: list[str] = []

    def put_object(Key: str, Body: bytes, Metadata: dict[str, str], **_: Any) -> dict[str, str]:
        assert 1 <= len(Key.encode()) <= 1024
        assert isinstance(Body, bytes)
        assert all(value.isascii() for value in Metadata.values())
        put.append(Key)
        return {"VersionId": "v-1"}

    monkeypatch.setattr(uploader.app.s3, "put_object", put_object)
    monkeypatch.setattr(
        uploader.app, "ThreadPoolExecutor", OneAtATime
    )  # a thread for each of them costs more than they

    @bad_input.of_all_kinds({"key": KEY, "body": INVOICE, "size": 10})
    def holds(batch: list[Message]) -> None:
        put.clear()
        error = delivered(uploader, {"objects": [bad_input.decoded(message) for message in batch]})
        lines = [line["message"] for line in uploader.lines]
        assert len(lines) == bad_input.BATCH
        assert set(lines) <= {"uploaded", "failed"}
        assert error == ("UploadError" if "failed" in lines else "")
        assert put == [line["key"] for line in uploader.lines if line["message"] == "uploaded"]
        for message, line in zip(batch, lines, strict=True):
            assert line == "uploaded" or not message.is_healthy

    with bad_input.brief_tracebacks():
        holds()


class OneAtATime:
    def __init__(self, _: int) -> None: ...

    def __enter__(self) -> "OneAtATime":
        return self

    def __exit__(self, *_: object) -> None: ...

    def map[Item, Result](self, act: Callable[[Item], Result], items: list[Item]) -> list[Result]:
        return [act(item) for item in items]
