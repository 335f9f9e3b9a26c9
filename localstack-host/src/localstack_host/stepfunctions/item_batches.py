"""The items of a distributed Map in batches, and how many of them may fail, without LocalStack.

Sources: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html,
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html ("Failure threshold").
"""

import json
from collections.abc import Iterator
from typing import Any

MOST_BYTES = 262_144  # of the input of a child workflow execution
LIMITS = ("MaxItemsPerBatch", "MaxInputBytesPerBatch")

NO_LIMIT = "ItemBatcher needs MaxItemsPerBatch or MaxInputBytesPerBatch"
NOT_INLINE = "ItemBatcher is only for a Map state whose ProcessorConfig has the Mode DISTRIBUTED"
NO_COUNT = "{} must be a positive integer, not {}"
TOO_LARGE = f"MaxInputBytesPerBatch must be {MOST_BYTES} at most, not {{}}"


def batches(
    items: list[Any], given: Any = None, most_items: int | None = None, most_bytes: int | None = None
) -> list[dict[str, Any]]:
    """The inputs of the child workflow executions: as many items as fit each, in their order.

    ``given`` is BatchInput, and in each of them; None if there is none. An item that is larger than ``most_bytes`` is a
    batch of its own (belief).
    """
    around = {"Items": []} if given is None else {"BatchInput": given, "Items": []}
    room = min(most_bytes or MOST_BYTES, MOST_BYTES) - size(around)
    found: list[list[Any]] = []
    taken = 0
    for item in items:
        needed = size(item) + 1  # the comma; the first has none, so that one byte may stay free
        if not found or len(found[-1]) == (most_items or len(items)) or taken + needed > room + 1:
            found.append([])
            taken = 0
        found[-1].append(item)
        taken += needed
    return [{**around, "Items": batch} for batch in found]


def size(value: Any) -> int:
    """The bytes of a value in JSON without spaces."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def exceeded(failed: int, total: int, tolerated: int, percentage: float) -> bool:
    """Whether a Map Run fails: one failure is enough unless a number or a share (0 to 100) is tolerated.

    A threshold of 0 is none beside another (belief).
    """
    if not tolerated and not percentage:
        return failed > 0
    return bool(tolerated and failed > tolerated) or bool(percentage and failed * 100 > percentage * total)


def limit_problems(batcher: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the limits of an ItemBatcher, those that it has as numbers."""
    if not any(name in batcher or f"{name}Path" in batcher for name in LIMITS):
        yield NO_LIMIT
    for name in LIMITS:
        value = batcher.get(name, 1)
        if isinstance(value, str):
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield NO_COUNT.format(name, json.dumps(value))
        elif name == "MaxInputBytesPerBatch" and value > MOST_BYTES:
            yield TOO_LARGE.format(value)


def batcher_problems(state: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the ItemBatcher of a Map state, if it has one."""
    if "ItemBatcher" not in state:
        return
    processor = state.get("ItemProcessor") or state.get("Iterator") or {}
    if processor.get("ProcessorConfig", {}).get("Mode") != "DISTRIBUTED":
        yield NOT_INLINE
    yield from limit_problems(state["ItemBatcher"])
