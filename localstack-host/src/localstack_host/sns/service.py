"""The provider that LocalStack loads at the first use of SNS."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="sns", name="host")
def provider() -> Service:
    from localstack_host.sns.subscription_redrive import SnsProvider

    install_modules_of(__package__)
    return Service.for_provider(SnsProvider())
