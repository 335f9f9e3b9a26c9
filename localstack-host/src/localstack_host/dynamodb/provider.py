"""DynamoDB without Java, with writes that happen one after another and wholly or not at all.

AWS: a write of one item, its condition included, is atomic, and so is a transaction
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html). A request that is refused
with a ValidationException has written nothing. A stream that was disabled can be enabled again, as a new stream
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html).

LocalStack: starts DynamoDB Local, which needs Java. Its other implementation, moto, is for one thread: concurrent
updates lose each other's changes, an UpdateItem or a BatchWriteItem that fails half way leaves its first half, a
transaction copies whole tables, and a disabled stream stays disabled.

Here: moto, behind one lock, with the writes of ``tables``. Not as on AWS: requests never meet, so there are neither
conflicts between transactions nor throttling, and reads see every write. ExecuteTransaction is not all or nothing and
ignores its token.

Evidence: documentation.
"""

import threading
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.dynamodb import DynamodbApi, IdempotentParameterMismatchException
from localstack.services.moto import call_moto
from localstack.services.plugins import ServiceLifecycleHook
from moto.dynamodb.exceptions import StreamAlreadyEnabledException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models import table as moto_table

from localstack_host.dynamodb import time_to_live
from localstack_host.dynamodb.transaction_tokens import OtherParameters, Tokens
from localstack_host.patching import overrides, replace, uses

uses(moto_table.Table, "set_stream_specification", "stream_specification")

LOCK = threading.RLock()


class DynamodbProvider(DynamodbApi, ServiceLifecycleHook):
    """Everything that is not here is moto's (``one_at_a_time``)."""

    def __init__(self) -> None:
        self.tokens = Tokens()
        self.stopped = threading.Event()

    @overrides
    def on_after_init(self) -> None:
        arguments = (LOCK, self.stopped)
        threading.Thread(target=time_to_live.run, args=arguments, daemon=True, name="dynamodb-time-to-live").start()

    @overrides
    def on_before_stop(self) -> None:
        self.stopped.set()

    @overrides
    def transact_write_items(
        self, context: RequestContext, client_request_token: str | None = None, **kwargs: Any
    ) -> Any:
        request = {name: value for name, value in kwargs.items() if value is not None}
        use = (context.account_id, context.region, client_request_token or "", request)
        with LOCK:
            try:
                if client_request_token and self.tokens.is_repeat(*use):
                    return {}
            except OtherParameters:
                raise IdempotentParameterMismatchException(
                    "DynamoDB rejected the request because you retried a request with a different payload but "
                    "with an idempotent token that was already used."
                ) from None
            response = call_moto(context)
            if client_request_token:
                self.tokens.remember(*use)
            return response


def install() -> None:
    def update_table_streams(self: DynamoDBBackend, table: Any, specification: dict[str, Any]) -> None:
        if specification.get("StreamEnabled") and table.stream_specification.get("StreamEnabled"):
            raise StreamAlreadyEnabledException
        table.set_stream_specification(specification)

    # patch: moto refuses to enable a stream where there was one before.
    replace(DynamoDBBackend, "update_table_streams", update_table_streams)
