"""The shared consumer: what it logs, counts and reports for each message of a batch."""

import importlib.metadata
import json
import re
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lab.handler_testing import Context, LogLines, sqs_event

POWERTOOLS_LOCK = Path(__file__).parents[1] / "lambdas/powertools/requirements.txt"


@pytest.fixture
def sqs(handlers_layer: ModuleType) -> Any:
    return handlers_layer.sqs


def parse(body: dict[str, Any]) -> int:
    return int(body["amount"])


def act(amount: int) -> dict[str, Any]:
    return {"doubled": amount * 2}


class Kept(list[Any]):
    """Keeps what it is called with."""

    def __call__(self, given: Any) -> dict[str, Any]:
        self.append(given)
        return {}


def metric_documents(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines() if '"_aws"' in line]


def test_a_message_about_an_object_is_logged_by_its_key(sqs: Any, logged: LogLines) -> None:
    sqs.consume(sqs_event({"key": "incoming/a b.json", "amount": 2}), Context(), parse=parse, act=act)

    (line,) = logged()
    assert line["key"] == "incoming/a b.json"
    assert "order_id" not in line


def test_an_order_with_a_key_is_logged_by_its_id_too(sqs: Any, logged: LogLines) -> None:
    sqs.consume(sqs_event({"order_id": "o-1", "key": "k-1", "amount": 2}), Context(), parse=parse, act=act)

    assert [(line["order_id"], line["key"]) for line in logged()] == [("o-1", "k-1")]


def test_every_outcome_is_one_log_line_with_the_documented_fields(sqs: Any, logged: LogLines) -> None:
    event = sqs_event(
        {"order_id": "o-1", "amount": 2, "correlation_id": "c-1"},
        {"order_id": "o-2", "correlation_id": "c-2"},
        receive_count=3,
    )

    response = sqs.consume(event, Context(), parse=parse, act=act)

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    processed, failed = logged()
    common = {"service": "function", "receive_count": 3, "function_request_id": "request-1"}
    for line, expected in [
        (
            processed,
            common
            | {"level": "INFO", "message": "processed", "doubled": 4}
            | {"order_id": "o-1", "correlation_id": "c-1", "message_id": "m-1"},
        ),
        (
            failed,
            common
            | {"level": "ERROR", "message": "failed", "error_class": "permanent"}
            | {"error": "PermanentError: malformed message: KeyError: 'amount'"}
            | {"order_id": "o-2", "correlation_id": "c-2", "message_id": "m-2"},
        ),
    ]:
        assert {name: line.get(name) for name in expected} == expected


def test_the_correlation_id_of_the_message_attribute_wins_over_the_body(sqs: Any, logged: LogLines) -> None:
    event = sqs_event({"amount": 1, "correlation_id": "from-body"}, correlation_id="from-attribute")

    sqs.consume(event, Context(), parse=parse, act=act)

    assert [line["correlation_id"] for line in logged()] == ["from-attribute"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("{", "JSONDecodeError"),
        ("[1]", "TypeError: the body is a JSON list, not an object"),
        ({}, "KeyError: 'amount'"),
        ({"amount": "many"}, "ValueError"),
        ({"amount": None}, "TypeError"),
        ({"amount": float("inf")}, "OverflowError"),
        ("[" * 10_000, "RecursionError"),
        ("\ud800", "JSONDecodeError"),
    ],
)
def test_a_malformed_message_is_permanent(sqs: Any, logged: LogLines, body: Any, error: str) -> None:
    sqs.consume(sqs_event(body), Context(), parse=parse, act=act)

    (line,) = logged()
    assert (line["level"], line["error_class"], line["message_id"]) == ("ERROR", "permanent", "m-1")
    assert line["error"].startswith(f"PermanentError: malformed message: {error}")


@pytest.mark.parametrize(
    ("raised", "level", "error_class"),
    [
        ("PermanentError", "ERROR", "permanent"),
        ("TransientError", "WARNING", "transient"),
        ("KeyError", "WARNING", "transient"),
    ],
)
def test_an_action_that_fails_is_transient_unless_it_says_otherwise(
    sqs: Any,
    handlers_layer: ModuleType,
    logged: LogLines,
    raised: str,
    level: str,
    error_class: str,
) -> None:
    def failing(_: int) -> dict[str, Any]:
        raise getattr(handlers_layer.outcomes, raised, KeyError)("stock")

    response = sqs.consume(sqs_event({"amount": 1}), Context(), parse=parse, act=failing)

    (line,) = logged()
    assert (line["level"], line["error_class"]) == (level, error_class)
    assert line["error"].startswith(f"{raised}: ")
    assert "in failing" in line["exception"]
    assert response == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}


def test_an_action_can_have_the_record_itself(sqs: Any, logged: LogLines) -> None:
    response = sqs.consume_records(
        sqs_event({"amount": 2}, {}),
        Context(),
        lambda record: {"seen": record.message_id, "doubled": 2 * sqs.parsed(record, parse)},
    )

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    processed, failed = logged()
    assert (processed["seen"], processed["doubled"]) == ("m-1", 4)
    assert failed["error"] == "PermanentError: malformed message: KeyError: 'amount'"


BINARY = {"correlation_id": {"binaryValue": "3q2+7w==", "dataType": "Binary"}}


@pytest.mark.parametrize(
    "noise",
    [
        {"body": "[" * 10_000},
        {"body": None},
        {"body": ...},
        {"body": '{"order_id": "\\ud800", "correlation_id": "\\ud800"}'},
        {"body": '{"order_id": %s, "correlation_id": {"a": 1}}' % ("[" * 5_000 + "]" * 5_000)},
        {"body": json.dumps({"order_id": "x" * 500_000})},
        {"messageAttributes": BINARY},
        {"messageAttributes": {"correlation_id": None}},
        {"messageAttributes": ["correlation_id"]},
        {"messageAttributes": ...},
        {"attributes": ...},
        {"attributes": {"ApproximateReceiveCount": "many"}},
        {"eventSource": ["aws:sqs"]},
    ],
    ids=lambda noise: json.dumps(noise, default=str)[:40],
)
@pytest.mark.parametrize("healthy", [True, False])
def test_nothing_in_a_message_fails_another_of_its_batch_or_takes_its_line(
    sqs: Any, logged: LogLines, noise: dict[str, Any], healthy: bool
) -> None:
    event = sqs_event({"amount": 1}, {"amount": 2} if healthy else {}, {"amount": 3})
    changed = event["Records"][1] | noise
    event["Records"][1] = {name: value for name, value in changed.items() if value is not ...}
    done = Kept()

    response = sqs.consume(event, Context(), parse=parse, act=done)

    succeeds = healthy and "body" not in noise
    assert done == ([1, 2, 3] if succeeds else [1, 3])
    assert response == report(*([] if succeeds else ["m-2"]))
    lines = logged()
    assert [line["message_id"] for line in lines] == ["m-1", "m-2", "m-3"]
    assert lines[1].get("error_class") == (None if succeeds else "permanent")
    assert all(len(json.dumps(line)) < 10_000 for line in lines)


def test_numbers_with_a_point_are_decimal(sqs: Any) -> None:
    bodies = Kept()
    event = sqs_event('{"amount": 12345678901234567.89, "items": 2}')

    sqs.consume(event, Context(), parse=lambda body: body, act=bodies)

    assert bodies == [{"amount": Decimal("12345678901234567.89"), "items": 2}]


@pytest.mark.filterwarnings("ignore:No application metrics to publish")
@pytest.mark.parametrize("event", [[], None, {}, {"Records": []}, {"Records": "m-1"}, {"Records": [1]}])
def test_an_event_that_is_not_of_a_queue_is_refused_before_anything_is_done(sqs: Any, event: Any) -> None:
    with pytest.raises(sqs.UnexpectedBatchTypeError, match="SQS did not send this event"):
        sqs.consume(event, Context(), parse=parse, act=act)


@pytest.mark.filterwarnings("ignore:No application metrics to publish")
def test_one_record_without_an_id_is_refused_before_another_is_processed(sqs: Any, logged: LogLines) -> None:
    event = sqs_event({"amount": 1})
    event["Records"].append({"body": "{}"})

    with pytest.raises(sqs.UnexpectedBatchTypeError):
        sqs.consume(event, Context(), parse=parse, act=act)
    assert logged() == []


def test_a_batch_that_fails_whole_is_reported_and_not_raised(sqs: Any) -> None:
    response = sqs.consume(sqs_event({}, "{"), Context(), parse=parse, act=act)

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-1"}, {"itemIdentifier": "m-2"}]}


def test_failures_of_one_invocation_are_not_reported_again_by_the_next(sqs: Any) -> None:
    sqs.consume(sqs_event({}), Context(), parse=parse, act=act)

    assert sqs.consume(sqs_event({"amount": 1}), Context(), parse=parse, act=act) == {"batchItemFailures": []}


def test_outcomes_are_counted_in_the_embedded_metric_format(
    sqs: Any, handlers_layer: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse_odd(amount: int) -> dict[str, Any]:
        if amount % 2:
            raise handlers_layer.outcomes.TransientError("odd")
        return {}

    sqs.consume(
        sqs_event({"amount": 2}, {"amount": 3}, {}, {"amount": 5}, {"amount": 4}),
        Context(),
        parse=parse,
        act=refuse_odd,
    )

    documents = metric_documents(capsys.readouterr().out)
    directives = [document["_aws"]["CloudWatchMetrics"][0] for document in documents]
    assert {directive["Namespace"] for directive in directives} == {"pattern"}
    assert [
        (
            sorted(directive["Dimensions"][0]),
            document["service"],
            document.get("error_class"),
            {metric["Name"]: document[metric["Name"]] for metric in directive["Metrics"]},
        )
        for document, directive in zip(documents, directives, strict=True)
    ] == [
        (["error_class", "service"], "function", "transient", {"MessagesFailed": [2.0]}),
        (["error_class", "service"], "function", "permanent", {"MessagesFailed": [1.0]}),
        (["service"], "function", None, {"MessagesProcessed": [2.0]}),
    ]


def test_the_layer_ships_the_powertools_version_that_these_tests_run_on() -> None:
    pinned = re.findall(r"^(\S+)==(\S+)", POWERTOOLS_LOCK.read_text(), re.MULTILINE)

    assert {name for name, _ in pinned} == {"aws-lambda-powertools", "jmespath", "typing-extensions"}
    assert pinned == [(name, importlib.metadata.version(name)) for name, _ in pinned]


def records(*ids: str) -> dict[str, Any]:
    return {"Records": [{"messageId": id_} for id_ in ids]}


def report(*ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in ids]}


def test_a_message_that_was_neither_processed_nor_reported_is_not_lost_silently(sqs: Any) -> None:
    with pytest.raises(sqs.UnreportedFailure, match=r"2 of 4 messages failed unreported: m-3, m-4"):
        sqs.refuse_to_lose(records("m-1", "m-2", "m-3", "m-4"), {"m-1"}, report("m-2"))

    sqs.refuse_to_lose(records("m-1", "m-2"), {"m-1"}, report("m-2"))


def test_where_nobody_reads_reports_a_failed_message_breaks_the_invocation(
    sqs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs, "REPORTS_ARE_READ", False)

    with pytest.raises(sqs.UnreportedFailure, match="1 of 2 messages failed unreported: m-2"):
        sqs.consume(sqs_event({"amount": 1}, {}), Context(), parse=parse, act=act)

    assert sqs.consume(sqs_event({"amount": 1}), Context(), parse=parse, act=act) == {"batchItemFailures": []}


def test_an_action_that_swallows_its_error_and_returns_nothing_has_failed(sqs: Any) -> None:
    def swallow(_: int) -> Any:
        return None

    response = sqs.consume(sqs_event({"amount": 1}), Context(), parse=parse, act=swallow)

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
