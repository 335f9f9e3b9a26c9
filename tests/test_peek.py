"""A look into a dead-letter queue shows what waits there, and leaves it."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lab import peek
from lab.deployment import Deployment
from lab.targets import Target


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with mock_aws():
        yield Deployment.of("fanout", Target("local", "moto", None, "us-east-1", "test"))


@pytest.fixture
def queue(deployment: Deployment) -> str:
    """The URL of a queue whose own visibility timeout is long."""
    attributes = {"VisibilityTimeout": "600"}
    return str(deployment.target.client("sqs").create_queue(QueueName="q", Attributes=attributes)["QueueUrl"])


class ScriptedSQS:
    """Answers ReceiveMessage with one batch of message ids after another, then with nothing."""

    def __init__(self, waiting: int, *batches: list[str]) -> None:
        self.waiting, self.batches, self.asked = waiting, list(batches), 0

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        hidden = dict.fromkeys(("ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"), "0")
        return {"Attributes": hidden | {"ApproximateNumberOfMessages": str(self.waiting)}}

    def receive_message(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        batch = self.batches.pop(0) if self.batches else []
        messages = [{**message("x"), "MessageId": id} for id in batch]
        return {"Messages": messages} if messages else {}


def message(body: str, correlation_id: str | None = None) -> dict[str, Any]:
    """A message as ReceiveMessage answers it."""
    named = {} if correlation_id is None else {"correlation_id": {"StringValue": correlation_id, "DataType": "String"}}
    attributes = {"SentTimestamp": str(int(time.time() * 1000)), "ApproximateReceiveCount": "2"}
    return {"MessageId": "m-1", "Body": body, "Attributes": attributes, "MessageAttributes": named}


def test_every_message_is_still_there_and_anybody_can_receive_it(deployment: Deployment, queue: str) -> None:
    sqs = deployment.target.client("sqs")
    sent = {sqs.send_message(QueueUrl=queue, MessageBody=str(number))["MessageId"] for number in range(3)}

    for look in (1, 2, 3, 4):
        seen = peek.letters(deployment, queue)

        assert {letter.message_id for letter in seen} == sent
        assert {letter.receives for letter in seen} == {look}
    assert deployment.depth(queue).waiting == 3
    assert len(sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]) == 3


def test_at_most_ten_are_shown(deployment: Deployment, queue: str) -> None:
    for number in range(12):
        deployment.target.client("sqs").send_message(QueueUrl=queue, MessageBody=str(number))

    assert len(peek.letters(deployment, queue)) == 10


def test_an_empty_queue_is_not_asked(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    sqs = ScriptedSQS(0)
    monkeypatch.setattr(Target, "client", lambda self, service: sqs)

    assert (peek.letters(deployment, "q"), sqs.asked) == ([], 0)


def test_a_message_that_comes_again_is_shown_once_and_what_does_not_come_is_not_waited_for(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS keeps messages on several servers, and counts them approximately: a receive brings some of them."""
    sqs = ScriptedSQS(4, ["a"], ["a", "b"], ["b"], ["c", "a"])
    monkeypatch.setattr(Target, "client", lambda self, service: sqs)

    assert [letter.message_id for letter in peek.letters(deployment, "q")] == ["a", "b", "c"]
    assert sqs.asked == 4 + peek.VAIN_RECEIVES


@pytest.mark.parametrize(
    ("received", "correlation_id"),
    [
        (message("{}", "c-1"), "c-1"),
        (message('{"correlation_id": "of the body"}', "of the attribute"), "of the attribute"),
        (message('{"correlation_id": "c-1"}'), "c-1"),
        (message('{"correlation_id": 7}'), ""),
        (message('["correlation_id"]'), ""),
        (message("no JSON"), ""),
        (message("[" * 100_000), ""),
        (message("{}"), ""),
        (message("{}", "\x1b[31mred"), "\ufffd[31mred"),
    ],
)
def test_the_correlation_id_is_an_attribute_or_in_the_body(received: dict[str, Any], correlation_id: str) -> None:
    assert peek.letter(received).correlation_id == correlation_id


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"order_id":\n  "o-1"}', '{"order_id": "o-1"}'),
        ("\x1b]0;title\x07\u202e", "\ufffd]0;title\ufffd\ufffd"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "... (201 characters)"),
        (json.dumps("\U0001f4a5" * 300, ensure_ascii=False), '"' + "\U0001f4a5" * 199 + "... (302 characters)"),
    ],
)
def test_a_body_is_one_line_of_what_can_be_printed(body: str, shown: str) -> None:
    assert peek.letter(message(body)).body == shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3.0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_an_age_is_said_in_its_largest_unit(seconds: float, said: str) -> None:
    assert peek.ago(seconds) == said
