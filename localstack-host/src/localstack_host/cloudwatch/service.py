"""The provider that LocalStack loads at the first use of CloudWatch."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="cloudwatch", name="host")
def provider() -> Service:
    from localstack_host.cloudwatch.alarm_descriptions import AlarmDescriptions
    from localstack_host.cloudwatch.alarm_history import AlarmHistory
    from localstack_host.cloudwatch.alarm_tags import TaggedAlarms
    from localstack_host.cloudwatch.alarms import PromptAlarms
    from localstack_host.cloudwatch.missing_dashboard import MissingDashboards

    class CloudwatchProvider(TaggedAlarms, PromptAlarms, AlarmDescriptions, AlarmHistory, MissingDashboards):
        pass

    install_modules_of(__package__)
    return Service.for_provider(CloudwatchProvider())
