"""The pytest plugin behind the unit tests of functions, which need no target: moto answers in place of AWS.

    def test_an_order_gets_an_invoice(load):
        billing = load("billing", CURRENCY="EUR")

        billing.invoke(sqs_event({"order_id": "o-1", "amount": 10}))

        assert [line["message"] for line in billing.lines] == ["processed"]

`load` is a fixture, as is `aws`, for what a test does at AWS itself; events, tables and queues are made by functions.
"""

import importlib
import io
import json
import logging
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import boto3
import botocore.session
import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws

from lab import paths

LAYER = paths.LAYERS / "handlers/python"
REGION: Final = "eu-central-1"
MODELS = boto3.Session()._session.get_component("data_loader")  # what boto3 knows of services: read once for all tests


class Context(LambdaContext):
    """What Lambda passes beside the event, of an invocation that has `remaining_ms` left."""

    def __init__(self, remaining_ms: int = 60_000) -> None:
        self._function_name = "function"
        self._memory_limit_in_mb = 256
        self._invoked_function_arn = f"arn:aws:lambda:{REGION}:123456789012:function:function"
        self._aws_request_id = "request-1"
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]  # Powertools' is a static stand-in
        return self._remaining_ms


LogLines = Callable[[], list[dict[str, Any]]]


@contextmanager
def log_kept() -> Iterator[LogLines]:
    """Keeps what is logged in the block, and gives a function that returns the lines so far, oldest first.

    All loggers of one POWERTOOLS_SERVICE_NAME share a handler, wherever they are. As on Lambda, only UTF-8 can be
    written: a line that is not is lost.
    """
    logger, written = Logger(), io.BytesIO()
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    before, handler.stream = handler.stream, io.TextIOWrapper(written, encoding="utf-8", write_through=True)
    named = logging.getLogger(logger.name)
    named.propagate = False  # pytest would format each line, and its traceback, once more
    try:
        yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    finally:
        handler.stream, named.propagate = before, True


@dataclass
class LoadedFunction:
    """A function of a pattern: its module `app`, and by name all `modules` of its folder, `app` included.

    `lines` are the log lines of the last invocation, also if that raised.
    """

    app: Any
    modules: dict[str, Any]
    lines: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, event: dict[str, Any], context: LambdaContext | None = None) -> Any:
        with log_kept() as lines:
            try:
                return self.app.handler(event, context or Context())
            finally:
                self.lines = lines()


Load = Callable[..., LoadedFunction]
ImportAnew = Callable[[str, Path], ModuleType]


@pytest.fixture
def lambda_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variables that every function has, and none that the tests themselves may run with."""
    # Of the loggers of one service, the first says how all of them write.
    logging.root.manager.loggerDict.pop("function", None)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "POWERTOOLS_SERVICE_NAME": "function",
        "POWERTOOLS_METRICS_NAMESPACE": "pattern",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "BACKOFF_BASE_SECONDS", "REPORT_BATCH_ITEM_FAILURES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def aws(lambda_environment: None) -> Iterator[None]:
    """An account with nothing in it, and a session of boto3 that no other test used."""
    with mock_aws():
        session = botocore.session.get_session()
        session.register_component("data_loader", MODELS)
        known = list(MODELS.search_paths)
        boto3.setup_default_session(botocore_session=session)
        MODELS.search_paths[:] = known  # boto3 adds its own folder each time
        yield


@pytest.fixture
def import_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportAnew]:
    """Imports a module from a folder as it is when Lambda starts an environment: the folder comes first on the path,
    and nothing is there of what was imported from the layer, or from the folder of another function.
    """
    folders = {f"{LAYER}/"}

    def forget() -> None:
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(tuple(folders)):
                del sys.modules[name]

    def imported(module: str, folder: Path) -> ModuleType:
        folders.add(f"{folder}/")
        forget()
        with monkeypatch.context() as path:
            path.syspath_prepend(str(folder))
            return importlib.import_module(module)

    yield imported
    forget()


@pytest.fixture
def load(request: pytest.FixtureRequest, aws: None, import_anew: ImportAnew, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`load("billing", TABLE="orders")` loads a function of the test's pattern, with these environment variables.

    The variables stay set until the test ends.
    """

    def loaded(function: str, **environment: str) -> LoadedFunction:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        folder = request.path.parents[1] / "functions" / function
        app = import_anew("app", folder)
        names = [file.stem for file in folder.glob("*.py")]
        return LoadedFunction(app, {name: sys.modules[name] for name in names if name in sys.modules})

    return loaded


@pytest.fixture
def handlers_layer(lambda_environment: None, import_anew: ImportAnew) -> ModuleType:
    """The layer `handlers`: `handlers_layer.sqs`, `handlers_layer.outcomes` and so on, imported together."""
    package = import_anew("handlers", LAYER)
    for module in pkgutil.iter_modules(package.__path__, prefix="handlers."):
        importlib.import_module(module.name)
    return package


@pytest.fixture
def logged(handlers_layer: ModuleType) -> Iterator[LogLines]:
    """The lines that the test has logged so far, oldest first."""
    with log_kept() as lines:
        yield lines


def sqs_record(
    body: Any,
    message_id: str = "m-1",
    receive_count: int = 1,
    correlation_id: str = "",
    receipt_handle: str = "handle",
) -> dict[str, Any]:
    """A message as Lambda hands it to a function. A body that is no text becomes JSON; a correlation id, an attribute.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    attribute = {"correlation_id": {"stringValue": correlation_id, "dataType": "String"}}
    return {
        "messageId": message_id,
        "receiptHandle": receipt_handle,
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": str(receive_count)},
        "messageAttributes": attribute if correlation_id else {},
        "eventSource": "aws:sqs",
    }


def sqs_event(*bodies: Any, **fields: Any) -> dict[str, Any]:
    """An event of messages m-1, m-2 and so on, which have the other fields of `sqs_record` in common."""
    return {"Records": [sqs_record(body, f"m-{number}", **fields) for number, body in enumerate(bodies, start=1)]}


def stream_record(
    sequence_number: int, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A change of an order, from its old image to its new one (DynamoDB's JSON), as Lambda hands it to a function.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
    """
    images = {name: image for name, image in (("OldImage", old), ("NewImage", new)) if image}
    return {
        "eventID": f"e-{sequence_number}",
        "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": 1767225600,  # 2026-01-01T00:00:00Z
            "Keys": {"order_id": (new or old or {})["order_id"]},
            "SequenceNumber": str(sequence_number),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
        **more,
    }


def create_table(name: str, *keys: str) -> None:
    """An empty table. Its keys, a partition key and perhaps a sort key, are text."""
    schema: Any = [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)]
    boto3.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=schema,
    )


def items(table: str) -> list[dict[str, Any]]:
    """All items of a table."""
    return list(boto3.resource("dynamodb").Table(table).scan()["Items"])


def create_queue(name: str, **attributes: str) -> str:
    """The URL of a queue, which is created unless it is there."""
    named: Any = attributes
    return boto3.client("sqs").create_queue(QueueName=name, Attributes=named)["QueueUrl"]


def received(queue_url: str) -> list[dict[str, Any]]:
    """The messages of a queue, which is empty then."""
    sqs = boto3.client("sqs")
    messages: list[dict[str, Any]] = []
    while batch := sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages"):
        for message in batch:  # a FIFO queue holds the rest of the group back until then
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        messages += [{**message} for message in batch]
    return messages


def waiting(queue_url: str) -> int:
    """How many messages a queue holds, those included that somebody has received and not deleted."""
    attributes = boto3.client("sqs").get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    )["Attributes"]
    return sum(map(int, attributes.values()))
