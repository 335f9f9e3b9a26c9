"""Numbers out of their range, names of variables, and what is reserved are refused.

AWS: each number in a request has a range, which the API's model states; the timeout of a function is at most 900 s, its
memory at most 10,240 MB (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). Names of
environment variables begin with a letter and have two characters at least, and those that the runtime sets cannot be
set (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html). Only the unpublished version can be
modified (https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html).

LocalStack: checks some numbers; takes a timeout of 901 s, 1 MB of memory and a variable ``AWS_REGION``; an update that
names a version or alias changes the unpublished version.

Here: every request is held against the model's ranges before it is served. Documentation of the model has no upper
bound of the timeout, and one of the memory that is for functions on managed instances only; both are those of the
quotas.

Evidence: documentation; the messages as quoted in public bug reports; belief for the message of an update that names
a version (that of PutFunctionConcurrency).
"""

import re
from collections.abc import Iterator
from typing import Any

from botocore.model import Shape, StructureShape
from localstack.aws.api import RequestContext
from localstack.aws.api.lambda_ import InvalidParameterValueException
from localstack.aws.skeleton import DispatchTable, ServiceRequestDispatcher, create_dispatch_table
from localstack.services.lambda_ import api_utils
from localstack.services.lambda_.invocation.lambda_models import ValidationException
from localstack.services.lambda_.provider import LambdaProvider

from localstack_host.patching import overrides

MAXIMA = {"Timeout": 900, "MemorySize": 10_240}
VARIABLE_NAME = "[a-zA-Z]([a-zA-Z0-9_])+"
RESERVED_VARIABLES = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
}


def range_errors(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """What the numbers of a request's structure violate, as Lambda words it."""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            if (value or {}).get(name) is not None:
                member_path = name[0].lower() + name[1:]
                yield from range_errors(member, value[name], f"{path}.{member_path}" if path else member_path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        least, most = shape.metadata.get("min"), MAXIMA.get(shape.name, shape.metadata.get("max"))
        bound = None
        if most is not None and value > most:
            bound = f"less than or equal to {most}"
        elif least is not None and value < least:
            bound = f"greater than or equal to {least}"
        if bound:
            yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value {bound}"


def check_variables(variables: dict[str, str]) -> None:
    """Raises the error for names of environment variables that cannot be set."""
    if not all(re.fullmatch(VARIABLE_NAME, name) for name in variables):
        raise ValidationException(
            "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: "
            f"Map keys must satisfy constraint: [Member must satisfy regular expression pattern: {VARIABLE_NAME}]"
        )
    if reserved := sorted(RESERVED_VARIABLES & variables.keys()):
        raise InvalidParameterValueException(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}",
            Type="User",
        )


def within_ranges(provider: object) -> DispatchTable:
    """A ``dispatch_table_factory`` for ``Service.for_provider``."""

    def checked(serve: ServiceRequestDispatcher) -> ServiceRequestDispatcher:
        def check_and_serve(context: RequestContext, request: Any) -> Any:
            operation = context.operation
            if operation is not None and operation.input_shape is not None:
                errors = list(range_errors(operation.input_shape, request))
                if errors:
                    noun = "error" if len(errors) == 1 else "errors"
                    raise ValidationException(f"{len(errors)} validation {noun} detected: {'; '.join(errors)}")
            return serve(context, request)

        return check_and_serve

    return {name: checked(serve) for name, serve in create_dispatch_table(provider).items()}


class RequestConstraints(LambdaProvider):
    @overrides
    @staticmethod
    def _verify_env_variables(env_vars: dict[str, str]) -> None:
        check_variables(env_vars)
        LambdaProvider._verify_env_variables(env_vars)

    @overrides
    def update_function_configuration(self, context: RequestContext, request: Any) -> Any:
        refuse_published(context, request["FunctionName"])
        return super().update_function_configuration(context, request)

    @overrides
    def update_function_code(self, context: RequestContext, request: Any) -> Any:
        refuse_published(context, request["FunctionName"])
        return super().update_function_code(context, request)


def refuse_published(context: RequestContext, function_name: str) -> None:
    """Raises the error for an update of what ``function_name`` names if that is not the unpublished version."""
    _, qualifier = api_utils.get_name_and_qualifier(function_name, None, context)
    if qualifier not in (None, "$LATEST"):
        raise InvalidParameterValueException(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN.",
            Type="User",
        )
