"""The fault layer: what a rule may say, when it acts, and what each mode does to a handler that knows nothing of it."""

import json
import os
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import botocore.handlers
import botocore.session
import pytest
from aws_lambda_powertools.utilities.batch import (
    BasePartialProcessor,
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import create_parser

from fault_injection import dependency, layer
from fault_injection.rules import InvalidRule, Rule, dump, matches, parse
from lab import handler_testing

LAYER = Path(layer.__file__).parents[1]


def document(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": list(rules)})


def rule(mode: Any, **parameters: Any) -> dict[str, Any]:
    return {"function": "billing", "mode": mode} | parameters


# --- What a rule may say ---


@pytest.mark.parametrize(
    "raw",
    [
        rule("exception"),
        rule("exception", error="handlers.outcomes.PermanentError", message="no"),
        rule("latency", seconds=0.5),
        rule("timeout", when="order_id == 'o-1' && amount > `100`"),
        rule("crash", receive_count=1, probability=0.5),
        rule("crash", at="end"),
        rule("timeout", at="start"),
        rule("latency", seconds=1, at="dynamodb.UpdateItem"),
        rule("fail_after_commit", error="ValueError"),
        rule("dependency", service="sns", operation="Publish", error="throttling"),
        rule("dependency", service="sns", error="timeout"),
        rule("malformed_response", response=None),
        rule("malformed_response", response={"batchItemFailures": [{"itemIdentifier": ""}]}),
        rule("crash", id="1a2b3c"),
    ],
)
def test_a_valid_rule_survives_the_way_through_the_parameter(raw: dict[str, Any]) -> None:
    (parsed,) = parse(document(raw))

    assert {name: getattr(parsed, name) for name in raw} == raw
    assert json.loads(dump([parsed])) == {"rules": [raw]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "rules: not JSON: "),
        ("[]", 'rules: the document is not of the form {"rules": [...]}'),
        ('{"rules": {}}', 'rules: the document is not of the form {"rules": [...]}'),
        ('{"rules": [], "more": 1}', 'rules: the document is not of the form {"rules": [...]}'),
        ('{"rules": ["crash"]}', "rules[0]: 'crash' is not an object"),
        (document({"function": "billing"}), "rules[0].mode: None is not one of exception, latency, "),
        (document(rule("boom")), "rules[0].mode: 'boom' is not one of exception, latency, "),
        (document(rule(["crash"])), "rules[0].mode: ['crash'] is not one of exception, latency, "),
        (document(rule("crash"), rule("boom")), "rules[1].mode: 'boom' is not one of "),
        (document({"mode": "crash"}), "rules[0].function: missing, mode crash needs it"),
        (document(rule("crash", function=" ")), "rules[0].function: ' ' is not the short name of a function"),
        (document(rule("crash", function=None)), "rules[0].function: None is not the short name of a function"),
        (document(rule("crash", when="order_id = 'o-1'")), "rules[0].when: \"order_id = 'o-1'\" is not a JMESPath"),
        (document(rule("crash", when=5)), "rules[0].when: 5 is not a JMESPath expression"),
        (document(rule("crash", when="")), "rules[0].when: '' is not a JMESPath expression"),
        (document(rule("crash", probability=1.5)), "rules[0].probability: 1.5 is not a number from 0 to 1"),
        (document(rule("crash", probability=True)), "rules[0].probability: True is not a number from 0 to 1"),
        (document(rule("crash", receive_count=0)), "rules[0].receive_count: 0 is not a whole number from 1"),
        (document(rule("crash", receive_count=1.5)), "rules[0].receive_count: 1.5 is not a whole number from 1"),
        (document(rule("crash", receive_count=True)), "rules[0].receive_count: True is not a whole number from 1"),
        (document(rule("crash", seconds=1)), "rules[0].seconds: not a field of mode crash, which has function, mode, "),
        (document(rule("latency")), "rules[0].seconds: missing, mode latency needs it"),
        (document(rule("latency", seconds=0)), "rules[0].seconds: 0 is not a number of seconds above 0 and up to 900"),
        (document(rule("latency", seconds="1")), "rules[0].seconds: '1' is not a number of seconds"),
        (document(rule("latency", seconds=901)), "rules[0].seconds: 901 is not a number of seconds"),
        (document(rule("exception", error="Not an error")), "rules[0].error: 'Not an error' is not the name of an"),
        (document(rule("exception", error=5)), "rules[0].error: 5 is not the name of an exception"),
        (document(rule("exception", message=5)), "rules[0].message: 5 is not a text"),
        (document(rule("dependency", error="throttling")), "rules[0].service: missing, mode dependency needs it"),
        (document(rule("dependency", service="sns")), "rules[0].error: missing, mode dependency needs it"),
        (
            document(rule("dependency", service="sns", error="ValueError")),
            "rules[0].error: 'ValueError' is not one of throttling, server_error, access_denied, timeout",
        ),
        (document(rule("dependency", service=1, error="timeout")), "rules[0].service: 1 is not a boto3 service name"),
        (
            document(rule("dependency", service="sns", operation="", error="timeout")),
            "rules[0].operation: '' is not an API operation",
        ),
        (document(rule("crash", at="middle")), 'rules[0].at: \'middle\' is not "start", "end" or a call such as'),
        (document(rule("crash", at="dynamodb.")), "rules[0].at: 'dynamodb.' is not "),
        (document(rule("crash", at=1)), "rules[0].at: 1 is not "),
        (document(rule("exception", at="end")), "rules[0].at: not a field of mode exception, which has "),
        (document(rule("malformed_response")), "rules[0].response: missing, mode malformed_response needs it"),
        (document(rule("crash", id="")), "rules[0].id: '' is not a text"),
    ],
)
def test_an_invalid_rule_is_refused_with_a_message_that_names_the_field(text: str, message: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        parse(text)

    assert str(refused.value).startswith(message)


def test_rules_that_a_standard_parameter_cannot_hold_are_refused() -> None:
    empty = len(dump([Rule("billing", "malformed_response", response="")]))
    largest = Rule("billing", "malformed_response", response="x" * (4096 - empty))
    assert len(dump([largest])) == 4096

    with pytest.raises(InvalidRule, match="rules: 4101 bytes, and a standard SSM parameter holds 4096"):
        dump([Rule("billing", "malformed_response", response="x" * (4096 - empty - 1) + "é")])


@pytest.mark.parametrize(
    ("when", "receive_count", "expected"),
    [
        (None, None, True),
        ("order_id == 'o-1'", None, True),
        ("order_id == 'o-2'", None, False),
        ("amount > `100`", None, True),
        ("contains(goods, 'physical')", None, True),
        ("contains(absent, 'physical')", None, False),
        ("absent", None, False),
        ("empty", None, False),
        ("zero", None, True),
        (None, 2, True),
        (None, 3, False),
        ("order_id == 'o-1'", 3, False),
        ("order_id == 'o-2'", 2, False),
    ],
)
def test_a_rule_matches_by_expression_and_receive_count(
    when: str | None, receive_count: int | None, expected: bool
) -> None:
    order = {"order_id": "o-1", "amount": 120, "goods": ["physical"], "empty": [], "zero": 0}

    assert matches(Rule("billing", "crash", when=when, receive_count=receive_count), order, 2) is expected


def test_a_receive_count_matches_nothing_that_has_none() -> None:
    assert not matches(Rule("billing", "crash", receive_count=1), {}, None)


# --- When the copy of the rules is read again ---


@dataclass
class Parameter:
    value: str = '{"rules": []}'
    error: Exception | None = None
    reads: int = 0
    now: float = 1000.0

    def fetch(self) -> str:
        self.reads += 1
        if self.error:
            raise self.error
        return self.value

    def clock(self) -> float:
        return self.now


def test_rules_are_read_again_only_when_the_copy_is_older_than_a_second() -> None:
    """Or up to a quarter younger, so that not all environments read at once."""
    parameter = Parameter()
    read = layer.cached(parameter.fetch, 1, parameter.clock)

    reads = []
    for now in (1000.0, 1000.0, 1000.74, 1001.0, 1001.5, 990.0):
        parameter.now = now
        read()
        reads.append(parameter.reads)

    assert reads == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("broken", "reported"),
    [
        (Parameter(error=ConnectionError("refused")), "ConnectionError: refused"),
        (Parameter(value='{"rules": [{"mode": "boom"}]}'), "InvalidRule: rules[0].mode: 'boom' is not one of"),
    ],
)
def test_a_parameter_that_cannot_be_obeyed_switches_faults_off_and_says_so(
    broken: Parameter, reported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = Parameter(value=document(rule("exception")))
    current = good
    read = layer.cached(lambda: current.fetch(), 1, lambda: current.clock())
    assert [each.mode for each in read()] == ["exception"]

    current = broken
    current.now = 1002.0

    assert read() == []
    (line,) = injected_lines(capsys, "fault rules ignored")
    assert line["level"] == "ERROR"
    assert line["error"].startswith(reported)


@pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException"])
def test_a_parameter_that_too_many_read_leaves_the_rules_in_force(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parameter Store gives 40 reads a second by default: https://docs.aws.amazon.com/general/latest/gr/ssm.html"""
    parameter = Parameter(value=document(rule("exception")))
    read = layer.cached(parameter.fetch, 1, parameter.clock)
    read()
    parameter.error = ClientError({"Error": {"Code": code, "Message": "Rate exceeded"}}, "GetParameter")
    parameter.now += 1

    assert [each.mode for each in read()] == ["exception"]
    assert [each.mode for each in read()] == ["exception"]
    assert parameter.reads == 2  # and it is not asked again at once
    (line,) = injected_lines(capsys, "fault rules kept")
    assert line["level"] == "WARNING"


def test_environments_that_started_together_do_not_read_together() -> None:
    again = set()
    for _ in range(20):
        parameter = Parameter()
        read = layer.cached(parameter.fetch, 5, parameter.clock)
        while parameter.reads < 2:
            read()
            parameter.now += 0.05
        again.add(parameter.now)

    assert len(again) > 1
    assert all(1003.7 < now < 1005.2 for now in again)


@pytest.mark.parametrize(("endpoint", "seconds"), [({}, 5), ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, 1)])
def test_on_aws_the_rules_are_read_less_often(
    endpoint: dict[str, str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(layer, "import_handler", lambda path: Work())
    monkeypatch.setattr(layer, "ssm_fetcher", lambda parameter: parameter)
    monkeypatch.setattr(layer, "cached", lambda fetch, ttl: given.append(ttl))
    names = {f"FAULT_INJECTION_{name}": "x" for name in ("HANDLER", "PARAMETER", "FUNCTION")}

    layer.load(names | endpoint)

    assert given == [seconds]


# --- What each mode does ---


@dataclass
class Context:
    aws_request_id: str = "request-1"
    remaining_ms: int = 3000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@dataclass
class Work:
    """A handler that remembers what it did."""

    done: list[Any] = field(default_factory=list)

    def __call__(self, event: Any, context: Any) -> Any:
        self.done.append(event)
        return {"ok": True}


def injected_lines(capsys: pytest.CaptureFixture[str], message: str = "fault injected") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["message"] == message]


@pytest.fixture
def no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that does not use Powertools' batch utility."""
    monkeypatch.delitem(sys.modules, "aws_lambda_powertools.utilities.batch")


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("fault_injection.layer.time.sleep", slept.append)
    return slept


def wrapped(handler: layer.Handler, *rules: dict[str, Any]) -> layer.Handler:
    return layer.wrap(handler, "billing", lambda: parse(document(*rules)))


def test_without_a_rule_for_the_function_nothing_happens(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()

    response = wrapped(work, rule("exception", function="shipping"))({"order_id": "o-1"}, Context())

    assert response == {"ok": True}
    assert work.done == [{"order_id": "o-1"}]
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("no_batch")
def test_exception_is_raised_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()

    with pytest.raises(layer.InjectedFault, match=r"^exception injected by the fault layer$"):
        wrapped(work, rule("exception", id="1a2b3c"))({}, Context())

    assert work.done == []
    (line,) = injected_lines(capsys)
    assert {name: line[name] for name in ("level", "rule_id", "mode", "function", "function_request_id")} == {
        "level": "WARNING",
        "rule_id": "1a2b3c",
        "mode": "exception",
        "function": "billing",
        "function_request_id": "request-1",
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("ConnectionError", ConnectionError),
        ("fault_injection.rules.InvalidRule", InvalidRule),
        ("StockError", layer.InjectedFault),
        ("not_loaded.StockError", layer.InjectedFault),
        ("SystemExit", layer.InjectedFault),
        ("print", layer.InjectedFault),
    ],
)
def test_exception_has_the_type_and_message_that_the_rule_names(error: str, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=r"^gone$") as raised:
        wrapped(Work(), rule("exception", error=error, message="gone"))({}, Context())

    assert type(raised.value).__name__ == error.rpartition(".")[2]


def test_fail_after_commit_raises_when_the_work_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()

    with pytest.raises(ValueError, match="fail_after_commit injected"):
        wrapped(work, rule("fail_after_commit", error="ValueError"))({}, Context())

    assert work.done == [{}]
    assert [line["mode"] for line in injected_lines(capsys)] == ["fail_after_commit"]


def test_latency_delays_the_work(sleeps: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    slept_before_work: list[list[float]] = []

    def handler(event: Any, context: Any) -> str:
        slept_before_work.append(list(sleeps))
        return "done"

    assert wrapped(handler, rule("latency", seconds=1.5))({}, Context()) == "done"

    assert slept_before_work == [[1.5]]
    (line,) = injected_lines(capsys)
    assert (line["mode"], line["seconds"]) == ("latency", 1.5)


def test_a_rule_at_the_end_acts_when_the_work_is_done(sleeps: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    slept_before_work: list[list[float]] = []

    def handler(event: Any, context: Any) -> str:
        slept_before_work.append(list(sleeps))
        return "done"

    assert wrapped(handler, rule("latency", seconds=1.5, at="end"))({}, Context()) == "done"

    assert (slept_before_work, sleeps) == ([[]], [1.5])
    assert [line["place"] for line in injected_lines(capsys)] == ["end"]


def test_timeout_sleeps_past_the_deadline_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class EnvironmentEnded(BaseException):
        pass

    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        raise EnvironmentEnded

    monkeypatch.setattr("fault_injection.layer.time.sleep", sleep)
    work = Work()

    with pytest.raises(EnvironmentEnded):
        wrapped(work, rule("timeout"))({}, Context(remaining_ms=2500))

    assert slept == [3.5]
    assert work.done == []
    assert [line["mode"] for line in injected_lines(capsys)] == ["timeout"]


def test_malformed_response_replaces_what_the_handler_answered(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()

    assert wrapped(work, rule("malformed_response", response=None))({}, Context()) is None

    assert work.done == [{}]
    assert [line["mode"] for line in injected_lines(capsys)] == ["malformed_response"]


def test_several_rules_act_in_their_order(sleeps: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(layer.InjectedFault):
        wrapped(Work(), rule("latency", seconds=1), rule("exception"), rule("latency", seconds=2))({}, Context())

    assert sleeps == [1]
    assert [line["mode"] for line in injected_lines(capsys)] == ["latency", "exception"]


@pytest.mark.parametrize(("drawn", "acts"), [(0.29, True), (0.3, False)])
def test_a_rule_acts_as_often_as_its_probability_says(
    monkeypatch: pytest.MonkeyPatch, drawn: float, acts: bool
) -> None:
    monkeypatch.setattr("fault_injection.layer.random.random", lambda: drawn)

    response = wrapped(Work(), rule("malformed_response", response="odd", probability=0.3))({}, Context())

    assert response == ("odd" if acts else {"ok": True})


# --- Which records it acts on ---


def sqs_event(*orders: Any, receive_counts: tuple[int, ...] = ()) -> dict[str, Any]:
    counts = receive_counts or (1,) * len(orders)
    return {
        "Records": [
            {
                "messageId": f"m-{order['order_id']}" if isinstance(order, dict) else "m-text",
                "body": json.dumps(order) if isinstance(order, dict) else order,
                "attributes": {"ApproximateReceiveCount": str(count)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for order, count in zip(orders, counts, strict=True)
        ]
    }


@dataclass
class Consumer:
    """A handler on Powertools' batch utility, which remembers the messages that it did."""

    done: list[str] = field(default_factory=list)

    def __call__(self, event: Any, context: Any) -> Any:
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event, self.process, processor, context)

    def process(self, record: SQSRecord) -> None:
        self.done.append(record.message_id)


@pytest.fixture(autouse=True)
def unhooked_powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the hook after each test, as nothing has to in a Lambda environment."""
    monkeypatch.setattr(BasePartialProcessor, "__call__", BasePartialProcessor.__call__)


ORDERS = [{"order_id": "o-1"}, {"order_id": "o-2"}, {"order_id": "o-3"}]


def failed(*orders: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"m-{order}"} for order in orders]}


def test_one_poison_record_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    consumer = Consumer()

    response = wrapped(consumer, rule("exception", when="order_id == 'o-2'"))(sqs_event(*ORDERS), Context())

    assert response == failed("o-2")
    assert consumer.done == ["m-o-1", "m-o-3"]
    (line,) = injected_lines(capsys)
    assert (line["mode"], line["message_id"]) == ("exception", "m-o-2")


def test_a_record_whose_work_is_done_can_fail_after_it() -> None:
    consumer = Consumer()

    response = wrapped(consumer, rule("fail_after_commit", when="order_id == 'o-2'"))(sqs_event(*ORDERS), Context())

    assert response == failed("o-2")
    assert consumer.done == ["m-o-1", "m-o-2", "m-o-3"]


def test_a_receive_count_selects_records() -> None:
    event = sqs_event(*ORDERS, receive_counts=(1, 2, 1))

    assert wrapped(Consumer(), rule("exception", receive_count=1))(event, Context()) == failed("o-1", "o-3")


def test_a_body_that_is_not_json_is_matched_as_text() -> None:
    event = sqs_event("hello", {"order_id": "o-1"})

    response = wrapped(Consumer(), rule("exception", when="@ == 'hello'"))(event, Context())

    assert response == {"batchItemFailures": [{"itemIdentifier": "m-text"}]}


@pytest.mark.parametrize(
    "noise",
    [
        {"body": "[" * 10_000},
        {"body": None},
        {"body": {}},
        {"attributes": {}},
        {"attributes": {"ApproximateReceiveCount": "many"}},
        {"eventSource": ["aws:sqs"]},
        {"body": json.dumps({"order_id": "\ud800"})},
    ],
    ids=lambda noise: json.dumps(noise)[:30],
)
@pytest.mark.parametrize("when", ["order_id == 'o-2'", "contains(to_string(@), 'o-2')"])
def test_nothing_in_a_message_makes_the_layer_itself_fail(noise: dict[str, Any], when: str) -> None:
    consumer, event = Consumer(), sqs_event(*ORDERS)
    event["Records"][0] |= noise

    response = wrapped(consumer, rule("exception", when=when))(event, Context())

    assert response == failed("o-2")
    assert consumer.done == ["m-o-1", "m-o-3"]


def test_an_expression_that_fails_on_a_payload_does_not_match() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    assert not matches(Rule("billing", "crash", when="contains(to_string(@), 'o-1')"), nested, None)


def test_without_when_and_receive_count_the_invocation_fails_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    consumer = Consumer()

    with pytest.raises(layer.InjectedFault):
        wrapped(consumer, rule("exception"))(sqs_event(*ORDERS), Context())

    assert consumer.done == []
    (line,) = injected_lines(capsys)
    assert "message_id" not in line


@pytest.mark.usefixtures("no_batch")
@pytest.mark.parametrize(("when", "fails"), [("order_id == 'o-2'", True), ("order_id == 'o-9'", False)])
def test_without_the_batch_utility_the_invocation_fails_if_any_record_matches(when: str, fails: bool) -> None:
    work = Work()
    handler = wrapped(work, rule("exception", when=when))

    if fails:
        with pytest.raises(layer.InjectedFault):
            handler(sqs_event(*ORDERS), Context())
    else:
        handler(sqs_event(*ORDERS), Context())

    assert len(work.done) == (0 if fails else 1)


def test_records_that_the_batch_utility_is_not_for_are_matched_before_the_invocation() -> None:
    """A function of S3 may have imported the utility all the same, with a module that it shares with others."""
    event = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "incoming/a.json"}}}]}

    with pytest.raises(layer.InjectedFault):
        wrapped(Work(), rule("exception", when="s3.object.key == 'incoming/a.json'"))(event, Context())
    assert wrapped(Work(), rule("exception", when="s3.object.key == 'b'"))(event, Context()) == {"ok": True}


def test_a_malformed_response_to_a_matching_record_is_the_answer_for_the_batch() -> None:
    consumer = Consumer()
    malformed = rule("malformed_response", when="order_id == 'o-2'", response={"batchItemFailures": "all"})

    assert wrapped(consumer, malformed)(sqs_event(*ORDERS), Context()) == {"batchItemFailures": "all"}

    assert consumer.done == ["m-o-1", "m-o-2", "m-o-3"]


def test_an_event_without_records_is_matched_itself() -> None:
    handler = wrapped(Work(), rule("malformed_response", when="orders[0].order_id == 'o-1'", response="odd"))

    assert handler({"orders": [{"order_id": "o-1"}]}, Context()) == "odd"
    assert handler({"orders": [{"order_id": "o-2"}]}, Context()) == {"ok": True}


def test_records_of_another_handler_in_the_same_environment_are_left_alone_after_the_invocation() -> None:
    wrapped(Consumer(), rule("exception", when="order_id == 'o-2'"))(sqs_event(*ORDERS), Context())

    assert Consumer()(sqs_event(*ORDERS), Context()) == {"batchItemFailures": []}


def test_wrapping_twice_puts_one_fault_around_a_record(sleeps: list[float]) -> None:
    slow = rule("latency", seconds=1, when="order_id == 'o-2'")
    wrapped(Consumer(), slow)

    wrapped(Consumer(), slow)(sqs_event(*ORDERS), Context())

    assert sleeps == [1]


def test_a_record_handler_that_takes_the_lambda_context_still_gets_it() -> None:
    contexts = []

    def handler(event: Any, context: Any) -> Any:
        def process(record: SQSRecord, lambda_context: Any) -> None:
            contexts.append(lambda_context)

        return process_partial_response(event, process, BatchProcessor(EventType.SQS), context)

    context = Context()
    wrapped(handler, rule("exception", when="order_id == 'o-1'"))(sqs_event(*ORDERS), context)

    assert contexts == [context, context]


def test_a_consumer_logs_and_classifies_an_injected_failure_as_any_other(
    handlers_layer: ModuleType, logged: handler_testing.LogLines
) -> None:
    def consume(event: Any, context: Any) -> Any:
        return handlers_layer.sqs.consume(event, context, parse=lambda body: body, act=lambda order: {})

    permanent = "handlers.outcomes.PermanentError"
    faults = [
        rule("exception", when="order_id == 'o-1'", error=permanent, message="no such customer"),
        rule("fail_after_commit", when="order_id == 'o-2'"),
    ]

    response = wrapped(consume, *faults)(sqs_event(*ORDERS), handler_testing.Context())

    assert response == failed("o-1", "o-2")
    assert [(line["order_id"], line["message"], line.get("error_class"), line.get("error")) for line in logged()] == [
        ("o-1", "failed", "permanent", "PermanentError: no such customer"),
        ("o-2", "processed", None, None),
        ("o-2", "failed", "transient", "InjectedFault: fail_after_commit injected by the fault layer"),
        ("o-3", "processed", None, None),
    ]


# --- Calls to AWS ---

# Nothing listens here: a call that no fault answers ends in EndpointConnectionError.
NOWHERE = "http://127.0.0.1:1"

CALLS: dict[str, Callable[[Any], Any]] = {
    "sns": lambda client: client.publish(TopicArn="arn:aws:sns:eu-central-1:000000000000:t", Message="m"),
    "sqs": lambda client: client.send_message(QueueUrl=f"{NOWHERE}/000000000000/q", MessageBody="m"),
    "dynamodb": lambda client: client.get_item(TableName="t", Key={"id": {"S": "1"}}),
    "s3": lambda client: client.get_object(Bucket="bucket", Key="key"),
    "lambda": lambda client: client.invoke(FunctionName="f"),
    "events": lambda client: client.put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}]),
}


@pytest.fixture
def faulty_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """botocore with the layer's handlers, removed afterwards; retries do not wait."""
    handlers = list(botocore.handlers.BUILTIN_HANDLERS)
    dependency.install()
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    yield
    botocore.handlers.BUILTIN_HANDLERS[:] = handlers


def aws_client(service: str, attempts: int = 3) -> Any:
    return botocore.session.Session().create_client(
        service,
        region_name="eu-central-1",
        endpoint_url=NOWHERE,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, connect_timeout=1),
    )


@pytest.mark.usefixtures("faulty_aws")
@pytest.mark.parametrize(
    ("service", "error", "code", "status", "attempts"),
    [
        ("sns", "throttling", "Throttling", 400, 3),
        ("sns", "server_error", "InternalFailure", 500, 3),
        ("sns", "access_denied", "AuthorizationError", 403, 1),
        ("sqs", "throttling", "ThrottlingException", 400, 3),
        ("sqs", "server_error", "InternalServerError", 500, 3),
        ("sqs", "access_denied", "AccessDenied", 403, 1),
        ("dynamodb", "throttling", "ThrottlingException", 400, 3),
        ("dynamodb", "server_error", "InternalServerError", 500, 3),
        ("dynamodb", "access_denied", "AccessDeniedException", 400, 1),
        ("s3", "throttling", "SlowDown", 503, 3),
        ("s3", "server_error", "InternalError", 500, 3),
        ("s3", "access_denied", "AccessDenied", 403, 1),
        ("lambda", "throttling", "TooManyRequestsException", 429, 3),
        ("lambda", "server_error", "ServiceException", 500, 3),
        ("lambda", "access_denied", "AccessDeniedException", 403, 1),
        ("events", "throttling", "ThrottlingException", 400, 3),
    ],
)
def test_a_dependency_fails_as_the_service_would_and_botocore_retries_it(
    service: str, error: str, code: str, status: int, attempts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def handler(event: Any, context: Any) -> None:
        CALLS[service](aws_client(service))

    with pytest.raises(ClientError) as raised:
        wrapped(handler, rule("dependency", service=service, error=error))({}, Context())

    answered: dict[str, Any] = {**raised.value.response["Error"]}
    answered.pop("Type", None)
    assert answered == {"Code": code, "Message": f"{error} injected by the fault layer"}
    metadata = raised.value.response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (status, attempts - 1)
    assert [(line["mode"], line["service"], line["error"]) for line in injected_lines(capsys)] == [
        ("dependency", service, error)
    ] * attempts


@pytest.mark.usefixtures("faulty_aws")
@pytest.mark.parametrize(
    ("service", "error", "modelled"),
    [
        ("lambda", "throttling", "TooManyRequestsException"),
        ("sns", "access_denied", "AuthorizationErrorException"),
        ("dynamodb", "server_error", "InternalServerError"),
    ],
)
def test_a_dependency_error_is_the_class_that_the_client_models(service: str, error: str, modelled: str) -> None:
    client = aws_client(service, attempts=1)

    with pytest.raises(getattr(client.exceptions, modelled)):
        wrapped(lambda event, context: CALLS[service](client), rule("dependency", service=service, error=error))(
            {}, Context()
        )


@pytest.mark.usefixtures("faulty_aws")
def test_a_dependency_that_times_out_is_retried_and_then_raises(capsys: pytest.CaptureFixture[str]) -> None:
    client = aws_client("sqs")

    with pytest.raises(ReadTimeoutError):
        wrapped(lambda event, context: CALLS["sqs"](client), rule("dependency", service="sqs", error="timeout"))(
            {}, Context()
        )

    assert len(injected_lines(capsys)) == 3


@pytest.mark.usefixtures("faulty_aws")
@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("sns", "Publish", ClientError),
        ("sns", "PublishBatch", EndpointConnectionError),
        ("sqs", None, EndpointConnectionError),
        ("sqs", "Publish", EndpointConnectionError),
    ],
)
def test_a_dependency_fault_fails_only_the_service_and_operation_that_it_names(
    service: str, operation: str | None, expected: type[Exception]
) -> None:
    client = aws_client("sns", attempts=1)
    parameters = {"service": service, "error": "throttling"} | ({"operation": operation} if operation else {})

    with pytest.raises(expected):
        wrapped(lambda event, context: CALLS["sns"](client), rule("dependency", **parameters))({}, Context())


@pytest.mark.usefixtures("faulty_aws")
@pytest.mark.parametrize(("at", "acts"), [("sns.Publish", 1), ("sns.PublishBatch", 0), ("sqs.Publish", 0)])
def test_a_rule_at_a_call_acts_once_before_that_call_however_often_it_is_tried(
    at: str, acts: int, sleeps: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    client = aws_client("sns", attempts=3)
    tries: list[list[float]] = []
    client.meta.events.register("before-send", lambda **_: tries.append(list(sleeps)))

    def handler(event: Any, context: Any) -> None:
        assert sleeps == []
        with pytest.raises(EndpointConnectionError):  # it is sent all the same
            CALLS["sns"](client)

    wrapped(handler, rule("latency", seconds=1.5, at=at))({}, Context())

    assert len(tries) == 3
    assert tries[0] == [1.5] * acts
    assert [line["place"] for line in injected_lines(capsys)] == [at] * acts


@pytest.mark.usefixtures("faulty_aws")
def test_a_dependency_fault_for_one_record_fails_the_calls_of_that_record_only() -> None:
    client = aws_client("sns", attempts=1)
    outcomes = {}

    def process(record: SQSRecord) -> None:
        try:
            CALLS["sns"](client)
        except Exception as error:
            outcomes[record.message_id] = type(error).__name__

    def handler(event: Any, context: Any) -> Any:
        return process_partial_response(event, process, BatchProcessor(EventType.SQS), context)

    fault = rule("dependency", service="sns", error="throttling", when="order_id == 'o-2'")
    wrapped(handler, fault)(sqs_event(*ORDERS), Context())

    assert outcomes == {
        "m-o-1": "EndpointConnectionError",
        "m-o-2": "ClientError",
        "m-o-3": "EndpointConnectionError",
    }


@pytest.mark.usefixtures("faulty_aws")
def test_calls_outside_an_invocation_do_not_fail() -> None:
    client = aws_client("sns", attempts=1)
    call = wrapped(lambda event, context: CALLS["sns"](client), rule("dependency", service="sns", error="throttling"))
    with pytest.raises(ClientError):
        call({}, Context())

    with pytest.raises(EndpointConnectionError):
        CALLS["sns"](client)


@pytest.mark.usefixtures("faulty_aws")
@pytest.mark.parametrize("protocol", ["query", "json", "rest-json", "rest-xml", "smithy-rpc-v2-cbor"])
def test_every_protocol_of_botocore_can_be_answered(protocol: str) -> None:
    headers, body = dependency._ENCODERS[protocol]("Code", "text")

    no_shape: Any = None
    parsed = create_parser(protocol).parse({"headers": headers, "body": body, "status_code": 400}, no_shape)

    assert (parsed["Error"]["Code"], parsed["Error"]["Message"]) == ("Code", "text")


# --- As the Lambda runtime starts it ---

APP = """
    import atexit
    import boto3
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

    atexit.register(print, "left in good order")
    ssm = boto3.client("ssm")

    def process(record):
        print("did", record.message_id)

    def handler(event, context):
        if event.get("read"):
            return ssm.get_parameter(Name="/fanout/faults")["Parameter"]["Name"]
        return process_partial_response(event, process, BatchProcessor(EventType.SQS), context)
"""

RUNTIME = """
    import json, sys
    from moto import mock_aws

    with mock_aws():
        import boto3
        # A session of its own: on Lambda the layer is imported before anything makes the default one.
        boto3.session.Session().client("ssm").put_parameter(Name="/fanout/faults", Type="String", Value=sys.argv[1])
        import fault_injection

        class Context:
            aws_request_id = "request-1"

        for event in json.loads(sys.argv[2]):
            print("response", json.dumps(fault_injection.handler(event, Context())))
"""


@dataclass
class Runtime:
    """A Python process with the layer on its path and `app.py` in its task folder, as Lambda starts one."""

    task: Path

    def run(
        self, rules: str, *events: Any, app: str = APP, handler: str = "app.handler"
    ) -> subprocess.CompletedProcess[str]:
        (self.task / "app.py").write_text(textwrap.dedent(app))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(self.task), str(LAYER)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "FAULT_INJECTION_HANDLER": handler,
            "FAULT_INJECTION_PARAMETER": "/fanout/faults",
            "FAULT_INJECTION_FUNCTION": "billing",
        }
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(RUNTIME), rules, json.dumps(events)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path)


def test_a_crash_ends_the_process_in_mid_batch_after_earlier_records_were_done(runtime: Runtime) -> None:
    result = runtime.run(document(rule("crash", when="order_id == 'o-2'")), sqs_event(*ORDERS))

    assert result.returncode == 1
    first, second = result.stdout.splitlines()
    assert first == "did m-o-1"
    assert {name: json.loads(second)[name] for name in ("message", "mode", "message_id")} == {
        "message": "fault injected",
        "mode": "crash",
        "message_id": "m-o-2",
    }


def test_a_crash_at_the_end_comes_after_the_work_and_before_the_report(runtime: Runtime) -> None:
    result = runtime.run(document(rule("crash", when="order_id == 'o-2'", at="end")), sqs_event(*ORDERS))

    assert result.returncode == 1
    *done, fault = result.stdout.splitlines()
    assert done == ["did m-o-1", "did m-o-2"]
    assert (json.loads(fault)["mode"], json.loads(fault)["message_id"]) == ("crash", "m-o-2")


def test_a_fault_in_the_parameters_service_does_not_stop_the_layer_from_reading_its_rules(runtime: Runtime) -> None:
    rules = document(rule("dependency", service="ssm", error="access_denied"))
    app = textwrap.dedent(APP) + textwrap.dedent("""
        import fault_injection.layer
        fault_injection.layer.FAULT_RULES_TTL_SECONDS = fault_injection.layer.FAULT_RULES_TTL_SECONDS_ON_AWS = 0
        real = handler

        def handler(event, context):
            try:
                return real(event, context)
            except ssm.exceptions.ClientError as error:
                return error.response["Error"]["Code"]
    """)
    result = runtime.run(rules, {"read": True}, {"read": True}, app=app)

    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("response")] == ['response "AccessDeniedException"'] * 2
    assert not [line for line in lines if "fault rules ignored" in line], result.stdout


@pytest.mark.parametrize(
    ("app", "handler", "error"),
    [
        ("import not_there", "app.handler", "ModuleNotFoundError: No module named 'not_there'"),
        ("", "app.handler", "ImportError: Handler 'handler' missing on module 'app'"),
        ("", "other.handler", "ModuleNotFoundError: No module named 'other'"),
        ("def handler(:", "app.handler", "SyntaxError: "),
    ],
)
def test_a_handler_that_cannot_be_imported_fails_when_the_layer_is_imported(
    runtime: Runtime, app: str, handler: str, error: str
) -> None:
    result = runtime.run(document(), app=app, handler=handler)

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(error)


def test_the_rules_can_be_imported_without_a_function_around_them() -> None:
    code = "import sys, fault_injection.rules; sys.exit('botocore' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(LAYER)}, check=True, timeout=60)


def test_with_a_fresh_copy_and_no_rule_the_layer_costs_far_less_than_three_milliseconds() -> None:
    invocations = 1000
    handler = layer.wrap(Work(), "billing", layer.cached(lambda: '{"rules": []}', 1))
    event, context = sqs_event(*ORDERS), Context()

    milliseconds = []
    for _ in range(invocations):
        started = time.perf_counter()
        handler(event, context)
        milliseconds.append((time.perf_counter() - started) * 1000)

    assert statistics.median(milliseconds) < 1
