"""The provider that LocalStack loads at the first use of EventBridge Scheduler."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="scheduler", name="host")
def provider() -> Service:
    from localstack.services.moto import MotoFallbackDispatcher

    from localstack_host.scheduler.groups import ScheduleGroups
    from localstack_host.scheduler.provider import SchedulerProvider

    class Provider(ScheduleGroups, SchedulerProvider):
        pass

    install_modules_of(__package__)
    return Service.for_provider(Provider(), dispatch_table_factory=MotoFallbackDispatcher)
