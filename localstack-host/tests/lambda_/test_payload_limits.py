"""What goes into an invocation and comes out of it: sizes, JSON and the client context."""

import base64
import json

import pytest
from botocore.exceptions import ClientError
from harness import Instance, wait_until

ECHO = "def handler(event, context): return event"


@pytest.mark.parametrize(
    ("invocation_type", "size", "message"),
    [
        (
            "RequestResponse",
            6 * 2**20 + 1,
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        (
            "Event",
            2**20 + 1,
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        ),
    ],
)
def test_a_request_that_is_too_large_is_refused(
    localstack: Instance, invocation_type: str, size: int, message: str
) -> None:
    function, payload = localstack.create_function(ECHO), b'"' + b"x" * (size - 2) + b'"'

    with pytest.raises(ClientError) as refused:
        localstack.client("lambda").invoke(FunctionName=function, InvocationType=invocation_type, Payload=payload)

    assert refused.value.response["Error"] == {"Code": "RequestEntityTooLargeException", "Message": message}
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_asynchronous_request_of_one_megabyte_arrives(localstack: Instance) -> None:
    function = localstack.create_function("def handler(event, context): print('length', len(event))")

    localstack.client("lambda").invoke(
        FunctionName=function, InvocationType="Event", Payload=b'"' + b"x" * (2**20 - 2) + b'"'
    )

    assert wait_until(lambda: localstack.messages(function, "length")) == [f"length {2**20 - 2}"]


def test_a_response_that_is_too_large_is_an_error_each_time(localstack: Instance) -> None:
    function = localstack.create_function("def handler(event, context): return 'x' * (event - 2)")
    most = 6 * 2**20 + 100

    assert len(localstack.invoke(function, most)[0]) == most - 2
    for _ in range(2):
        payload, error = localstack.invoke(function, most + 1)

        assert error == "Unhandled"
        assert payload == {
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }


def test_the_client_context_reaches_the_handler(localstack: Instance) -> None:
    source = """
def handler(event, context):
    given = context.client_context
    print("given", given is not None)
    return given and [given.custom, given.env, given.client.app_title]
"""
    function, client = localstack.create_function(source), localstack.client("lambda")
    content = {"custom": {"name": "é人"}, "env": {"fizz": "buzz"}, "client": {"app_title": "title"}}
    encoded = base64.b64encode(json.dumps(content).encode()).decode()

    response = client.invoke(FunctionName=function, ClientContext=encoded)

    assert json.loads(response["Payload"].read()) == [{"name": "é人"}, {"fizz": "buzz"}, "title"]
    assert localstack.invoke(function) == (None, None)
    client.invoke(FunctionName=function, ClientContext=encoded, InvocationType="Event")
    wait_until(lambda: len(localstack.messages(function, "given")) == 3)
    assert localstack.messages(function, '"given True"') == ["given True"]


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "Event", "DryRun"])
@pytest.mark.parametrize("payload", [b"{id: 1}", b"'text'", b'{"id": 1', b"[NaN]", b" ", b"\x87text"])
def test_a_payload_that_is_not_json_is_refused(localstack: Instance, invocation_type: str, payload: bytes) -> None:
    """A bad request, and not a function error: the function does not run.

    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (InvalidRequestContentException)
    """
    function = localstack.create_function(ECHO)

    with pytest.raises(ClientError) as refused:
        localstack.client("lambda").invoke(FunctionName=function, InvocationType=invocation_type, Payload=payload)

    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidRequestContentException"
    assert error["Message"].startswith("Could not parse request body into json: Could not parse payload into json: ")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("payload", [None, b"", b"{}"])
def test_no_payload_is_an_empty_object(localstack: Instance, payload: bytes | None) -> None:
    arguments = {} if payload is None else {"Payload": payload}

    response = localstack.client("lambda").invoke(FunctionName=localstack.create_function(ECHO), **arguments)

    assert json.loads(response["Payload"].read()) == {}
