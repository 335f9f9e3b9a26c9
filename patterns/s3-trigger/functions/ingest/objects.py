"""The uploaded objects: which one an event is about, what is in it, and where it goes if that is of no use."""

import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config

QUARANTINE_BUCKET = os.environ["QUARANTINE_BUCKET"]
# S3 takes 2 KB of a user's metadata: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
REASON_LENGTH = 1024
# What a queue and a table take in any case: a value that they refuse would be tried again in vain.
MAX_ID_LENGTH = 256
MAX_AMOUNT = 1e12

# All attempts together have to end before the function's time does: a timeout leaves no line that says why.
s3 = boto3.client("s3", config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3}))


class Unprocessable(Exception):
    """The object itself is wrong: no retry can help. The message says what is wrong with it."""


@dataclass(frozen=True)
class Upload:
    """One version of an object. `sequencer` is as in the event: hexadecimal digits, of no fixed length."""

    bucket: str
    key: str
    version_id: str
    sequencer: str


@dataclass(frozen=True)
class Stored:
    """An object's metadata, its size in bytes, and its content, which is not read yet."""

    metadata: dict[str, str]
    size: int
    body: Any


def parse(record: dict[str, Any]) -> Upload:
    """The version that a record of an S3 event is about.

    The key is URL-encoded there, with "+" for a space (S3-3):
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    described = record["s3"]["object"]
    return Upload(
        bucket=record["s3"]["bucket"]["name"],
        key=unquote_plus(described["key"]),
        version_id=described["versionId"],
        sequencer=described["sequencer"],
    )


def fetch(upload: Upload) -> Stored:
    """The very version that the event is about: by now there may be another."""
    answer = s3.get_object(Bucket=upload.bucket, Key=upload.key, VersionId=upload.version_id)
    return Stored(answer["Metadata"], answer["ContentLength"], answer["Body"])


def invoice(stored: Stored, max_bytes: int) -> dict[str, Any]:
    """`invoice_id` and `amount` of an object that is an invoice. Raises Unprocessable for one that is none."""
    if stored.size > max_bytes:
        stored.body.close()
        raise Unprocessable(f"{stored.size} bytes, and at most {max_bytes} are processed")
    if not stored.size:
        raise Unprocessable("empty")
    try:
        document = json.loads(stored.body.read())
    except (ValueError, RecursionError) as error:  # no JSON, not even text, or nested without end
        raise Unprocessable(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unprocessable(f"a JSON {type(document).__name__}, not an object")
    invoice_id, amount = document.get("invoice_id"), document.get("amount")
    if not isinstance(invoice_id, str) or not 0 < len(invoice_id) <= MAX_ID_LENGTH:
        raise Unprocessable(f"invoice_id is no text of 1 to {MAX_ID_LENGTH} characters")
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < MAX_AMOUNT:
        raise Unprocessable(f"amount is no number between 0 and {MAX_AMOUNT:.0e}")
    return {"invoice_id": invoice_id, "amount": amount}


def quarantine(upload: Upload, reason: str, correlation_id: str) -> None:
    """Copy the version to the quarantine, under the same key, with the reason and where it came from as metadata.

    Doing it again makes another version of the copy.
    """
    s3.copy_object(
        Bucket=QUARANTINE_BUCKET,
        Key=upload.key,
        CopySource={"Bucket": upload.bucket, "Key": upload.key, "VersionId": upload.version_id},
        MetadataDirective="REPLACE",
        Metadata={
            "correlation-id": correlation_id,
            "reason": reason.encode("ascii", "backslashreplace").decode()[:REASON_LENGTH],
            "source-version-id": upload.version_id,
        },
        TaggingDirective="REPLACE",  # tags are not copied: it would take two more permissions
    )
