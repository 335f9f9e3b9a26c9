"""Replayer: sends the events that ingest failed on to ingest once more, with all of its retries.

An operator invokes it, with {}, when the cause is fixed.
"""

import json
import os
import time
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handlers.outcomes import MALFORMED, logger

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_sqs.type_defs import MessageTypeDef

QUEUE_URL = os.environ["QUEUE_URL"]
FUNCTION_NAME = os.environ["FUNCTION_NAME"]
# Ends a replay that would not end in time. What is left is for the next.
RESERVE_MILLISECONDS = 10_000

sqs = boto3.client("sqs")
lambda_ = boto3.client("lambda")


def received() -> "list[MessageTypeDef]":
    """At most ten messages; none when the queue is empty."""
    answer = sqs.receive_message(
        QueueUrl=QUEUE_URL,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=1,  # asks every server of SQS, where a short poll asks some
        MessageSystemAttributeNames=["SentTimestamp"],
    )
    return answer.get("Messages", [])


def replay(message: "MessageTypeDef") -> int:
    """Send the event of one record to ingest; returns how many objects it is about.

    The message is deleted last: if that fails the event is replayed again, and ingest sees that it knows the version.
    Raises what a malformed record raises, and the services' errors; the message then stays in the queue.
    """
    record = json.loads(message["Body"])
    event, context = record["requestPayload"], record["requestContext"]
    keys = [each["s3"]["object"]["key"] for each in event["Records"]]
    lambda_.invoke(FunctionName=FUNCTION_NAME, InvocationType="Event", Payload=json.dumps(event))
    sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])
    logger.info(
        "replayed", extra={"keys": keys, "condition": context["condition"], "failed_request": context["requestId"]}
    )
    return len(keys)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Replay what is in the queue now. `problems` names the messages that could not be, which stay where they are."""
    began, objects, problems = time.time() * 1000, 0, []
    while context.get_remaining_time_in_millis() > RESERVE_MILLISECONDS:
        # What came in since is what failed again: replaying it now would go round in a circle.
        messages = [each for each in received() if int(each["Attributes"]["SentTimestamp"]) < began]
        if not messages:
            break
        for message in messages:
            try:
                objects += replay(message)
            except (*MALFORMED, BotoCoreError, ClientError) as error:
                logger.exception("not replayed", extra={"message_id": message["MessageId"]})
                problems.append(f"message {message['MessageId']} stays: {type(error).__name__}: {error}")
    return {"summary": f"{objects} {'object' if objects == 1 else 'objects'} replayed", "problems": problems}
