"""The age of a queue's oldest message.

AWS: ApproximateAgeOfOldestMessage is published with the other metrics of a queue. In a standard queue, messages that
were received three times or more are left out; a message that moved to a dead-letter queue has the age of its move
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html).

LocalStack: publishes the three message counts, every SQS_CLOUDWATCH_METRICS_REPORT_INTERVAL seconds (60), and
leaves the age out ("TODO ApproximateAgeOfOldestMessage is missing" in ``localstack/services/sqs/provider.py``).

Here: the age is published with the counts, at the same interval (``--metric-seconds``), 0 for an empty queue. The data
points, and those of requests, go straight to ``metric_database``: a request to CloudWatch costs many times as much.

Evidence: documentation; belief for 0 on an empty queue (the page says that the age is reported for a queue with
messages).
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from localstack.services.sqs import provider
from localstack.services.sqs.models import sqs_stores

from localstack_host.cloudwatch.metric_database import publish
from localstack_host.patching import overrides, replace
from localstack_host.sqs.message_states import POISON_RECEIVE_COUNT, QueuedMessage, State
from localstack_host.sqs.queues import Queue


def waiting(queue: Queue) -> list[QueuedMessage]:
    """The messages of a queue that count for the age: visible or in flight."""
    found = [one for one in list(queue.messages.held.values()) if one.state is not State.DELAYED]
    return found if queue.fifo else [one for one in found if one.receive_count < POISON_RECEIVE_COUNT]


def age(messages: Iterable[QueuedMessage], now: float) -> int:
    """Seconds since the oldest of ``messages`` came into its queue; 0 without messages."""
    return int(max((now - one.enqueued for one in messages), default=0))


def datum(queue_name: str, metric: str, value: float, unit: str) -> dict[str, Any]:
    dimensions = [{"Name": "QueueName", "Value": queue_name}]
    return {"MetricName": metric, "Dimensions": dimensions, "Value": value, "Unit": unit}


def metrics(queue: Queue) -> Iterator[dict[str, Any]]:
    """What a queue publishes at an interval, as MetricDatum."""
    values = {
        "ApproximateNumberOfMessagesVisible": (queue.approximate_number_of_messages, "Count"),
        "ApproximateNumberOfMessagesNotVisible": (queue.approximate_number_of_messages_not_visible, "Count"),
        "ApproximateNumberOfMessagesDelayed": (queue.approximate_number_of_messages_delayed, "Count"),
        "ApproximateAgeOfOldestMessage": (age(waiting(queue), time.time()), "Seconds"),
    }
    for name, (value, unit) in values.items():
        yield datum(queue.name, name, value, unit)


class QueueMetrics(provider.CloudwatchPublishWorker):
    @overrides
    def publish_approximate_cloudwatch_metrics(self) -> None:
        for account_id, region, store in sqs_stores.iter_stores():
            data = [one for queue in list(store.queues.values()) for one in metrics(queue)]
            publish(account_id, region, "AWS/SQS", data)


def publish_event(
    account_id: str, region: str, queue_name: str, metric: str, value: float = 1, unit: str = "Count"
) -> None:
    """One of the metrics of a request: messages sent, received, deleted."""
    publish(account_id, region, "AWS/SQS", [datum(queue_name, metric, value, unit)])


def install() -> None:
    # patch: every message that is sent costs two requests to CloudWatch, made by this name of the module.
    replace(provider, "publish_sqs_metric", publish_event)
    # patch: the provider makes its worker from the name in its module and offers no way to pass one.
    replace(provider, "CloudwatchPublishWorker", QueueMetrics)
