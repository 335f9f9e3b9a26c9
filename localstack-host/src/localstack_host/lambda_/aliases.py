"""Aliases that send a part of the invocations to a second version, as a canary release does.

AWS: an alias may point to two published versions with the same execution role and dead-letter queue; the second one
gets the part of the invocations that its weight says, by chance, and the reply and the log say which version served
(https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html). UpdateAlias changes what it names, and
an empty RoutingConfig ends the routing (https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html). A weight
is from 0.0 to 1.0 (https://docs.aws.amazon.com/lambda/latest/api/API_AliasRoutingConfiguration.html). A version that an
alias refers to cannot be deleted (https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html).

LocalStack: fails on UpdateAlias with weights; refuses a weight of 1.0; takes a version that does not exist, or two that
do not go together; deletes versions under their aliases, which then fail.

Here: one check of an alias's versions, for CreateAlias and UpdateAlias. LocalStack's own routing serves it.

Evidence: documentation; recording TestLambdaAliases::test_alias_routingconfig; the message of a refused deletion as
quoted in public bug reports; belief for the messages about the role and the dead-letter queue.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.lambda_ import InvalidParameterValueException, ResourceConflictException
from localstack.services.lambda_ import api_utils
from localstack.services.lambda_.invocation.lambda_models import (
    AliasRoutingConfig,
    Function,
    FunctionVersion,
    ValidationException,
    VersionAlias,
)
from localstack.services.lambda_.invocation.models import lambda_stores
from localstack.services.lambda_.provider import LambdaProvider
from localstack.services.lambda_.provider_utils import get_function_version

from localstack_host.patching import overrides, uses

uses(LambdaProvider, "_get_function")


def weights_error(weights: dict[str, float]) -> str | None:
    """What in the weights is wrong whatever the versions are, as a ValidationException words it."""
    for version, weight in weights.items():
        if not 0.0 <= weight <= 1.0:
            kind, rules = (
                "value",
                [
                    "have value less than or equal to 1.0",
                    "have value greater than or equal to 0.0",
                    "not be null",
                ],
            )
        elif not api_utils.qualifier_is_version(version):
            kind, rules = (
                "keys",
                [
                    "have length less than or equal to 1024",
                    "have length greater than or equal to 1",
                    "satisfy regular expression pattern: [0-9]+",
                ],
            )
        else:
            continue
        constraint = ", ".join(f"Member must {rule}" for rule in rules)
        return (
            f"1 validation error detected: Value '{{{version}={weight}}}' at 'routingConfig.additionalVersionWeights' "
            f"failed to satisfy constraint: Map {kind} must satisfy constraint: [{constraint}]"
        )
    return None


def check_routing(version: FunctionVersion, weights: dict[str, float]) -> None:
    """Raises the error for an alias to ``version`` with these additional versions."""
    if message := weights_error(weights):
        raise ValidationException(message)
    first = version.id.qualifier
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if first == "$LATEST":
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    for second in weights:
        if second == first:
            raise invalid(
                f"Invalid function version {second}. "
                f"Function version {second} is already included in routing configuration."
            )
        other = get_function_version(version.id.function_name, second, version.id.account, version.id.region)
        if other.config.role != version.config.role:
            raise invalid("The versions of an alias must have the same execution role")
        if other.config.dead_letter_arn != version.config.dead_letter_arn:
            raise invalid("The versions of an alias must have the same dead-letter queue, or none")


def invalid(message: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(message, Type="User")


def refers_to(alias: VersionAlias, version: str) -> bool:
    weights = alias.routing_configuration.version_weights if alias.routing_configuration else {}
    return alias.function_version == version or version in weights


class WeightedAliases(LambdaProvider):
    @overrides
    def _create_routing_config_model(
        self, routing_config_dict: dict[str, float], function_version: FunctionVersion | None = None
    ) -> AliasRoutingConfig:
        """LocalStack's create_alias passes the version; its update_alias does not, and is checked below."""
        if function_version is not None:
            check_routing(function_version, routing_config_dict)
        return AliasRoutingConfig(version_weights=routing_config_dict)

    @overrides
    def update_alias(
        self,
        context: RequestContext,
        function_name: str,
        name: str,
        function_version: str | None = None,
        description: str | None = None,
        routing_config: dict[str, Any] | None = None,
        revision_id: str | None = None,
        **kwargs: Any,
    ) -> Any:
        account, region = api_utils.get_account_and_region(function_name, context)
        function = self._get_function(api_utils.get_function_name(function_name, context), account, region)
        if alias := function.aliases.get(name):
            target = function_version or alias.function_version
            version = get_function_version(function.function_name, target, account, region)
            if routing_config is not None:
                weights = routing_config.get("AdditionalVersionWeights") or {}
            else:
                kept = alias.routing_configuration
                weights = kept.version_weights if kept else {}
            if weights:
                check_routing(version, weights)
        return super().update_alias(
            context,
            function_name,
            name,
            function_version=function_version,
            description=description,
            routing_config=routing_config,
            revision_id=revision_id,
            **kwargs,
        )

    @overrides
    def delete_function(
        self, context: RequestContext, function_name: str, qualifier: str | None = None, **kwargs: Any
    ) -> Any:
        account, region = api_utils.get_account_and_region(function_name, context)
        name, version = api_utils.get_name_and_qualifier(function_name, qualifier, context)
        function: Function | None = lambda_stores[account][region].functions.get(name)
        if function and version:
            using = sorted(alias.name for alias in function.aliases.values() if refers_to(alias, version))
            if using:
                raise ResourceConflictException(
                    f"Unable to delete version because the following aliases reference it: [{', '.join(using)}]",
                    Type="User",
                )
        return super().delete_function(context, function_name, qualifier, **kwargs)
