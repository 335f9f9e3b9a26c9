"""The work items: one message for each version that is worth processing."""

import json
import os
from typing import Any

import boto3
from botocore.config import Config

from objects import Upload

QUEUE_URL = os.environ["QUEUE_URL"]

# Sent again because the answer is late, a work item is there twice.
sqs = boto3.client("sqs", config=Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2}))


def send(upload: Upload, content: dict[str, Any], correlation_id: str) -> None:
    """Put a work item on the queue: `key`, `version_id`, and the content that the worker needs."""
    sqs.send_message(
        QueueUrl=QUEUE_URL,
        # An amount has so few digits that it survives being a float.
        MessageBody=json.dumps({"key": upload.key, "version_id": upload.version_id, **content}, default=float),
        MessageAttributes={"correlation_id": {"DataType": "String", "StringValue": correlation_id}},
    )
