"""What a RedrivePolicy and a RedriveAllowPolicy may say is checked, and the second is enforced and can be taken away.

AWS: the dead-letter queue of a RedrivePolicy exists, is of the same kind as its source, and in the same account and
Region; maxReceiveCount is 1 to 1,000
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue.html). The
RedriveAllowPolicy of a dead-letter queue says which queues can specify it in their RedrivePolicy: any
(allowAll, the default), none (denyAll) or those of sourceQueueArns, up to ten (byQueue). SetQueueAttributes with an
empty RedriveAllowPolicy removes it, and GetQueueAttributes no longer returns it
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html); Terraform's
``aws_sqs_queue_redrive_allow_policy`` waits for that when it is destroyed.

LocalStack: stores both policies, whatever they say; it looks at a RedrivePolicy's maxReceiveCount in SetQueueAttributes
only, and stores it all the same. It ignores the RedriveAllowPolicy, and keeps the empty string as its value, so that
Terraform waits until it gives up.

Here: the provider checks RedrivePolicy in CreateQueue and SetQueueAttributes, also against the dead-letter queue's
policy, and drops RedriveAllowPolicy when it is empty. A source queue that was accepted before the policy changed stays
accepted, as does one whose dead-letter queue is deleted later (``queues``).

Evidence: documentation for the rules; public bug reports for the reasons of a dead-letter queue that is missing or of
the other kind; belief for the other errors (InvalidParameterValue in the same form) and for source queues that are
there already.
"""

import json
from collections.abc import Callable
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.sqs import CreateQueueResult, QueueAttributeMap, QueueAttributeName
from localstack.services.sqs.exceptions import InvalidParameterValueException
from localstack.services.sqs.models import sqs_stores
from localstack.services.sqs.provider import SqsProvider as StockSqsProvider
from localstack.utils.aws import arns

from localstack_host.patching import overrides, uses

uses(StockSqsProvider, "_resolve_queue")

MAXIMUM_SOURCES = 10
MOST_RECEIVES = 1000


class RedrivePolicies(StockSqsProvider):
    @overrides
    def create_queue(
        self,
        context: RequestContext,
        queue_name: str,
        attributes: QueueAttributeMap | None = None,
        tags: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> CreateQueueResult:
        if queue_name not in self.get_store(context.account_id, context.region).queues:
            check(attributes, arns.sqs_queue_arn(queue_name, context.account_id, context.region))
        return super().create_queue(context, queue_name, attributes, tags, **kwargs)

    @overrides
    def set_queue_attributes(
        self, context: RequestContext, queue_url: str, attributes: QueueAttributeMap, **kwargs: Any
    ) -> None:
        queue = self._resolve_queue(context, queue_url=queue_url)
        check(attributes, queue.arn)
        super().set_queue_attributes(context, queue_url, attributes, **kwargs)
        name = QueueAttributeName.RedriveAllowPolicy
        if attributes and attributes.get(name) == "":
            queue.attributes.pop(name, None)


def check(attributes: QueueAttributeMap | None, queue_arn: str) -> None:
    """Raises InvalidParameterValueException for a policy that is none, and for a queue that may not be used."""
    given = attributes or {}
    if text := given.get(QueueAttributeName.RedriveAllowPolicy):
        parsed(QueueAttributeName.RedriveAllowPolicy, text, problem_of_permission)
    if text := given.get(QueueAttributeName.RedrivePolicy):
        policy = parsed(QueueAttributeName.RedrivePolicy, text, problem_of_policy)
        if reason := problem_of_target(policy["deadLetterTargetArn"], queue_arn):
            raise refusal(QueueAttributeName.RedrivePolicy, text, reason)


def problem_of_policy(policy: dict[str, Any]) -> str | None:
    """What is wrong with a RedrivePolicy itself."""
    if not isinstance(policy.get("deadLetterTargetArn"), str):
        return "The required parameter 'deadLetterTargetArn' is missing."
    count = policy.get("maxReceiveCount")
    if count is None:
        return "The required parameter 'maxReceiveCount' is missing."
    if not str(count).isascii() or not str(count).isdigit() or not 1 <= int(count) <= MOST_RECEIVES:
        return f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to {MOST_RECEIVES} both inclusive."
    return None


def problem_of_target(target: str, source: str) -> str | None:
    """Why the queue ``source`` may not have ``target`` as its dead-letter queue."""
    if target.rpartition(":")[0] != source.rpartition(":")[0]:
        return "The dead-letter queue must be in the account and Region of its source queue."
    arn = arns.parse_arn(target)
    queue = sqs_stores[arn["account"]][arn["region"]].queues.get(arn["resource"])
    if queue is None:
        return "Dead letter target does not exist."
    if target.endswith(".fifo") != source.endswith(".fifo"):  # the name of every FIFO queue ends so, and of no other
        return "Dead-letter queue must be same type of queue as the source."
    policy = json.loads(queue.attributes.get(QueueAttributeName.RedriveAllowPolicy) or "{}")
    permission = policy.get("redrivePermission", "allowAll")
    if permission == "allowAll" or (permission == "byQueue" and source in policy["sourceQueueArns"]):
        return None
    return f"The RedriveAllowPolicy of {target} does not allow {source} to use it as a dead-letter queue."


def problem_of_permission(policy: dict[str, Any]) -> str | None:
    permission, sources = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission not in ("allowAll", "denyAll", "byQueue"):
        return "redrivePermission is one of allowAll, denyAll, byQueue."
    if permission == "byQueue":
        if not isinstance(sources, list) or not 1 <= len(sources) <= MAXIMUM_SOURCES:
            return f"byQueue needs 1 to {MAXIMUM_SOURCES} sourceQueueArns."
    elif sources is not None:
        return "sourceQueueArns can be specified with byQueue only."
    return None


def parsed(name: str, text: str, problem: Callable[[dict[str, Any]], str | None]) -> dict[str, Any]:
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict):
        raise refusal(name, text, "It is not a JSON object.")
    if reason := problem(policy):
        raise refusal(name, text, reason)
    return policy


def refusal(name: str, text: str, reason: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(f"Value {text} for parameter {name} is invalid. Reason: {reason}")
