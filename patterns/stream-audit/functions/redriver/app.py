"""Redriver: brings discarded records back into the audit trail, as long as the stream still has them.

A message of the failure queue says where in the stream the discarded records are, not what they are (STR-4). They are
read there and handed to the auditor, which is the only one that writes entries, in events as Lambda makes them. The
message is deleted once all of its records are audited.
"""

import base64
import json
import os
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers.outcomes import logger

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_dynamodbstreams.type_defs import RecordTypeDef
    from mypy_boto3_sqs.type_defs import MessageTypeDef

AUDITOR = os.environ["AUDITOR"]
DISCARDED_QUEUE_URL = os.environ["DISCARDED_QUEUE_URL"]
# GetRecords can answer without records while there are some further on.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
MAX_READS = 100

sqs = boto3.client("sqs")
streams = boto3.client("dynamodbstreams")
# Longer than the auditor can run: a second call would find its entries, and only cost time.
functions = boto3.client("lambda", config=Config(read_timeout=120, retries={"total_max_attempts": 1}))


class NotReplayed(Exception):
    """Some of a message's records are not audited. The message stays in the queue."""


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Replays what the failure queue holds; returns `summary` and `problems`, one for each message that stays."""
    problems, replayed, messages = [], 0, 0
    for message in discarded():
        try:
            replayed += replay(json.loads(message["Body"])["DDBStreamBatchInfo"])
        except Exception as error:  # Whatever is wrong with one message, the others are replayed.
            logger.exception("not replayed", extra={"message_id": message["MessageId"]})
            problems.append(f"message {message['MessageId']} stays in the queue: {error}")
            continue
        sqs.delete_message(QueueUrl=DISCARDED_QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])
        messages += 1
    return {"summary": f"{replayed} records of {messages} discarded batches replayed", "problems": problems}


def discarded() -> "Iterator[MessageTypeDef]":
    """The queue's messages, each once: what is not deleted stays hidden for longer than the function runs."""
    # A second of waiting asks all of SQS's servers; without it some are asked, and a message can be missed.
    receive: Any = {"QueueUrl": DISCARDED_QUEUE_URL, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
    while messages := sqs.receive_message(**receive).get("Messages"):
        yield from messages


def replay(batch: dict[str, Any]) -> int:
    """Has the auditor audit each record of a discarded batch; returns how many. Raises NotReplayed."""
    records = read(batch)
    # One by one: a record that still fails must not keep those behind it out of the trail.
    refused = [reason for record in records if (reason := refusal(record))]
    if refused:
        raise NotReplayed(f"{len(refused)} of {len(records)} records failed again: {refused[0]}")
    return len(records)


def read(batch: dict[str, Any]) -> "list[RecordTypeDef]":
    """The records of a batch, from the stream. Raises NotReplayed when the stream no longer has them."""
    first, last = int(batch["startSequenceNumber"]), int(batch["endSequenceNumber"])
    where = f"sequence numbers {first} to {last} of {batch['shardId']}"
    try:
        iterator = streams.get_shard_iterator(
            StreamArn=batch["streamArn"],
            ShardId=batch["shardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=batch["startSequenceNumber"],
        )["ShardIterator"]
        records: list[RecordTypeDef] = []
        for _ in range(MAX_READS):
            answer = streams.get_records(ShardIterator=iterator)
            records += [record for record in answer["Records"] if number(record) <= last]
            iterator = answer.get("NextShardIterator")
            if not iterator or (records and number(records[-1]) == last):
                break
    except (streams.exceptions.TrimmedDataAccessException, streams.exceptions.ResourceNotFoundException) as error:
        raise NotReplayed(f"{where} are lost, the stream keeps records for 24 hours: {error}") from error
    if not records or number(records[0]) != first or number(records[-1]) != last:
        raise NotReplayed(f"{where} are not in the stream: it keeps records for 24 hours")
    return records


def number(record: "RecordTypeDef") -> int:
    return int(record["dynamodb"]["SequenceNumber"])


def refusal(record: "RecordTypeDef") -> str:
    """Why the auditor did not audit a record; empty if it did."""
    answer = functions.invoke(FunctionName=AUDITOR, Payload=json.dumps({"Records": [as_event(record)]}))
    payload = json.load(answer["Payload"])
    if "FunctionError" in answer:
        return f"the auditor failed: {payload.get('errorMessage', payload)}"
    failures = payload["batchItemFailures"]
    return f"the auditor reports {failures[0]['itemIdentifier']}, its log says why" if failures else ""


def as_event(record: "RecordTypeDef") -> dict[str, Any]:
    """A record of GetRecords as it looks in a Lambda event."""
    event: dict[str, Any] = json.loads(json.dumps(record, default=_as_lambda_does)) | {"eventSource": "aws:dynamodb"}
    if identity := record.get("userIdentity"):
        event["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    return event


def _as_lambda_does(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"a {type(value).__name__} in a stream record")
