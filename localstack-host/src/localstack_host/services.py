"""The providers that LocalStack loads for PROVIDER_OVERRIDE_<SERVICE>=host (entry points in pyproject.toml).

Imports are inside: LocalStack loads a service at its first use, and patches are made only with the service that
they belong to. A new provider is one function here, one line in pyproject.toml and its name in
``environment.PROVIDERS``.
"""

from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider


@aws_provider(api="cloudwatch", name="host")
def cloudwatch() -> Service:
    from localstack_host import alarms
    from localstack_host.alarm_tags import TaggedAlarms
    from localstack_host.missing_dashboard import MissingDashboards

    class CloudwatchProvider(TaggedAlarms, MissingDashboards):
        pass

    alarms.install()
    return Service.for_provider(CloudwatchProvider())


@aws_provider(api="lambda", name="host")
def lambda_() -> Service:
    from localstack_host import lambda_metrics, shutdown, sqs_mapping
    from localstack_host.empty_layers import ListedLayers

    class LambdaProvider(ListedLayers, shutdown.LambdaProvider):
        pass

    lambda_metrics.install()
    sqs_mapping.install()
    return Service.for_provider(LambdaProvider())


@aws_provider(api="logs", name="host")
def logs() -> Service:
    from localstack_host import logs

    logs.install()
    return Service.for_provider(logs.LogsProvider(), dispatch_table_factory=MotoFallbackDispatcher)


@aws_provider(api="s3", name="host")
def s3() -> Service:
    from localstack_host.s3_storage import provider

    return Service.for_provider(provider())


@aws_provider(api="sns", name="host")
def sns() -> Service:
    from localstack_host.subscription_redrive import SnsProvider

    return Service.for_provider(SnsProvider())


@aws_provider(api="sqs", name="host")
def sqs() -> Service:
    from localstack_host import sqs_metrics
    from localstack_host.redrive_policy import SqsProvider

    sqs_metrics.install()
    return Service.for_provider(SqsProvider())
