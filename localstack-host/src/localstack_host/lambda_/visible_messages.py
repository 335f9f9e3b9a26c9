"""Whoever takes messages from a queue hears of each that becomes visible: sent, delayed, or received and not deleted.

AWS: Lambda waits for messages in long polls
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).

LocalStack: has long polls, of at most 20 s and with no end before, so that a mapping that is stopped waits for it.

Here: a message that becomes visible is announced (``shared.arrivals``).

Evidence: documentation.
"""

from collections.abc import Callable

from localstack.services.sqs.models import FifoQueue, SqsMessage, SqsQueue, StandardQueue

from localstack_host.patching import replace
from localstack_host.shared.arrivals import ARRIVALS


def announcing(put: Callable[[SqsQueue, SqsMessage], None]) -> Callable[[SqsQueue, SqsMessage], None]:
    def _put_message(self: SqsQueue, message: SqsMessage) -> None:
        put(self, message)
        ARRIVALS.announce(self.arn)

    return _put_message


def install() -> None:
    # patch: a queue tells nobody of its messages.
    replace(StandardQueue, "_put_message", announcing(StandardQueue._put_message))
    replace(FifoQueue, "_put_message", announcing(FifoQueue._put_message))
