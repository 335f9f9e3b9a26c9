"""The provider that LocalStack loads at the first use of CloudWatch Logs."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="logs", name="host")
def provider() -> Service:
    from localstack.services.moto import MotoFallbackDispatcher

    from localstack_host.logs.event_times import Retentions
    from localstack_host.logs.metric_filters import MetricFilters
    from localstack_host.logs.queries import LogQueries

    class LogsProvider(LogQueries, MetricFilters, Retentions):
        pass

    install_modules_of(__package__)
    return Service.for_provider(LogsProvider(), dispatch_table_factory=MotoFallbackDispatcher)
