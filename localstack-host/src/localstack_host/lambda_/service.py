"""The provider that LocalStack loads at the first use of Lambda."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="lambda", name="host")
def provider() -> Service:
    from localstack_host.lambda_.empty_layers import ListedLayers
    from localstack_host.lambda_.mappings.visibility import MappingVisibility
    from localstack_host.lambda_.payload_limits import PayloadLimits
    from localstack_host.lambda_.shutdown import PromptShutdown

    class LambdaProvider(ListedLayers, MappingVisibility, PayloadLimits, PromptShutdown):
        pass

    install_modules_of(__package__)
    return Service.for_provider(LambdaProvider())
