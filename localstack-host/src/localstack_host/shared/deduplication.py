"""What FIFO queues and FIFO topics remember of what was sent.

AWS: a message whose deduplication id was sent within the last five minutes is accepted and not delivered again,
whatever became of the first. The scope of an id is the queue or topic, or with high throughput the message group
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html,
https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html).

LocalStack: remembers one message of each id in a queue, so that with the group as scope a message of one group makes a
queue forget that of another. Topics remember nothing.

Here: the first of each scope and id is remembered for five minutes. A duplicate does not begin them anew.

Evidence: documentation; belief that a duplicate does not.
"""

from collections import OrderedDict
from collections.abc import Hashable

INTERVAL_SECONDS = 5 * 60


class Deduplication[T]:
    """The first of each key. Times are seconds since 1970, and those of ``add`` do not go back."""

    def __init__(self) -> None:
        self.firsts: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def first(self, key: Hashable, now: float) -> T | None:
        """What was added with ``key`` within the interval."""
        while self.firsts and (oldest := next(iter(self.firsts.items())))[1][0] + INTERVAL_SECONDS <= now:
            del self.firsts[oldest[0]]
        return self.firsts[key][1] if key in self.firsts else None

    def add(self, key: Hashable, value: T, now: float) -> None:
        self.firsts[key] = now, value
        self.firsts.move_to_end(key)

    def clear(self) -> None:
        self.firsts.clear()
