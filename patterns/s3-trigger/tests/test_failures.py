"""The experiments: each breaks the way from an upload to its work item, and looks where the object ended."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import pytest

from lab import faults
from lab.experiment import ALARM_CLEARS, SOON, Experiment
from lab.workload import Workload

VARIABLES = {"max_object_bytes": "65536"}
ATTEMPTS = 3  # of an event on which the function fails: the first, and two retries (ASY-1)
BACKED_OFF = 63 + SOON  # seconds until an event has been throttled six times, and waited 1 s, 2 s, 4 s, ... (ASY-2)
RETRY_SECONDS = 10  # seconds: the work queue's visibility timeout while the worker is down; it may run for 10 s
RETRIED = 6 + SOON  # seconds until the last retry has run, which waits 6 s on the local target, and 3 minutes on AWS


class Uploads(Workload):
    """The pattern as an experiment handles it: objects in, and where they ended."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment, "ingest", "worker")
        self.out: dict[str, Any] = experiment.outputs["uploads"]

    def key(self, name: str) -> str:
        return f"{self.out['prefix']}{self.experiment.id}/{name}"

    def keys(self, *names: str) -> set[str]:
        return {self.key(name) for name in names}

    def send(self, bodies: dict[str, Any], correlation_id: str = "") -> dict[str, str]:
        """Has the uploader put objects, whose content is given by name; returns their versions by key."""
        objects = [{"key": self.key(name), "body": body} for name, body in bodies.items()]
        receipts = self.submit(correlation_id, objects=objects)["published"]
        self.experiment.note(f"uploaded {', '.join(bodies)}" if len(bodies) < 10 else f"uploaded {len(bodies)} objects")
        return {receipt["key"]: receipt["version_id"] for receipt in receipts}

    def put(self, key: str, content: bytes) -> None:
        """Puts an object anywhere in the bucket, past the uploader."""
        metadata = {"correlation-id": self.experiment.id}
        self.experiment.client("s3").put_object(Bucket=self.out["bucket"], Key=key, Body=content, Metadata=metadata)

    def replay(self) -> str:
        """What `make replay` does; returns its summary."""
        answer = self.operate("replay")
        assert answer["problems"] == []
        return str(answer["summary"])

    def deliver(self, key: str, version_id: str, sequencer: str) -> None:
        """Delivers an event as S3 does: to ingest, asynchronously."""
        described = {"key": key, "versionId": version_id, "sequencer": sequencer}
        event = {
            "Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": self.out["bucket"]}, "object": described}}]
        }
        self.experiment.client("lambda").invoke(
            FunctionName=self.out["ingest"], InvocationType="Event", Payload=json.dumps(event)
        )

    def manifest(self) -> dict[str, dict[str, Any]]:
        """The manifest's entries of this experiment, by key."""
        return {entry["key"]: entry for entry in self.items(self.out["manifest"], "key", self.key(""))}

    def status(self) -> dict[str, str]:
        """What the manifest says of each key."""
        return {key: entry["status"] for key, entry in self.manifest().items()}

    def ingested(self, *messages: str) -> list[dict[str, Any]]:
        return self.experiment.lines("ingest", *(messages or ("processed", "failed")))

    def worked(self) -> list[dict[str, Any]]:
        return self.experiment.lines("worker", "processed")

    def booked(self) -> Counter[str]:
        """How often the worker booked each object."""
        return Counter(line["key"] for line in self.worked() if line["outcome"] == "booked")

    def quarantined(self) -> dict[str, str]:
        """The reason of each object in quarantine."""
        s3, named = self.experiment.client("s3"), {"Bucket": self.out["quarantine"]}
        pages = s3.get_paginator("list_objects_v2").paginate(**named, Prefix=self.key(""))
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: s3.head_object(**named, Key=key)["Metadata"]["reason"] for key in keys}

    def record(self) -> dict[str, Any]:
        """The record of a failed event, which stays in the queue."""
        messages = self.experiment.client("sqs").receive_message(
            QueueUrl=self.out["failed_queue_url"], VisibilityTimeout=0
        )["Messages"]
        record: dict[str, Any] = json.loads(messages[0]["Body"])
        return record

    def waits_until_booked(self, *names: str, within: float = SOON) -> None:
        """Waits for both functions' lines: the worker's can be there first."""
        keys = self.keys(*names)

        def booked() -> bool:
            return keys <= self.booked().keys() and keys <= {line["key"] for line in self.ingested("processed")}

        self.experiment.wait_until(f"booked: {', '.join(names)}", booked, within)

    def waits_until_failed(self, attempts: int) -> None:
        self.experiment.wait_until(
            f"{attempts} attempts failed", lambda: len(self.ingested("failed")) >= attempts, RETRIED
        )

    def waits_for_failed_events(self, count: int) -> None:
        self.waits_for_messages("records of failed events", self.out["failed_queue_url"], count, RETRIED)

    def waits_for_alarm(self, name: str, state: str, within: float = SOON) -> None:
        self.waits_for_state(self.out["alarms"][name], state, within)

    def failed_events(self) -> int:
        return self.experiment.messages_in(self.out["failed_queue_url"])

    def broken(self, service: str, operation: str, error: str, **rule: Any) -> AbstractContextManager[None]:
        """A service that ingest needs answers with an error, for all objects or `when` the rule says."""
        return self.inject("ingest", "dependency", service=service, operation=operation, error=error, **rule)


def invoice(number: int = 1) -> dict[str, Any]:
    return {"invoice_id": f"i-{number}", "amount": 10.5 * number}


def about(name: str) -> str:
    """A rule's condition: the event is about an object of this name."""
    return f"contains(s3.object.key, '{name}')"


@pytest.fixture
def uploads(experiment: Experiment) -> Iterator[Uploads]:
    """The pattern, with empty queues before and after."""
    pattern = Uploads(experiment)
    yield pattern
    experiment.drain(pattern.out["failed_queue_url"], pattern.out["work_dlq_url"])


@pytest.mark.experiment("S3-1", failure="None: objects inside and outside of prefix and suffix")
def test_an_upload_becomes_one_work_item(uploads: Uploads, experiment: Experiment) -> None:
    """Each matching object becomes one work item, and is booked once; ingest is not invoked for any other."""
    # given objects with another prefix, and with another suffix
    uploads.put(f"outgoing/{experiment.id}/a.json", b"{}")
    uploads.put(uploads.key("a.csv"), b"invoice_id,amount")

    # when others match both
    uploads.send({"a.json": invoice(1), "b.json": invoice(2)})

    # then only these are ingested and booked, once each
    uploads.waits_until_booked("a.json", "b.json")
    both = uploads.keys("a.json", "b.json")
    assert {line["key"]: line["outcome"] for line in uploads.ingested()} == dict.fromkeys(both, "queued")
    assert len(uploads.ingested()) == len(uploads.worked()) == 2
    assert uploads.status() == dict.fromkeys(both, "processed")
    experiment.observe("2 of 4 objects ingested, 2 work items, 2 booked")


@pytest.mark.experiment("S3-3", failure="Keys with spaces, `+`, unicode, and 1,000 bytes long")
def test_keys_are_decoded(uploads: Uploads, experiment: Experiment) -> None:
    """The key in the event is URL-encoded; decoded, it finds the object, and names it from there on."""
    # given names that the event has to encode
    names = ["a b+c%20d.json", "rechnung-für-東京 & co.json"]
    room = 1000 - len(uploads.key(".json"))
    names.append(f"{'x' * room}.json")

    # when such objects are uploaded
    sent = uploads.send({name: invoice() for name in names})
    assert max(len(key.encode()) for key in sent) == 1000

    # then each is booked, under its own key
    uploads.waits_until_booked(*names)
    assert uploads.status() == dict.fromkeys(sent, "processed")
    assert {line["key"] for line in uploads.worked()} == sent.keys()
    experiment.observe("3 of 3 booked under their own keys")


@pytest.mark.experiment("ASY-1", failure="A corrupt, an empty and a too large object")
def test_what_can_never_be_processed_is_quarantined_and_not_retried(uploads: Uploads, experiment: Experiment) -> None:
    """Each is copied to the quarantine with its reason, at the first attempt; the alarm for transient errors stays
    quiet, and the one for quarantined objects fires."""
    # given no alarm
    for alarm in ("errors", "quarantined"):
        uploads.waits_for_alarm(alarm, "OK", within=ALARM_CLEARS)

    # when objects arrive that no retry can make better, with one that is fine
    limit = int(VARIABLES["max_object_bytes"])
    bodies = {"corrupt + odd.json": '{"invoice_id": "i-1', "empty.json": "", "large.json": " " * (limit + 1)}
    uploads.send({**bodies, "fine.json": invoice()})

    # then they are in quarantine, each with its reason
    uploads.waits_until_booked("fine.json")
    uploads.waits_until_failed(len(bodies))
    uploads.waits_for_alarm("quarantined", "ALARM")
    reasons = uploads.quarantined()
    assert reasons.pop(uploads.key("corrupt + odd.json")).startswith("not JSON: ")
    assert reasons == {
        uploads.key("empty.json"): "empty",
        uploads.key("large.json"): f"{limit + 1} bytes, and at most {limit} are processed",
    }
    assert uploads.status() == dict.fromkeys(uploads.keys(*bodies), "quarantined") | {
        uploads.key("fine.json"): "processed"
    }

    # and were tried once, while no alarm says that anything else is wrong
    failed = uploads.ingested("failed")
    assert Counter(line["key"] for line in failed) == Counter(uploads.keys(*bodies))
    assert {line["error_class"] for line in failed} == {"permanent"}
    assert uploads.failed_events() == 0
    for alarm in ("errors", "failed"):
        assert experiment.alarm(uploads.out["alarms"][alarm]) != "ALARM"
    experiment.observe("3 of 3 in quarantine after 1 attempt each; alarm quarantined, and no other")


@pytest.mark.experiment("S3-4", failure="A function that writes where it is triggered: a loop")
def test_a_loop_is_impossible(uploads: Uploads, experiment: Experiment) -> None:
    """Ingest's role may not write anywhere in the bucket that triggers it, and nothing triggers on the bucket that it
    writes to. A test of the configuration holds every pattern to the first."""
    # given what is deployed: the bucket whose objects invoke ingest, and its role
    s3, iam = experiment.client("s3"), experiment.client("iam")
    triggers = s3.get_bucket_notification_configuration(Bucket=uploads.out["bucket"])
    [trigger] = triggers["LambdaFunctionConfigurations"]
    assert trigger["LambdaFunctionArn"].endswith(f":{uploads.out['ingest']}")
    role = iam.get_role(RoleName=uploads.out["ingest_role"])["Role"]["Arn"]

    def decisions(bucket_arn: str, *actions: str) -> set[str]:
        objects = [f"{bucket_arn}/{uploads.key('a.json')}", f"{bucket_arn}/elsewhere.json"]
        results = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=actions, ResourceArns=objects)
        return {result["EvalDecision"] for result in results["EvaluationResults"]}

    # when IAM is asked, then ingest can create, copy, restore or replicate nothing there, in any prefix
    writes = ("s3:PutObject", "s3:ReplicateObject", "s3:RestoreObject")
    assert decisions(uploads.out["bucket_arn"], *writes) == {"implicitDeny"}
    # and it can do what it has to (in its prefix: elsewhere it can do nothing)
    assert decisions(uploads.out["bucket_arn"], "s3:GetObjectVersion") == {"allowed", "implicitDeny"}
    assert decisions(uploads.out["quarantine_arn"], "s3:PutObject") == {"allowed", "implicitDeny"}

    # and what it writes, in the quarantine, invokes nothing
    quiet = s3.get_bucket_notification_configuration(Bucket=uploads.out["quarantine"])
    assert not [name for name in quiet if name.endswith("Configurations") or name.startswith("EventBridge")]
    experiment.observe(f"{len(writes)} ways to create an object, all denied by the role; 0 triggers on the quarantine")


@pytest.mark.experiment("ASY-1", failure="A transient failure: the manifest's table is throttled")
def test_a_transient_failure_is_retried_twice(uploads: Uploads, experiment: Experiment) -> None:
    """Lambda tries the event again, twice, under the same request id; the last attempt succeeds, and there is one work
    item."""
    # given the table is throttled for the first two attempts
    with uploads.sets_off("ingest-errors"), uploads.broken("dynamodb", "PutItem", "throttling"):
        uploads.send({"a.json": invoice()})
        uploads.waits_until_failed(ATTEMPTS - 1)

    # when it is not any more, then the third attempt succeeds
    uploads.waits_until_booked("a.json", within=RETRIED)
    lines = uploads.ingested()
    assert [line["message"] for line in lines] == ["failed"] * (ATTEMPTS - 1) + ["processed"]
    assert {line["error_class"] for line in lines[:-1]} == {"transient"}
    assert len({line["function_request_id"] for line in lines}) == 1

    # and there is one work item, and nothing in the destination
    assert len(uploads.worked()) == 1
    assert uploads.failed_events() == 0
    waits = " and ".join(f"{after['at'] - before['at']:.0f} s" for before, after in pairwise(lines))
    experiment.observe(f"2 retries, after {waits}, with one request id; 1 work item")


@pytest.mark.experiment("ASY-3", "ASY-1", failure="A failure that lasts: the manifest's table is out")
def test_a_lasting_failure_ends_in_the_destination_and_is_replayed(uploads: Uploads, experiment: Experiment) -> None:
    """The on-failure destination gets a record with the condition, the number of attempts, the event and the error, and
    its alarm fires; `make replay` processes the object once the cause is fixed."""
    # given the table is out for longer than all attempts
    uploads.waits_for_alarm("failed", "OK", within=ALARM_CLEARS)
    with uploads.broken("dynamodb", "PutItem", "server_error"):
        version = uploads.send({"a.json": invoice()})[uploads.key("a.json")]
        uploads.waits_for_failed_events(1)
        uploads.waits_for_alarm("failed", "ALARM")

    # then the record says what happened, in the shape recorded on AWS
    record = uploads.record()
    assert record.keys() == {
        "version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload",
    }  # fmt: skip
    context = record["requestContext"]
    assert context.keys() == {"requestId", "functionArn", "condition", "approximateInvokeCount"}
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", ATTEMPTS)
    assert context["functionArn"].endswith(f":{uploads.out['ingest']}:$LATEST")
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    error = record["responsePayload"]
    assert error.keys() == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert "InternalServerError" in error["errorMessage"]
    assert context["requestId"] == error["requestId"] == uploads.ingested()[0]["function_request_id"]
    assert record["requestPayload"]["Records"][0]["s3"]["object"]["versionId"] == version
    assert not uploads.worked()

    # when it is replayed, then the object is processed, once
    assert uploads.replay() == "1 object replayed"
    uploads.waits_until_booked("a.json")
    assert uploads.booked() == Counter(uploads.keys("a.json"))
    assert uploads.failed_events() == 0
    experiment.observe(f"{ATTEMPTS} attempts, 1 record: {context['condition']}; replayed, booked once")


@pytest.mark.experiment("ASY-3", failure="The queue of failed events is gone when an event has failed for good")
def test_an_event_that_fails_without_its_queue_is_lost(uploads: Uploads, experiment: Experiment) -> None:
    """No record is kept and the manifest does not know the object: all that tells is `ingest-destination`. The object
    is in the bucket: once it is uploaded again it is processed."""
    # given an object that is not processed for as long as it is tried, and no queue for its event
    with (
        uploads.sets_off("ingest-destination"),
        faults.queue_deleted(uploads.deployment, uploads.out["failed_queue_url"]),
        uploads.broken("dynamodb", "PutItem", "server_error"),
    ):
        # when it is uploaded, then all attempts fail
        uploads.send({"a.json": invoice()})
        uploads.waits_until_failed(ATTEMPTS)

    # and nothing is left of the event
    assert uploads.failed_events() == 0
    assert uploads.manifest() == {}
    assert uploads.replay() == "0 objects replayed"

    # and the object is processed when it is uploaded again
    uploads.send({"a.json": invoice()})
    uploads.waits_until_booked("a.json")
    experiment.observe(
        f"{ATTEMPTS} attempts, 0 records, 1 event lost; alarm ingest-destination; uploaded again, booked"
    )


@pytest.mark.experiment("ASY-4", "SQS-10", failure="The function dies between sending the work item and noting that")
def test_a_work_item_that_is_sent_twice_is_booked_once(uploads: Uploads, experiment: Experiment) -> None:
    """The retry cannot know that the work item was sent, and sends it again; the worker books it once."""
    # given the process dies right before it notes that the work item is sent, with the worker not looking yet
    with faults.paused(uploads.deployment, uploads.out["worker_mapping"]):
        with uploads.inject("ingest", "crash", at="dynamodb.UpdateItem"):
            uploads.send({"a.json": invoice()})
            experiment.wait_until("the process died", lambda: uploads.injected("ingest"), SOON)

        # when the event is tried again, then there are two work items (three, if that attempt still died)
        queued = {uploads.key("a.json"): "queued"}
        experiment.wait_until("an attempt got to its end", lambda: uploads.status() == queued, RETRIED)
        items = experiment.messages_in(uploads.out["work_queue_url"])
        assert items >= 2

    # and one booking
    experiment.wait_until("all were worked on", lambda: len(uploads.worked()) == items, SOON)
    assert Counter(line["outcome"] for line in uploads.worked()) == {"booked": 1, "already booked": items - 1}
    assert uploads.status() == {uploads.key("a.json"): "processed"}
    experiment.observe(f"1 object, {items} work items, 1 booking")


@pytest.mark.experiment("ASY-2", failure="The function is throttled")
def test_while_the_function_is_throttled_events_wait(uploads: Uploads, experiment: Experiment) -> None:
    """Events that find no free concurrency wait, use up no retries, and are processed when there is some again; the
    alarm for throttles fires."""
    # given ingest may run once at a time, and is busy: it has noted an object, and is slow to send its work item
    waiting = ["b.json", "c.json", "d.json"]
    with (
        faults.throttled(uploads.deployment, uploads.out["ingest"], concurrency=1),
        uploads.inject("ingest", "latency", about("slow.json"), seconds=4, at="sqs.SendMessage"),
    ):
        uploads.send({"slow.json": invoice()})
        noted = {uploads.key("slow.json"): "received"}
        experiment.wait_until("ingest is busy", lambda: uploads.status() == noted, SOON)

        # when objects are uploaded, then their events wait
        sent = experiment.elapsed
        uploads.send({name: invoice() for name in waiting})
        uploads.waits_until_booked("slow.json")
        assert uploads.ingested()[0]["key"] == uploads.key("slow.json")
        uploads.waits_for_alarm("throttles", "ALARM")

    # and each is processed once, at its first attempt
    uploads.waits_until_booked(*waiting, within=BACKED_OFF)
    seconds = max(line["at"] for line in uploads.ingested()) - sent
    assert uploads.booked() == Counter(uploads.keys("slow.json", *waiting))
    assert len(uploads.ingested()) == 1 + len(waiting)
    assert uploads.failed_events() == 0
    experiment.observe(f"3 events waited up to {seconds:.0f} s, 0 failed, all booked once")


@pytest.mark.experiment("ASY-6", failure="The function is switched off: reserved concurrency 0")
def test_with_a_concurrency_of_zero_events_do_not_wait(uploads: Uploads, experiment: Experiment) -> None:
    """Events go to the destination at once, without a single attempt: whoever switches a function off this way has to
    replay afterwards."""
    # given somebody switched ingest off
    with faults.throttled(uploads.deployment, uploads.out["ingest"], concurrency=0):
        # when objects are uploaded, then their events are in the destination
        sent = experiment.elapsed
        uploads.send({"a.json": invoice(1), "b.json": invoice(2)})
        uploads.waits_for_failed_events(2)
        seconds = experiment.elapsed - sent
        context = uploads.record()["requestContext"]
        assert (context["condition"], context["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)
        assert not uploads.ingested()

    # and are processed by a replay once it is switched on again
    assert uploads.replay() == "2 objects replayed"
    uploads.waits_until_booked("a.json", "b.json")
    assert uploads.booked() == Counter(uploads.keys("a.json", "b.json"))
    experiment.observe(f"2 of 2 in the destination after {seconds:.0f} s and 0 attempts; replayed, booked once")


@pytest.mark.experiment("S3-1", "S3-2", "ASY-4", failure="An event comes after that of a newer version; an event twice")
def test_the_manifest_ends_with_the_newest_version(uploads: Uploads, experiment: Experiment) -> None:
    """The late event of the older version is recognised by its sequencer, and the repeated one by its version: neither
    becomes a work item, and the manifest has the newest version."""
    # given an object is uploaded whose event fails at first
    key, old, new = uploads.key("a.json"), invoice(1), invoice(22)
    with uploads.broken("dynamodb", "PutItem", "throttling", when=f"s3.object.size == `{len(json.dumps(old))}`"):
        uploads.send({"a.json": old})
        uploads.waits_until_failed(1)

        # when it is overwritten, then the newer version is processed first
        newest = uploads.send({"a.json": new})[key]
        uploads.waits_until_booked("a.json")

    # and the event of the older version, when it comes again, is too late
    experiment.wait_until("the older version was ingested", lambda: len(uploads.ingested("processed")) == 2, RETRIED)
    assert uploads.ingested("processed")[-1]["outcome"] == "superseded"

    # and a repeated event of the newest one changes nothing
    entry = uploads.manifest()[key]
    uploads.deliver(key, newest, entry["sequencer"])
    experiment.wait_until("the repeated event was ingested", lambda: len(uploads.ingested("processed")) == 3, SOON)
    assert uploads.ingested("processed")[-1]["outcome"] == "already processed"
    assert uploads.manifest() == {key: entry}
    assert (entry["version_id"], entry["invoice_id"]) == (newest, new["invoice_id"])
    assert len(uploads.worked()) == 1
    experiment.observe("4 events of 2 versions, the older one last: 1 work item, of the newest")


@pytest.mark.experiment("ASY-1", "ASY-3", failure="The queue denies the function")
def test_when_the_queue_denies_the_function_no_object_is_lost(uploads: Uploads, experiment: Experiment) -> None:
    """Ingest fails closed: it is retried, the event goes to the destination, and nothing claims that the object was
    queued; a replay after the repair processes it."""
    # given the queue refuses ingest
    names = ["a.json", "b.json"]
    with uploads.broken("sqs", "SendMessage", "access_denied"):
        # when objects are uploaded, then all attempts fail, and their events are kept
        uploads.send({name: invoice() for name in names})
        uploads.waits_for_failed_events(len(names))
    failed = uploads.ingested()
    assert Counter(line["key"] for line in failed) == dict.fromkeys(uploads.keys(*names), ATTEMPTS)
    assert {line["error_class"] for line in failed} == {"transient"}
    assert uploads.status() == dict.fromkeys(uploads.keys(*names), "received")
    assert not uploads.worked()

    # and both are processed by a replay, once
    assert uploads.replay() == "2 objects replayed"
    uploads.waits_until_booked(*names)
    assert uploads.booked() == Counter(uploads.keys(*names))
    experiment.observe(f"{len(failed)} attempts denied, 2 of 2 in the destination; replayed, booked once")


@pytest.mark.experiment("SQS-17", "SQS-7", failure="The worker does not read, fails, and finds no concurrency")
def test_each_way_to_be_down_has_its_alarms(uploads: Uploads, experiment: Experiment) -> None:
    """A queue that is not read sets off `work-age` and nothing else, failing invocations `worker-errors`, refused ones
    `worker-throttles` and `work-dlq-depth`. Once that is over and redriven, each object is booked once."""
    # given the worker is down in one way after the other, when an object is uploaded into each, then its alarms fire
    names = {number: f"{number}.json" for number in (1, 2, 3)}
    with uploads.visibility_timeout(RETRY_SECONDS, "work"):
        uploads.goes_down_in_each_way("worker", "work", lambda number: uploads.send({names[number]: invoice()}))

        # and after a redrive all are booked
        uploads.waits_until_booked(*names.values())
    assert uploads.booked() == dict.fromkeys(uploads.keys(*names.values()), 1)
    experiment.observe("3 ways to be down, 4 alarms, each from its own; 3 of 3 booked once")


@pytest.mark.experiment("INV-1", failure="A function that somebody invokes fails, or finds no concurrency")
def test_who_invokes_a_function_is_told_when_it_fails(uploads: Uploads, experiment: Experiment) -> None:
    """Whoever uploads through the uploader, or replays, is told, and the function's `-errors` or `-throttles` fires."""
    # given an object, when the uploader fails with it, and when it is refused, then who uploads it is told
    objects = [{"key": uploads.key("a.json"), "body": invoice()}]
    uploads.tells_its_caller("uploader", objects=objects, correlation_id=experiment.id)

    # and so is who replays
    uploads.tells_its_caller("replayer")

    # and nothing was uploaded: an object that is uploaded afterwards is all that is processed
    uploads.send({"b.json": invoice()})
    uploads.waits_until_booked("b.json")
    assert uploads.booked() == Counter(uploads.keys("b.json"))
    experiment.observe("2 functions, each with 1 failure and 1 refusal, all told; 4 alarms")


GOOD, CORRUPT, DOOMED = 183, 12, 5
CALLS = 2  # of a service, before ingest gives up on it
# Each acts before anything is sent: what fails after that is the experiment with two work items.
RANDOM_FAULTS: list[dict[str, Any]] = [
    {"mode": "exception", "probability": 0.03},
    {"mode": "dependency", "service": "sqs", "operation": "SendMessage", "error": "server_error", "probability": 0.05},
    {"mode": "crash", "at": "sqs.SendMessage", "probability": 0.02},
]


@pytest.mark.experiment("ASY-1", "ASY-3", failure="200 uploads at once, 10 % of the attempts fail")
def test_every_object_ends_in_exactly_one_place(uploads: Uploads, experiment: Experiment) -> None:
    """With random exceptions, crashes and refusals of the queue, corrupt objects, and some on which every attempt
    fails: each object is processed, quarantined or in the destination, and none is in two of them."""
    # given random faults, and objects on which ingest always fails
    bodies: dict[str, Any] = {f"good-{number}.json": invoice(number + 1) for number in range(GOOD)}
    bodies |= {f"corrupt-{number}.json": "no invoice" for number in range(CORRUPT)}
    bodies |= {f"doomed-{number}.json": invoice(number + 1) for number in range(DOOMED)}
    rules = [{"mode": "exception", "when": about("doomed-")}, *RANDOM_FAULTS]
    with faults.inject(uploads.deployment, *({"function": "ingest", **rule} for rule in rules)):
        # when all are uploaded at once
        began = experiment.elapsed
        sent = uploads.send(bodies, correlation_id=f"{experiment.id}-bulk").keys()
        experiment.wait_until("every object has ended somewhere", lambda: ended(uploads) == len(sent), 2 * RETRIED)
        seconds = experiment.elapsed - began

    # then each is in one place
    records = [json.loads(message["Body"]) for message in experiment.take(uploads.out["failed_queue_url"])]
    lost = [each["s3"]["object"]["key"] for record in records for each in record["requestPayload"]["Records"]]
    by_status = {
        status: {key for key, each in uploads.status().items() if each == status}
        for status in ("processed", "quarantined")
    }
    places = Counter([*lost, *by_status["processed"], *by_status["quarantined"]])
    assert places == Counter(sent)

    # and in the right one
    assert (
        by_status["quarantined"] == uploads.quarantined().keys() <= uploads.keys(*(n for n in bodies if "corrupt" in n))
    )
    assert uploads.keys(*(name for name in bodies if "doomed" in name)) <= set(lost)
    assert experiment.messages_in(uploads.out["work_dlq_url"]) == 0
    injected = Counter(line["mode"] for line in uploads.injected("ingest"))
    assert injected.keys() >= {"exception", "dependency"}, "no random fault acted"
    failed = injected["exception"] + injected["crash"] + injected["dependency"] // CALLS
    experiment.observe(
        f"{len(sent)} objects, {failed} failed attempts, {seconds:.0f} s: {len(by_status['processed'])} processed, "
        f"{len(by_status['quarantined'])} quarantined, {len(lost)} in the destination"
    )


def ended(uploads: Uploads) -> int:
    """How many objects of this experiment have ended somewhere."""
    done = [status for status in uploads.status().values() if status in ("processed", "quarantined")]
    return len(done) + uploads.failed_events()
