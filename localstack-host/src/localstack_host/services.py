"""The providers that LocalStack loads for PROVIDER_OVERRIDE_<SERVICE>=host (entry points in pyproject.toml).

Imports are inside: LocalStack loads a service at its first use, and patches are made only with the service that
they belong to. A new provider is one function here, one line in pyproject.toml and its name in
``environment.PROVIDERS``.
"""

from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider


@aws_provider(api="cloudwatch", name="host")
def cloudwatch() -> Service:
    from localstack_host.alarm_tags import TaggedAlarms
    from localstack_host.alarms import PromptAlarms
    from localstack_host.composite_alarms import CompositeAlarms
    from localstack_host.missing_dashboard import MissingDashboards

    class CloudwatchProvider(TaggedAlarms, PromptAlarms, CompositeAlarms, MissingDashboards):
        pass

    return Service.for_provider(CloudwatchProvider())


@aws_provider(api="dynamodb", name="host")
def dynamodb() -> Service:
    from localstack_host import dynamodb, one_at_a_time

    dynamodb.install()
    return Service.for_provider(
        dynamodb.DynamodbProvider(), dispatch_table_factory=one_at_a_time.behind(dynamodb.LOCK)
    )


@aws_provider(api="dynamodbstreams", name="host")
def dynamodbstreams() -> Service:
    from localstack_host.dynamodb import LOCK
    from localstack_host.dynamodb_streams import StreamsProvider

    return Service.for_provider(StreamsProvider(LOCK))


@aws_provider(api="kinesis", name="host")
def kinesis() -> Service:
    from localstack_host import kinesis, one_at_a_time

    kinesis.install()
    return Service.for_provider(
        kinesis.KinesisProvider(), dispatch_table_factory=one_at_a_time.behind(kinesis.LOCK)
    )


@aws_provider(api="events", name="host")
def events() -> Service:
    from localstack_host import event_replay, input_transformers
    from localstack_host.disabled_rules import DisabledRules
    from localstack_host.event_replay import EventReplay
    from localstack_host.input_transformers import IngestionTimes
    from localstack_host.scheduled_rules import ScheduledRules
    from localstack_host.target_retries import TargetRetries

    class EventsProvider(DisabledRules, EventReplay, IngestionTimes, ScheduledRules, TargetRetries):
        pass

    event_replay.install()
    input_transformers.install()
    return Service.for_provider(EventsProvider())


@aws_provider(api="iam", name="host")
def iam() -> Service:
    from localstack_host.policy_simulator import IamProvider

    return Service.for_provider(IamProvider(), dispatch_table_factory=MotoFallbackDispatcher)


@aws_provider(api="lambda", name="host")
def lambda_() -> Service:
    from localstack_host import (
        async_invocations,
        client_context,
        lambda_metrics,
        shutdown,
        sqs_mapping,
        stream_mapping,
    )
    from localstack_host.empty_layers import ListedLayers
    from localstack_host.mapping_visibility import MappingVisibility
    from localstack_host.payload_limits import PayloadLimits

    class LambdaProvider(ListedLayers, MappingVisibility, PayloadLimits, shutdown.LambdaProvider):
        pass

    async_invocations.install()
    client_context.install()
    lambda_metrics.install()
    sqs_mapping.install()
    stream_mapping.install()
    return Service.for_provider(LambdaProvider())


@aws_provider(api="logs", name="host")
def logs() -> Service:
    from localstack_host import logs
    from localstack_host.log_queries import LogQueries

    class LogsProvider(LogQueries, logs.LogsProvider):
        pass

    logs.install()
    return Service.for_provider(LogsProvider(), dispatch_table_factory=MotoFallbackDispatcher)


@aws_provider(api="s3", name="host")
def s3() -> Service:
    from localstack_host import presigned_urls
    from localstack_host.s3_events import ObjectEvents
    from localstack_host.s3_storage import store

    presigned_urls.install()
    return Service.for_provider(ObjectEvents(store()))


@aws_provider(api="scheduler", name="host")
def scheduler() -> Service:
    from localstack_host import scheduler

    scheduler.install()
    return Service.for_provider(scheduler.SchedulerProvider(), dispatch_table_factory=MotoFallbackDispatcher)


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


@aws_provider(api="stepfunctions", name="host")
def stepfunctions() -> Service:
    from localstack_host import (
        branch_errors,
        choice_without_match,
        closed_tokens,
        execution_metrics,
        heartbeat_timeout,
        jsonpath_variables,
        state_machine_definition,
    )
    from localstack_host.redrive_execution import RedrivableExecutions

    class StepFunctionsProvider(
        closed_tokens.ClosedTokens, RedrivableExecutions, state_machine_definition.Diagnostics
    ):
        pass

    branch_errors.install()
    choice_without_match.install()
    closed_tokens.install()
    execution_metrics.install()
    heartbeat_timeout.install()
    jsonpath_variables.install()
    state_machine_definition.install()
    return Service.for_provider(StepFunctionsProvider())
