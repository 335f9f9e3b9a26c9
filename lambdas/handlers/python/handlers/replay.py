"""An operator's function that replays what waits in an on-failure destination brings what to do with a message:

    def handler(event, context):
        counts, problems = replay(QUEUE_URL, context, resend)

What every such function does is here: take each message that is in the queue now, once, delete it when it is replayed,
and put back what is not, with one log line "not replayed" and its `message_id`. The queue's visibility timeout has to
be longer than the function can run.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handlers.outcomes import logger

if TYPE_CHECKING:  # the types of boto3 are no part of the layers
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# Ends a replay that would not end in time. What is left is for the next.
RESERVE_MILLISECONDS = 10_000

sqs = boto3.client("sqs")


class NotReplayed(Exception):
    """A message cannot be replayed now. It stays in the queue; the text says why, and what to do."""


def replay[Result](
    queue_url: str, context: LambdaContext, act: "Callable[[MessageTypeDef], Result]"
) -> tuple[list[Result], list[str]]:
    """`act(message)` for every message of the queue, whatever is wrong with the others.

    Returns what `act` returned for those that are replayed, and a sentence for each problem: a message on which it
    raised, messages that are hidden from this replay, a time that was too short.
    """
    began, results, problems, stays = time.time() * 1000, [], [], []
    while is_in_time := context.get_remaining_time_in_millis() > RESERVE_MILLISECONDS:
        messages = _received(queue_url)
        # What came in since is what failed again: replaying it now would go round in a circle.
        old = [message for message in messages if int(message["Attributes"]["SentTimestamp"]) < began]
        stays += [message for message in messages if message not in old]
        if not old:
            break
        for message in old:
            try:
                results.append(act(message))
                # Deleted last: should that fail, it is replayed again.
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            except Exception as error:
                logger.exception("not replayed", extra={"message_id": message["MessageId"]})
                reason = str(error) if isinstance(error, NotReplayed) else f"{type(error).__name__}: {error}"
                problems.append(f"message {message['MessageId']} stays in the queue: {reason}")
                stays.append(message)
    if not is_in_time:
        problems.append("the time was over before the queue was empty: replay again")
    elif not (results or stays):
        problems += _hidden(queue_url)
    for message in stays:
        _put_back(queue_url, message)
    return results, problems


def _received(queue_url: str) -> "list[MessageTypeDef]":
    """At most ten messages; none when the queue is empty."""
    answer = sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=1,  # asks every server of SQS, where a short poll asks some
        MessageSystemAttributeNames=["SentTimestamp"],
    )
    return answer.get("Messages", [])


def _hidden(queue_url: str) -> list[str]:
    """A problem, if messages are hidden that another replay has received, perhaps one that broke off."""
    attributes = sqs.get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessagesNotVisible", "VisibilityTimeout"]
    )["Attributes"]
    if (count := int(attributes["ApproximateNumberOfMessagesNotVisible"])) == 0:
        return []
    return [
        f"{count} messages are hidden: another replay has them, or had them and broke off. Replay again when they are "
        f"back, in {attributes['VisibilityTimeout']} s at the latest"
    ]


def _put_back(queue_url: str, message: Any) -> None:
    """Have the next replay find the message at once. If that fails it does after the visibility timeout."""
    try:
        sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    except (BotoCoreError, ClientError):
        logger.exception("not put back", extra={"message_id": message["MessageId"]})
