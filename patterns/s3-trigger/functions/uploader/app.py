"""Uploader: puts objects into the bucket, each with the correlation id that it is traced by."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import logger

BUCKET = os.environ["BUCKET"]
CONNECTIONS = 10  # botocore keeps as many open by default

s3 = boto3.client("s3")


def content(item: dict[str, Any]) -> bytes:
    """The object's bytes: its `body`, text as it is and anything else as JSON, padded with spaces to `size` bytes."""
    body = item["body"]
    return (body if isinstance(body, str) else json.dumps(body)).encode().ljust(item.get("size", 0))


def upload(item: dict[str, Any], correlation_id: str | None) -> dict[str, str]:
    """Upload one object; returns its `key`, `version_id` and `correlation_id`."""
    correlation_id = correlation_id or str(uuid4())
    stored = s3.put_object(
        Bucket=BUCKET,
        Key=item["key"],
        Body=content(item),
        ContentType="application/json",
        Metadata={"correlation-id": correlation_id},
    )
    receipt = {"key": item["key"], "version_id": stored["VersionId"], "correlation_id": correlation_id}
    logger.info("uploaded", extra=receipt)
    return receipt


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Upload `event["objects"]`, each `{"key", "body", "size" (optional)}`, under `event["correlation_id"]` or each
    under an id of its own. An upload that fails raises; those before it stay, and uploading again makes a new version.
    """
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return {
            "published": list(pool.map(partial(upload, correlation_id=event.get("correlation_id")), event["objects"]))
        }
