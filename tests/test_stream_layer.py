"""The shared consumer of streams: how far it goes in a batch, and how it tells what failed."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from lab.handler_testing import Context, LogLines, stream_record


def stream_event(*order_ids: str, event_name: str = "INSERT") -> dict[str, Any]:
    def record(number: int, order_id: str) -> dict[str, Any]:
        image = {"order_id": {"S": order_id}, "correlation_id": {"S": "c-1"}}
        return stream_record(number, **{"old" if event_name == "REMOVE" else "new": image})

    return {"Records": [record(number, order_id) for number, order_id in enumerate(order_ids, start=1)]}


@pytest.fixture
def stream(handlers_layer: ModuleType) -> Any:
    return handlers_layer.stream


def failing(order_id: str, error: Exception) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def act(record: dict[str, Any]) -> dict[str, Any]:
        if record["dynamodb"]["Keys"]["order_id"]["S"] == order_id:
            raise error
        return {"outcome": "audited"}

    return act


def test_nothing_behind_the_first_failure_is_tried_and_the_failure_is_the_checkpoint(
    stream: Any, logged: LogLines
) -> None:
    response = stream.consume(stream_event("o-1", "o-2", "o-3"), Context(), act=failing("o-2", ValueError("boom")))

    assert response == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert [(line["message"], line["order_id"], line["sequence_number"]) for line in logged()] == [
        ("processed", "o-1", "1"),
        ("failed", "o-2", "2"),
    ]


@pytest.mark.parametrize("event_name", ["INSERT", "REMOVE"])
def test_a_line_says_what_the_record_is_about(stream: Any, logged: LogLines, event_name: str) -> None:
    stream.consume(stream_event("o-1", event_name=event_name), Context(), act=lambda _: {"outcome": "audited"})

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


def test_a_record_that_fails_at_the_head_of_a_batch_is_raised_so_that_the_batch_is_split(stream: Any) -> None:
    with pytest.raises(stream.FailedAtHead, match="the first of 2 records failed: boom"):
        stream.consume(stream_event("o-1", "o-2"), Context(), act=failing("o-1", ValueError("boom")))


def test_a_record_that_fails_alone_is_reported(stream: Any) -> None:
    response = stream.consume(stream_event("o-1"), Context(), act=failing("o-1", ValueError("boom")))

    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_a_transient_error_does_not_split_the_batch(stream: Any, logged: LogLines) -> None:
    error = stream.TransientError("throttled")

    response = stream.consume(stream_event("o-1", "o-2"), Context(), act=failing("o-1", error))

    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert [line["error_class"] for line in logged()] == ["transient"]


def test_where_nobody_reads_reports_a_failed_record_breaks_the_invocation(
    stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "REPORTS_ARE_READ", False)

    with pytest.raises(stream.UnreportedFailure, match="record 2 of 2 failed"):
        stream.consume(stream_event("o-1", "o-2"), Context(), act=failing("o-2", ValueError("boom")))


def test_outcomes_are_counted(stream: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stream.consume(stream_event("o-1", "o-2", "o-3"), Context(), act=failing("o-3", ValueError("boom")))

    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    counted = {name: document[name] for document in documents for name in document if name.startswith("Messages")}
    assert counted == {"MessagesProcessed": [2.0], "MessagesFailed": [1.0]}


@pytest.mark.parametrize(
    "noise",
    [
        {"Keys": None},
        {"Keys": ["o-1"]},
        {"Keys": {"order_id": "o-1"}},
        {"Keys": {"order_id": {"B": "AA=="}}},
        {"NewImage": {"correlation_id": {"NULL": True}}},
        {"NewImage": []},
    ],
)
def test_whatever_a_record_is_it_is_acted_on_and_logged(stream: Any, logged: LogLines, noise: dict[str, Any]) -> None:
    event = stream_event("o-1")
    event["Records"][0]["dynamodb"] |= noise
    event["Records"][0]["eventName"] = "x" * 100_000

    assert stream.consume(event, Context(), act=lambda record: {}) == {"batchItemFailures": []}
    [line] = logged()
    assert (line["sequence_number"], line["event_name"]) == ("1", "x" * 1000)
