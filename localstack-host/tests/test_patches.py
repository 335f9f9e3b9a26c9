"""The internals of LocalStack that are replaced by name, and what happens when one is gone."""

import json
import subprocess

from conftest import PYTHON

# Anything new here needs a "# patch:" comment beside it that says why no extension point serves.
EXPECTED = [
    "localstack.services.cloudwatch.alarm_scheduler.Scheduler",
    "localstack.services.cloudwatch.alarm_scheduler.is_threshold_exceeded",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.EsmWorker",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.SqsPoller",
    "localstack.services.lambda_.invocation.version_manager.LambdaVersionManager.invoke",
    "localstack.services.logs.provider.get_pattern_matcher",
    "localstack.services.sqs.provider.CloudwatchPublishWorker",
]

INSTALL_ALL = """
import json
from localstack_host import alarms, lambda_metrics, logs, patching, sqs_mapping, sqs_metrics
for module in (alarms, lambda_metrics, logs, sqs_mapping, sqs_metrics):
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
from localstack.services.lambda_.event_source_mapping.esm_worker import EsmWorker
from localstack.services.lambda_.event_source_mapping.pollers.sqs_poller import SqsPoller
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from localstack.services.lambda_.provider import LambdaProvider
from localstack.services.sqs.models import FifoQueue, StandardQueue
from localstack.services.sqs.provider import CloudwatchPublishWorker, SqsProvider
for owner, names in {
    spec: "_get_catalog_filename build_service_index_cache",
    EsmWorker: "create start stop delete poller_loop update_esm_state_in_store delete_esm_in_store stop_for_shutdown",
    SqsPoller: "poll_events handle_messages filter_events delete_messages add_source_metadata close",
    RuntimeExecutor: "start stop invoke prepare_version cleanup_version get_runtime_endpoint",
    LambdaProvider: "on_before_stop",
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
