"""GetDashboard of a dashboard that does not exist says so.

AWS: answers DashboardNotFoundError, "The specified dashboard does not exist"
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetDashboard.html).

LocalStack: answers InvalidParameterValue, at which Terraform fails instead of creating the dashboard again.

Here: the provider looks first.

Evidence: documentation; the code on the wire, ResourceNotFound, is that of the service's model.
"""

from localstack.aws.api import RequestContext
from localstack.aws.api.cloudwatch import DashboardName, DashboardNotFoundError, GetDashboardOutput
from localstack.services.cloudwatch.provider_v2 import CloudwatchProvider

from localstack_host.patching import overrides


class MissingDashboards(CloudwatchProvider):
    @overrides
    def get_dashboard(
        self, context: RequestContext, dashboard_name: DashboardName, **kwargs: object
    ) -> GetDashboardOutput:
        if dashboard_name not in self.get_store(context.account_id, context.region).dashboards:
            raise DashboardNotFoundError(f"Dashboard {dashboard_name} does not exist")
        return super().get_dashboard(context, dashboard_name, **kwargs)
