"""Mappings hear of what is new in a stream or queue instead of asking for it.

AWS: Lambda polls each shard of a DynamoDB stream four times and of a Kinesis stream once per second
(https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html and
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html), and queues by long polls
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).

LocalStack: polls every second, whether there is anything to read or not, and one shard after another.

Here: who writes a record, or makes a message visible, announces it, and who reads waits for that. A record reaches its
function without a delay, and a mapping without records costs nothing. It is only about when a source is read; what is
read comes from GetRecords and ReceiveMessage.

Evidence: documentation.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator


class Arrivals:
    """How many times something arrived in each stream and queue, by ARN."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changed: dict[str, threading.Condition] = {}

    def count(self, source_arn: str) -> int:
        return self._counts[source_arn]

    def announce(self, source_arn: str) -> None:
        with self._of(source_arn) as changed:
            self._counts[source_arn] += 1
            changed.notify_all()

    def wake(self, source_arn: str) -> None:
        """Lets those who wait for the source see that they were stopped."""
        with self._of(source_arn) as changed:
            changed.notify_all()

    def wait(self, source_arn: str, seen: int, seconds: float, stopped: threading.Event) -> None:
        """Returns when something arrived since ``count`` returned ``seen``, or after ``seconds``.

        Also when ``stopped`` is set; who sets it calls ``wake`` then.
        """
        with self._of(source_arn) as changed:
            changed.wait_for(lambda: self._counts[source_arn] != seen or stopped.is_set(), seconds)

    @contextlib.contextmanager
    def _of(self, source_arn: str) -> Iterator[threading.Condition]:
        changed = self._changed.setdefault(source_arn, threading.Condition())
        with changed:
            yield changed


ARRIVALS = Arrivals()
