"""An SQS mapping needs a queue whose visibility timeout is at least the function's timeout.

AWS: refuses to create or update the mapping otherwise; it recommends six times the function's timeout
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html). A queue or function that is changed
afterwards is not checked again.

LocalStack: does not compare them.

Here: the provider compares them in the validation that creating and updating a mapping share.

Evidence: documentation; belief for the message (as quoted in public bug reports) and for what is not checked.
"""

from typing import Any

from localstack.aws.api.lambda_ import InvalidParameterValueException
from localstack.aws.connect import connect_to
from localstack.services.lambda_.provider import LambdaProvider
from localstack.utils.aws import arns

from localstack_host.patching import overrides


class MappingVisibility(LambdaProvider):
    @overrides
    def validate_event_source_mapping(self, context: Any, request: Any) -> Any:
        validated = super().validate_event_source_mapping(context, request)
        source = request.get("EventSourceArn", "")
        if arns.extract_service_from_arn(source) == "sqs":
            _, _, _, version, _ = validated
            require_visibility(source, version.config.timeout)
        return validated


def require_visibility(queue_arn: str, function_timeout: int) -> None:
    """Raises InvalidParameterValueException if the queue's visibility timeout is below ``function_timeout``."""
    client = connect_to(
        aws_access_key_id=arns.extract_account_id_from_arn(queue_arn),
        region_name=arns.extract_region_from_arn(queue_arn),
    ).sqs
    found = client.get_queue_attributes(
        QueueUrl=arns.sqs_queue_url_for_arn(queue_arn), AttributeNames=["VisibilityTimeout"]
    )
    visibility = int(found["Attributes"]["VisibilityTimeout"])
    if visibility < function_timeout:
        raise InvalidParameterValueException(
            f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {function_timeout} seconds",
            Type="User",
        )
