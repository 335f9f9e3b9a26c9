"""What a stream record says: which order changed from what to what, when, and who signed for it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.outcomes import MALFORMED, PermanentError

# A sequence number has 21 to 40 digits: padded, it sorts as text in the order in which an item changed.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
SEQUENCE_DIGITS = 40


@dataclass(frozen=True)
class Change:
    """`signature` is actor_type (declared, service or unknown) and, as far as known, actor and correlation_id.

    `images` is old_image and new_image, of which an insertion lacks the one and a deletion the other: DynamoDB's JSON
    as canonical text.
    """

    order_id: str
    sequence_number: str
    event_id: str
    event_name: str
    happened_at: str
    signature: dict[str, str]
    images: dict[str, str]


def parse(record: dict[str, Any]) -> Change:
    """Raises PermanentError on a record that is none of a DynamoDB stream with new and old images."""
    try:
        data = record["dynamodb"]
        old, new = data.get("OldImage"), data.get("NewImage")
        if not (old or new):
            raise ValueError("neither an old nor a new image: the stream has to have NEW_AND_OLD_IMAGES")
        return Change(
            order_id=data["Keys"]["order_id"]["S"],
            sequence_number=data["SequenceNumber"].zfill(SEQUENCE_DIGITS),
            event_id=record["eventID"],
            event_name=record["eventName"],
            happened_at=datetime.fromtimestamp(data["ApproximateCreationDateTime"], UTC).isoformat(),
            signature=signature(old, new, record.get("userIdentity")),
            images={name: canonical(image) for name, image in (("old_image", old), ("new_image", new)) if image},
        )
    except MALFORMED as error:
        raise PermanentError(f"malformed record: {type(error).__name__}: {error}") from error


def signature(
    old: dict[str, Any] | None, new: dict[str, Any] | None, identity: dict[str, Any] | None
) -> dict[str, str]:
    """Who made a change: DynamoDB itself, which Time to Live does (STR-6), or whoever signed the item.

    A signature that was there before is another change's: who updates an item past the writer leaves it as it was, and
    is not to be taken for the one who signed last.
    """
    if identity:
        return {"actor_type": "service", "actor": identity["principalId"]}
    signed: Any
    if new:
        signed = new if "change_id" in new and new["change_id"] != (old or {}).get("change_id") else None
    else:
        signed = old if old and "deleting" in old else None
    if not signed or "actor" not in signed:
        return {"actor_type": "unknown"}
    return {"actor_type": "declared"} | {
        name: signed[name]["S"] for name in ("actor", "correlation_id") if name in signed
    }


def canonical(image: dict[str, Any]) -> str:
    """An image as text that is the same for the same image: sets have no order, and attributes neither."""
    return json.dumps(_ordered(image), sort_keys=True, separators=(",", ":"))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: sorted(part) if name in ("SS", "NS", "BS") and isinstance(part, list) else _ordered(part)
            for name, part in value.items()
        }
    return [_ordered(part) for part in value] if isinstance(value, list) else value
