"""Replayer: brings discarded records back into the audit trail, as long as the stream still has them.

A message of the on-failure destination says where in the stream discarded records are, not what they are (STR-4). They
are read there and handed to the auditor, which is the only one that writes entries, in events as Lambda makes them. The
message is deleted once all of its records are audited; otherwise it is there for the next run at once.
"""

import base64
import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from handlers.outcomes import MALFORMED, logger
from handlers.replay import NotReplayed, replay

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_dynamodbstreams.type_defs import RecordTypeDef
    from mypy_boto3_sqs.type_defs import MessageTypeDef

AUDITOR = os.environ["AUDITOR"]
DISCARDED_QUEUE_URL = os.environ["DISCARDED_QUEUE_URL"]
POSITION = ("streamArn", "shardId", "startSequenceNumber", "endSequenceNumber")
# GetRecords can answer without records while there are some further on.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
MAX_READS = 100

streams = boto3.client("dynamodbstreams")
# Longer than the auditor can run: a second call would find its entries, and only cost time.
functions = boto3.client("lambda", config=Config(read_timeout=120, retries={"total_max_attempts": 1}))


def audit_again(message: "MessageTypeDef") -> int:
    """Has the auditor audit each record of a discarded batch; returns how many. Raises NotReplayed."""
    records = read(discarded_batch(message["Body"]))
    # One by one: a record that still fails must not keep those behind it out of the trail.
    refused = [reason for record in records if (reason := refusal(record))]
    if refused:
        raise NotReplayed(f"{len(refused)} of {len(records)} records failed again: {refused[0]}")
    return len(records)


def discarded_batch(body: str) -> dict[str, str]:
    """Where the discarded records are (STR-4). Raises NotReplayed on a message that does not say it."""
    try:
        batch = json.loads(body)["DDBStreamBatchInfo"]
        position = {name: str(batch[name]) for name in POSITION}
    except MALFORMED as error:
        reason = f"{type(error).__name__}: {error}"
        raise NotReplayed(
            f"Lambda did not send it, it does not say what was discarded ({reason}): delete it"
        ) from error
    if not position["startSequenceNumber"].isdecimal() or not position["endSequenceNumber"].isdecimal():
        raise NotReplayed("Lambda did not send it, its sequence numbers are no numbers: delete it")
    return position


def read(batch: dict[str, str]) -> "list[RecordTypeDef]":
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


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Replays what the on-failure destination holds; returns `summary` and `problems`."""
    counts, problems = replay(DISCARDED_QUEUE_URL, context, audit_again)
    return {"summary": f"{sum(counts)} records of {len(counts)} discarded batches replayed", "problems": problems}
