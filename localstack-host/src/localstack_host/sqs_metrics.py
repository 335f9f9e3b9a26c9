"""The age of a queue's oldest message.

AWS: ApproximateAgeOfOldestMessage is published with the other metrics of a queue. In a standard queue, messages that
were received three times or more are left out; a message that moved to a dead-letter queue has the age of its move
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html).

LocalStack: publishes the three message counts, every SQS_CLOUDWATCH_METRICS_REPORT_INTERVAL seconds (60), and
leaves the age out ("TODO ApproximateAgeOfOldestMessage is missing" in ``localstack/services/sqs/provider.py``).

Here: the age is published after the counts, at the same interval (``--metric-seconds``), 0 for an empty queue.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from localstack.services.sqs import provider
from localstack.services.sqs.models import FifoQueue, SqsMessage, sqs_stores
from localstack.utils.cloudwatch.cloudwatch_util import SqsMetricBatchData, publish_sqs_metric_batch

from localstack_host.patching import replace

# A standard queue puts a message behind the others at its third receive, and the metric no longer counts it.
POISON_RECEIVE_COUNT = 3


def waiting(queue: Any) -> Iterator[SqsMessage]:
    """The messages of a StandardQueue or FifoQueue that count for the age: visible or in flight."""
    if isinstance(queue, FifoQueue):
        for group in list(queue.message_groups.values()):
            yield from list(group.messages)
        yield from list(queue.inflight)
        return
    for message in [*queue.visible.queue, *queue.inflight]:
        if message.receive_count < POISON_RECEIVE_COUNT:
            yield message


def age(messages: Iterable[Any], now: float) -> int:
    """Seconds since the oldest of ``messages`` was created in its queue; 0 without messages."""
    return int(max((now - message.created for message in messages if not message.deleted), default=0))


class QueueMetrics(provider.CloudwatchPublishWorker):
    def publish_approximate_cloudwatch_metrics(self) -> None:
        super().publish_approximate_cloudwatch_metrics()
        for account_id, region, store in sqs_stores.iter_stores():
            data = [
                SqsMetricBatchData(
                    QueueName=queue.name,
                    MetricName="ApproximateAgeOfOldestMessage",
                    Value=age(waiting(queue), time.time()),
                    Unit="Seconds",
                )
                for queue in list(store.queues.values())
            ]
            if data:
                publish_sqs_metric_batch(account_id=account_id, region=region, sqs_metric_batch_data=data)


def install() -> None:
    # patch: the provider makes its worker from the name in its module and offers no way to pass one.
    replace(provider, "CloudwatchPublishWorker", QueueMetrics)
