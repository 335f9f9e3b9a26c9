"""The metrics Throttles and Duration of functions.

AWS: every throttled request, synchronous or a retry of an asynchronous one, counts in Throttles and not in
Invocations; Duration is the time that the handler took, in milliseconds
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html).

LocalStack: publishes Invocations and Errors only.

Here: the executor publishes Duration; a wrapper around the invocation of a version publishes Throttles. They and
LocalStack's own go straight to ``metric_database``.

Evidence: documentation.
"""

from typing import Any

from localstack.aws.api.lambda_ import TooManyRequestsException
from localstack.services.lambda_.invocation import metrics
from localstack.services.lambda_.invocation.version_manager import LambdaVersionManager

from localstack_host.cloudwatch import metric_database
from localstack_host.patching import replace


def publish(version: Any, metric: str, value: float, unit: str) -> None:
    """Puts one value into AWS/Lambda, with the dimension FunctionName of a FunctionVersion of LocalStack's."""
    identity = version.id
    put(identity.account, identity.region, identity.function_name, metric, value, unit)


def put(account_id: str, region: str, function_name: str, metric: str, value: float, unit: str | None = None) -> None:
    dimensions = [{"Name": "FunctionName", "Value": function_name}]
    datum: Any = {"MetricName": metric, "Dimensions": dimensions, "Value": value, "Unit": unit}
    metric_database.publish(account_id, region, "AWS/Lambda", [datum])


def publish_own(metric: str, value: float, function: dict[str, str], account_id: str, region_name: str) -> None:
    """LocalStack's own metrics: Invocations and Errors."""
    put(account_id, region_name, function["func_name"], metric, value)


def install() -> None:
    def counting(self: Any, *, invocation: Any) -> Any:
        try:
            return invoke(self, invocation=invocation)
        except TooManyRequestsException:
            publish(self.function_version, "Throttles", 1, "Count")
            raise

    # patch: the module's functions make requests to CloudWatch for every invocation, by this name.
    replace(metrics, "publish_lambda_metric", publish_own)
    # patch: synchronous and asynchronous invocations meet here only, and no hook sees one that is throttled.
    invoke = replace(LambdaVersionManager, "invoke", counting)
