"""The dead-letter queue can be taken away from an SNS subscription.

AWS: SetSubscriptionAttributes with the name RedrivePolicy and no value removes it; an empty string is refused
(https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html says that the value is optional; that
it must be left out is what Terraform's ``aws_sns_topic_subscription`` does when ``redrive_policy`` is removed).

LocalStack: parses the missing value as JSON and answers InternalError.

Here: the provider drops the attribute when there is no value.

Evidence: belief, from what Terraform's provider sends and expects.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.sns import NotFoundException
from localstack.services.sns.provider import SnsProvider as StockSnsProvider

from localstack_host.patching import overrides


class SnsProvider(StockSnsProvider):
    @overrides
    def set_subscription_attributes(
        self,
        context: RequestContext,
        subscription_arn: str,
        attribute_name: str,
        attribute_value: str | None = None,
        **kwargs: Any,
    ) -> None:
        if attribute_name != "RedrivePolicy" or attribute_value is not None:
            super().set_subscription_attributes(context, subscription_arn, attribute_name, attribute_value, **kwargs)
            return
        subscription = self.get_store(context.account_id, context.region).subscriptions.get(subscription_arn)
        if subscription is None:
            raise NotFoundException("Subscription does not exist")
        subscription.pop("RedrivePolicy", None)
