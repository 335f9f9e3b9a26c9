"""Uploader: puts objects into the bucket, each with the correlation id that it is traced by."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handlers import orders
from handlers.outcomes import MALFORMED, PermanentError, at, log_failure, logger, named, shown

BUCKET = os.environ["BUCKET"]
CONNECTIONS = 10  # botocore keeps as many open by default
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024
MAX_SIZE = 16 * 1024 * 1024  # bytes: ten objects at once fit into the function's memory
MAX_CORRELATION_ID_LENGTH = 256  # ingest takes no longer one

# S3 calls the version so that is stored before versioning works, which may take 15 minutes:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
NO_VERSION_ID = "null"

s3 = boto3.client("s3")


class UploadError(Exception):
    """Some objects were not uploaded. Those that were are logged as "uploaded"."""


def content(item: dict[str, Any]) -> bytes:
    """The object's bytes: its `body`, text as it is and anything else as JSON, padded with spaces to `size` bytes."""
    body, size = item["body"], item.get("size", 0)
    if type(size) is not int or not 0 <= size <= MAX_SIZE:
        raise orders.refused(item, "size", f"a whole number from 0 to {MAX_SIZE}")
    return (body if isinstance(body, str) else json.dumps(body)).encode().ljust(size)


def upload(item: dict[str, Any], correlation_id: str) -> dict[str, str]:
    """Upload one object; returns its `key`, `version_id` and `correlation_id`. Raises PermanentError, or S3's."""
    try:
        key, body = orders.identifier(item, "key", MAX_KEY_BYTES), content(item)
    except MALFORMED as error:
        raise PermanentError(f"malformed object: {type(error).__name__}: {error}") from error
    stored = s3.put_object(
        Bucket=BUCKET,
        Key=key,
        Body=body,
        ContentType="application/json",
        Metadata={"correlation-id": correlation_id},
    )
    return {"key": key, "version_id": stored.get("VersionId", NO_VERSION_ID), "correlation_id": correlation_id}


def attempt(item: Any, correlation_id: str | None) -> dict[str, str] | str:
    """The receipt of an object that is uploaded, or a sentence that says which one is not, and why."""
    traced_by = correlation_id or str(uuid4())
    try:
        receipt = upload(item, traced_by)
    except (PermanentError, BotoCoreError, ClientError) as error:
        key = named(at(item, "key"))
        log_failure(error, {"key": key, "correlation_id": traced_by}, traceback=False)
        return f"{key} ({error})"
    logger.info("uploaded", extra=receipt)
    return receipt


def parse(event: Any) -> tuple[list[Any], str | None]:
    """The event's objects and correlation id. Raises PermanentError."""
    objects, correlation_id = at(event, "objects"), at(event, "correlation_id")
    if not isinstance(objects, list):
        raise PermanentError(f'objects is {shown(objects)}, and has to be an array: {{"objects": [{{...}}]}}')
    if correlation_id is not None:
        orders.identifier(event, "correlation_id", MAX_CORRELATION_ID_LENGTH)
        if not (correlation_id.isascii() and correlation_id.isprintable()) or " " in correlation_id:
            raise orders.refused(event, "correlation_id", "text that a header takes: ASCII without spaces")
    return objects, correlation_id


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Upload `event["objects"]`, each `{"key", "body", "size" (optional)}`, under `event["correlation_id"]` or each
    under an id of its own. Raises UploadError once all that can be uploaded are: uploading again makes a new version.
    """
    objects, correlation_id = parse(event)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        outcomes = list(pool.map(partial(attempt, correlation_id=correlation_id), objects))
    if failures := [outcome for outcome in outcomes if isinstance(outcome, str)]:
        more = f" and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise UploadError(
            f"{len(failures)} of {len(objects)} objects were not uploaded: {', '.join(failures[:3])}{more}"
        )
    return {"published": outcomes}
