"""The client context of an invocation reaches the handler.

AWS: Invoke takes up to 3,583 bytes of base64-encoded JSON about the calling client and passes them to the function in
the context object, for synchronous invocations only
(https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html); the runtime gets the JSON in the header
Lambda-Runtime-Client-Context (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).

LocalStack: keeps it with the invocation and leaves it out of what it gives to the executor.

Here: the executor is told before it invokes; one environment serves one invocation at a time.

Evidence: documentation; recording TestLambdaFeatures::test_lambda_with_context.
"""

import base64
import json
from typing import Any

from localstack.aws.api.lambda_ import InvocationType
from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment

from localstack_host.patching import replace


def header(client_context: str | None) -> str | None:
    """The value of Lambda-Runtime-Client-Context; None for one that is no base64-encoded JSON.

    >>> header("eyJjdXN0b20iOiB7ImEiOiAi5Lq6In19")
    '{"custom": {"a": "\\\\u4eba"}}'
    """
    if not client_context:
        return None
    try:
        return json.dumps(json.loads(base64.b64decode(client_context)))
    except ValueError:
        return None


def install() -> None:
    def telling(self: Any, invocation: Any) -> Any:
        synchronous = invocation.invocation_type == InvocationType.RequestResponse
        self.runtime_executor.client_context = header(invocation.client_context) if synchronous else None
        return invoke(self, invocation)

    # patch: the dictionary that an executor receives is built in here, without the client context.
    invoke = replace(ExecutionEnvironment, "invoke", telling)
