"""A payload that is not JSON is refused.

AWS: Invoke takes JSON, and answers InvalidRequestContentException, status 400, to anything else, whatever the
invocation type (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html). No payload is an empty object.

LocalStack: refuses what is not UTF-8, and sends the rest to the function, whose runtime then fails: a function error.

Here: the provider reads the payload first.

Evidence: documentation; recording TestLambdaErrors::test_lambda_invoke_payload_encoding_error for the error's form;
belief for the reason in the message, which is Python's.
"""

import json
from io import BytesIO
from typing import IO, Any, NoReturn

from localstack.aws.api import RequestContext
from localstack.aws.api.lambda_ import InvalidRequestContentException
from localstack.services.lambda_.provider import LambdaProvider

from localstack_host.patching import overrides

MESSAGE = "Could not parse request body into json: Could not parse payload into json: "


def parse_error(payload: bytes) -> str | None:
    """Why a payload is not JSON; None if it is, or is not UTF-8, which LocalStack refuses itself.

    >>> parse_error(b'{"id": 1}')
    >>> parse_error(b"{id: 1}")
    'Expecting property name enclosed in double quotes: line 1 column 2 (char 1)'
    >>> parse_error(b"[NaN]")
    "Non-standard token 'NaN'"
    """

    def refuse(token: str) -> NoReturn:
        raise ValueError(f"Non-standard token '{token}'")

    try:
        json.loads(payload.decode(), parse_constant=refuse)
    except UnicodeDecodeError:
        return None
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


class PayloadJson(LambdaProvider):
    @overrides
    def invoke(
        self,
        context: RequestContext,
        function_name: str,
        invocation_type: str | None = None,
        payload: IO[bytes] | None = None,
        **kwargs: Any,
    ) -> Any:
        content = payload.read() if payload else b""
        if content and (reason := parse_error(content)):
            raise InvalidRequestContentException(MESSAGE + reason, Type="User")
        return super().invoke(
            context,
            function_name,
            invocation_type=invocation_type,
            payload=BytesIO(content) if content else None,
            **kwargs,
        )
