"""A function behind a queue that wants backoff makes it once, and passes it on:

    postpone = by_visibility_timeout(os.environ)

    def handler(event, context):
        return consume(event, context, parse=parse, act=reserve, postpone=postpone)

A message that failed for a transient reason then stays hidden longer after each receive (exponential backoff). Without
it the message comes back after the queue's visibility timeout, every time, and an outage of the downstream that lasts
longer than all receives together puts healthy messages into the dead-letter queue.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

import random
from collections.abc import Callable, Mapping

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

# Long enough to outlast an outage, short enough that a message does not sleep for hours after it. SQS allows 43,200 s:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
MAX_DELAY_SECONDS = 900

Postpone = Callable[[SQSRecord], int]


def delay(receive_count: int, base_seconds: int, chance: Callable[[], float] = random.random) -> int:
    """Seconds until the message's next receive: base_seconds * 2 ** receive_count, less up to half by chance.

    The first retry so waits one to two times `base_seconds`, the second two to four times, and no two messages that
    failed together come back together. At most MAX_DELAY_SECONDS; at least 1.
    """
    longest: int = min(base_seconds * 2**receive_count, MAX_DELAY_SECONDS)
    return max(1, round(longest * (1 - chance() / 2)))


def by_visibility_timeout(environ: Mapping[str, str]) -> Postpone | None:
    """What a consumer passes as `postpone`: hides a message for its delay, and returns the seconds.

    From the variables QUEUE_URL and BACKOFF_BASE_SECONDS; None, which is no backoff, when there is no base.
    """
    base = environ.get("BACKOFF_BASE_SECONDS")
    if not base:
        return None
    sqs, queue_url = boto3.client("sqs"), environ["QUEUE_URL"]

    def postpone(record: SQSRecord) -> int:
        seconds = delay(int(record.attributes.approximate_receive_count), int(base))
        sqs.change_message_visibility(
            QueueUrl=queue_url, ReceiptHandle=record.receipt_handle, VisibilityTimeout=seconds
        )
        return seconds

    return postpone
