"""The shared consumer of streams: how far it goes in a batch, and how it tells what failed."""

import importlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest


@dataclass
class Context:
    function_name: str = "stream-audit-auditor"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:stream-audit-auditor"
    aws_request_id: str = "request-1"


def stream_event(*order_ids: str, event_name: str = "INSERT") -> dict[str, Any]:
    image = "OldImage" if event_name == "REMOVE" else "NewImage"
    return {
        "Records": [
            {
                "eventID": f"e-{number}",
                "eventName": event_name,
                "eventSource": "aws:dynamodb",
                "dynamodb": {
                    "Keys": {"order_id": {"S": order_id}},
                    image: {"order_id": {"S": order_id}, "correlation_id": {"S": "c-1"}},
                    "SequenceNumber": str(number),
                },
            }
            for number, order_id in enumerate(order_ids, start=1)
        ]
    }


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "auditor")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "stream-audit")
    monkeypatch.delenv("REPORT_BATCH_ITEM_FAILURES", raising=False)
    for module in ("consumer", "stream_consumer"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return importlib.import_module("stream_consumer")


@pytest.fixture
def logged(streams: ModuleType) -> Callable[[], list[dict[str, Any]]]:
    stream = io.StringIO()
    streams.logger.registered_handler.stream = stream
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def failing(order_id: str, error: Exception) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def act(record: dict[str, Any]) -> dict[str, Any]:
        if record["dynamodb"]["Keys"]["order_id"]["S"] == order_id:
            raise error
        return {"outcome": "audited"}

    return act


def test_nothing_behind_the_first_failure_is_tried_and_the_failure_is_the_checkpoint(
    streams: ModuleType, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    response = streams.consume(stream_event("o-1", "o-2", "o-3"), Context(), act=failing("o-2", ValueError("boom")))

    assert response == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert [(line["message"], line["order_id"], line["sequence_number"]) for line in logged()] == [
        ("processed", "o-1", "1"),
        ("failed", "o-2", "2"),
    ]


@pytest.mark.parametrize("event_name", ["INSERT", "REMOVE"])
def test_a_line_says_what_the_record_is_about(
    streams: ModuleType, logged: Callable[[], list[dict[str, Any]]], event_name: str
) -> None:
    streams.consume(stream_event("o-1", event_name=event_name), Context(), act=lambda _: {"outcome": "audited"})

    (line,) = logged()
    expected = {
        "message": "processed",
        "order_id": "o-1",
        "correlation_id": "c-1",
        "sequence_number": "1",
        "event_name": event_name,
        "outcome": "audited",
        "function_request_id": "request-1",
    }
    assert {name: line.get(name) for name in expected} == expected


def test_a_record_that_fails_at_the_head_of_a_batch_is_raised_so_that_the_batch_is_split(streams: ModuleType) -> None:
    with pytest.raises(streams.FailedAtHead, match="the first of 2 records failed: boom"):
        streams.consume(stream_event("o-1", "o-2"), Context(), act=failing("o-1", ValueError("boom")))


def test_a_record_that_fails_alone_is_reported(streams: ModuleType) -> None:
    response = streams.consume(stream_event("o-1"), Context(), act=failing("o-1", ValueError("boom")))

    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_a_transient_error_does_not_split_the_batch(
    streams: ModuleType, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    error = streams.TransientError("throttled")

    response = streams.consume(stream_event("o-1", "o-2"), Context(), act=failing("o-1", error))

    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert [line["error_class"] for line in logged()] == ["transient"]


def test_where_nobody_reads_reports_a_failed_record_breaks_the_invocation(
    streams: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "REPORTS_ARE_READ", False)

    with pytest.raises(streams.UnreportedFailure, match="record 2 of 2 failed"):
        streams.consume(stream_event("o-1", "o-2"), Context(), act=failing("o-2", ValueError("boom")))


def test_outcomes_are_counted(streams: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    streams.consume(stream_event("o-1", "o-2", "o-3"), Context(), act=failing("o-3", ValueError("boom")))

    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    counted = {name: document[name] for document in documents for name in document if name.startswith("Messages")}
    assert counted == {"MessagesProcessed": [2.0], "MessagesFailed": [1.0]}
