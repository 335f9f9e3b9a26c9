"""DynamoDB deletes expired items, and says so in the stream.

AWS: an item whose Time to Live attribute is a number of epoch seconds in the past, of at most five years, is deleted
within a few days
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html). The stream
record of that deletion carries userIdentity with type Service and principalId dynamodb.amazonaws.com
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).

LocalStack: deletes expired items once an hour, and only if DYNAMODB_REMOVE_EXPIRED_ITEMS is set; moto never does.

Here: a thread deletes them within SCAN_SECONDS. What takes days on AWS takes seconds: code must not rely on either.

Evidence: documentation.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from localstack_host.dynamodb.streams import TIME_TO_LIVE, one_write
from localstack_host.patching import uses

uses(Table, "delete_item", "has_range_key", "items", "ttl")

SCAN_SECONDS = 2
OLDEST_SECONDS = 5 * 365 * 24 * 3600


def is_expired(attribute: Any, now: float) -> bool:
    """``attribute`` is moto's DynamoType, or None; ``now`` is in seconds since 1970."""
    if attribute is None or attribute.type != "N":
        return False
    return now - OLDEST_SECONDS <= float(attribute.value) < now


def tables() -> Iterator[Any]:
    for regions in list(dynamodb_backends.values()):
        for backend in list(regions.values()):
            yield from list(backend.tables.values())


def items(table: Any) -> Iterator[Any]:
    # moto's all_items sorts them, which takes long and is of no use here.
    for found in list(table.items.values()):
        yield from list(found.values()) if table.has_range_key else [found]


def delete_expired(now: float) -> None:
    for table in tables():
        if table.ttl.get("TimeToLiveStatus") != "ENABLED":
            continue
        for item in items(table):
            if is_expired(item.attrs.get(table.ttl["AttributeName"]), now):
                with one_write(by=TIME_TO_LIVE):
                    table.delete_item(item.hash_key, item.range_key)


def run(lock: Any, stopped: threading.Event) -> None:
    """Deletes until ``stopped``; ``lock`` protects the tables."""
    while not stopped.wait(SCAN_SECONDS):
        with lock:
            delete_expired(time.time())
