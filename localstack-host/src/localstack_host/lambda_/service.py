"""The provider that LocalStack loads at the first use of Lambda."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="lambda", name="host")
def provider() -> Service:
    from localstack_host.lambda_.aliases import WeightedAliases
    from localstack_host.lambda_.empty_layers import ListedLayers
    from localstack_host.lambda_.mappings.visibility import MappingVisibility
    from localstack_host.lambda_.payload_json import PayloadJson
    from localstack_host.lambda_.payload_limits import PayloadLimits
    from localstack_host.lambda_.request_constraints import RequestConstraints, within_ranges
    from localstack_host.lambda_.shutdown import PromptShutdown

    class LambdaProvider(
        ListedLayers,
        MappingVisibility,
        PayloadLimits,
        PayloadJson,
        RequestConstraints,
        WeightedAliases,
        PromptShutdown,
    ):
        pass

    install_modules_of(__package__)
    return Service.for_provider(LambdaProvider(), dispatch_table_factory=within_ranges)
