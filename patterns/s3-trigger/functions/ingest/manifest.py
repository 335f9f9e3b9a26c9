"""The manifest: for each key the newest version that is known, and what became of it.

`status` goes from received, when the version is noted, to queued or quarantined, when that is done, and the worker sets
it to processed. A newer version starts again at received.
"""

import os
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from objects import Upload

MANIFEST_TABLE = os.environ["MANIFEST_TABLE"]
RECEIVED = "received"
SUPERSEDED = "superseded"
# Longer than any sequencer, whose length AWS does not state; those seen have 16 to 18 digits.
SEQUENCER_DIGITS = 64

dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2}))


def comparable(sequencer: str) -> str:
    """A sequencer that compares as text the way AWS says that sequencers do: zeros on the right, to the same length.

    Of two events of one key, the one with the greater value is the later (S3-2). Across keys it says nothing.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return sequencer.upper().ljust(SEQUENCER_DIGITS, "0")


def claim(upload: Upload) -> str:
    """Note the version as received unless the manifest has it, or a newer one; returns its status.

    "received" is what is to be done, now or again: no attempt has got to the end of it. "superseded" means that a
    newer version is known.
    """
    try:
        dynamodb.put_item(
            TableName=MANIFEST_TABLE,
            Item={
                "key": {"S": upload.key},
                "version_id": {"S": upload.version_id},
                "sequencer": {"S": comparable(upload.sequencer)},
                "status": {"S": RECEIVED},
                "received_at": {"S": datetime.now(UTC).isoformat(timespec="milliseconds")},
            },
            ConditionExpression="attribute_not_exists(#key) OR #sequencer < :sequencer",
            ExpressionAttributeNames={"#key": "key", "#sequencer": "sequencer"},
            ExpressionAttributeValues={":sequencer": {"S": comparable(upload.sequencer)}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        response: Any = error.response  # boto3's types know no Item in it
        known = response["Item"]
        return str(known["status"]["S"]) if known["version_id"]["S"] == upload.version_id else SUPERSEDED
    return RECEIVED


def settle(upload: Upload, status: str, **fields: str) -> None:
    """Note what became of the version, unless the worker has been faster, or a newer version."""
    names = {"#status": "status"} | {f"#{name}": name for name in fields}
    values = {":status": status, ":received": RECEIVED, ":version": upload.version_id}
    values |= {f":{name}": value for name, value in fields.items()}
    try:
        dynamodb.update_item(
            TableName=MANIFEST_TABLE,
            Key={"key": {"S": upload.key}},
            UpdateExpression=f"SET {', '.join(f'#{name} = :{name}' for name in ('status', *fields))}",
            ConditionExpression="version_id = :version AND #status = :received",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return
