"""The functions of the S3 trigger, on moto and sample events: no target needed."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.exceptions import ClientError

from lab.handler_testing import (
    REGION,
    Context,
    Load,
    LoadedFunction,
    create_queue,
    create_table,
    received,
    sqs_event,
    waiting,
)

PATTERN = Path(__file__).parents[1]
UPLOADS, QUARANTINE, MANIFEST = "uploads", "quarantine", "manifest"
MAX_BYTES = 1000

KEY = "incoming/a.json"
INVOICE = {"invoice_id": "i-1", "amount": 10.5}
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "any")


@pytest.fixture(autouse=True)
def stores(aws: None) -> None:
    """The buckets and the manifest, empty."""
    s3 = boto3.client("s3")
    for bucket in (UPLOADS, QUARANTINE):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    create_table(MANIFEST, "key")


def manifest(key: str = KEY) -> dict[str, str]:
    """The manifest's entry of a key; empty when there is none."""
    answer = boto3.client("dynamodb").get_item(TableName=MANIFEST, Key={"key": {"S": key}})
    return {name: str(next(iter(value.values()))) for name, value in answer.get("Item", {}).items()}


@dataclass
class Ingest:
    function: LoadedFunction
    queue_url: str
    sent: list[dict[str, Any]] = field(default_factory=list)

    def upload(
        self, content: bytes | dict[str, Any], sequencer: str = "0A", key: str = KEY, **more: Any
    ) -> dict[str, Any]:
        """Puts an object, and returns the event that S3 makes of it."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        more = {"Metadata": {"correlation-id": "trace-1"}} | more
        stored = boto3.client("s3").put_object(Bucket=UPLOADS, Key=key, Body=body, **more)
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
        described = {"key": quote_plus(key, safe="/"), "size": len(body), "versionId": stored["VersionId"]}
        record = {"s3": {"bucket": {"name": UPLOADS}, "object": described | {"sequencer": sequencer}}}
        return {"Records": [{"eventSource": "aws:s3", **record}]}

    def deliver(self, event: dict[str, Any]) -> dict[str, Any]:
        """The log line of an invocation."""
        self.function.invoke(event)
        (line,) = self.function.lines
        return line

    def work_items(self) -> list[dict[str, Any]]:
        """All that was sent to the queue so far."""
        self.sent += received(self.queue_url)
        return self.sent

    def fails(self, monkeypatch: pytest.MonkeyPatch, module: str, call: str) -> None:
        """Lets one call of ingest fail."""
        client, operation = call.split(".")

        def throttled(**_: Any) -> None:
            raise THROTTLED

        monkeypatch.setattr(getattr(self.function.modules[module], client), operation, throttled)


@pytest.fixture
def ingest(load: Load) -> Ingest:
    queue_url = create_queue("work")
    function = load(
        "ingest",
        QUARANTINE_BUCKET=QUARANTINE,
        MANIFEST_TABLE=MANIFEST,
        MAX_OBJECT_BYTES=str(MAX_BYTES),
        QUEUE_URL=queue_url,
    )
    return Ingest(function, queue_url)


def test_an_upload_becomes_a_work_item_and_an_entry_of_the_manifest(ingest: Ingest) -> None:
    event = ingest.upload(INVOICE)

    line = ingest.deliver(event)

    version = event["Records"][0]["s3"]["object"]["versionId"]
    assert {name: line[name] for name in ("message", "key", "version_id", "correlation_id", "outcome")} == {
        "message": "processed",
        "key": KEY,
        "version_id": version,
        "correlation_id": "trace-1",
        "outcome": "queued",
    }
    (item,) = ingest.work_items()
    assert json.loads(item["Body"]) == {"key": KEY, "version_id": version, **INVOICE}
    assert item["MessageAttributes"]["correlation_id"]["StringValue"] == "trace-1"
    assert (manifest()["status"], manifest()["version_id"]) == ("queued", version)


@pytest.mark.parametrize(
    "key", ["incoming/a b+c%20d.json", "incoming/für 東京 & co.json", f"incoming/{'x' * 986}.json"]
)
def test_a_key_is_decoded(ingest: Ingest, key: str) -> None:
    assert ingest.deliver(ingest.upload(INVOICE, key=key))["key"] == key
    assert manifest(key)["status"] == "queued"


@pytest.mark.parametrize("metadata", [{}, {"correlation-id": ""}])
def test_what_somebody_else_uploaded_is_traced_by_its_version(ingest: Ingest, metadata: dict[str, str]) -> None:
    line = ingest.deliver(ingest.upload(INVOICE, Metadata=metadata))

    assert line["correlation_id"] == line["version_id"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" " * (MAX_BYTES + 1), f"{MAX_BYTES + 1} bytes, and at most {MAX_BYTES} are processed"),
        (b'{"invoice_id": "i-1", "am', "not JSON: "),
        (b"\xff\xfe\xfd", "not JSON: "),
        (b"[]", "a JSON list, not an object"),
        ({"amount": 1}, "invoice_id is no text"),
        ({"invoice_id": "", "amount": 1}, "invoice_id is no text"),
        ({"invoice_id": "i" * 300, "amount": 1}, "invoice_id is no text"),
        ({"invoice_id": "i-1"}, "amount is no number"),
        ({"invoice_id": "i-1", "amount": True}, "amount is no number"),
        ({"invoice_id": "i-1", "amount": 0}, "amount is no number"),
        ({"invoice_id": "i-1", "amount": float("nan")}, "amount is no number"),
        ({"invoice_id": "i-1", "amount": 10**300}, "amount is no number"),
    ],
)
def test_what_can_never_be_processed_is_quarantined_with_its_reason(
    ingest: Ingest, content: bytes | dict[str, Any], reason: str
) -> None:
    event = ingest.upload(content, key="incoming/a b+c.json", Tagging="a=b")

    line = ingest.deliver(event)

    assert (line["message"], line["error_class"], line["outcome"]) == ("failed", "permanent", "quarantined")
    assert line["error"].startswith(reason)
    copy = boto3.client("s3").get_object(Bucket=QUARANTINE, Key="incoming/a b+c.json")
    assert copy["Body"].read() == (content if isinstance(content, bytes) else json.dumps(content).encode())
    assert copy["Metadata"] == {
        "correlation-id": "trace-1",
        "reason": line["error"],
        "source-version-id": line["version_id"],
    }
    entry = manifest("incoming/a b+c.json")
    assert (entry["status"], entry["reason"]) == ("quarantined", line["error"])
    assert ingest.work_items() == []


def test_nested_without_end_is_quarantined_too(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.function.app, "MAX_OBJECT_BYTES", 1_000_000)

    assert ingest.deliver(ingest.upload(b"[" * 500_000))["outcome"] == "quarantined"


@pytest.mark.parametrize(
    ("content", "outcome"), [(INVOICE, "already queued"), ({"invoice_id": "i-1"}, "already quarantined")]
)
def test_a_repeated_event_changes_nothing(ingest: Ingest, content: dict[str, Any], outcome: str) -> None:
    event = ingest.upload(content)
    ingest.deliver(event)
    before = manifest()

    assert ingest.deliver(event)["outcome"] == outcome

    assert manifest() == before
    assert len(ingest.work_items()) <= 1
    versions = boto3.client("s3").list_object_versions(Bucket=QUARANTINE).get("Versions", [])
    assert len(versions) == (outcome == "already quarantined")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0055AED6DCD90281E5", "0055AED6DCD90281E6"),
        ("0055AED6DCD90281E5", "0055aed6dcd90281e6"),
        ("0055AED6DCD9", "0055AED6DCD90281E5"),  # the shorter one gets zeros on its right
        ("0055AED6DCD90281E5", "0055AED6DD"),
    ],
)
def test_the_event_of_an_older_version_is_superseded_whenever_it_comes(ingest: Ingest, older: str, newer: str) -> None:
    first, second = ingest.upload(INVOICE, older), ingest.upload(INVOICE | {"amount": 2}, newer)

    assert [ingest.deliver(event)["outcome"] for event in (second, first)] == ["queued", "superseded"]

    assert manifest()["version_id"] == second["Records"][0]["s3"]["object"]["versionId"]
    assert [json.loads(item["Body"])["amount"] for item in ingest.work_items()] == [2]


def test_in_order_both_versions_become_work_items(ingest: Ingest) -> None:
    first, second = ingest.upload(INVOICE, "0A"), ingest.upload(INVOICE | {"amount": 2}, "0B")

    assert [ingest.deliver(event)["outcome"] for event in (first, second)] == ["queued", "queued"]
    assert len(ingest.work_items()) == 2


@pytest.mark.parametrize(
    ("module", "call", "sent_before"),
    [
        ("objects", "s3.get_object", 0),
        ("manifest", "dynamodb.put_item", 0),
        ("work", "sqs.send_message", 0),
        ("manifest", "dynamodb.update_item", 1),  # the retry cannot know that the work item was sent
    ],
)
def test_a_service_that_fails_is_a_transient_error_and_the_retry_finishes(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, module: str, call: str, sent_before: int
) -> None:
    event = ingest.upload(INVOICE)
    with monkeypatch.context() as broken:
        ingest.fails(broken, module, call)
        with pytest.raises(ClientError):
            ingest.deliver(event)
    (line,) = ingest.function.lines
    assert (line["message"], line["error_class"], line["key"]) == ("failed", "transient", KEY)

    assert ingest.deliver(event)["outcome"] == "queued"

    assert len(ingest.work_items()) == sent_before + 1
    assert manifest()["status"] == "queued"


Work = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def work(ingest: Ingest, load: Load) -> Work:
    """Has the worker work on items; returns its log lines, and fails on a wrong report."""
    worker = load("worker", MANIFEST_TABLE=MANIFEST)

    def on(*items: dict[str, Any]) -> list[dict[str, Any]]:
        report = worker.invoke(sqs_event(*items, correlation_id="trace-1"))
        failed = [{"itemIdentifier": line["message_id"]} for line in worker.lines if line["message"] == "failed"]
        assert report == {"batchItemFailures": failed}
        return worker.lines

    return on


def test_a_work_item_is_booked_once_however_often_it_comes(ingest: Ingest, work: Work) -> None:
    ingest.deliver(ingest.upload(INVOICE))
    item = json.loads(ingest.work_items()[0]["Body"])

    lines = work(item, item)

    assert [(line["key"], line["outcome"]) for line in lines] == [(KEY, "booked"), (KEY, "already booked")]
    assert {name: manifest()[name] for name in ("status", "invoice_id", "amount")} == {
        "status": "processed",
        "invoice_id": "i-1",
        "amount": "10.5",
    }


def test_a_worker_that_was_faster_than_ingest_is_not_overwritten(
    ingest: Ingest, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked_at_once(**message: Any) -> None:
        work(json.loads(message["MessageBody"]))

    monkeypatch.setattr(ingest.function.modules["work"].sqs, "send_message", worked_at_once)

    ingest.function.invoke(ingest.upload(INVOICE))

    assert manifest()["status"] == "processed"


def test_a_work_item_of_an_older_version_is_superseded(ingest: Ingest, work: Work) -> None:
    ingest.deliver(ingest.upload(INVOICE, "0A"))
    ingest.deliver(ingest.upload(INVOICE | {"amount": 2}, "0B"))
    first, second = (json.loads(item["Body"]) for item in ingest.work_items())

    assert [line["outcome"] for line in work(first, second, first)] == ["superseded", "booked", "superseded"]
    assert manifest()["amount"] == "2"


def test_a_work_item_that_is_none_fails_permanently(work: Work) -> None:
    (line,) = work({"key": KEY})

    assert (line["message"], line["error_class"], line["key"]) == ("failed", "permanent", KEY)


@dataclass
class Replayer:
    function: LoadedFunction
    queue_url: str
    invoked: list[dict[str, Any]]

    def keep(self, body: Any) -> None:
        """Puts a record of a failed event into the queue, or something else."""
        text = body if isinstance(body, str) else json.dumps(body)
        boto3.client("sqs").send_message(QueueUrl=self.queue_url, MessageBody=text)

    def replay(self, context: Context | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = self.function.invoke({}, context)
        return answer

    def left(self) -> int:
        return waiting(self.queue_url)


@pytest.fixture
def replayer(load: Load, monkeypatch: pytest.MonkeyPatch) -> Replayer:
    queue_url = create_queue("failed")
    function = load("replayer", QUEUE_URL=queue_url, FUNCTION_NAME="ingest")
    app, invoked = function.app, []
    monkeypatch.setattr(app.lambda_, "invoke", lambda **call: invoked.append(call))
    receive = app.sqs.receive_message
    # moto would wait for a second in vain at the end of each replay
    monkeypatch.setattr(app.sqs, "receive_message", lambda **call: receive(**call | {"WaitTimeSeconds": 0}))
    # moto's clock for SentTimestamp is this one, to the millisecond
    monkeypatch.setattr(app.time, "time", lambda now=app.time.time: now() + 0.01)
    return Replayer(function, queue_url, invoked)


def failed_event(key: str = KEY) -> dict[str, Any]:
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    return {
        "version": "1.0",
        "requestContext": {"requestId": "r-1", "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": key}}}]},
    }


def test_a_replay_sends_each_event_to_ingest_again_and_empties_the_queue(replayer: Replayer) -> None:
    records = [failed_event(f"incoming/{number}.json") for number in range(12)]
    for record in records:
        replayer.keep(record)

    assert replayer.replay() == {"summary": "12 objects replayed", "problems": []}

    assert {(call["FunctionName"], call["InvocationType"]) for call in replayer.invoked} == {("ingest", "Event")}
    payloads = sorted(call["Payload"] for call in replayer.invoked)
    assert payloads == sorted(json.dumps(record["requestPayload"]) for record in records)
    assert replayer.left() == 0


def test_an_empty_queue_is_no_problem(replayer: Replayer) -> None:
    assert replayer.replay() == {"summary": "0 objects replayed", "problems": []}


@pytest.mark.parametrize("body", ["no JSON", "[]", {"requestPayload": {"Records": []}}, {"requestContext": {}}])
def test_a_message_that_is_no_record_stays_and_is_named(replayer: Replayer, body: Any) -> None:
    replayer.keep(body)
    replayer.keep(failed_event())

    answer = replayer.replay()

    assert answer["summary"] == "1 object replayed"
    (problem,) = answer["problems"]
    assert "stays" in problem
    assert replayer.left() == 1


def test_an_event_that_ingest_does_not_take_stays(replayer: Replayer, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: Any) -> None:
        raise THROTTLED

    monkeypatch.setattr(replayer.function.app.lambda_, "invoke", throttled)
    replayer.keep(failed_event())

    answer = replayer.replay()

    assert (answer["summary"], len(answer["problems"]), replayer.left()) == ("0 objects replayed", 1, 1)


def test_what_fails_again_during_a_replay_is_not_replayed_in_a_circle(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayer.keep(failed_event())
    now = replayer.function.app.time.time()
    monkeypatch.setattr(replayer.function.app.time, "time", lambda: now)
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda *_: now * 1000 + 1)
    monkeypatch.setattr(
        replayer.function.app.lambda_, "invoke", lambda **call: replayer.keep(failed_event("incoming/again.json"))
    )

    assert replayer.replay()["summary"] == "1 object replayed"
    assert replayer.left() == 1


def test_a_replay_ends_before_its_time_does(replayer: Replayer) -> None:
    replayer.keep(failed_event())

    assert replayer.replay(Context(remaining_ms=5_000))["summary"] == "0 objects replayed"


@pytest.fixture
def uploader(load: Load) -> LoadedFunction:
    return load("uploader", BUCKET=UPLOADS)


def test_the_uploader_puts_objects_with_what_they_are_traced_by(uploader: LoadedFunction) -> None:
    objects: list[dict[str, Any]] = [
        {"key": KEY, "body": INVOICE},
        {"key": "incoming/b.json", "body": "text", "size": 10},
    ]

    response = uploader.invoke({"objects": objects, "correlation_id": "trace-1"})

    stored = [boto3.client("s3").get_object(Bucket=UPLOADS, Key=each["key"]) for each in objects]
    assert [each["Body"].read() for each in stored] == [json.dumps(INVOICE).encode(), b"text      "]
    assert {each["Metadata"]["correlation-id"] for each in stored} == {"trace-1"}
    assert response["published"] == [
        {"key": each["key"], "version_id": found["VersionId"], "correlation_id": "trace-1"}
        for each, found in zip(objects, stored, strict=True)
    ]


def test_without_a_correlation_id_each_object_gets_its_own(uploader: LoadedFunction) -> None:
    objects = [{"key": f"incoming/{number}.json", "body": INVOICE} for number in range(3)]

    published = uploader.invoke({"objects": objects})["published"]

    assert len({each["correlation_id"] for each in published}) == 3


@pytest.mark.parametrize("path", sorted((PATTERN / "events").glob("*.json")), ids=lambda path: path.stem)
def test_of_a_sample_event_ingest_makes_what_its_name_says(
    uploader: LoadedFunction, ingest: Ingest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.function.app, "MAX_OBJECT_BYTES", 1_048_576)  # the variable's default

    published = uploader.invoke(json.loads(path.read_text()))["published"]

    outcomes = []
    for each in published:
        stored = boto3.client("s3").get_object(Bucket=UPLOADS, Key=each["key"])
        outcomes.append(ingest.deliver(ingest.upload(stored["Body"].read(), key=each["key"]))["outcome"])
    expected = {"default": ["queued"] * 3, "poison": ["quarantined"] * 3 + ["queued"]}
    assert outcomes == expected[path.stem]
