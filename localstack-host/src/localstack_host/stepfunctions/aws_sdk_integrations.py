"""LocalStack's Task states call and catch by the names of ``aws_sdk_names``."""

from functools import lru_cache
from typing import Any

from localstack.aws.spec import get_service_catalog
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
    state_task_service_aws_sdk,
)

from localstack_host.patching import replace, uses
from localstack_host.stepfunctions.aws_sdk_names import boto_name, exception, prefix

StateTaskServiceAwsSdk = state_task_service_aws_sdk.StateTaskServiceAwsSdk
uses(StateTaskServiceAwsSdk, "_get_boto_operation_model", "_get_boto_service_action")

NOT_RECOGNIZED = (
    "The resource provided {} is not recognized. "
    "The value is not a valid resource ARN, or the resource is not available in this region."
)


@lru_cache
def boto_service(name: str) -> str | None:
    return boto_name(name, get_service_catalog().service_names)


def service_id(name: str) -> str:
    """The id of a service that a Resource names and that there is."""
    model = get_service_catalog().get(boto_service(name) or name)
    return str(model.service_id) if model else name


def install() -> None:
    def named(self: Any, boto_service_name: str | None = None) -> str:
        return boto_service(self.resource.api_name) or self.resource.api_name

    # patch: where the name in a Resource becomes boto3's.
    replace(StateTaskServiceAwsSdk, "_get_boto_service_name", named)
    # patch: the name of the service in errors and their causes, and below the whole name of an error.
    replace(
        StateTaskServiceAwsSdk, "_normalise_service_error_name", staticmethod(lambda name: prefix(service_id(name)))
    )

    def error_name(service: str, error: Exception) -> str:
        kind = type(error).__name__
        return exception(service, None if kind == "ClientError" else kind)

    # patch: see above.
    replace(StateTaskServiceAwsSdk, "_normalise_exception_name", staticmethod(error_name))

    def checking(self: Any) -> None:
        service = boto_service(self.resource.api_name)
        try:
            if not service:
                raise ValueError
            self._get_boto_operation_model(service, self._get_boto_service_action())
        except (RuntimeError, ValueError):
            raise ValueError(NOT_RECOGNIZED.format(self.resource.resource_arn)) from None

    # patch: asked when a definition is read; LocalStack leaves it to the execution.
    replace(StateTaskServiceAwsSdk, "_validate_service_integration_is_supported", checking)
