"""Lambda's own queue of asynchronous invocations is one like those of SQS.

AWS: puts events into a queue before it sends them to the function
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html).

LocalStack: has an SQS queue for each version of a function, and a worker that looks at these every second.

Here: they are queues of ``sqs.queues``, which announce what becomes visible (``shared.arrivals``).

Evidence: documentation.
"""

from localstack.services.lambda_.invocation import internal_sqs_queue

from localstack_host.patching import replace
from localstack_host.sqs.queues import StandardQueue, nothing_to_update


def install() -> None:
    # patch: the manager of these queues makes them, and a thread that looks at them, from names in its module.
    replace(internal_sqs_queue, "StandardQueue", StandardQueue)
    replace(internal_sqs_queue.EventQueueUpdateWorker, "start", nothing_to_update)
