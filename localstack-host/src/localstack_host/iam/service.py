"""The provider that LocalStack loads at the first use of IAM."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="iam", name="host")
def provider() -> Service:
    from localstack.services.moto import MotoFallbackDispatcher

    from localstack_host.iam.policy_simulator import IamProvider

    install_modules_of(__package__)
    return Service.for_provider(IamProvider(), dispatch_table_factory=MotoFallbackDispatcher)
