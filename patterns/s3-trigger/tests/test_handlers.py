"""The functions of the S3 trigger, on moto and sample events: no target needed."""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
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
        ({"amount": 1}, "invoice_id is missing, and has to be text"),
        ({"invoice_id": "", "amount": 1}, 'invoice_id is "", and has to be text'),
        ({"invoice_id": "i" * 600, "amount": 1}, "invoice_id is "),
        ({"invoice_id": "i-1"}, "amount is missing, and has to be a number"),
        ({"invoice_id": "i-1", "amount": True}, "amount is true, and has to be a number"),
        ({"invoice_id": "i-1", "amount": 0}, "amount is 0, and has to be a number above 0"),
        ({"invoice_id": "i-1", "amount": 0.001}, "amount is 0.001, and has to be a number"),
        ({"invoice_id": "i-1", "amount": float("nan")}, "amount is NaN"),
        ({"invoice_id": "i-1", "amount": 10**300}, "amount is 1000"),
        (b'{"invoice_id": "i-1", "amount": 1e400}', "amount is 1E+400"),
        (b'{"invoice_id": "i-1", "amount": 12345678901234567.89}', "amount is 12345678901234567.89"),
        (b'{"invoice_id": "\\ud800", "amount": 1}', 'invoice_id is "\\ud800", and has to be text'),
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


def test_of_a_failing_object_the_log_names_the_key_and_the_id_if_s3_still_tells_it(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = ingest.upload(INVOICE, key="incoming/a b.json")
    version = event["Records"][0]["s3"]["object"]["versionId"]
    ingest.fails(monkeypatch, "objects", "s3.get_object")

    with pytest.raises(ClientError):
        ingest.deliver(event)
    (line,) = ingest.function.lines
    assert (line["key"], line["version_id"], line["correlation_id"]) == ("incoming/a b.json", version, "trace-1")

    ingest.fails(monkeypatch, "objects", "s3.head_object")
    with pytest.raises(ClientError):
        ingest.deliver(event)
    (line,) = ingest.function.lines
    assert (line["key"], line["version_id"], line["correlation_id"]) == ("incoming/a b.json", version, version)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("InvalidObjectState", "archived: restore it, and copy it onto itself (the reason)"),
        ("InvalidRequest", "encrypted with a key that the uploader keeps (SSE-C): upload it without (the reason)"),
        ("NoSuchVersion", "deleted for good (the reason)"),
        ("MethodNotAllowed", "a delete marker (the reason)"),
    ],
)
def test_what_s3_will_never_hand_out_is_noted_in_the_quarantine_with_its_reason(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    event = ingest.upload(INVOICE)

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "the reason"}}, "GetObject")

    monkeypatch.setattr(ingest.function.modules["objects"].s3, "get_object", refuse)

    line = ingest.deliver(event)

    assert (line["message"], line["error_class"], line["outcome"]) == ("failed", "permanent", "quarantined")
    assert (line["error"], line["key"], line["correlation_id"]) == (reason, KEY, "trace-1")
    note = boto3.client("s3").get_object(Bucket=QUARANTINE, Key=KEY)
    assert (note["Body"].read(), note["Metadata"]["reason"]) == (b"", reason)
    assert (manifest()["status"], manifest()["reason"]) == ("quarantined", reason)
    assert ingest.deliver(event)["outcome"] == "already quarantined"


def test_an_archived_object_keeps_the_id_that_it_is_traced_by(ingest: Ingest) -> None:
    line = ingest.deliver(ingest.upload(INVOICE, StorageClass="GLACIER"))

    assert (line["outcome"], line["correlation_id"]) == ("quarantined", "trace-1")
    assert line["error"].startswith("archived: restore it")


def test_a_version_that_is_gone_is_no_transient_error(ingest: Ingest) -> None:
    event = ingest.upload(INVOICE)
    version = event["Records"][0]["s3"]["object"]["versionId"]
    boto3.client("s3").delete_object(Bucket=UPLOADS, Key=KEY, VersionId=version)

    line = ingest.deliver(event)

    assert (line["outcome"], line["correlation_id"]) == ("quarantined", version)
    assert line["error"].startswith("deleted for good")


@pytest.mark.parametrize("declared", ["x" * 300, "two words", "für"])
def test_an_id_that_another_service_might_refuse_is_not_passed_on(ingest: Ingest, declared: str) -> None:
    upload, parsed = ingest.upload(INVOICE), ingest.function.modules["objects"].parse

    traced_by = ingest.function.app.correlation_id(parsed(upload["Records"][0]), {"correlation-id": declared})

    assert traced_by == upload["Records"][0]["s3"]["object"]["versionId"]


def test_the_test_of_a_notification_is_no_error(ingest: Ingest) -> None:
    line = ingest.deliver({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": UPLOADS})

    assert (line["message"], line["outcome"]) == ("processed", "a test of the notification")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({}, "KeyError: 's3'"),
        ({"Records": []}, "KeyError: 's3'"),
        ({"Records": None}, "KeyError: 's3'"),
        ({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}, "KeyError: 's3'"),
        (sqs_event({"key": KEY}), "KeyError: 's3'"),
        ({"Records": ["no record"]}, "TypeError"),
        ([], "TypeError"),
    ],
)
def test_an_event_that_is_none_of_s3_fails_permanently_and_goes_to_the_destination(
    ingest: Ingest, event: Any, error: str
) -> None:
    with pytest.raises(
        ingest.function.modules["objects"].UnknownEvent, match=f"no event of S3 about an object: {error}"
    ):
        ingest.deliver(event)

    (line,) = ingest.function.lines
    assert (line["message"], line["error_class"]) == ("failed", "permanent")
    assert line["function_request_id"] == "request-1"  # by which its record in the destination is known


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("versionId", 7, "versionId is 7, and has to be text"),
        ("sequencer", ..., "KeyError: 'sequencer'"),
        ("sequencer", "later", "sequencer is no hexadecimal number"),
        ("sequencer", 10, "TypeError"),
        ("key", "", 'key is "", and has to be text'),
        ("key", "a" * 1025, "key is"),
        ("key", ["a"], "TypeError|AttributeError"),
    ],
)
def test_a_record_that_lacks_what_an_upload_has_fails_permanently_and_the_others_are_ingested(
    ingest: Ingest, field: str, value: Any, error: str
) -> None:
    wrong, right = ingest.upload(INVOICE), ingest.upload(INVOICE, key="incoming/b.json")
    described = wrong["Records"][0]["s3"]["object"]
    if value is ...:
        del described[field]
    else:
        described[field] = value

    with pytest.raises(ingest.function.modules["objects"].UnknownEvent, match=error):
        ingest.function.invoke({"Records": wrong["Records"] + right["Records"]})

    first, second = ingest.function.lines
    assert (first["message"], first["error_class"]) == ("failed", "permanent")
    assert (second["message"], second["key"], second["outcome"]) == ("processed", "incoming/b.json", "queued")


@pytest.mark.parametrize("value", [..., None])
def test_an_object_without_a_version_id_is_quarantined(ingest: Ingest, value: Any) -> None:
    """For up to 15 minutes after versioning was enabled an upload may get none:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
    """
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="unversioned", CreateBucketConfiguration={"LocationConstraint": REGION})
    boto3.client("s3").put_object(Bucket="unversioned", Key=KEY, Body=json.dumps(INVOICE).encode())
    event = ingest.upload(INVOICE)
    event["Records"][0]["s3"]["bucket"]["name"] = "unversioned"
    described = event["Records"][0]["s3"]["object"]
    if value is ...:
        del described["versionId"]
    else:
        described["versionId"] = value

    line = ingest.deliver(event)

    assert (line["outcome"], line["error"].split(":")[0]) == ("quarantined", "no version id")
    kept = boto3.client("s3").get_object(Bucket=QUARANTINE, Key=KEY)
    assert json.load(kept["Body"]) == INVOICE
    assert kept["Metadata"]["source-version-id"] == "null"
    assert kept["Metadata"]["reason"].startswith("no version id: versioning was not in force")
    assert ingest.work_items() == []


def test_the_uploader_says_of_an_object_without_a_version_that_it_has_none(uploader: LoadedFunction) -> None:
    boto3.client("s3").put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Suspended"})

    response = uploader.invoke({"objects": [{"key": KEY, "body": INVOICE}]})

    assert response["published"][0]["version_id"] == "null"


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
    entry = manifest()
    assert (entry["status"], entry["invoice_id"], Decimal(entry["amount"])) == ("processed", "i-1", Decimal("10.5"))


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
    assert Decimal(manifest()["amount"]) == 2


def test_a_work_item_that_is_none_fails_permanently(work: Work) -> None:
    (line,) = work({"key": KEY})

    assert (line["message"], line["error_class"], line["key"]) == ("failed", "permanent", KEY)


def test_a_work_item_of_a_key_that_the_manifest_does_not_know_fails_permanently(work: Work) -> None:
    (line,) = work({"key": "incoming/x.json", "version_id": "v-1", **INVOICE})

    assert (line["message"], line["error_class"], line["key"]) == ("failed", "permanent", "incoming/x.json")
    assert "the manifest knows no object incoming/x.json" in line["error"]


@dataclass
class Replayer:
    function: LoadedFunction
    layer: Any  # handlers.replay, as the function has imported it
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
    queue_url = create_queue("failed", VisibilityTimeout="120")
    function = load("replayer", QUEUE_URL=queue_url, FUNCTION_NAME="ingest")
    layer = importlib.import_module("handlers.replay")
    invoked: list[dict[str, Any]] = []
    monkeypatch.setattr(function.app.lambda_, "invoke", lambda **call: invoked.append(call))
    receive = layer.sqs.receive_message
    # moto would wait for a second in vain at the end of each replay
    monkeypatch.setattr(layer.sqs, "receive_message", lambda **call: receive(**call | {"WaitTimeSeconds": 0}))
    # moto's clock for SentTimestamp is this one, to the millisecond
    monkeypatch.setattr(layer.time, "time", lambda now=layer.time.time: now() + 0.01)
    return Replayer(function, layer, queue_url, invoked)


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
    assert "delete it" in problem
    assert replayer.left() == 1


def test_what_stays_is_there_for_the_next_replay_at_once(replayer: Replayer) -> None:
    replayer.keep("no JSON")

    first, second = replayer.replay(), replayer.replay()

    assert first == second
    assert len(second["problems"]) == 1


def test_what_another_replay_has_received_is_no_success(replayer: Replayer) -> None:
    replayer.keep(failed_event())
    boto3.client("sqs").receive_message(QueueUrl=replayer.queue_url)  # by a replay that broke off

    answer = replayer.replay()

    assert answer["summary"] == "0 objects replayed"
    (problem,) = answer["problems"]
    assert problem.startswith("1 messages are hidden")
    assert "120 s" in problem


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
    now = replayer.layer.time.time()
    monkeypatch.setattr(
        replayer.function.app.lambda_, "invoke", lambda **call: replayer.keep(failed_event("incoming/again.json"))
    )

    with monkeypatch.context() as stopped:
        stopped.setattr(replayer.layer.time, "time", lambda: now)
        stopped.setattr("moto.sqs.models.unix_time_millis", lambda *_: now * 1000 + 1)
        assert replayer.replay()["summary"] == "1 object replayed"

    assert len(received(replayer.queue_url)) == 1  # not hidden: the next replay finds it


def test_a_replay_ends_before_its_time_does(replayer: Replayer) -> None:
    replayer.keep(failed_event())

    answer = replayer.replay(Context(remaining_ms=5_000))

    assert answer["summary"] == "0 objects replayed"
    assert answer["problems"] == ["the time was over before the queue was empty: replay again"]


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
