"""The internals of LocalStack that are replaced by name, and what happens when one is gone."""

import json
import subprocess

from conftest import PYTHON

# Anything new here needs a "# patch:" comment beside it that says why no extension point serves.
EXPECTED = [
    "localstack.services.events.archive.ArchiveService.get_events",
    "localstack.services.events.target.TargetSender.transform_event_with_target_input_transformer",
    "localstack.services.events.target.to_json_str",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.DynamoDBPoller",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.EsmWorker",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.KinesisPoller",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.SqsPoller",
    "localstack.services.lambda_.invocation.event_manager.Poller",
    "localstack.services.lambda_.invocation.execution_environment.ExecutionEnvironment.invoke",
    "localstack.services.lambda_.invocation.metrics.publish_lambda_metric",
    "localstack.services.lambda_.invocation.version_manager.LambdaVersionManager.invoke",
    "localstack.services.logs.provider.get_pattern_matcher",
    "localstack.services.s3.presigned_url.get_credentials_from_parameters",
    "localstack.services.scheduler.provider._validate_schedule_expression",
    "localstack.services.sqs.provider.CloudwatchPublishWorker",
    "localstack.services.sqs.provider.publish_sqs_metric",
    "localstack.services.stepfunctions.asl.component.common.string.string_expression.StringVariableSample._eval_body",
    "localstack.services.stepfunctions.asl.component.state.state_choice.comparison.comparison_func.ComparisonFuncStringVariableSample._eval_body",
    "localstack.services.stepfunctions.asl.component.state.state_choice.state_choice.StateChoice._eval_state",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.iteration_worker.CustomErrorName",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_parallel.branches_decl.CustomErrorName",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback.StateTaskServiceCallback._from_error",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback.StateTaskServiceCallback._from_error",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.state_task_activitiy.StateTaskActivity._from_error",
    "localstack.services.stepfunctions.asl.parse.preprocessor.Preprocessor.visitChoice_rule_comparison_variable",
    "localstack.services.stepfunctions.backend.execution.BaseExecutionWorkerCommunication.terminated",
    "localstack.services.stepfunctions.backend.execution.Execution.start",
    "localstack.services.stepfunctions.provider.StepFunctionsProvider._validate_definition",
    "moto.dynamodb.models.DynamoDBBackend.transact_write_items",
    "moto.dynamodb.models.DynamoDBBackend.update_item",
    "moto.dynamodb.models.DynamoDBBackend.update_table_streams",
    "moto.dynamodb.models.Table",
    "moto.dynamodb.models.table.StreamShard",
    "moto.kinesis.models.Shard",
]

INSTALL_ALL = """
import json
from localstack_host import (
    async_invocations,
    branch_errors,
    choice_without_match,
    client_context,
    closed_tokens,
    dynamodb,
    event_replay,
    execution_metrics,
    heartbeat_timeout,
    input_transformers,
    jsonpath_variables,
    kinesis,
    lambda_metrics,
    logs,
    patching,
    presigned_urls,
    scheduler,
    sqs_mapping,
    sqs_metrics,
    state_machine_definition,
    stream_mapping,
)
for module in (
    async_invocations,
    branch_errors,
    choice_without_match,
    client_context,
    closed_tokens,
    dynamodb,
    event_replay,
    execution_metrics,
    heartbeat_timeout,
    input_transformers,
    jsonpath_variables,
    kinesis,
    lambda_metrics,
    logs,
    presigned_urls,
    scheduler,
    sqs_mapping,
    sqs_metrics,
    state_machine_definition,
    stream_mapping,
):
    module.install()
print(json.dumps(sorted(patching.REPLACED)))
"""

REPLACE_NOTHING = """
from localstack.services.logs import provider
from localstack_host.patching import replace
replace(provider, "gone", None)
"""

# Methods and attributes that are overridden or used, but not replaced.
USED = """
from localstack.aws import spec
from localstack.services.cloudwatch.alarm_scheduler import AlarmScheduler
from localstack.services.cloudwatch.cloudwatch_database_helper import CloudwatchDatabase
from localstack.services.cloudwatch.provider_v2 import CloudwatchProvider
from localstack.services.events.provider import EventsProvider
from localstack.services.lambda_.event_source_mapping.esm_worker import EsmWorker
from localstack.services.lambda_.event_source_mapping.pollers.dynamodb_poller import DynamoDBPoller
from localstack.services.lambda_.event_source_mapping.pollers.kinesis_poller import KinesisPoller
from localstack.services.lambda_.event_source_mapping.pollers.sqs_poller import SqsPoller
from localstack.services.lambda_.invocation.event_manager import Poller
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from localstack.services.lambda_.provider import LambdaProvider
from localstack.services.s3.notifications import NotificationDispatcher, SqsNotifier
from localstack.services.s3.provider import S3Provider
from localstack.services.sqs.models import FifoQueue, StandardQueue
from localstack.services.sqs.provider import CloudwatchPublishWorker, SqsProvider
from localstack.services.stepfunctions.backend.execution import Execution
from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker
from localstack.services.stepfunctions.provider import StepFunctionsProvider
from moto.dynamodb.models import DynamoDBBackend, table
from moto.kinesis.models import Shard
for owner, names in {
    spec: "_get_catalog_filename build_service_index_cache",
    AlarmScheduler: "schedule_metric_alarm delete_scheduler_for_alarm",
    CloudwatchDatabase: "add_metric_data get_metric_data_stat METRICS_DB _get_ordered_dimensions_with_separator",
    CloudwatchProvider: "_evaluate_composite_alarms _update_state _run_composite_alarm_actions",
    EventsProvider: "_process_rules _process_rules_async create_target_sender on_before_start put_rule enable_rule "
    "disable_rule delete_rule",
    NotificationDispatcher: "notifiers",
    S3Provider: "_notify",
    SqsNotifier: "_get_event_payload",
    EsmWorker: "create start stop delete poller_loop update_esm_state_in_store delete_esm_in_store stop_for_shutdown",
    SqsPoller: "poll_events handle_messages filter_events delete_messages add_source_metadata close",
    DynamoDBBackend: "get_table get_keys_value",
    DynamoDBPoller: "transform_into_events filter_events add_source_metadata get_sequence_number "
    "get_approximate_arrival_time send_events_to_dlq poll_events",
    KinesisPoller: "transform_into_events filter_events add_source_metadata get_sequence_number "
    "get_approximate_arrival_time send_events_to_dlq poll_events",
    Shard: "put_record get_min_sequence_number get_max_sequence_number shard_id",
    table.StreamShard: "add",
    table.Table: "put_item delete_item get_item set_stream_specification has_range_key",
    RuntimeExecutor: "start stop invoke prepare_version cleanup_version get_runtime_endpoint",
    LambdaProvider: "on_before_stop invoke validate_event_source_mapping",
    Poller: "run stop handle_message",
    Execution: "publish_execution_status_change_event _get_start_execution_worker_comm "
    "_get_start_aws_execution_details _to_serialized_date",
    ExecutionWorker: "start _execution_logic _get_evaluation_entrypoint _get_evaluation_environment",
    StepFunctionsProvider: "_get_execution _raise_resource_type_not_in_context describe_execution get_store "
    "send_task_success send_task_failure send_task_heartbeat",
    CloudwatchPublishWorker: "publish_approximate_cloudwatch_metrics",
    SqsProvider: "set_queue_attributes _resolve_queue",
}.items():
    for name in names.split():
        assert hasattr(owner, name), f"{owner.__name__} has no {name}"
"""


def run(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PYTHON, "-c", source], check=False, capture_output=True, text=True, timeout=60)


def test_every_replaced_internal_exists_and_is_listed_here() -> None:
    ended = run(INSTALL_ALL)

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == EXPECTED


def test_a_name_that_is_gone_fails_clearly() -> None:
    ended = run(REPLACE_NOTHING)

    assert ended.returncode != 0
    assert "localstack.services.logs.provider has no 'gone' to replace" in ended.stderr
    assert "localstack-core 4.14.0" in ended.stderr


def test_what_is_overridden_exists() -> None:
    ended = run(USED)

    assert ended.returncode == 0, ended.stderr
