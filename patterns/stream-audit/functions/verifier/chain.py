"""What can be wrong with a chain of audit entries. It knows the format from its description, not from the auditor."""

import hashlib
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from handlers.outcomes import MALFORMED

FIRST = "0" * 64  # what stands for the hash of an entry before the first


def digest(entry: dict[str, Any]) -> str:
    """SHA-256 of all attributes but the hash itself, as JSON with sorted keys and no spaces."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def problems(
    order_id: str,
    entries: list[dict[str, Any]],
    head: dict[str, Any] | None,
    change_id: str | None,
    settled: bool = True,
) -> Iterator[str]:
    """Sentences, each of which begins with the order's id; none for a whole chain.

    First the chain: an entry that was changed, is missing, or was put in the place of another. In a whole chain then
    the history: a change that was never audited leaves a new image that is not the next change's old image, or, if it
    was the last, an order that bears another signature (`change_id`) than the last image. Of an order that is not
    `settled`, which has changed meanwhile, that last is not asked.
    """
    try:
        broken = (
            list(_of_the_chain(entries, head))
            or list(_of_the_history(entries))
            or (list(_of_the_end(entries, change_id)) if settled else [])
        )
    except MALFORMED as error:  # Whoever may write to the trail may write anything.
        broken = [f"an entry, or the head, is not as the auditor writes them: {type(error).__name__}: {error}"]
    yield from (f"{order_id}: {problem}" for problem in broken)


def _of_the_chain(entries: list[dict[str, Any]], head: dict[str, Any] | None) -> Iterator[str]:
    seq, previous = 0, FIRST
    for entry in sorted(entries, key=lambda entry: entry["seq"]):
        if entry["seq"] > seq + 1:
            yield f"{_range(seq + 1, entry['seq'] - 1)} missing"
        elif entry["seq"] <= seq:
            yield f"there is more than one entry {entry['seq']}"
        elif entry["previous"] != previous:
            yield f"entry {entry['seq']} does not continue entry {seq}: one of them is not the original"
        if entry["hash"] != digest(entry):
            yield f"entry {entry['seq']} (of {entry['happened_at']}) was changed: it does not match its hash"
        seq, previous = entry["seq"], entry["hash"]
    if head is None:
        if entries:
            yield "there is no head to say how many entries there were"
    elif head["seq"] > seq:
        yield f"{_range(seq + 1, head['seq'])} missing at the end"
    elif head["seq"] < seq:
        yield f"{_range(head['seq'] + 1, seq)} not added by the auditor"
    elif head["hash"] != previous:
        yield f"entry {seq}, the last, is not the original"


def _of_the_history(entries: list[dict[str, Any]]) -> Iterator[str]:
    history = sorted(entries, key=lambda entry: entry["sequence_number"])
    if history and "old_image" in history[0]:
        yield f"a change before entry {history[0]['seq']} was not audited"
    for before, after in pairwise(history):
        if before.get("new_image") != after.get("old_image"):
            yield f"a change between entries {before['seq']} and {after['seq']} was not audited"


def _of_the_end(entries: list[dict[str, Any]], change_id: str | None) -> Iterator[str]:
    latest = max(entries, key=lambda entry: entry["sequence_number"], default={})
    # Only text signs (`S`), in the order as in its image.
    if json.loads(latest.get("new_image", "{}")).get("change_id", {}).get("S") != change_id:
        yield "its last change is not audited: it was discarded or lost, or the auditor is behind"


def _range(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
