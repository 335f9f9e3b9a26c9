"""The metrics Throttles and Duration of functions.

AWS: every throttled request, synchronous or a retry of an asynchronous one, counts in Throttles and not in
Invocations; Duration is the time that the handler took, in milliseconds
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html).

LocalStack: publishes Invocations and Errors only.

Here: the executor publishes Duration; a wrapper around the invocation of a version publishes Throttles.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from localstack.aws.api.lambda_ import TooManyRequestsException
from localstack.aws.connect import connect_to
from localstack.services.lambda_.invocation.version_manager import LambdaVersionManager
from localstack.utils.threads import start_thread

from localstack_host.patching import replace

LOG = logging.getLogger(__name__)


def publish(version: Any, metric: str, value: float, unit: str) -> None:
    """Put one value into AWS/Lambda, dimension FunctionName, without making the invocation wait for it.

    :param version: LocalStack's FunctionVersion
    """
    identity, now = version.id, datetime.now(UTC)

    def put(*_: Any) -> None:
        datum = {
            "MetricName": metric,
            "Dimensions": [{"Name": "FunctionName", "Value": identity.function_name}],
            "Timestamp": now,
            "Value": value,
            "Unit": unit,
        }
        try:
            client = connect_to(aws_access_key_id=identity.account, region_name=identity.region).cloudwatch
            client.put_metric_data(Namespace="AWS/Lambda", MetricData=[datum])
        except Exception as error:  # noqa: BLE001 - a metric must not fail anything else
            LOG.info("metric %s of function %s not published: %s", metric, identity.function_name, error)

    start_thread(put, name=f"lambda-metric-{metric}")


def install() -> None:
    def counting(self: Any, *, invocation: Any) -> Any:
        try:
            return invoke(self, invocation=invocation)
        except TooManyRequestsException:
            publish(self.function_version, "Throttles", 1, "Count")
            raise

    # patch: synchronous and asynchronous invocations meet here only, and no hook sees one that is throttled.
    invoke = replace(LambdaVersionManager, "invoke", counting)
