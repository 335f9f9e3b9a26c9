"""Faults at calls to AWS: answers made inside botocore, with what the service itself would have sent.

botocore lets a `before-send` handler answer an attempt at a call in place of the network
(https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html). The answer is an HTTP response in
the service's own protocol, so that botocore's parsing, error classes and retries act as they do on the real thing.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import botocore.handlers
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from botocore.utils import EVENT_ALIASES
from urllib3.response import HTTPResponse

from fault_injection.rules import Rule

# Code and HTTP status by protocol and error.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_ERRORS = {
    "query": {
        "throttling": ("Throttling", 400),
        "server_error": ("InternalFailure", 500),
        "access_denied": ("AccessDenied", 403),
    },
    "json": {
        "throttling": ("ThrottlingException", 400),
        "server_error": ("InternalServerError", 500),
        "access_denied": ("AccessDeniedException", 400),
    },
    "rest-json": {
        "throttling": ("TooManyRequestsException", 429),
        "server_error": ("ServiceException", 500),
        "access_denied": ("AccessDeniedException", 403),
    },
    "rest-xml": {
        "throttling": ("SlowDown", 503),
        "server_error": ("InternalError", 500),
        "access_denied": ("AccessDenied", 403),
    },
}
# Where a service differs from its protocol's custom.
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
_SERVICE_ERRORS = {
    ("sns", "access_denied"): ("AuthorizationError", 403),
    ("sqs", "access_denied"): ("AccessDenied", 403),
}

Report = Callable[[Rule, dict[str, Any]], None]
Act = Callable[[Rule], None]

# One environment handles one invocation at a time, and a handler may call AWS from threads of its own:
# a module global is seen by them, a context variable would not be.
_active: list[tuple[Rule, Report, Act]] = []
_protocols: dict[str, str] = {}


def install() -> None:
    """Has every botocore session that is created from now on ask the active rules. Safe to call again."""
    # First, because the first answer to before-send counts.
    for spec in (("before-call", _before_call), ("before-send", _answer, botocore.handlers.REGISTER_FIRST)):
        if spec not in botocore.handlers.BUILTIN_HANDLERS:
            botocore.handlers.BUILTIN_HANDLERS.append(spec)


@contextmanager
def failing(rules: list[Rule], report: Report, act: Act) -> Iterator[None]:
    """Lets the rules, each of which has a `call`, act on AWS calls inside the block.

    A dependency rule answers each attempt at the call, and `report(rule, fields)` is told; of any other mode
    `act(rule)` is what happens before the call, once, however often botocore tries.
    """
    before = list(_active)
    _active.extend((rule, report, act) for rule in rules)
    try:
        yield
    finally:
        _active[:] = before


def _before_call(model: Any, event_name: str, **_: Any) -> None:
    # before-send does not say which protocol the service speaks, and comes after before-call.
    _protocols[model.service_model.service_id.hyphenize()] = model.service_model.resolved_protocol
    for rule, _report, act in _at_call(event_name):
        if rule.mode != "dependency":
            act(rule)


def _answer(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
    _event, service, operation = event_name.split(".")
    for rule, report, _act in _at_call(event_name):
        if rule.mode == "dependency":
            report(rule, {"service": rule.service, "operation": operation, "error": rule.error})
            if rule.error == "timeout":
                raise ReadTimeoutError(endpoint_url=request.url)
            return _response(request.url, service, str(rule.error))
    return None


def _at_call(event_name: str) -> list[tuple[Rule, Report, Act]]:
    """The active rules for the call of an event, such as "before-send.sns.Publish"."""
    _event, service, operation = event_name.split(".")
    return [
        (rule, report, act)
        for rule, report, act in _active
        if rule.call and EVENT_ALIASES.get(rule.call[0], rule.call[0]) == service and rule.call[1] in (None, operation)
    ]


def _response(url: str, service: str, error: str) -> AWSResponse:
    protocol = _protocols[service]
    # Of the protocols that AWS SDKs know (https://smithy.io/2.0/aws/protocols/index.html) only these occur in
    # the lab; botocore passes this exception on to the caller.
    if protocol not in _ERRORS and protocol != "smithy-rpc-v2-cbor":
        raise NotImplementedError(f"dependency fault: {service} speaks {protocol}, which is not supported")
    by_protocol = _ERRORS.get(protocol, _ERRORS["json"])
    code, status = _SERVICE_ERRORS.get((service, error), by_protocol[error])
    message = f"{error} injected by the fault layer"
    headers: Any  # AWSResponse takes any mapping, though its types want what http.client makes
    headers, body = _ENCODERS[protocol](code, message)
    raw = HTTPResponse(body=BytesIO(body), status=status, headers=headers, preload_content=False)
    return AWSResponse(url, status, headers, raw)


def _query(code: str, message: str) -> tuple[dict[str, str], bytes]:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return {"content-type": "text/xml"}, body.encode()


def _rest_xml(code: str, message: str) -> tuple[dict[str, str], bytes]:
    return {
        "content-type": "application/xml"
    }, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def _json(code: str, message: str) -> tuple[dict[str, str], bytes]:
    return {"content-type": "application/x-amz-json-1.0"}, json.dumps({"__type": code, "message": message}).encode()


def _rest_json(code: str, message: str) -> tuple[dict[str, str], bytes]:
    headers = {"content-type": "application/json", "x-amzn-errortype": code}
    return headers, json.dumps({"message": message}).encode()


def _cbor(code: str, message: str) -> tuple[dict[str, str], bytes]:
    # A map of two texts, each of fewer than 256 bytes: RFC 8949, major types 5 and 3.
    texts = b"".join(b"\x78" + bytes([len(text)]) + text.encode() for text in ("__type", code, "message", message))
    return {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, b"\xa2" + texts


_ENCODERS: dict[str, Callable[[str, str], tuple[dict[str, str], bytes]]] = {
    "query": _query,
    "rest-xml": _rest_xml,
    "json": _json,
    "rest-json": _rest_json,
    "smithy-rpc-v2-cbor": _cbor,
}
