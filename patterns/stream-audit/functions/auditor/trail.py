"""The audit trail: entries are added, never changed, and each carries the hash of the one before it.

The key of an entry is the order and the sequence number of the record that it came from: a record that comes again
finds its entry. `seq` is the entry's place in the order's chain. The chain's head, in a table of its own, is written in
the same transaction: without it nobody could tell that the last entry had been removed.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from change import Change
from handlers.outcomes import PermanentError, TransientError

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

AUDIT_TABLE = os.environ["AUDIT_TABLE"]
HEADS_TABLE = os.environ["HEADS_TABLE"]
NO_HEAD = {"seq": 0, "hash": "0" * 64, "latest": ""}
ATTEMPTS = 3

# The stream is what retries. A retry in here holds up the rest of the batch, and uses up its time.
dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2}))
serialize = TypeSerializer().serialize


def append(change: Change) -> dict[str, Any]:
    """Adds the change to its order's chain, unless it is there; returns `outcome` and `entry`, its place.

    `late` is true when the order has entries of later changes: this one was discarded, and recovered afterwards.
    Raises PermanentError when DynamoDB refuses the entry as it is (two images can be larger than one item may be), and
    TransientError for anything else that DynamoDB refuses.
    """
    try:
        for _ in range(ATTEMPTS):
            head = read_head(change.order_id)
            entry = linked(change, head)
            try:
                dynamodb.transact_write_items(TransactItems=writes(entry, head))
            except dynamodb.exceptions.TransactionCanceledException as error:
                of_entry, of_head = error.response["CancellationReasons"]
                if of_entry["Code"] == "ConditionalCheckFailed":
                    return already(change, of_entry["Item"])
                if of_head["Code"] != "ConditionalCheckFailed":
                    raise
                continue  # a replay has added to the same chain meanwhile
            return {"outcome": "audited", "entry": entry["seq"], "late": entry["late"]}
    except (BotoCoreError, ClientError) as error:
        refused = PermanentError if codes(error) & {"ValidationException", "ValidationError"} else TransientError
        raise refused(f"no entry for {change.order_id}: {error}") from error
    raise TransientError(f"the chain of {change.order_id} grew {ATTEMPTS} times while an entry was added to it")


def codes(error: BotoCoreError | ClientError) -> set[str]:
    """The error's code, and those of a transaction's items."""
    response = getattr(error, "response", {})
    return {each["Code"] for each in (response.get("Error"), *response.get("CancellationReasons", ())) if each}


def read_head(order_id: str) -> dict[str, Any]:
    """Of a chain: how many entries it has, the hash of the last, and the latest sequence number of all."""
    answer = dynamodb.get_item(TableName=HEADS_TABLE, Key={"order_id": {"S": order_id}}, ConsistentRead=True)
    if "Item" not in answer:
        return NO_HEAD
    item = answer["Item"]
    return {"seq": int(item["seq"]["N"]), "hash": item["hash"]["S"], "latest": item["latest"]["S"]}


def linked(change: Change, head: dict[str, Any]) -> dict[str, Any]:
    """The entry that comes after the head: text, whole numbers and booleans only."""
    entry = {
        "order_id": change.order_id,
        "sequence_number": change.sequence_number,
        "seq": head["seq"] + 1,
        "event_id": change.event_id,
        "event_name": change.event_name,
        "happened_at": change.happened_at,
        "audited_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "late": change.sequence_number < head["latest"],
        "previous": head["hash"],
        **change.signature,
        **change.images,
    }
    return entry | {"hash": digest(entry)}


def digest(entry: dict[str, Any]) -> str:
    """SHA-256 of the entry's attributes as JSON with sorted keys and no spaces. The verifier has its own."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def writes(entry: dict[str, Any], head: dict[str, Any]) -> "list[TransactWriteItemTypeDef]":
    """Entry and new head as items of a TransactWriteItems, which fails if either has been written meanwhile."""
    new_head = {
        "order_id": entry["order_id"],
        "seq": entry["seq"],
        "hash": entry["hash"],
        "latest": max(entry["sequence_number"], head["latest"]),
    }
    head_put: Any = {"TableName": HEADS_TABLE, "Item": serialized(new_head)}
    if head["seq"]:
        head_put |= {
            "ConditionExpression": "#hash = :hash",
            "ExpressionAttributeNames": {"#hash": "hash"},
            "ExpressionAttributeValues": {":hash": {"S": head["hash"]}},
        }
    else:
        head_put |= {"ConditionExpression": "attribute_not_exists(order_id)"}
    return [
        {
            "Put": {
                "TableName": AUDIT_TABLE,
                "Item": serialized(entry),
                "ConditionExpression": "attribute_not_exists(order_id)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        },
        {"Put": head_put},
    ]


def already(change: Change, entry: Any) -> dict[str, Any]:
    """The outcome for a record whose entry is there."""
    if entry["event_id"]["S"] != change.event_id:
        raise PermanentError(
            f"{change.order_id} has an entry of sequence number {change.sequence_number} from another event, "
            f"{entry['event_id']['S']}: is there more than one stream?"
        )
    return {"outcome": "already audited", "entry": int(entry["seq"]["N"]), "late": entry["late"]["BOOL"]}


def serialized(item: dict[str, Any]) -> dict[str, Any]:
    return {name: serialize(value) for name, value in item.items()}
