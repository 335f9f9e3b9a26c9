"""The experiments: each breaks the way from a change to its audit entry, and shows what the trail says of it."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from lab import faults
from lab.experiment import ALARM_CLEARS, SOON, Experiment
from lab.workload import Workload

VARIABLES = {
    "maximum_iterator_age": "10",  # seconds, longer than a cold start; the default is 300
    "function_timeout": "120",  # seconds, for a batch of 100 on a machine that does much else at the same time
}
RETRIES = 3  # where a record is to be discarded; with the default of 10 that takes minutes
DISCARDED = 60.0  # seconds: all retries of a record that is split off its batch
REFUSED = 20.0  # seconds that an auditor without concurrency is watched: many refusals
PERMANENT = "handlers.outcomes.PermanentError"


class Audit(Workload):
    """The pattern as an experiment handles it: changes in, audit entries out."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment, "auditor")
        self.out: dict[str, Any] = experiment.outputs["audit"]
        self.discarded_queue: str = self.out["discarded_queue_url"]

    def put(self, name: int | str, **fields: Any) -> dict[str, Any]:
        return {"operation": "put", "order": {"order_id": self.id(name), "status": "new", **fields}}

    def update(self, name: int | str, status: str) -> dict[str, Any]:
        return {"operation": "update", "order_id": self.id(name), "set": {"status": status}}

    def delete(self, name: int | str) -> dict[str, Any]:
        return {"operation": "delete", "order_id": self.id(name)}

    def change(self, *changes: dict[str, Any]) -> None:
        """Has the writer make the changes, as alice unless they say otherwise."""
        self.submit(changes=changes, actor="alice")
        self.experiment.note(f"made {len(changes)} changes")

    def change_as_one_batch(self, *changes: dict[str, Any]) -> None:
        """Makes the changes while the auditor is down, so that it finds them together."""
        with faults.paused(self.deployment, self.out["mapping_id"]):
            self.change(*changes)

    def problems(self) -> list[str]:
        """What `make verify` says of this experiment's orders, without their prefix."""
        mine = f"{self.experiment.id}-"
        found = self.operate("verify")["problems"]
        return [problem.removeprefix(mine) for problem in found if problem.startswith(mine)]

    def entries(self, name: int | str) -> list[dict[str, Any]]:
        """An order's entries in the order of its changes."""
        return self.items_of_order(self.out["audit_table"], self.id(name))

    def audited(self) -> Counter[str]:
        """How many entries each of this experiment's orders has."""
        found = self.items(self.out["audit_table"], "order_id", self.experiment.id)
        return Counter(item["order_id"].removeprefix(f"{self.experiment.id}-") for item in found)

    def processed(self) -> list[dict[str, Any]]:
        return self.experiment.lines("auditor", "processed")

    def failed(self) -> list[dict[str, Any]]:
        return self.experiment.lines("auditor", "failed")

    def runs(self) -> Counter[str]:
        """How often each order's records were processed."""
        return Counter(line["order_id"].removeprefix(f"{self.experiment.id}-") for line in self.processed())

    def sequence_numbers(self, count: int) -> list[str]:
        """Of the stream's first `count` records about this experiment's orders, in the order of each shard."""
        streams, where = self.experiment.client("dynamodbstreams"), {"StreamArn": self.out["stream_arn"]}
        numbers: list[str] = []
        iterators = [
            streams.get_shard_iterator(**where, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
            for shard in streams.describe_stream(**where)["StreamDescription"]["Shards"]
        ]
        pages = [iterator["ShardIterator"] for iterator in iterators]

        def all_read() -> bool:
            """Reads a page of each shard; one may be empty with more behind it (DynamoDB, API_streams_GetRecords)."""
            for index, page in enumerate(pages):
                answer = streams.get_records(ShardIterator=page) if page else {"Records": []}
                pages[index] = answer.get("NextShardIterator", "")
                numbers.extend(
                    record["dynamodb"]["SequenceNumber"]
                    for record in answer["Records"]
                    if record["dynamodb"]["Keys"]["order_id"]["S"].startswith(self.experiment.id)
                )
            return len(numbers) >= count

        self.experiment.wait_until(f"{count} records in the stream", all_read, SOON)
        return numbers

    def discarded(self) -> int:
        return self.experiment.messages_in(self.discarded_queue)

    def waits_until_audited(self, count: int, within: float = SOON) -> None:
        what = f"{count} entries"
        self.experiment.wait_until(what, lambda: self.audited().total() >= count, within)

    def waits_until_processed(self, count: int, within: float = SOON) -> None:
        """Waits for the auditor's lines, which come after its entries."""
        self.experiment.wait_until(f"{count} changes processed", lambda: len(self.processed()) >= count, within)

    def waits_until_failed(self, times: int = 1) -> None:
        self.experiment.wait_until(f"{times} failures", lambda: len(self.failed()) >= times, SOON)

    def about(self, name: int | str, event_name: str = "") -> str:
        """A rule's `when` for the records of an order."""
        about = f"dynamodb.Keys.order_id.S == '{self.id(name)}'"
        return f"{about} && eventName == '{event_name}'" if event_name else about

    def fault(self, mode: str, **rule: Any) -> AbstractContextManager[None]:
        return self.inject("auditor", mode, **rule)

    def mapping_changed(self, **settings: Any) -> AbstractContextManager[None]:
        return faults.mapping_changed(self.deployment, self.out["mapping_id"], **settings)


@pytest.fixture
def audit(experiment: Experiment) -> Iterator[Audit]:
    """The pattern, whose on-failure destination is empty afterwards."""
    pattern = Audit(experiment)
    yield pattern
    experiment.drain(pattern.discarded_queue)


def status(image: str) -> str:
    """The order's status in an entry's image."""
    return str(json.loads(image)["status"]["S"])


@pytest.mark.experiment("STR-5", failure="None: an order is put, updated and deleted")
def test_every_change_is_an_entry_that_says_who_when_and_what(audit: Audit, experiment: Experiment) -> None:
    """Each leaves one entry with actor, correlation id and both images, in order; a change past the writer is audited
    as signed by nobody; and the chain verifies."""
    # given an order that three people change through the writer
    began = experiment.target.now()
    audit.change(
        audit.put(1) | {"actor": "alice"},
        audit.update(1, "paid") | {"actor": "bob"},
        audit.delete(1) | {"actor": "carol"},
    )
    # and another one that somebody changes past it
    audit.change(audit.put(2))
    experiment.client("dynamodb").update_item(
        TableName=audit.out["orders_table"],
        Key={"order_id": {"S": audit.id(2)}},
        UpdateExpression="SET amount = :free",
        ExpressionAttributeValues={":free": {"N": "0"}},
    )

    # when they are audited
    audit.waits_until_audited(6)
    audit.waits_until_processed(6)

    # then there is an entry of each change, in order
    entries = audit.entries(1)
    assert [(entry["event_name"], entry["actor"]) for entry in entries] == [
        ("INSERT", "alice"),
        ("MODIFY", "bob"),
        ("MODIFY", "carol"),  # who signs for the deletion that follows
        ("REMOVE", "carol"),
    ]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert {entry["correlation_id"] for entry in entries} == {experiment.id}
    assert all(entry["happened_at"] <= entry["audited_at"] for entry in entries)

    # with what it was before and what it was afterwards
    assert "old_image" not in entries[0]
    assert [status(entry["new_image"]) for entry in entries[:-1]] == ["new", "paid", "paid"]
    assert [entry.get("new_image") for entry in entries[:-1]] == [entry["old_image"] for entry in entries[1:]]
    assert "new_image" not in entries[3]

    # and nobody is said to have made the change that nobody signed
    assert [entry["actor_type"] for entry in audit.entries(2)] == ["declared", "unknown"]
    assert "actor" not in audit.entries(2)[1]
    assert audit.problems() == []
    seconds = max(line["at"] for line in audit.processed()) - experiment.since(began)
    experiment.observe(f"6 changes, 6 entries in order within {seconds:.0f} s, 1 of them unsigned; 0 problems")


@pytest.mark.experiment("STR-1", failure="A poison record, on a mapping with Lambda's default settings")
def test_by_default_a_poison_record_blocks_its_shard(audit: Audit, experiment: Experiment) -> None:
    """It is tried again and again; the later changes of all other orders wait behind it, nothing is discarded, and the
    iterator-age alarm fires."""
    # given a mapping with Lambda's defaults, and a record that no retry can help
    alarm = audit.out["alarms"]["iterator_age"]
    experiment.wait_until("the alarm is off", lambda: not audit.in_alarm([alarm]), ALARM_CLEARS)
    with (
        faults.partial_responses_off(audit.deployment, audit.out["mapping_id"], audit.out["function"]),
        audit.mapping_changed(BisectBatchOnFunctionError=False, MaximumRetryAttempts=-1, MaximumRecordAgeInSeconds=-1),
        audit.fault("exception", error=PERMANENT, when=audit.about(1)),
    ):
        # when it is followed by changes of other orders
        began = experiment.elapsed
        audit.change(audit.put(1))
        audit.waits_until_failed()
        audit.change(audit.put(2), audit.put(3))

        # then the alarm fires, and none is audited
        audit.waits_for_state(alarm, "ALARM")
        seconds = experiment.elapsed - began
        assert not audit.audited()
        failed = experiment.wait_until("3 attempts", lambda: len(found := audit.failed()) >= 3 and found, SOON)
        assert {line["order_id"] for line in failed} == {audit.id(1)}
        attempts = len(failed)

    # and after the fix all are
    audit.waits_until_audited(3)
    assert audit.audited() == {"1": 1, "2": 1, "3": 1}
    assert audit.discarded() == 0
    experiment.observe(f"2 healthy changes waited behind {attempts} attempts; alarm after {seconds:.0f} s; 0 discarded")


@pytest.mark.experiment("STR-2", "STR-4", "STR-9", failure="The same with bisect, a retry limit and a destination")
def test_the_poison_record_alone_is_discarded_and_recovered(audit: Audit, experiment: Experiment) -> None:
    """Splitting isolates it, everything else is audited, and the on-failure destination gets its metadata, not its
    data. `make verify` names the gap; after the fix `make replay` closes it, with an entry that is marked as late."""
    # given ten orders in a batch, and the auditor cannot process the creation of one, which is changed later
    with (
        audit.mapping_changed(MaximumRetryAttempts=RETRIES),
        audit.fault("exception", error=PERMANENT, when=audit.about(4, "INSERT")),
    ):
        audit.change_as_one_batch(*(audit.put(number) for number in range(1, 11)), audit.update(4, "paid"))

        # when its retries are used up
        audit.waits_for_messages("discarded batch", audit.discarded_queue, 1, DISCARDED)
        audit.waits_until_audited(10)
        audit.waits_for_state(audit.out["alarms"]["discarded"], "ALARM")
        assert not audit.in_alarm([audit.out["alarms"]["destination"]])
    assert audit.audited() == {str(number): 1 for number in range(1, 11)}
    alone = audit.failed()
    assert {line["order_id"] for line in alone} == {audit.id(4)}

    # then the on-failure destination has the record's place in the stream, and nothing of what it says
    got = experiment.client("sqs").receive_message(QueueUrl=audit.discarded_queue, VisibilityTimeout=0)
    text = got["Messages"][0]["Body"]
    body = json.loads(text)
    assert set(body) == {"requestContext", "responseContext", "version", "timestamp", "DDBStreamBatchInfo"}
    assert body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert body["requestContext"]["approximateInvokeCount"] == RETRIES + 1
    assert body["DDBStreamBatchInfo"]["batchSize"] == 1
    assert body["DDBStreamBatchInfo"]["startSequenceNumber"] == alone[0]["sequence_number"]
    assert audit.id(4) not in text

    # and the gap shows, until the record is replayed
    assert audit.problems() == ["4: a change before entry 1 was not audited"]
    assert audit.operate("replay") == {"summary": "1 records of 1 discarded batches replayed", "problems": []}
    created, updated = audit.entries(4)
    assert (created["event_name"], created["seq"], created["late"]) == ("INSERT", 2, True)
    assert (updated["event_name"], updated["seq"], updated["late"]) == ("MODIFY", 1, False)
    assert audit.problems() == []
    assert audit.discarded() == 0
    experiment.observe(f"10 of 11 audited, 1 discarded after {len(alone)} attempts; gap named, replayed as late entry")


@pytest.mark.experiment("STR-10", failure="The queue of discarded batches is gone when one is discarded")
def test_a_discarded_change_without_its_queue_leaves_an_alarm(audit: Audit, experiment: Experiment) -> None:
    """The other changes are audited, no message says what was discarded, and the `auditor-destination` alarm fires; the
    one for discarded batches stays quiet. `make verify` names the gap."""
    # given no alarm, and no queue to discard to
    destination, discarded = (audit.out["alarms"][name] for name in ("destination", "discarded"))
    experiment.wait_until("no alarm fires", lambda: not audit.in_alarm([destination, discarded]), ALARM_CLEARS)
    with (
        faults.queue_deleted(audit.deployment, audit.discarded_queue),
        audit.mapping_changed(MaximumRetryAttempts=RETRIES),
        audit.fault("exception", error=PERMANENT, when=audit.about(1, "INSERT")),
    ):
        # when a change is discarded
        audit.change_as_one_batch(audit.put(1), audit.put(2), audit.update(1, "paid"))
        audit.waits_until_audited(2, DISCARDED)

        # then the others are audited, and only the alarm for the destination fires
        audit.waits_for_state(destination, "ALARM")
        assert not audit.in_alarm([discarded])
    assert audit.audited() == {"1": 1, "2": 1}
    assert audit.discarded() == 0
    assert audit.problems() == ["1: a change before entry 1 was not audited"]
    experiment.observe("2 of 3 audited, 1 discarded without a message; alarm auditor-destination, and the gap named")


@pytest.mark.experiment("STR-3", failure="A partial batch response")
def test_records_after_the_lowest_reported_one_run_again(audit: Audit, experiment: Experiment) -> None:
    """The lowest sequence number that is reported is the checkpoint: what comes after it runs again, processed or not,
    and what comes before it does not. The trail has no duplicates."""
    # given a batch of six, of which the fifth and the third will be reported, though all are audited
    with ExitStack() as reported:
        with faults.paused(audit.deployment, audit.out["mapping_id"]):
            audit.change(*(audit.put(number) for number in range(1, 7)))
            numbers = audit.sequence_numbers(6)
            failures = {"batchItemFailures": [{"itemIdentifier": numbers[4]}, {"itemIdentifier": numbers[2]}]}
            reported.enter_context(audit.fault("malformed_response", response=failures, when=audit.about(3)))

        # when the auditor takes it
        experiment.wait_until("the third runs again", lambda: audit.runs()["3"] > 1, SOON)
    experiment.wait_until("and all behind it", lambda: all(audit.runs()[name] > 1 for name in "3456"), SOON)

    # then it goes on at the third, and finds the entries there
    runs = audit.runs()
    assert runs["1"] == runs["2"] == 1
    assert all(runs[name] > 1 for name in "3456")
    outcomes = Counter((line["order_id"], line["outcome"]) for line in audit.processed())
    assert all(outcomes[(audit.id(name), "audited")] == 1 for name in "123456")
    assert audit.audited() == {name: 1 for name in "123456"}
    assert audit.problems() == []
    experiment.observe("2 of 6 ran once, 4 ran again; 6 entries")


@pytest.mark.experiment("STR-2", failure="The function crashes in mid-batch")
def test_after_a_crash_the_batch_runs_again_without_duplicates(audit: Audit, experiment: Experiment) -> None:
    """There is no report, so the batch runs again from its beginning, in halves; what was audited before the crash is
    recognised."""
    # given the process dies at the fourth of six records
    with audit.sets_off("auditor-errors"), audit.fault("crash", at="dynamodb.TransactWriteItems", when=audit.about(4)):
        # when the auditor takes them
        audit.change_as_one_batch(*(audit.put(number) for number in range(1, 7)))
        crashed = experiment.wait_until("the function crashed", lambda: audit.injected("auditor"), SOON)

    # then the first three run again, and all six are audited once
    audit.waits_until_audited(6)

    def again() -> set[str]:
        return {line["order_id"] for line in audit.processed() if line["outcome"] == "already audited"}

    first = {audit.id(name) for name in "123"}
    experiment.wait_until("the first three were recognised", lambda: again() >= first, SOON)
    assert audit.audited() == {name: 1 for name in "123456"}
    assert audit.discarded() == 0
    assert audit.problems() == []
    experiment.observe(f"{len(crashed)} crash, 3 of 6 ran again; 6 entries, 0 discarded")


@pytest.mark.experiment("STR-7", "STR-5", failure="The auditor's mapping is disabled while 200 changes are made")
def test_a_paused_auditor_catches_up_in_order(audit: Audit, experiment: Experiment) -> None:
    """Enabled again before the first is 24 hours old, it goes on where it was: all 200 are audited, each order's in the
    order in which they were made, none twice."""
    # given 20 orders
    orders = [f"{number:02}" for number in range(20)]

    # when each is changed ten times while the mapping is disabled
    with faults.paused(audit.deployment, audit.out["mapping_id"]):
        audit.change(*(audit.put(order) for order in orders))
        for step in range(1, 10, 3):
            audit.change(*(audit.update(order, f"step {n}") for n in range(step, step + 3) for order in orders))
        assert not audit.audited()
    began = experiment.elapsed

    # then all are audited once it is enabled again
    audit.waits_until_audited(200, within=120)
    audit.waits_until_processed(200)
    seconds = max(line["at"] for line in audit.processed()) - began
    assert audit.runs() == {order: 10 for order in orders}
    for order in orders:
        entries = audit.entries(order)
        assert [entry["seq"] for entry in entries] == list(range(1, 11))
        assert [status(entry["new_image"]) for entry in entries] == ["new", *(f"step {n}" for n in range(1, 10))]
    assert audit.problems() == []
    experiment.observe(f"200 of 200 audited in order, once each, {seconds:.0f} s after it was enabled")


@pytest.mark.experiment("STR-3", failure="The audit table is throttled")
def test_while_the_audit_table_is_throttled_changes_wait(audit: Audit, experiment: Experiment) -> None:
    """A transient error: the first record is reported, the batch is retried without being split, and after the recovery
    all is audited in order, nothing lost."""
    # given DynamoDB refuses the auditor's transactions
    with audit.fault("dependency", service="dynamodb", operation="TransactWriteItems", error="throttling"):
        # when five orders are changed
        audit.change_as_one_batch(*(audit.put(number) for number in range(1, 6)))
        audit.waits_until_failed(2)
        assert not audit.audited()

    # then only the first was tried, and after the recovery all are audited
    audit.waits_until_audited(5, within=DISCARDED)
    audit.waits_until_processed(5)
    failed = audit.failed()
    assert {(line["order_id"], line["error_class"]) for line in failed} == {(audit.id(1), "transient")}
    assert [line["order_id"] for line in audit.processed()] == [audit.id(number) for number in range(1, 6)]
    assert audit.discarded() == 0
    assert audit.problems() == []
    experiment.observe(f"{len(failed)} attempts refused; after recovery 5 of 5 audited in order, 0 discarded")


@pytest.mark.experiment("STR-11", failure="The auditor finds no concurrency")
def test_while_the_auditor_is_throttled_changes_wait(audit: Audit, experiment: Experiment) -> None:
    """Refused invocations use up no retries: more of them than there are discard nothing, `auditor-throttles` fires,
    and all is audited in order when there is concurrency again."""
    # given a mapping that gives a record up after its first failure, and an auditor that may not run
    refused = faults.throttled(audit.deployment, audit.out["function"])
    with audit.mapping_changed(MaximumRetryAttempts=0), audit.sets_off("auditor-throttles"), refused:
        # when five orders are changed, then none is audited, and none discarded
        audit.change(*(audit.put(number) for number in range(1, 6)))
        experiment.let_pass(REFUSED, "it was refused for a while")
        assert not audit.audited()
        assert audit.discarded() == 0

    # and all are afterwards
    audit.waits_until_audited(5, within=DISCARDED)
    audit.waits_until_processed(5)
    assert audit.audited() == {str(number): 1 for number in range(1, 6)}
    assert audit.discarded() == 0
    assert not audit.failed()
    experiment.observe(f"refused for {REFUSED:.0f} s with 0 retries allowed: 0 discarded, 5 of 5 audited afterwards")


@pytest.mark.experiment("INV-1", failure="A function that somebody invokes fails, or finds no concurrency")
def test_who_invokes_a_function_is_told_when_it_fails(audit: Audit, experiment: Experiment) -> None:
    """Whoever changes an order through the writer, replays or verifies is told, and the function's `-errors` or
    `-throttles` fires."""
    # given a change, when the writer fails with it, and when it is refused, then who makes it is told
    audit.tells_its_caller("writer", changes=[audit.put(1)], actor="alice", correlation_id=experiment.id)

    # and so is who replays, and who verifies
    for operation in ("replayer", "verifier"):
        audit.tells_its_caller(operation)

    # and nothing was changed: a change that is made afterwards is all that is audited
    audit.change(audit.put(2))
    audit.waits_until_audited(1)
    assert audit.audited() == {"2": 1}
    experiment.observe("3 functions, each with 1 failure and 1 refusal, all told; 6 alarms")


FAILURE_RESPONSES: dict[str, Any] = {
    "unknown-number": {"batchItemFailures": [{"itemIdentifier": "123"}]},
    "empty-identifier": {"batchItemFailures": [{"itemIdentifier": ""}]},
    "null-identifier": {"batchItemFailures": [{"itemIdentifier": None}]},
    "wrong-key": {"batchItemFailures": [{"foo": "123"}]},
}
LAST_CHANGE = "its last change is not audited: it was discarded or lost, or the auditor is behind"
SUCCESS_RESPONSES: dict[str, Any] = {
    "empty-report": {"batchItemFailures": []},
    "null-report": {"batchItemFailures": None},
    "empty-object": {},
    "empty-list": [],
    "null": None,
}


@pytest.mark.experiment("STR-8", failure="A malformed batch response")
def test_a_malformed_report_is_failure_and_an_empty_one_success(audit: Audit, experiment: Experiment) -> None:
    """An unknown sequence number, an empty or null identifier, or a wrong key fails the whole batch: it runs again, and
    is discarded though it is audited. An empty or null answer is success: what the handler swallowed is gone for good,
    and only `make verify` notices."""
    # given each record is answered for in another way, and one of them fails, of which the answer says nothing
    answers = FAILURE_RESPONSES | SUCCESS_RESPONSES
    rules: list[dict[str, Any]] = [
        {"function": "auditor", "mode": "malformed_response", "when": audit.about(kind), "response": response}
        for kind, response in (answers | {"swallowed": {"batchItemFailures": []}}).items()
    ]
    rules.append({"function": "auditor", "mode": "exception", "when": audit.about("swallowed")})
    with audit.mapping_changed(BatchSize=1, MaximumRetryAttempts=1), faults.inject(audit.deployment, *rules):
        # when they are changed
        audit.change(audit.put("swallowed"), *(audit.put(kind) for kind in answers))
        audit.waits_until_audited(len(answers), within=DISCARDED)
        failures = len(FAILURE_RESPONSES)
        audit.waits_for_messages("discarded batches", audit.discarded_queue, failures, DISCARDED)

    # then what was taken for failed ran again, and what was taken for successful did not
    assert audit.runs() == {kind: 2 if kind in FAILURE_RESPONSES else 1 for kind in answers}
    assert audit.audited() == {kind: 1 for kind in answers}

    # and a replay of what was discarded finds it in the trail, while what was swallowed stays a gap
    summary = f"{failures} records of {failures} discarded batches replayed"
    assert audit.operate("replay") == {"summary": summary, "problems": []}
    assert audit.audited().total() == len(answers)
    assert audit.problems() == [f"swallowed: {LAST_CHANGE}"]
    experiment.observe("4 kinds ran twice, were discarded and had 1 entry each; 5 kinds ran once; 1 swallowed, named")


@pytest.mark.gap("time-to-live-takes-days")
@pytest.mark.experiment("STR-6", failure="An order expires")
def test_an_expiry_is_audited_as_the_services_deletion(audit: Audit, experiment: Experiment) -> None:
    """Time to Live deletes it, and the entry says so: the actor is DynamoDB, not the person who changed the order
    last."""
    # given an order that has expired, and one that a person deletes
    audit.change(audit.put(1, expires_at=int(experiment.target.now()) - 60))
    audit.change(audit.put(2), audit.delete(2) | {"actor": "bob"})

    # when both are gone, and that is audited
    audit.waits_until_audited(5)

    # then one was deleted by the service, for no business process, and one by the person
    created, expired = audit.entries(1)
    assert created["actor"] == "alice"
    assert (expired["event_name"], expired["actor_type"]) == ("REMOVE", "service")
    assert expired["actor"] == "dynamodb.amazonaws.com"
    assert "correlation_id" not in expired
    deleted = audit.entries(2)[-1]
    assert (deleted["event_name"], deleted["actor_type"], deleted["actor"]) == ("REMOVE", "declared", "bob")
    assert audit.problems() == []
    experiment.observe(f"deleted by {expired['actor']}; the other one by {deleted['actor']}")


@pytest.mark.experiment("STR-5", failure="Somebody edits the audit trail")
def test_an_edited_trail_does_not_verify(audit: Audit, experiment: Experiment) -> None:
    """`make verify` names the entry that was changed, rewritten with a new hash, or removed, also if it is the last."""
    # given five orders of three entries each
    for number in range(1, 6):
        audit.change(audit.put(number), audit.update(number, "paid"), audit.update(number, "shipped"))
    audit.waits_until_audited(15)
    assert audit.problems() == []

    # when somebody changes an entry of one, removes one from the middle and one from the end of two others, and
    # rewrites one in two more with a hash that fits, the last one among them
    table = {"TableName": audit.out["audit_table"]}
    dynamodb = experiment.client("dynamodb")
    for number, seq, forgery in (
        (1, 2, "actor"),
        (2, 2, ""),
        (3, 3, ""),
        (4, 2, "actor and hash"),
        (5, 3, "actor and hash"),
    ):
        entry = audit.entries(number)[seq - 1]
        key = {name: {"S": entry[name]} for name in ("order_id", "sequence_number")}
        if not forgery:
            dynamodb.delete_item(**table, Key=key)
            continue
        forged = entry | {"actor": "mallory"}
        values = {":actor": {"S": "mallory"}, ":hash": {"S": rehashed(forged) if "hash" in forgery else entry["hash"]}}
        dynamodb.update_item(
            **table,
            Key=key,
            UpdateExpression="SET actor = :actor, #hash = :hash",
            ExpressionAttributeNames={"#hash": "hash"},
            ExpressionAttributeValues=values,
        )

    # then each is named
    changed, *others = audit.problems()
    assert changed.startswith("1: entry 2 (of ") and changed.endswith("was changed: it does not match its hash")
    assert others == [
        "2: entry 2 is missing",
        "3: entry 3 is missing at the end",
        "4: entry 3 does not continue entry 2: one of them is not the original",
        "5: entry 3, the last, is not the original",
    ]
    experiment.observe("5 of 5 edits named: 1 changed, 2 removed, 2 rewritten with a hash that fits")


def rehashed(entry: dict[str, Any]) -> str:
    """The hash of a forged entry."""
    content = {name: int(value) if name == "seq" else value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
