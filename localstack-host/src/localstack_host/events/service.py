"""The provider that LocalStack loads at the first use of EventBridge."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="events", name="host")
def provider() -> Service:
    from localstack_host.events.disabled_rules import DisabledRules
    from localstack_host.events.input_transformers import IngestionTimes
    from localstack_host.events.replay import EventReplay
    from localstack_host.events.scheduled_rules import ScheduledRules
    from localstack_host.events.target_retries import TargetRetries

    class EventsProvider(DisabledRules, EventReplay, IngestionTimes, ScheduledRules, TargetRetries):
        pass

    install_modules_of(__package__)
    return Service.for_provider(EventsProvider())
