"""What a stream record says: which order changed from what to what, when, and who signed for it."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.outcomes import MALFORMED, PermanentError

# A sequence number has 21 to 40 digits: padded, it sorts as text in the order in which an item changed.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
SEQUENCE_DIGITS = 40
SEQUENCE_NUMBER = re.compile(f"[0-9]{{1,{SEQUENCE_DIGITS}}}")


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
        old, new = image(data, "OldImage"), image(data, "NewImage")
        if not (old or new):
            raise ValueError("neither an old nor a new image: the stream has to have NEW_AND_OLD_IMAGES")
        return Change(
            order_id=text(data["Keys"]["order_id"]["S"]),
            sequence_number=sequence_number(data["SequenceNumber"]),
            event_id=text(record["eventID"]),
            event_name=text(record["eventName"]),
            happened_at=datetime.fromtimestamp(data["ApproximateCreationDateTime"], UTC).isoformat(),
            signature=signature(old, new, record.get("userIdentity")),
            images={name: canonical(image) for name, image in (("old_image", old), ("new_image", new)) if image},
        )
    except (*MALFORMED, OSError) as error:  # OSError: a time that the platform has no date for
        raise PermanentError(f"malformed record: {type(error).__name__}: {error}") from error


def image(data: dict[str, Any], name: str) -> dict[str, Any] | None:
    found = data.get(name)
    if found is not None and not isinstance(found, dict):
        raise TypeError(f"{name} is a JSON {type(found).__name__}, not an object")
    return found


def text(value: Any) -> str:
    """Raises TypeError, or ValueError for what cannot be written in UTF-8: no attribute of DynamoDB could hold it."""
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__}, not text")
    value.encode()
    return value


def sequence_number(value: Any) -> str:
    if not SEQUENCE_NUMBER.fullmatch(value):
        raise ValueError(f"a sequence number has up to {SEQUENCE_DIGITS} digits")
    return str(value).zfill(SEQUENCE_DIGITS)


def signature(
    old: dict[str, Any] | None, new: dict[str, Any] | None, identity: dict[str, Any] | None
) -> dict[str, str]:
    """Who made a change: DynamoDB itself, which Time to Live does (STR-6), or whoever signed the item.

    A signature that was there before is another change's: who updates an item past the writer leaves it as it was, and
    is not to be taken for the one who signed last. A signature is text. Of what else there may be in its place, such as
    a number for an actor, the images tell; the change is audited as that of an unknown.
    """
    if identity:
        return {"actor_type": "service", "actor": text(identity["principalId"])}
    if new:
        signed = new if new.get("change_id") != (old or {}).get("change_id") else {}
    else:
        signed = old if old and "deleting" in old else {}
    signature = {name: signed[name] for name in ("change_id", "actor", "correlation_id") if name in signed}
    if not {"change_id", "actor"} <= signature.keys() or not all(map(is_text, signature.values())):
        return {"actor_type": "unknown"}
    return {"actor_type": "declared"} | {
        name: value["S"] for name, value in signature.items() if name in ("actor", "correlation_id")
    }


def is_text(value: Any) -> bool:
    """Whether an attribute, in DynamoDB's JSON, is text, and not empty."""
    return isinstance(value, dict) and isinstance(value.get("S"), str) and bool(value["S"])


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
