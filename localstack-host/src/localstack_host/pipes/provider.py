"""EventBridge Pipes: created, changed, started, stopped, and run.

AWS: a pipe reads a queue or a stream as an event source mapping does, with filters of the same kind; what matches goes
through the optional enrichment to the target (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes.html).
What fails stays in the queue, for its own dead-letter queue; of a stream it is retried, and then sent to the pipe's
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html and
https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_PipeSourceDynamoDBStreamParameters.html). States are
those of https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_DescribePipe.html: one that is running is
stopped, and starts again where it was.

LocalStack: has the pollers, which were written for mappings and pipes alike, and no service.

Here: a thread for each pipe runs a poller of ``lambda_.mappings``, and ``stages`` what comes after it. A pipe that is
created, started or changed is RUNNING at once, where AWS takes a minute. Sources are SQS, DynamoDB streams and Kinesis;
logs of pipes are not written.

Evidence: documentation; belief for the messages of errors.
"""

import io
import json
import logging
import re
import threading
import time
from datetime import UTC, datetime
from typing import Any

from botocore.config import Config
from localstack.aws.api import RequestContext, handler
from localstack.aws.api.pipes import ConflictException, NotFoundException, PipesApi, ValidationException
from localstack.services.lambda_.event_source_mapping.event_processor import EventProcessor, PartialBatchFailureError
from localstack.services.lambda_.event_source_mapping.pipe_utils import get_internal_client, to_json_str
from localstack.utils.aws.arns import parse_arn
from localstack.utils.strings import long_uid

from localstack_host.lambda_.mappings.sqs import SqsPoller
from localstack_host.lambda_.mappings.streams import POSITIONS, Answer, DynamoDBPoller, KinesisPoller
from localstack_host.lambda_.mappings.worker import MappingPoller
from localstack_host.patching import demanded, overrides
from localstack_host.pipes.stages import ENRICHMENTS, TARGETS, Stages
from localstack_host.shared.arrivals import ARRIVALS
from localstack_host.shared.event_patterns import InvalidPattern, compiled

LOG = logging.getLogger(__name__)

# The parameters of a source, and how many events a batch has by default
# (https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_PipeSourceParameters.html).
SOURCES = {
    "sqs": ("SqsQueueParameters", 10),
    "dynamodb": ("DynamoDBStreamParameters", 100),
    "kinesis": ("KinesisStreamParameters", 100),
}
STREAMS = ("DynamoDBStreamParameters", "KinesisStreamParameters")
LARGEST_BATCH = 10_000
LISTED = ("Source", "Target", "Enrichment")
NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
PAUSE_SECONDS = 2  # after a source could not be read
LONGEST_READ_SECONDS = 65


class Processor(EventProcessor):
    """What a poller hands a batch to. To the lanes of a stream it is the function that they invoke."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.sender = self.target_client = self
        self.target_arn = stages.settings["Arn"]

    @overrides
    def process_events_batch(self, input_events: Any) -> None:
        answer = self.stages.run(input_events)
        if isinstance(answer, dict) and answer.get("batchItemFailures"):
            raise PartialBatchFailureError(partial_failure_payload=answer)

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:
        """As Lambda's Invoke: whatever goes wrong is the batch's failure, and counts as an attempt."""
        response: dict[str, Any] = {"StatusCode": 200, "ResponseMetadata": {"RequestId": long_uid()}}
        try:
            text = to_json_str(self.stages.run(json.loads(Payload)["Records"]))
        except Exception as error:
            LOG.info("a batch of %s failed: %s", FunctionName, error)
            response, text = response | {"FunctionError": "Unhandled"}, to_json_str(str(error))
        return response | {"Payload": io.BytesIO(text.encode())}

    @demanded
    def generate_event_failure_context(self, abort_condition: str, **kwargs: Any) -> dict[str, Any]:
        return {}


class OfPipe:
    """A stream's poller that does not count for a function, and says in its dead letters whose they are."""

    processor: Processor

    def publish(self, metric: str, value: float, unit: str) -> None:
        pass

    def failure_context(self, condition: str, invocations: int, answer: Answer | None) -> dict[str, Any]:
        return {"context": {"partnerResourceArn": self.processor.target_arn, "condition": condition}}


class PipeDynamoDBPoller(OfPipe, DynamoDBPoller):
    pass


class PipeKinesisPoller(OfPipe, KinesisPoller):
    pass


class Pipe:
    """One pipe: its settings, as DescribePipe returns them, and the thread that runs it while it is RUNNING."""

    def __init__(self, settings: dict[str, Any], tags: dict[str, str]) -> None:
        self.settings, self.tags = settings, tags
        self.uuid = long_uid()  # what the position in a stream is kept under
        self.stopped = threading.Event()
        self.thread: threading.Thread | None = None

    def begin(self) -> None:
        before, self.stopped = self.thread, threading.Event()
        self.settings |= {"CurrentState": "RUNNING", "DesiredState": "RUNNING"}
        self.thread = threading.Thread(target=self.run, args=(self.stopped, before), daemon=True, name="pipe")
        self.thread.start()

    def end(self, desired: str = "STOPPED") -> None:
        """The batches at work are finished; until then it is STOPPING."""
        runs = self.thread is not None and self.thread.is_alive()
        self.settings |= {"CurrentState": "STOPPING" if runs else "STOPPED", "DesiredState": desired}
        self.stopped.set()
        ARRIVALS.wake(self.settings["Source"])
        if not runs:
            self.ended(self.stopped)

    def ended(self, stopped: threading.Event) -> None:
        if stopped is not self.stopped:
            return  # it was started again
        self.settings["CurrentState"] = "STOPPED"
        if self.settings["DesiredState"] == "DELETED":
            POSITIONS.pop(self.uuid, None)

    def run(self, stopped: threading.Event, before: threading.Thread | None) -> None:
        if before:
            before.join()
        poller: MappingPoller | None = None
        while not stopped.is_set():
            try:
                if poller is None:
                    poller = self.made()
                    poller.configure(stopped, self.config(), lambda result: None)
                poller.poll_events()
            except Exception as error:  # the source is gone, or not readable yet
                LOG.warning("pipe %s: %s", self.settings["Name"], error)
                stopped.wait(PAUSE_SECONDS)
        if poller:
            poller.close()
        self.ended(stopped)

    def config(self) -> dict[str, Any]:
        """The parameters of the source, as those of a mapping."""
        key, batch_size = SOURCES[parse_arn(self.settings["Source"])["service"]]
        given = (self.settings.get("SourceParameters") or {}).get(key) or {}
        return {
            "BatchSize": batch_size,
            "MaximumRetryAttempts": -1,
            "MaximumRecordAgeInSeconds": -1,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "BisectBatchOnFunctionError": given.get("OnPartialBatchItemFailure") == "AUTOMATIC_BISECT",
        } | given

    def made(self) -> MappingPoller:
        source = self.settings["Source"]
        service = parse_arn(source)["service"]
        parameters = dict(self.settings.get("SourceParameters") or {})
        parameters[SOURCES[service][0]] = self.config()
        common: dict[str, Any] = {
            "source_arn": source,
            "source_parameters": parameters,
            "source_client": get_internal_client(
                arn=source,
                role_arn=self.settings["RoleArn"],
                service_principal="pipes",
                source_arn=self.settings["Arn"],
                client_config=Config(retries={"total_max_attempts": 1}, read_timeout=LONGEST_READ_SECONDS),
            ),
            "processor": Processor(Stages(self.settings)),
        }
        if service == "sqs":
            return SqsPoller(**common)
        common |= {"esm_uuid": self.uuid, "partner_resource_arn": self.settings["Arn"]}
        return PipeDynamoDBPoller(**common) if service == "dynamodb" else PipeKinesisPoller(**common)


class PipesProvider(PipesApi):
    def __init__(self) -> None:
        # By account, region and name.
        self.pipes: dict[tuple[str, str, str], Pipe] = {}
        self.changes = threading.Lock()

    @overrides
    @handler("CreatePipe", expand=False)
    def create_pipe(self, context: RequestContext, request: Any) -> Any:
        given = {name: value for name, value in request.items() if value is not None}
        tags = given.pop("Tags", None) or {}
        given.setdefault("DesiredState", "RUNNING")
        if not NAME.fullmatch(given["Name"]):
            raise ValidationException(
                f"Pipe name {given['Name']} is not valid: 1 to 64 letters, digits, '.', '-', '_'."
            )
        validate(given)
        key, now = (context.account_id, context.region, given["Name"]), datetime.fromtimestamp(time.time(), UTC)
        arn = f"arn:{context.partition}:pipes:{context.region}:{context.account_id}:pipe/{given['Name']}"
        settings = given | {"Arn": arn, "CreationTime": now, "LastModifiedTime": now, "CurrentState": "STOPPED"}
        with self.changes:
            if key in self.pipes:
                raise ConflictException(f"Pipe {given['Name']} already exists.")
            self.pipes[key] = pipe = Pipe(settings, tags)
            if given["DesiredState"] == "RUNNING":
                pipe.begin()
        return short(pipe)

    @overrides
    @handler("UpdatePipe", expand=False)
    def update_pipe(self, context: RequestContext, request: Any) -> Any:
        given = {name: value for name, value in request.items() if value is not None}
        with self.changes:
            pipe = self.found(context, request["Name"])
            settings = pipe.settings | {"DesiredState": "RUNNING"} if runs(pipe) else pipe.settings | {}
            for name, value in given.items():
                settings[name] = merged(settings.get(name) or {}, value) if name.endswith("Parameters") else value
            validate(settings)
            pipe.end()
            pipe.settings = settings | {"LastModifiedTime": datetime.fromtimestamp(time.time(), UTC)}
            if settings["DesiredState"] == "RUNNING":
                pipe.begin()
        return short(pipe)

    @overrides
    @handler("StartPipe", expand=False)
    def start_pipe(self, context: RequestContext, request: Any) -> Any:
        with self.changes:
            pipe = self.found(context, request["Name"])
            if runs(pipe):
                raise ConflictException(f"Pipe {request['Name']} is running.")
            pipe.begin()
        return short(pipe)

    @overrides
    @handler("StopPipe", expand=False)
    def stop_pipe(self, context: RequestContext, request: Any) -> Any:
        with self.changes:
            pipe = self.found(context, request["Name"])
            if not runs(pipe):
                raise ConflictException(f"Pipe {request['Name']} is stopped.")
            pipe.end()
        return short(pipe)

    @overrides
    @handler("DeletePipe", expand=False)
    def delete_pipe(self, context: RequestContext, request: Any) -> Any:
        with self.changes:
            pipe = self.found(context, request["Name"])
            pipe.end(desired="DELETED")
            del self.pipes[context.account_id, context.region, request["Name"]]
        return short(pipe) | {"CurrentState": "DELETING"}

    @overrides
    @handler("DescribePipe", expand=False)
    def describe_pipe(self, context: RequestContext, request: Any) -> Any:
        pipe = self.found(context, request["Name"])
        return pipe.settings | {"Tags": pipe.tags}

    @overrides
    @handler("ListPipes", expand=False)
    def list_pipes(self, context: RequestContext, request: Any) -> Any:
        wanted = {
            "Name": request.get("NamePrefix") or "",
            "Source": request.get("SourcePrefix") or "",
            "Target": request.get("TargetPrefix") or "",
            "CurrentState": request.get("CurrentState") or "",
            "DesiredState": request.get("DesiredState") or "",
        }
        mine = sorted(key for key in self.pipes if key[:2] == (context.account_id, context.region))
        found = [
            short(self.pipes[key]) | {name: self.pipes[key].settings.get(name) for name in LISTED}
            for key in mine
            if all(self.pipes[key].settings[name].startswith(prefix) for name, prefix in wanted.items())
        ]
        begin, limit = int(request.get("NextToken") or 0), request.get("Limit") or 100
        page = {"Pipes": found[begin : begin + limit]}
        return page | ({"NextToken": str(begin + limit)} if len(found) > begin + limit else {})

    @overrides
    @handler("ListTagsForResource", expand=False)
    def list_tags_for_resource(self, context: RequestContext, request: Any) -> Any:
        return {"tags": self.tagged(context, request).tags}

    @overrides
    @handler("TagResource", expand=False)
    def tag_resource(self, context: RequestContext, request: Any) -> Any:
        self.tagged(context, request).tags.update(request["tags"])
        return {}

    @overrides
    @handler("UntagResource", expand=False)
    def untag_resource(self, context: RequestContext, request: Any) -> Any:
        tags = self.tagged(context, request).tags
        for name in request["tagKeys"]:
            tags.pop(name, None)
        return {}

    def found(self, context: RequestContext, name: str) -> Pipe:
        pipe = self.pipes.get((context.account_id, context.region, name))
        if pipe is None:
            raise NotFoundException(f"Pipe {name} does not exist.")
        return pipe

    def tagged(self, context: RequestContext, request: Any) -> Pipe:
        return self.found(context, request["resourceArn"].rpartition("/")[2])


def runs(pipe: Pipe) -> bool:
    return bool(pipe.settings["DesiredState"] == "RUNNING")


def short(pipe: Pipe) -> dict[str, Any]:
    names = ("Arn", "Name", "CreationTime", "LastModifiedTime", "CurrentState", "DesiredState")
    return {name: pipe.settings[name] for name in names}


def merged(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Parameters after an update: each that is given replaces its old value as a whole, but for where a stream began.

    https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_UpdatePipe.html
    """
    after = before | given
    for name, value in given.items():
        if name in STREAMS:
            kept = {key: old for key, old in before.get(name, {}).items() if key.startswith("StartingPosition")}
            after[name] = kept | value
    return after


def validate(settings: dict[str, Any]) -> None:
    """Raises ValidationException for what no pipe can be, and for what this one cannot do."""
    checks = {"Source": tuple(SOURCES), "Target": TARGETS, "Enrichment": ENRICHMENTS}
    for name, known in checks.items():
        if (settings.get(name)) or name != "Enrichment":
            if (service := service_of(settings[name])) not in known:
                raise ValidationException(f"{name} {settings[name]}: localstack-host knows {', '.join(known)}.")
            if name == "Source":
                validate_source(service, settings.get("SourceParameters") or {})
    if settings["DesiredState"] not in ("RUNNING", "STOPPED"):
        raise ValidationException(f"DesiredState {settings['DesiredState']} is none of RUNNING, STOPPED.")


def validate_source(service: str, parameters: dict[str, Any]) -> None:
    key, batch_size = SOURCES[service]
    given = parameters.get(key) or {}
    if key in STREAMS and not given.get("StartingPosition"):
        raise ValidationException(f"SourceParameters.{key}.StartingPosition is required.")
    if not 1 <= given.get("BatchSize", batch_size) <= LARGEST_BATCH:
        raise ValidationException(f"BatchSize {given['BatchSize']} is not between 1 and {LARGEST_BATCH}.")
    for event_filter in (parameters.get("FilterCriteria") or {}).get("Filters") or []:
        try:
            compiled(event_filter["Pattern"])
        except InvalidPattern as reason:
            raise ValidationException(f"Invalid filter pattern {event_filter['Pattern']}: {reason}") from reason


def service_of(arn: str) -> str:
    try:
        return str(parse_arn(arn)["service"])
    except ValueError as error:
        raise ValidationException(f"{arn} is no ARN.") from error
