"""The uploaded objects: which one an event is about, what is in it, and where it goes if that is of no use."""

import json
import os
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from handlers import orders
from handlers.outcomes import MALFORMED, PermanentError, at, named

QUARANTINE_BUCKET = os.environ["QUARANTINE_BUCKET"]
# S3 takes 2 KB of a user's metadata: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
REASON_LENGTH = 1024
# Leaves room for the reason. Other characters than these S3 sends back encoded, and takes in no header.
CORRELATION_ID = re.compile(r"[!-~]{1,256}")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile("[a-z0-9.-]{3,63}")
# By this name S3 hands out an object that was stored while versioning was not in force, as up to 15 minutes after it
# was enabled: https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
NO_VERSION_ID = "null"
UNVERSIONED = "no version id: versioning was not in force when it was uploaded. Upload it again"
SEQUENCER = re.compile("[0-9A-Fa-f]{1,64}")
# What S3 answers when this version can never be read, whoever asks again: what that means, and what helps.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
UNREADABLE = {
    "InvalidObjectState": "archived: restore it, and copy it onto itself",
    "InvalidRequest": "encrypted with a key that the uploader keeps (SSE-C): upload it without",
    "MethodNotAllowed": "a delete marker",
    "NoSuchKey": "deleted for good",
    "NoSuchVersion": "deleted for good",
}

# All attempts together have to end before the function's time does: a timeout leaves no line that says why.
s3 = boto3.client("s3", config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3}))


class Unprocessable(Exception):
    """The object itself is wrong: no retry can help. The message says what is wrong with it."""


class UnknownEvent(PermanentError):
    """An event is not about a version of an object: ingest can do nothing with it, now or later."""


@dataclass(frozen=True)
class Upload:
    """One version of an object. `sequencer` is as in the event: hexadecimal digits, of no fixed length."""

    bucket: str
    key: str
    version_id: str
    sequencer: str


@dataclass(frozen=True)
class Stored:
    """An object's metadata, its size in bytes, and its content, which is not read yet.

    Of an object that S3 will never hand out, `unreadable` says why, and there is no content.
    """

    metadata: dict[str, str]
    size: int = 0
    body: Any = None
    unreadable: str = ""


def parse(record: Any) -> Upload:
    """The version that a record of an S3 event is about. Raises UnknownEvent.

    The key is URL-encoded there, with "+" for a space (S3-3):
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    try:
        bucket, described = record["s3"]["bucket"]["name"], record["s3"]["object"]
        if not BUCKET.fullmatch(bucket):
            raise ValueError("the bucket's name can be none")
        if not SEQUENCER.fullmatch(described["sequencer"]):
            raise ValueError("sequencer is no hexadecimal number")
        return Upload(
            bucket=bucket,
            key=orders.identifier({"key": unquote_plus(described["key"])}, "key", MAX_KEY_BYTES),
            version_id=NO_VERSION_ID
            if described.get("versionId") is None
            else orders.identifier(described, "versionId", MAX_KEY_BYTES),
            sequencer=described["sequencer"],
        )
    except PermanentError as error:
        raise UnknownEvent(f"no event of S3 about an object: {error}") from error
    except MALFORMED as error:
        raise UnknownEvent(f"no event of S3 about an object: {type(error).__name__}: {error}") from error


def described(record: Any) -> dict[str, Any]:
    """What log lines say of any record: `key`, `version_id` and `correlation_id`, as far as they are known."""
    key, version_id = at(record, "s3", "object", "key"), at(record, "s3", "object", "versionId")
    return {
        "key": named(unquote_plus(key) if isinstance(key, str) else key),
        "version_id": named(version_id),
        "correlation_id": named(version_id),
    }


def fetch(upload: Upload) -> Stored:
    """The very version that the event is about: by now there may be another."""
    try:
        answer = s3.get_object(Bucket=upload.bucket, Key=upload.key, VersionId=upload.version_id)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in UNREADABLE:
            raise
        return Stored(metadata(upload), unreadable=f"{UNREADABLE[code]} ({error.response['Error']['Message']})")
    return Stored(answer["Metadata"], answer["ContentLength"], answer["Body"])


def correlation_id(upload: Upload, metadata: dict[str, str]) -> str:
    """The id by which an object is traced. What was not uploaded by the uploader has none: its version is one."""
    declared = metadata.get("correlation-id", "")
    return declared if CORRELATION_ID.fullmatch(declared) else upload.version_id


def metadata(upload: Upload) -> dict[str, str]:
    """The metadata of an object that cannot be read, if S3 tells them: those of an archived one, for example."""
    try:
        found = s3.head_object(Bucket=upload.bucket, Key=upload.key, VersionId=upload.version_id)["Metadata"]
    except (BotoCoreError, ClientError):
        return {}
    return dict(found)


def invoice(upload: Upload, stored: Stored, max_bytes: int) -> dict[str, Any]:
    """`invoice_id` and `amount` of an object that is an invoice. Raises Unprocessable for one that is none.

    Also for one without a version: the worker, or a retry, might get another's content.
    """
    if upload.version_id == NO_VERSION_ID:
        raise Unprocessable(UNVERSIONED)
    if stored.unreadable:
        raise Unprocessable(stored.unreadable)
    if stored.size > max_bytes:
        stored.body.close()
        raise Unprocessable(f"{stored.size} bytes, and at most {max_bytes} are processed")
    if not stored.size:
        raise Unprocessable("empty")
    content = stored.body.read()
    try:
        document = json.loads(content, parse_float=Decimal)
    except MALFORMED as error:  # no JSON, not even text, or nested without end
        raise Unprocessable(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unprocessable(f"a JSON {type(document).__name__}, not an object")
    try:
        return {"invoice_id": orders.identifier(document, "invoice_id"), "amount": orders.amount(document)}
    except PermanentError as error:
        raise Unprocessable(str(error)) from error


def quarantine(upload: Upload, stored: Stored, reason: str, correlation_id: str) -> None:
    """Copy the version to the quarantine, under the same key, with the reason and where it came from as metadata.

    Of what cannot be read there is an empty object, with the same metadata. Doing it again makes another version.
    """
    metadata = {
        "correlation-id": correlation_id,
        "reason": reason.encode("ascii", "backslashreplace").decode()[:REASON_LENGTH],
        "source-version-id": upload.version_id,
    }
    if stored.unreadable:
        s3.put_object(Bucket=QUARANTINE_BUCKET, Key=upload.key, Metadata=metadata)
        return
    s3.copy_object(
        Bucket=QUARANTINE_BUCKET,
        Key=upload.key,
        CopySource={"Bucket": upload.bucket, "Key": upload.key, "VersionId": upload.version_id},
        MetadataDirective="REPLACE",
        Metadata=metadata,
        TaggingDirective="REPLACE",  # tags are not copied: it would take two more permissions
    )
