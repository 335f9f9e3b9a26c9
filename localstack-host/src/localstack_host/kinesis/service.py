"""The provider that LocalStack loads at the first use of Kinesis."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="kinesis", name="host")
def provider() -> Service:
    from localstack_host.kinesis.provider import LOCK, KinesisProvider
    from localstack_host.shared.one_at_a_time import behind

    install_modules_of(__package__)
    return Service.for_provider(KinesisProvider(), dispatch_table_factory=behind(LOCK))
