"""The provider that LocalStack loads at the first use of SQS."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="sqs", name="host")
def provider() -> Service:
    from localstack_host.sqs.redrive_policy import RedrivePolicies
    from localstack_host.sqs.request_checks import CheckedRequests

    class SqsProvider(CheckedRequests, RedrivePolicies):
        pass

    install_modules_of(__package__)
    return Service.for_provider(SqsProvider())
