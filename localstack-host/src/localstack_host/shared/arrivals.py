"""Mappings hear of a new record in a stream instead of asking for it.

AWS: Lambda polls each shard of a DynamoDB stream four times and of a Kinesis stream once per second
(https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html and
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html).

LocalStack: polls every second, whether there is anything to read or not, and one shard after another.

Here: who writes a record announces it, and who reads waits for that. A record reaches its function without a delay,
and a mapping without records costs nothing. It is only about when a stream is read; what is read comes from
GetRecords.

Evidence: documentation.
"""

import threading
from collections import Counter


class Arrivals:
    """How many times records arrived in each stream, by ARN."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()

    def count(self, stream_arn: str) -> int:
        return self._counts[stream_arn]

    def announce(self, stream_arn: str) -> None:
        with self._changed:
            self._counts[stream_arn] += 1
            self._changed.notify_all()

    def wait(self, stream_arn: str, seen: int, seconds: float) -> None:
        """Returns when records arrived since ``count`` returned ``seen``, or after ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._counts[stream_arn] != seen, seconds)


ARRIVALS = Arrivals()
