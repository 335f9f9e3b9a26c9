"""A distributed Map tolerates as many failures as it says, counts what it does, and hands on items in batches.

AWS: a Map Run fails with States.ExceedToleratedFailureThreshold when more items failed than ToleratedFailureCount, or
ToleratedFailurePercentage of all, or any without these; children that run are stopped. Its result is that of the
children that succeeded (https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html).
DescribeMapRun counts child workflow executions, and items
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeMapRun.html). ItemBatcher gives each child
{"BatchInput": …, "Items": […]}, with as many items as MaxItemsPerBatch and MaxInputBytesPerBatch allow, after
ItemReader and ItemSelector (https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html).

LocalStack: ignores the thresholds and gives null for a child that failed. Nothing is ever pending, and a child that
failed is running for ever. Takes a ToleratedFailureCount in JSONata for a percentage. Its grammar has no ItemBatcher,
and no percentage without a fraction. UpdateMapRun refuses thresholds, and while any execution is about to begin,
questions about Map Runs are internal errors.

Here: the Map Run and its children's end are replaced. An ItemBatcher is taken out of the definition before LocalStack
reads it, and read as the payload of a Pass state of its own. Not as on AWS: a child has no execution of its own to
list, and UpdateMapRun does not change how many run at once.

Evidence: documentation; belief for thresholds of 0 beside another, for an item that is larger than a batch may be (it
is one), and for what is pending in a Map Run that fails (it counts as aborted).
"""

import copy
import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.stepfunctions import HistoryEventType, ResourceNotFound
from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEventException
from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.distributed_iteration_component import (  # noqa: E501
    DistributedIterationComponent,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501
    DistributedItemProcessorWorker,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.iterator.distributed_iterator_worker import (  # noqa: E501
    DistributedIteratorWorker,
)
from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.job import JobPool
from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.state_map import StateMap
from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.tolerated_failure import (
    ToleratedFailureCountStringJSONata,
    ToleratedFailurePercentageStringJSONata,
)
from localstack.services.stepfunctions.asl.eval.environment import Environment
from localstack.services.stepfunctions.asl.eval.program_state import ProgramError, ProgramStopped
from localstack.services.stepfunctions.asl.parse.asl_parser import AmazonStateLanguageParser
from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor
from localstack.services.stepfunctions.asl.parse.test_state.asl_parser import TestStateAmazonStateLanguageParser
from localstack.services.stepfunctions.provider import StepFunctionsProvider

from localstack_host.patching import overrides, replace, uses
from localstack_host.stepfunctions.begun_executions import begun
from localstack_host.stepfunctions.failures import failure
from localstack_host.stepfunctions.item_batches import LIMITS, batches, exceeded, limit_problems

uses(DistributedIterationComponent, "_launch_worker", "_get_iteration_program", "_create_worker")
uses(DistributedItemProcessorWorker, "_eval_input", "_map_run_record", "_env")
uses(DistributedIteratorWorker, "_eval_input", "_map_run_record", "_env")
uses(Environment, "_frames")
uses(StepFunctionsProvider, "_get_execution", "get_store")

LOG = logging.getLogger(__name__)

EXCEEDED = "The specified tolerated failure threshold was exceeded"

# The ItemBatcher of each Map state of the definition that is being read, by the state's name, with its query language.
BATCHERS: ContextVar[dict[str, tuple[dict[str, Any], str]]] = ContextVar("BATCHERS")


class Unsuccessful:
    """The output of a child that did not succeed, and has none in the Map's result."""


MACHINES = ("ItemProcessor", "Iterator", "Branches")


def readable(machine: Any, found: dict[str, tuple[dict[str, Any], str]], language: str) -> Any:
    """A decoded machine, or a list of some, as LocalStack's grammar has it; its ItemBatchers go to ``found``.

    The grammar has no ItemBatcher, and no ToleratedFailurePercentage without a fraction.
    """
    if isinstance(machine, list):
        return [readable(part, found, language) for part in machine]
    states = {}
    for name, state in machine.get("States", {}).items():
        states[name] = dict(state)
        if batcher := states[name].pop("ItemBatcher", None):
            found[name] = (batcher, state.get("QueryLanguage", language))
        if type(percentage := state.get("ToleratedFailurePercentage")) is int:
            states[name]["ToleratedFailurePercentage"] = float(percentage)
        states[name] |= {field: readable(state[field], found, language) for field in MACHINES if field in state}
    return {**machine, "States": states} if states else machine


def read(definition: str) -> tuple[str, dict[str, tuple[dict[str, Any], str]]]:
    """A definition of a machine, or of a state alone, as LocalStack's grammar has it, and its ItemBatchers."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    if not any(field in definition for field in ("ItemBatcher", "ToleratedFailurePercentage")):
        return definition, found
    try:
        decoded = json.loads(definition)
        machine: dict[str, Any] = decoded if "States" in decoded else {"States": {"": decoded}}
        rest = readable(machine, found, machine.get("QueryLanguage", "JSONPath"))
    except (ValueError, TypeError, AttributeError):
        return definition, found  # the grammar says what is wrong
    return json.dumps(rest if machine is decoded else rest["States"][""]), found


class Batcher:
    """An ItemBatcher: a payload in the state's query language, which gives limits and BatchInput."""

    def __init__(self, definition: dict[str, Any], language: str) -> None:
        payload = {name: value for name, value in definition.items() if not name.endswith("Path")}
        payload |= {f"{name}.$": definition[f"{name}Path"] for name in LIMITS if f"{name}Path" in definition}
        field = "Output" if language == "JSONata" else "Parameters"
        state = {"Type": "Pass", "QueryLanguage": language, field: payload, "End": True}
        program, _ = AmazonStateLanguageParser.parse(json.dumps({"StartAt": "B", "States": {"B": state}}))
        alone = program.states.states["B"]
        self.language = language
        self.payload = alone.output.jsonata_template_value if language == "JSONata" else alone.parameters
        for expression in expressions(self.payload):
            expression.location = expression.location.replace("Output", "ItemBatcher", 1)

    def batches(self, env: Any, items: list[Any]) -> list[dict[str, Any]]:
        """Raises FailureEventException if a limit is none."""
        self.payload.eval(env=env)
        settings = env.stack.pop()
        for problem in limit_problems(settings):
            jsonata = self.language == "JSONata"
            kind = StatesErrorNameType.StatesQueryEvaluationError if jsonata else StatesErrorNameType.StatesRuntime
            raise failure(env, kind, problem, HistoryEventType.MapRunFailed)
        return batches(items, settings.get("BatchInput"), *(settings.get(name) for name in LIMITS))


def expressions(component: Any) -> list[Any]:
    """The JSONata expressions in a template."""
    if hasattr(component, "location"):
        return [component]
    parts = component if isinstance(component, list) else vars(component).values() if hasattr(component, "eval") else ()
    return [found for part in parts for found in expressions(part)]


def counters(record: Any, number: int) -> list[tuple[Any, int]]:
    """The counters of items and of executions, and by how much a child moves each."""
    return [(record.item_counter, record.sizes[number]), (record.execution_counter, 1)]


def move(record: Any, number: int, source: str, target: str) -> None:
    """Counts a child in ``target`` that was counted in ``source``."""
    for counter, amount in counters(record, number):
        getattr(counter, source).offset(-amount)
        getattr(counter, target).count(amount)
        if target == "succeeded":
            counter.results_written.count(amount)


class MapRuns(StepFunctionsProvider):
    @overrides
    def list_map_runs(self, context: RequestContext, execution_arn: str, **kwargs: Any) -> Any:
        wanted = self._get_execution(context=context, execution_arn=execution_arn)
        pools = [env.map_run_record_pool_manager for found, env in begun(self.get_store(context)) if found is wanted]
        return {"mapRuns": [record.list_item() for pool in pools for record in pool.get_all()]}

    @overrides
    def describe_map_run(self, context: RequestContext, map_run_arn: str, **kwargs: Any) -> Any:
        return self.map_run(context, map_run_arn).describe()

    @overrides
    def update_map_run(
        self,
        context: RequestContext,
        map_run_arn: str,
        max_concurrency: int | None = None,
        tolerated_failure_percentage: float | None = None,
        tolerated_failure_count: int | None = None,
        **kwargs: Any,
    ) -> Any:
        record = self.map_run(context, map_run_arn)
        record.update(max_concurrency, tolerated_failure_count, tolerated_failure_percentage)
        return {}

    def map_run(self, context: RequestContext, arn: str) -> Any:
        for _, env in begun(self.get_store(context)):
            if record := env.map_run_record_pool_manager.get(arn):
                return record
        raise ResourceNotFound(f"Resource not found: '{arn}'")


def install() -> None:
    install_batchers()
    install_runs()


def install_batchers() -> None:
    def parsing(definition: str) -> Any:
        text, found = read(definition)
        token = BATCHERS.set(found)
        try:
            return parse(text)
        finally:
            BATCHERS.reset(token)

    # patch: the grammar, which is generated, has no ItemBatcher.
    parse = replace(AmazonStateLanguageParser, "parse", staticmethod(parsing))

    def parsing_state(definition: str, state_name: str | None = None) -> Any:
        return parse_state(read(definition)[0], state_name)

    # patch: TestState has a parser of its own for the same grammar, and no children to give batches to.
    parse_state = replace(TestStateAmazonStateLanguageParser, "parse", staticmethod(parsing_state))

    def taking(self: Any, state_props: Any) -> None:
        take(self, state_props)
        batcher = BATCHERS.get({}).get(self.name)
        self.iteration_component.batcher = batcher and Batcher(*batcher)

    # patch: the parser makes the state's class itself.
    take = replace(StateMap, "from_state_props", taking)

    def counting(self: Any, ctx: Any) -> Any:
        return ToleratedFailureCountStringJSONata(self.visitString_jsonata(ctx.string_jsonata()))

    # patch: the parser takes the number for a percentage.
    replace(Preprocessor, "visitTolerated_failure_count_string_jsonata", counting)

    def share(self: Any, env: Any) -> Any:
        self.string_jsonata.eval(env=env)
        return env.stack.pop()

    # patch: it cuts the fraction off.
    replace(ToleratedFailurePercentageStringJSONata, "_eval_tolerated_failure_percentage", share)


def install_runs() -> None:
    def mapping(self: Any, env: Any, eval_input: Any) -> None:
        items, record = env.stack.pop(), eval_input.map_run_record
        inputs, record.sizes = items, [1] * len(items)
        if self.batcher:
            inputs = self.batcher.batches(env, selected(self, env, eval_input, items))
            record.sizes = [len(batch["Items"]) for batch in inputs]
            eval_input = copy.copy(eval_input)
            eval_input.item_selector = eval_input.parameters = None
        for counter, amount in ((record.item_counter, len(items)), (record.execution_counter, len(inputs))):
            counter.total.count(amount)
            counter.pending.count(amount)
        pool = JobPool(job_program=self._get_iteration_program(), job_inputs=inputs)
        for _ in range(min(record.max_concurrency or len(inputs), len(inputs))):
            self._launch_worker(env=env, eval_input=eval_input, job_pool=pool)
        pool.await_jobs()
        if failed := pool.get_worker_exception():
            stopped(env, record)
            raise failed
        outputs = [job.job_output for job in pool.get_closed_jobs()]
        env.stack.append([output for output in outputs if not isinstance(output, Unsuccessful)])

    # patch: the component that the parser makes has the whole Map Run in this method.
    replace(DistributedIterationComponent, "_map_run", mapping)

    def child(self: Any, env: Any, job: Any) -> None:
        record, number = self._map_run_record, job.job_index
        move(record, number, "pending", "running")
        job.job_output, outcome = Unsuccessful(), "failed"
        try:
            given(self, env, number, job.job_input)
            job.job_program.eval(env)
            ended = env.program_state()
            if isinstance(ended, ProgramStopped):
                outcome = "aborted"
            elif not isinstance(ended, ProgramError):
                job.job_output, outcome = env.states.get_input(), "succeeded"
        except FailureEventException:
            pass  # of ItemSelector
        except Exception:
            LOG.warning("A child of the Map Run %s failed.", record.map_run_arn, exc_info=True)
        move(record, number, "running", outcome)
        items = record.item_counter
        failures, total = items.failed.get() + items.timed_out.get(), items.total.get()
        tolerated = record.tolerated_failure_count, record.tolerated_failure_percentage
        if outcome == "failed" and exceeded(failures, total, *tolerated):
            error = StatesErrorNameType.StatesExceedToleratedFailureThreshold
            job.job_output = failure(self._env, error, EXCEEDED, HistoryEventType.MapRunFailed)

    # patch: a worker for each spelling of the field, each with the child and its counting in this method.
    replace(DistributedItemProcessorWorker, "_eval_job", child)
    # patch: the other spelling's.
    replace(DistributedIteratorWorker, "_eval_job", child)


def given(worker: Any, env: Any, number: int, item: Any) -> None:
    """Gives the frame of a child, or of an item, its input, by ItemSelector if there is one."""
    env.states.context_object.context_object_data["Map"] = {"Item": {"Index": number, "Value": item}}
    env.states.reset(item)
    env.stack.append(env.states.get_input())
    worker._eval_input(env_frame=env)


def selected(component: Any, env: Any, eval_input: Any, items: list[Any]) -> list[Any]:
    """The items as ItemSelector makes them."""
    worker = component._create_worker(env=env, eval_input=eval_input, job_pool=None)
    found = []
    for number, item in enumerate(items):
        frame = env.open_inner_frame()
        given(worker, frame, number, item)
        found.append(frame.states.get_input())
        env.delete_frame(frame)
    return found


def stopped(env: Any, record: Any) -> None:
    """Stops the children of a Map Run that failed: what did not begin counts as aborted."""
    for frame in list(env._frames):
        frame.set_stop(stop_date=datetime.now(UTC), cause=EXCEEDED, error=None)
    for counter in (record.item_counter, record.execution_counter):
        pending = counter.pending.get()
        counter.pending.offset(-pending)
        counter.aborted.count(pending)
