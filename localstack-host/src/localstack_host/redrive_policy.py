"""RedriveAllowPolicy can be taken away from a queue.

AWS: SetQueueAttributes with an empty RedriveAllowPolicy removes it, and GetQueueAttributes no longer returns it
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html); Terraform's
``aws_sqs_queue_redrive_allow_policy`` waits for that when it is destroyed.

LocalStack: keeps the empty string as the attribute's value, so Terraform waits until it gives up.

Here: the provider drops the attribute after LocalStack has set it.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.sqs import QueueAttributeMap, QueueAttributeName
from localstack.services.sqs.provider import SqsProvider as StockSqsProvider


class SqsProvider(StockSqsProvider):
    def set_queue_attributes(
        self, context: RequestContext, queue_url: str, attributes: QueueAttributeMap, **kwargs: Any
    ) -> None:
        super().set_queue_attributes(context, queue_url, attributes, **kwargs)
        name = QueueAttributeName.RedriveAllowPolicy
        if attributes and attributes.get(name) == "":
            self._resolve_queue(context, queue_url=queue_url).attributes.pop(name, None)
