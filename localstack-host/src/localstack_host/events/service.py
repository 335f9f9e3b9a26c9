"""The provider that LocalStack loads at the first use of EventBridge."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="events", name="host")
def provider() -> Service:
    from localstack_host.events.delivery_isolation import DeliveryIsolation
    from localstack_host.events.disabled_rules import DisabledRules
    from localstack_host.events.event_patterns import EventPatterns
    from localstack_host.events.input_transformers import IngestionTimes
    from localstack_host.events.replay import EventReplay
    from localstack_host.events.reserved_sources import ReservedSources
    from localstack_host.events.scheduled_rules import ScheduledRules
    from localstack_host.events.target_retries import TargetRetries

    class EventsProvider(
        DisabledRules,
        EventPatterns,
        EventReplay,
        IngestionTimes,
        ReservedSources,
        ScheduledRules,
        TargetRetries,
        DeliveryIsolation,
    ):
        pass

    install_modules_of(__package__)
    return Service.for_provider(EventsProvider())
