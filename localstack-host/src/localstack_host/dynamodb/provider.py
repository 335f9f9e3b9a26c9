"""DynamoDB without Java, with writes that happen one after another and wholly or not at all.

AWS: a write of one item, its condition included, is atomic, and so is a transaction
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html). A request that is refused
with a ValidationException has written nothing. A stream that was disabled can be enabled again, as a new stream
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html).

LocalStack: starts DynamoDB Local, which needs Java. Its other implementation, moto, is for one thread: concurrent
updates lose each other's changes, an UpdateItem or a BatchWriteItem that fails half way leaves its first half, a
transaction copies whole tables, and a disabled stream stays disabled.

Here: moto, behind one lock. What a failing write has already changed is put back, item by item. Not as on AWS:
requests never meet, so there are neither conflicts between transactions nor throttling, and reads see every write.
ExecuteTransaction is not all or nothing and ignores its token.

Evidence: documentation.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.dynamodb import DynamodbApi, IdempotentParameterMismatchException
from localstack.services.moto import call_moto
from localstack.services.plugins import ServiceLifecycleHook
from moto.dynamodb import models
from moto.dynamodb.exceptions import StreamAlreadyEnabledException
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models import table as moto_table

from localstack_host.dynamodb import time_to_live
from localstack_host.dynamodb.streams import one_write, writing
from localstack_host.dynamodb.transaction_tokens import OtherParameters, Tokens
from localstack_host.patching import overrides, replace, uses

uses(DynamoDBBackend, "get_table", "get_keys_value")
uses(moto_table.Table, "get_item", "set_stream_specification", "items", "stream_specification")

LOCK = threading.RLock()
Keys = Iterable[tuple[str, dict[str, Any]]]  # table name and key, or a whole item


@contextmanager
def whole(backend: DynamoDBBackend, keys: Keys, merged: bool = False) -> Iterator[None]:
    """If the block raises, the named items are as they were before, and the streams have no record of it.

    Names that do not exist and incomplete keys are left to moto to refuse.
    """
    before = []
    for name, key in keys:
        try:
            table = backend.get_table(name)
            hash_key, range_key = backend.get_keys_value(table, key)
        except Exception:  # moto raises many kinds, and again when it comes to this item
            continue
        before.append((table, hash_key, range_key, deepcopy(table.get_item(hash_key, range_key))))
    try:
        with one_write(merged):
            yield
    except Exception:
        for table, hash_key, range_key, item in before:
            of_hash_key: Any = table.items[hash_key] if range_key else table.items
            if item is None:
                of_hash_key.pop(range_key or hash_key, None)
            else:
                of_hash_key[range_key or hash_key] = item
        raise


def keys_of_transaction(transact_items: list[dict[str, Any]]) -> Keys:
    for action in transact_items:
        for operation in action.values():
            yield operation.get("TableName", ""), operation.get("Key") or operation.get("Item") or {}


def keys_of_batch(request_items: dict[str, Any]) -> Keys:
    for name, requests in request_items.items():
        for request in requests:
            put, delete = request.get("PutRequest") or {}, request.get("DeleteRequest") or {}
            yield name, put.get("Item") or delete.get("Key") or {}


class Table(moto_table.Table):
    def __deepcopy__(self, memo: dict[int, Any]) -> "Table":
        """moto copies the tables of a transaction to put them back; ``whole`` does that, item by item."""
        if writing():
            return self
        copied = object.__new__(type(self))
        memo[id(self)] = copied
        vars(copied).update(deepcopy(vars(self), memo))
        return copied


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

    @overrides
    def batch_write_item(self, context: RequestContext, **kwargs: Any) -> Any:
        backend = dynamodb_backends[context.account_id][context.region]
        # Binary values are in Base64 there, as moto has them, and not in the arguments.
        request_items = context.request.get_json(force=True)["RequestItems"]
        with LOCK, whole(backend, keys_of_batch(request_items)):
            return call_moto(context)


def install() -> None:
    def update_item(self: DynamoDBBackend, table_name: str, key: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        with whole(self, [(table_name, key)], merged=True):
            return updated(self, table_name, key, *args, **kwargs)

    def transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        with whole(self, keys_of_transaction(transact_items)):
            transacted(self, transact_items)

    def update_table_streams(self: DynamoDBBackend, table: Any, specification: dict[str, Any]) -> None:
        if specification.get("StreamEnabled") and table.stream_specification.get("StreamEnabled"):
            raise StreamAlreadyEnabledException
        table.set_stream_specification(specification)

    # patch: moto's backend makes its tables from the name in its module.
    replace(models, "Table", Table)
    # patch: moto changes items in these, out of reach of a provider, which would see a transaction as a whole only.
    updated = replace(DynamoDBBackend, "update_item", update_item)
    transacted = replace(DynamoDBBackend, "transact_write_items", transact_write_items)
    # patch: moto refuses to enable a stream where there was one before.
    replace(DynamoDBBackend, "update_table_streams", update_table_streams)
