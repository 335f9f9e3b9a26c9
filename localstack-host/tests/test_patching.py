"""What is changed in LocalStack: all of it is marked, and what is gone, or no longer reached, is noticed."""

import ast
import json
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import run
from localstack_host.patching import MissingInternal, demanded, overrides, replace, swap, uses

PROJECT = Path(__file__).parents[1]
SOURCES = sorted((PROJECT / "src/localstack_host").rglob("*.py"))

# Anything new here needs a "# patch:" comment beside it that says why no extension point serves.
EXPECTED = [
    "localstack.services.cloudwatch.provider_v2.create_message_response_update_state_lambda",
    "localstack.services.cloudwatch.provider_v2.create_message_response_update_state_sns",
    "localstack.services.cloudwatch.provider_v2.create_metric_data_query_from_alarm",
    "localstack.services.events.archive.ArchiveService.get_events",
    "localstack.services.events.provider.matches_event",
    "localstack.services.events.target.TargetSender.transform_event_with_target_input_transformer",
    "localstack.services.events.target.to_json_str",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.DynamoDBPoller",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.EsmWorker",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.KinesisPoller",
    "localstack.services.lambda_.event_source_mapping.esm_worker_factory.SqsPoller",
    "localstack.services.lambda_.invocation.event_manager.Poller",
    "localstack.services.lambda_.invocation.execution_environment.ExecutionEnvironment.invoke",
    "localstack.services.lambda_.invocation.internal_sqs_queue.EventQueueUpdateWorker.start",
    "localstack.services.lambda_.invocation.internal_sqs_queue.StandardQueue",
    "localstack.services.lambda_.invocation.metrics.publish_lambda_metric",
    "localstack.services.lambda_.invocation.version_manager.LambdaVersionManager.invoke",
    "localstack.services.lambda_.provider.validate_event_pattern",
    "localstack.services.logs.provider.get_pattern_matcher",
    "localstack.services.s3.presigned_url.get_credentials_from_parameters",
    "localstack.services.s3.provider.decode_user_metadata",
    "localstack.services.scheduler.provider._validate_schedule_expression",
    "localstack.services.sns.filter.SubscriptionFilter.check_filter_policy_on_message_attributes",
    "localstack.services.sns.filter.SubscriptionFilter.check_filter_policy_on_message_body",
    "localstack.services.sns.provider.FilterPolicyValidator",
    "localstack.services.sns.provider.PublishDispatcher",
    "localstack.services.sns.publisher.PublishDispatcher.batch_topic_notifiers",
    "localstack.services.sns.publisher.PublishDispatcher.topic_notifiers",
    "localstack.services.sqs.developer_api.SqsDeveloperApi._collect_messages",
    "localstack.services.sqs.provider.CloudwatchPublishWorker",
    "localstack.services.sqs.provider.FifoQueue",
    "localstack.services.sqs.provider.MessageMoveTaskManager",
    "localstack.services.sqs.provider.QueueUpdateWorker.start",
    "localstack.services.sqs.provider.StandardQueue",
    "localstack.services.sqs.provider.check_attributes",
    "localstack.services.sqs.provider.publish_sqs_metric",
    "localstack.services.stepfunctions.asl.component.common.assign.assign_decl.AssignDecl._eval_body",
    "localstack.services.stepfunctions.asl.component.common.string.string_expression.StringJSONata._eval_body",
    "localstack.services.stepfunctions.asl.component.common.string.string_expression.StringVariableSample._eval_body",
    "localstack.services.stepfunctions.asl.component.common.string.string_expression.extract_json",
    "localstack.services.stepfunctions.asl.component.intrinsic.argument.argument.extract_json",
    "localstack.services.stepfunctions.asl.component.state.state.CommonStateField._eval_body",
    "localstack.services.stepfunctions.asl.component.state.state.StateData",
    "localstack.services.stepfunctions.asl.component.state.state_choice.comparison.comparison_variable.ComparisonVariable._eval_body",
    "localstack.services.stepfunctions.asl.component.state.state_choice.state_choice.StateChoice._eval_state",
    "localstack.services.stepfunctions.asl.component.state.state_execution.execute_state.ExecutionState._eval_state_output",
    "localstack.services.stepfunctions.asl.component.state.state_execution.execute_state.ExecutionState._evaluate_with_timeout",
    "localstack.services.stepfunctions.asl.component.state.state_execution.execute_state.ExecutionState._evaluate_with_timeout",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.distributed_iteration_component.DistributedIterationComponent._map_run",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.distributed_item_processor_worker.DistributedItemProcessorWorker._eval_job",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.iteration_worker.CustomErrorName",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.iterator.distributed_iterator_worker.DistributedIteratorWorker._eval_job",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_map.state_map.StateMap.from_state_props",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_map.tolerated_failure.ToleratedFailurePercentageStringJSONata._eval_tolerated_failure_percentage",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_parallel.branches_decl.CustomErrorName",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_aws_sdk.StateTaskServiceAwsSdk._get_boto_service_name",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_aws_sdk.StateTaskServiceAwsSdk._normalise_exception_name",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_aws_sdk.StateTaskServiceAwsSdk._normalise_service_error_name",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_aws_sdk.StateTaskServiceAwsSdk._validate_service_integration_is_supported",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback.StateTaskServiceCallback._eval_sync",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback.StateTaskServiceCallback._from_error",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback.StateTaskServiceCallback._from_error",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_sfn.StateTaskServiceSfn._build_sync2_resolver",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_sfn.StateTaskServiceSfn._build_sync_resolver",
    "localstack.services.stepfunctions.asl.component.state.state_execution.state_task.state_task_activitiy.StateTaskActivity._from_error",
    "localstack.services.stepfunctions.asl.component.state.state_wait.wait_function.seconds_path.SecondsPath._validate_seconds_value",
    "localstack.services.stepfunctions.asl.component.state.state_wait.wait_function.timestamp.Timestamp._from_timestamp_string",
    "localstack.services.stepfunctions.asl.component.state.state_wait.wait_function.timestamp.Timestamp._get_wait_seconds",
    "localstack.services.stepfunctions.asl.component.state.state_wait.wait_function.wait_function.WaitFunction._wait_interval",
    "localstack.services.stepfunctions.asl.eval.variable_store.VariableStore.get_assigned_variables",
    "localstack.services.stepfunctions.asl.parse.asl_parser.AmazonStateLanguageParser.parse",
    "localstack.services.stepfunctions.asl.parse.preprocessor.Preprocessor.visitChoice_rule_comparison_variable",
    "localstack.services.stepfunctions.asl.parse.preprocessor.Preprocessor.visitString_jsonata",
    "localstack.services.stepfunctions.asl.parse.preprocessor.Preprocessor.visitTolerated_failure_count_string_jsonata",
    "localstack.services.stepfunctions.asl.parse.test_state.asl_parser.TestStateAmazonStateLanguageParser.parse",
    "localstack.services.stepfunctions.backend.execution.BaseExecutionWorkerCommunication._reflect_execution_status",
    "localstack.services.stepfunctions.backend.execution.BaseExecutionWorkerCommunication.terminated",
    "localstack.services.stepfunctions.backend.execution.Execution.start",
    "localstack.services.stepfunctions.backend.execution_worker.ExecutionWorker._get_evaluation_environment",
    "localstack.services.stepfunctions.backend.execution_worker.ExecutionWorker.stop",
    "localstack.services.stepfunctions.provider.StepFunctionsProvider._validate_definition",
    "moto.dynamodb.models.DynamoDBBackend.get_keys_value",
    "moto.dynamodb.models.DynamoDBBackend.update_table",
    "moto.dynamodb.models.DynamoDBBackend.update_table_streams",
    "moto.dynamodb.models.dynamo_type.DynamoType.__lt__",
    "moto.dynamodb.models.dynamo_type.DynamoType.compare",
    "moto.dynamodb.models.dynamo_type.Item.project",
    "moto.dynamodb.models.dynamo_type.LimitedSizeDict",
    "moto.dynamodb.models.get_filter_expression",
    "moto.dynamodb.models.table.StreamShard",
    "moto.dynamodb.models.table.Table.all_items",
    "moto.dynamodb.models.table.Table.put_item",
    "moto.dynamodb.models.table.Table.query",
    "moto.dynamodb.models.table.Table.scan",
    "moto.dynamodb.models.table.Table.sorted_items",
    "moto.dynamodb.responses.DynamoHandler.batch_write_item",
    "moto.dynamodb.responses.DynamoHandler.call_action",
    "moto.dynamodb.responses.DynamoHandler.delete_item",
    "moto.dynamodb.responses.DynamoHandler.put_item",
    "moto.dynamodb.responses.DynamoHandler.transact_get_items",
    "moto.dynamodb.responses.DynamoHandler.transact_write_items",
    "moto.dynamodb.responses.DynamoHandler.update_item",
    "moto.dynamodb.responses.ProjectionExpressionParser",
    "moto.dynamodb.responses.create_condition_expression_parser",
    "moto.dynamodb.responses.parse_expression",
    "moto.kinesis.models.Stream",
    "moto.logs.models.LogsBackend.put_log_events",
    "moto.ssm.models.SimpleSystemManagerBackend.label_parameter_version",
]

INSTALL_ALL = """
import json
from localstack_host import patching
patching.install_modules_of("localstack_host")
print(json.dumps(sorted(patching.REPLACED)))
"""

REPLACE_NOTHING = """
from localstack.services.logs import provider
from localstack_host.patching import replace
replace(provider, "gone", None)
"""

# Names that Python itself calls, and what abc and moto put into every class, are no overrides of a method.
UNMARKED = """
import json
from localstack_host import patching
marked = set()
class Recording(patching._Override):
    def __set_name__(self, owner, name):
        marked.add((owner, name))
        super().__set_name__(owner, name)
patching._Override = Recording
patching.install_modules_of("localstack_host")
from localstack_host.loopback import LoopbackServerPlugin
LoopbackServerPlugin().load()
def classes(base):
    for kind in base.__subclasses__() if not issubclass(base, type) else ():
        yield kind
        yield from classes(kind)
own = {kind for kind in classes(object) if str(kind.__module__).startswith("localstack_host.")}
print(json.dumps(sorted(
    f"{kind.__module__}.{kind.__qualname__}.{name}"
    for kind in own
    for name in vars(kind)
    if not name.startswith("__") and name not in ("_abc_impl", "instances_tracked") and (kind, name) not in marked
    and any(
        name in vars(base)
        for base in kind.__mro__[1:]
        if str(base.__module__).partition(".")[0] in ("localstack", "moto", "plux", "rolo")
    )
)))
print(len(own), len(marked))
"""


class Stock:
    """Stands for a class of LocalStack."""

    def __init__(self) -> None:
        self.made_by_it = 1

    def work(self) -> str:
        return "stock"


Stock.__module__ = "localstack.stock"


def test_every_replaced_internal_exists_and_is_listed_here() -> None:
    ended = run(INSTALL_ALL)

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == EXPECTED


def test_a_name_that_is_gone_fails_clearly() -> None:
    ended = run(REPLACE_NOTHING)

    assert ended.returncode != 0
    assert "localstack.services.logs.provider has no 'gone' to replace" in ended.stderr
    assert "localstack-core 4.14.0" in ended.stderr


@pytest.mark.parametrize("change", [lambda: replace(Stock, "gone", None), lambda: uses(Stock, "work", "gone")])
def test_a_name_of_a_class_that_is_gone_fails_clearly(change: object) -> None:
    assert callable(change)
    with pytest.raises(MissingInternal, match=r"localstack\.stock\.Stock has no 'gone' to (replace|use): .* 4\.14\.0"):
        change()


def test_an_attribute_of_an_object_that_is_gone_fails_clearly() -> None:
    stock = Stock()

    assert swap(stock, "made_by_it", 2) == 1
    assert stock.made_by_it == 2
    with pytest.raises(MissingInternal, match=r"localstack\.stock\.Stock has no 'gone' to swap"):
        swap(stock, "gone", 2)


def test_an_override_of_nothing_fails_when_its_class_is_made() -> None:
    class Working(Stock):
        @overrides
        def work(self) -> str:
            return "own " + super().work()

    assert Working().work() == "own stock"
    with pytest.raises(MissingInternal, match=r"localstack\.stock\.Stock has no 'gone' to override"):

        class Idle(Stock):
            @overrides
            def gone(self) -> None: ...


def test_what_a_base_demands_is_checked_too() -> None:
    with pytest.raises(MissingInternal, match=r"localstack\.stock\.Stock has no 'gone' to override"):

        class Idle(Stock):
            @demanded
            def gone(self) -> None: ...


def test_a_name_that_objects_get_when_they_are_made_can_be_declared() -> None:
    uses(Stock, "made_by_it")


def test_every_override_is_marked() -> None:
    ended = run(UNMARKED)

    assert ended.returncode == 0, ended.stderr
    *_, unmarked, counts = ended.stdout.splitlines()
    assert json.loads(unmarked) == []
    assert all(int(count) > 50 for count in counts.split())


def strings(tree: ast.AST, *functions: str) -> set[str]:
    """The literal strings in calls of the functions."""
    return {
        part.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in functions
        for argument in call.args
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def marked(tree: ast.AST) -> set[str]:
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(one, ast.Name) and one.id in ("overrides", "demanded") for one in node.decorator_list)
    }


def own(tree: ast.AST) -> set[str]:
    """Private names that the module's own classes define or set."""
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} | {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


def undeclared(source: str) -> Iterator[str]:
    """Private names of others that a module uses without a word: LocalStack may drop them in any version."""
    tree = ast.parse(source)
    known = strings(tree, "uses", "replace", "swap") | marked(tree) | own(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            standard = isinstance(node.value, ast.Name) and node.value.id in ("os", "sys")
            if node.attr not in known and not standard:
                yield f"line {node.lineno}: {node.attr}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_private_names_that_are_used_are_declared(path: Path) -> None:
    assert list(undeclared(path.read_text())) == []


def test_a_private_name_that_is_not_declared_is_found() -> None:
    assert list(undeclared("x._gone()")) == ["line 1: _gone"]
    assert list(undeclared("uses(X, '_there')\nx._there()")) == []


def unexplained(source: str) -> list[int]:
    """The lines of calls of ``replace`` without a "# patch:" comment above them that says why no hook serves."""
    lines = source.splitlines()
    calls = (
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace"
    )

    def explained(number: int) -> bool:
        above = number - 2
        while above >= 0 and (lines[above].strip().startswith("#") or "replace(" in lines[above]):
            if lines[above].strip().startswith("# patch: "):
                return True
            above -= 1
        return False

    return [number for number in calls if not explained(number)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_replacement_says_why_no_extension_point_serves(path: Path) -> None:
    source = path.read_text()

    assert "patching import" not in source or unexplained(source) == []


def test_a_replacement_without_a_reason_is_found() -> None:
    assert unexplained("# patch: no hook.\nreplace(a, 'b', c)\n\nreplace(a, 'd', c)") == [4]


def test_every_provider_has_an_entry_point() -> None:
    """LocalStack would serve a service without one by its own provider, and say nothing."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    entry_points = project["project"]["entry-points"]["localstack.aws.provider"]
    defined = {
        f"{keyword.value.value!s}:host": f"localstack_host.{path.parent.name}.service:{node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "aws_provider"
        for keyword in mark.keywords
        if keyword.arg == "api" and isinstance(keyword.value, ast.Constant)
    }

    assert entry_points == defined


STALE = """
from pathlib import Path
from localstack_host import environment
environment.__file__ = str(Path({folder!r}) / "environment.py")
environment.providers()
"""


def test_a_provider_that_was_not_installed_is_named(tmp_path: Path) -> None:
    """As in a checkout whose packages changed after it was installed."""
    (tmp_path / "glacier").mkdir()
    (tmp_path / "glacier" / "service.py").touch()

    ended = run(STALE.format(folder=str(tmp_path)))

    assert "the installation does not fit the source" in ended.stderr
    assert "localstack_host.glacier.service" in ended.stderr
    assert "install localstack-host again" in ended.stderr


# The end of a run

CONFTEST = """
import os
from pathlib import Path
from unreached import Unreached
def pytest_configure(config):
    config.pluginmanager.register(Unreached(config, Path(__file__).parent, os.environ, set))
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]")
    (tmp_path / "test_suite.py").write_text(
        textwrap.dedent(
            """
            from localstack_host.patching import overrides, replace, swap
            class Base:
                def used(self): ...
                def idle(self): ...
                def idle_too(self): ...
            class Stock(Base):
                def __init__(self): self.attribute = len
            Base.__module__ = Stock.__module__ = "localstack.stock"
            class Own(Stock):
                @overrides
                def idle_too(self): ...
            def test_one():
                replace(Base, "used", lambda self: 1)
                replace(Base, "idle", lambda self: 1)
                stock = Stock()
                swap(stock, "attribute", lambda: 1)
                assert stock.used() == 1
            def test_two(): ...
            """
        )
    )
    return tmp_path


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    paths = [str(PROJECT / "tests"), str(PROJECT / "src")]
    program = f"import sys; sys.path[:0] = {paths!r}; import os; os.environ['PYTHONPATH'] = {':'.join(paths)!r}"
    program += "; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, str(folder), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_replacement_that_is_never_reached_fails_the_whole_run(suite: Path, workers: str) -> None:
    ended = pytest_in(suite, "-n", workers)

    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "2 passed" in ended.stdout
    report = ended.stdout.partition("replacements that no test reached")[2]
    for name in ("Base.idle by", "Base.idle_too by", "Stock.attribute by"):
        assert f"localstack.stock.{name}" in report
    assert "Base.used" not in report


def test_a_run_of_a_part_compares_nothing(suite: Path) -> None:
    ended = pytest_in(suite, "-n", "0", "-k", "two")

    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
    assert "reached" not in ended.stdout


def test_a_run_in_which_all_is_reached_passes(suite: Path) -> None:
    file = suite / "test_suite.py"
    source = file.read_text().replace("def test_two(): ...", "def test_two(): Own().idle_too()")
    file.write_text(source.replace("lambda: 1)\n", "lambda: 1); stock.attribute(), stock.idle()\n"))

    ended = pytest_in(suite, "-n", "0")

    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
    assert "All 4 replacements were reached." in ended.stdout
