"""RedriveAllowPolicy is enforced, and can be taken away from a queue.

AWS: the RedriveAllowPolicy of a dead-letter queue says which queues can specify it in their RedrivePolicy: any
(allowAll, the default), none (denyAll) or those of sourceQueueArns, up to ten (byQueue). SetQueueAttributes with an
empty RedriveAllowPolicy removes it, and GetQueueAttributes no longer returns it
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html); Terraform's
``aws_sqs_queue_redrive_allow_policy`` waits for that when it is destroyed.

LocalStack: stores the policy, whatever it says, and ignores it. It keeps the empty string as the attribute's value, so
that Terraform waits until it gives up.

Here: the provider checks RedrivePolicy in CreateQueue and SetQueueAttributes against the dead-letter queue's policy,
and drops the attribute when it is empty. A source queue that was accepted before the policy changed stays accepted.

Evidence: documentation for the rule; belief for the error (InvalidParameterValue in the form of SQS's other refusals
of a RedrivePolicy, with a reason of our own) and for source queues that are there already.
"""

import json
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


class SqsProvider(StockSqsProvider):
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
        parsed(QueueAttributeName.RedriveAllowPolicy, text, problem)
    if text := given.get(QueueAttributeName.RedrivePolicy):
        target = parsed(QueueAttributeName.RedrivePolicy, text).get("deadLetterTargetArn")
        if target and not allows(target, queue_arn):
            raise refusal(
                QueueAttributeName.RedrivePolicy,
                text,
                f"The RedriveAllowPolicy of {target} does not allow {queue_arn} to use it as a dead-letter queue.",
            )


def allows(target: str, source: str) -> bool:
    """Whether the queue ``target`` lets ``source`` use it; also if there is no such queue."""
    try:
        arn = arns.parse_arn(target)
    except arns.InvalidArnException:
        return True
    queue = sqs_stores[arn["account"]][arn["region"]].queues.get(arn["resource"])
    policy = json.loads((queue and queue.attributes.get(QueueAttributeName.RedriveAllowPolicy)) or "{}")
    permission = policy.get("redrivePermission", "allowAll")
    return permission == "allowAll" or (permission == "byQueue" and source in policy["sourceQueueArns"])


def problem(policy: dict[str, Any]) -> str | None:
    permission, sources = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission not in ("allowAll", "denyAll", "byQueue"):
        return "redrivePermission is one of allowAll, denyAll, byQueue."
    if permission == "byQueue":
        if not isinstance(sources, list) or not 1 <= len(sources) <= MAXIMUM_SOURCES:
            return f"byQueue needs 1 to {MAXIMUM_SOURCES} sourceQueueArns."
    elif sources is not None:
        return "sourceQueueArns can be specified with byQueue only."
    return None


def parsed(name: str, text: str, problem: Any = lambda policy: None) -> dict[str, Any]:
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
