"""An alarm has the tags that it was created with.

AWS: PutMetricAlarm tags a new alarm with its Tags and ignores them for an alarm that exists
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html).

LocalStack: ignores Tags, so that ListTagsForResource returns none and Terraform sees a difference at its next plan.

Here: the provider tags the alarm when it has made it.

Evidence: documentation.
"""

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.cloudwatch import PutMetricAlarmInput
from localstack.services.cloudwatch.provider_v2 import CloudwatchProvider

from localstack_host.patching import overrides


class TaggedAlarms(CloudwatchProvider):
    @overrides
    @handler("PutMetricAlarm", expand=False)
    def put_metric_alarm(self, context: RequestContext, request: PutMetricAlarmInput) -> None:
        store = self.get_store(context.account_id, context.region)
        known = set(store.alarms)
        super().put_metric_alarm(context, request)
        for arn in set(store.alarms) - known:
            if store.alarms[arn].alarm["AlarmName"] == request["AlarmName"]:
                store.TAGS.tag_resource(arn, request.get("Tags") or [])
