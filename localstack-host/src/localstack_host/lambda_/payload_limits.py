"""Payloads that are too large are refused.

AWS: a request of more than 6 MB, or 1 MB for an asynchronous invocation, is refused with status 413
(https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html,
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). A response of more than 6 MB becomes the
function error Function.ResponseSizeTooLarge.

LocalStack: takes requests of any size, and leaves responses to the executor.

Here: the provider measures the request; the executor asks ``response_error``.

Evidence: documentation; response recording TestLambdaBaseFeatures::test_lambda_too_large_response; belief for the two
messages of refused requests (as quoted in public bug reports).
"""

import json
from io import BytesIO
from typing import IO, Any

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.api.lambda_ import InvocationType
from localstack.services.lambda_.provider import LambdaProvider

from localstack_host.patching import overrides

SYNCHRONOUS_BYTES = 6 * 2**20
ASYNCHRONOUS_BYTES = 2**20
# 100 bytes more than a request may have: the number in the recorded message.
RESPONSE_BYTES = SYNCHRONOUS_BYTES + 100


def request_error(size: int, invocation_type: str | None) -> str | None:
    """The message for a request of ``size`` bytes; None if it is not too large."""
    if size > SYNCHRONOUS_BYTES:
        return f"Request must be smaller than {SYNCHRONOUS_BYTES} bytes for the InvokeFunction operation"
    if invocation_type == InvocationType.Event and size > ASYNCHRONOUS_BYTES:
        return f"{size} byte payload is too large for the Event invocation type (limit {ASYNCHRONOUS_BYTES} bytes)"
    return None


def response_error(size: int) -> bytes | None:
    """The payload that takes the place of a response of ``size`` bytes; None if it is not too large."""
    if size <= RESPONSE_BYTES:
        return None
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."
    return json.dumps({"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}).encode()


class PayloadLimits(LambdaProvider):
    @overrides
    def invoke(
        self,
        context: RequestContext,
        function_name: str,
        invocation_type: str | None = None,
        payload: IO[bytes] | None = None,
        **kwargs: Any,
    ) -> Any:
        content = payload.read() if payload else None
        if content and (message := request_error(len(content), invocation_type)):
            raise CommonServiceException("RequestEntityTooLargeException", message, 413, sender_fault=True)
        return super().invoke(
            context,
            function_name,
            invocation_type=invocation_type,
            payload=None if content is None else BytesIO(content),
            **kwargs,
        )
