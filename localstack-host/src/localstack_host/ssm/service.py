"""The provider that LocalStack loads at the first use of Systems Manager."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="ssm", name="host")
def provider() -> Service:
    from localstack.services.moto import MotoFallbackDispatcher

    from localstack_host.ssm.parameters import Parameters

    install_modules_of(__package__)
    return Service.for_provider(Parameters(), dispatch_table_factory=MotoFallbackDispatcher)
