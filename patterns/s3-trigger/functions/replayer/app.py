"""Replayer: sends the events that ingest failed on to ingest once more, with all of its retries.

An operator invokes it, with {}, when the cause is fixed.
"""

import json
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import MALFORMED, at, logger
from handlers.replay import NotReplayed, replay

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_sqs.type_defs import MessageTypeDef

QUEUE_URL = os.environ["QUEUE_URL"]
FUNCTION_NAME = os.environ["FUNCTION_NAME"]

lambda_ = boto3.client("lambda")


def resend(message: "MessageTypeDef") -> int:
    """Send the event of one record to ingest; returns how many objects it is about.

    Should the message not be deleted after that, the event is replayed again, and ingest sees that it knows the
    version. Raises NotReplayed.
    """
    record = decoded(message["Body"])
    event = at(record, "requestPayload")
    objects = at(event, "Records")
    keys = [at(each, "s3", "object", "key") for each in objects] if isinstance(objects, list) else []
    if not keys or not all(isinstance(key, str) for key in keys):
        raise NotReplayed("it has no event of S3 about objects: look at it, and delete it")
    lambda_.invoke(FunctionName=FUNCTION_NAME, InvocationType="Event", Payload=json.dumps(event))
    context = {name: at(record, "requestContext", name) for name in ("condition", "requestId")}
    logger.info(
        "replayed", extra={"keys": keys, "condition": context["condition"], "failed_request": context["requestId"]}
    )
    return len(keys)


def decoded(body: str) -> Any:
    try:
        return json.loads(body)
    except MALFORMED as error:
        raise NotReplayed(f"it is no JSON, so no record of a failed event ({error}): delete it") from error


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Replay what is in the queue now; returns `summary` and `problems`, also those messages that could not be."""
    counts, problems = replay(QUEUE_URL, context, resend)
    objects = sum(counts)
    return {"summary": f"{objects} {'object' if objects == 1 else 'objects'} replayed", "problems": problems}
