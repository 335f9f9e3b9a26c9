"""What a queue and its consumer make of a load: depth, waiting time and time to drain, before anything is sent.

The consumer's capacity is concurrency * batch_size / batch_seconds messages per second. While the arrival rate is
below it, nothing waits, and by Little's law (L = arrival rate * time in the system) rate * batch_seconds messages are
in flight. While it is above, the depth grows by the difference each second, and afterwards falls by the capacity.
"""

from dataclasses import dataclass
from itertools import count

# A standard queue's mapping, without provisioned mode:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
INITIAL_CONCURRENCY = 5
ADDED_PER_SECOND = 300 / 60
MAX_CONCURRENCY = 1250

STEP_SECONDS = 0.1


@dataclass(frozen=True)
class Consumer:
    """An invocation takes `batch_seconds` for `batch_size` messages; at most `concurrency` at once."""

    batch_size: float
    batch_seconds: float
    concurrency: int = MAX_CONCURRENCY

    def capacity(self, seconds: float) -> float:
        """Messages per second when there has been work for so many seconds: the mapping scales up to its limit."""
        return concurrency_after(seconds, self.concurrency) * self.batch_size / self.batch_seconds


@dataclass(frozen=True)
class Prediction:
    """`depth` and `in_flight` are the highest numbers of messages, waiting and being processed.

    `drain_seconds` runs from the last message sent to the last one taken from the queue, and `wait_seconds` is how
    long a message waits at most. `utilisation` is arrival rate over final capacity: above 1 the depth only grows.
    """

    depth: float
    in_flight: float
    wait_seconds: float
    drain_seconds: float
    utilisation: float


def concurrency_after(seconds: float, limit: int = MAX_CONCURRENCY) -> float:
    """Concurrent batches of a mapping that has been busy for so many seconds (SQS-12)."""
    return min(limit, MAX_CONCURRENCY, INITIAL_CONCURRENCY + ADDED_PER_SECOND * seconds)


def predict(rate: float, seconds: float, consumer: Consumer) -> Prediction:
    """What `rate` messages per second for so many seconds do to an empty queue."""
    depth = highest = in_flight = wait = now = 0.0
    for step in count():
        now = step * STEP_SECONDS
        if now >= seconds and depth == 0:
            break
        arriving = rate if now < seconds else 0.0
        capacity = consumer.capacity(now)
        in_flight = max(in_flight, min(arriving + depth / STEP_SECONDS, capacity) * consumer.batch_seconds)
        depth = max(0.0, depth + (arriving - capacity) * STEP_SECONDS)
        highest, wait = max(highest, depth), max(wait, depth / capacity)
    return Prediction(
        depth=highest,
        in_flight=in_flight,
        wait_seconds=wait,
        drain_seconds=max(0.0, now - seconds),
        utilisation=rate / consumer.capacity(float("inf")),
    )
