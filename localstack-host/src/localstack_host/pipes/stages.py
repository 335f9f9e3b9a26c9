"""What a pipe does with a batch of events: input templates, enrichment, target.

AWS: a template is used for each event, before the enrichment and before the target. Within it a body of SQS and the
data of Kinesis are decoded; without one the event stays as it is, and ``<aws.pipes.…>`` are reserved variables
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html). The enrichment gets the
batch as an array, and what it returns are the events of the target: an array is a batch, and ``{}``, ``[]`` or ``""``
invokes nobody (https://docs.aws.amazon.com/eventbridge/latest/userguide/pipes-enrichment.html). Lambda functions and
state machines get the batch as one array, other targets event by event; a function or an Express workflow that answers
with ``batchItemFailures`` has failed for those only
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html). Parameters of a target
that begin with ``$.`` are paths into the event
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html#pipes-targets-dynamic-parms).

LocalStack: has no pipes.

Here: ``Stages.run`` is all of it, with clients in the pipe's role. Enrichments are Lambda functions and Express
workflows; targets are Lambda, Step Functions, SQS, SNS, EventBridge, Kinesis and CloudWatch Logs. Others are refused
when the pipe is created.

Evidence: documentation; belief for what a template makes that is not JSON (it is sent as text, without quotes around
it), and for the default source and detail type on a bus.
"""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from localstack.aws.connect import connect_to
from localstack.services.lambda_.event_source_mapping.pipe_utils import to_json_str
from localstack.utils.aws.arns import parse_arn, sqs_queue_url_for_arn

from localstack_host.shared.input_templates import MISSING, PLACEHOLDER, find, render
from localstack_host.shared.json_text import decoded

type Event = Any

ENRICHMENTS = ("lambda", "states")
TARGETS = ("lambda", "states", "sqs", "sns", "events", "kinesis", "logs")


class StageFailed(Exception):
    """The enrichment or the target failed for the whole batch. Its text is the reason."""


class Stages:
    """The settings of a pipe, as DescribePipe returns them, at work."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.region = parse_arn(settings["Arn"])["region"]

    def run(self, events: list[Event]) -> Any:
        """Sends a batch through enrichment and target, and returns what a function or workflow answered as the target.

        Raises StageFailed, and what a client raises.
        """
        enrichment, target = self.settings.get("Enrichment"), self.settings["Target"]
        if enrichment:
            template = (self.settings.get("EnrichmentParameters") or {}).get("InputTemplate")
            answer = self.request(enrichment, [self.shaped(template, event) for event in events])
            events = answer if isinstance(answer, list) else [answer] if answer not in ({}, "", None) else []
        if not events:
            return None
        parameters = self.settings.get("TargetParameters") or {}
        return self.send(target, parameters, events)

    def shaped(self, template: str | None, event: Event) -> Any:
        """What a template makes of an event: JSON, or text where it is none; without a template the event."""
        if not template:
            return event
        seen = with_data(event)
        reserved = {
            "aws.pipes.pipe-arn": self.settings["Arn"],
            "aws.pipes.pipe-name": self.settings["Name"],
            "aws.pipes.source-arn": self.settings["Source"],
            "aws.pipes.enrichment-arn": self.settings.get("Enrichment") or MISSING,
            "aws.pipes.target-arn": self.settings["Target"],
            "aws.pipes.event.ingestion-time": datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws.pipes.event": event,
            "aws.pipes.event.json": seen,
        }
        names = {found[1] for found in PLACEHOLDER.finditer(template)}
        text = render(template.strip(), {name: find(name, seen) for name in names} | reserved)
        return decoded(text) if not text.startswith('"') else text.strip('"')

    def send(self, arn: str, parameters: dict[str, Any], events: list[Event]) -> Any:
        service = parse_arn(arn)["service"]
        shaped = [self.shaped(parameters.get("InputTemplate"), event) for event in events]
        if service in ("lambda", "states"):
            return self.request(arn, shaped, parameters)
        for event, content in zip(events, shaped, strict=True):
            self.sender(service)(arn, parameters, with_data(event), as_text(content))
        return None

    def client(self, service: str) -> Any:
        factory = connect_to.with_assumed_role(
            role_arn=self.settings["RoleArn"], service_principal="pipes", region_name=self.region
        )
        return factory.get_client(service)

    def request(self, arn: str, batch: list[Any], parameters: dict[str, Any] | None = None) -> Any:
        """Hands a batch to a function or a state machine, and returns what it answers, if somebody waits for that."""
        service = parse_arn(arn)["service"]
        given = (parameters or {}).get("LambdaFunctionParameters" if service == "lambda" else KIND_OF_STATES) or {}
        waits = given.get("InvocationType", "REQUEST_RESPONSE") == "REQUEST_RESPONSE"
        payload = to_json_str(batch)
        if service == "lambda":
            answer = self.client("lambda").invoke(
                FunctionName=arn, Payload=payload, InvocationType="RequestResponse" if waits else "Event"
            )
            text = answer["Payload"].read() if waits else b""
            if "FunctionError" in answer:
                raise StageFailed(f"{arn} failed: {text.decode()}")
            return decoded(text or b"null")
        states = self.client("stepfunctions")
        if not waits:
            states.start_execution(stateMachineArn=arn, input=payload)
            return None
        answer = states.start_sync_execution(stateMachineArn=arn, input=payload)
        if answer["status"] != "SUCCEEDED":
            raise StageFailed(f"{arn} ended as {answer['status']}: {answer.get('error')}: {answer.get('cause')}")
        return decoded(answer.get("output") or "null")

    def sender(self, service: str) -> Callable[[str, dict[str, Any], Event, str], None]:
        senders = {
            "sqs": self.to_queue,
            "sns": self.to_topic,
            "events": self.to_bus,
            "kinesis": self.to_stream,
            "logs": self.to_log,
        }
        return senders[service]

    def to_queue(self, arn: str, parameters: dict[str, Any], event: Event, text: str) -> None:
        given = resolved(parameters.get("SqsQueueParameters"), event)
        self.client("sqs").send_message(QueueUrl=sqs_queue_url_for_arn(arn), MessageBody=text, **given)

    def to_topic(self, arn: str, parameters: dict[str, Any], event: Event, text: str) -> None:
        self.client("sns").publish(TopicArn=arn, Message=text)

    def to_bus(self, arn: str, parameters: dict[str, Any], event: Event, text: str) -> None:
        given = resolved(parameters.get("EventBridgeEventBusParameters"), event)
        origin = event.get("eventSource", "") if isinstance(event, dict) else ""
        entry = {
            "EventBusName": arn,
            "Source": f"Pipe {self.settings['Name']}",
            "DetailType": f"Event from {origin}",
            "Detail": text,
        }
        answer = self.client("events").put_events(Entries=[entry | given])
        if answer["FailedEntryCount"]:
            raise StageFailed(f"{arn} took no event: {answer['Entries'][0].get('ErrorMessage')}")

    def to_stream(self, arn: str, parameters: dict[str, Any], event: Event, text: str) -> None:
        given = resolved(parameters.get("KinesisStreamParameters"), event)
        self.client("kinesis").put_record(StreamARN=arn, Data=text.encode(), **given)

    def to_log(self, arn: str, parameters: dict[str, Any], event: Event, text: str) -> None:
        given = resolved(parameters.get("CloudWatchLogsParameters"), event)
        group = parse_arn(arn)["resource"].removeprefix("log-group:").removesuffix(":*")
        timestamp = int(given.get("Timestamp") or time.time() * 1000)
        logs, stream = self.client("logs"), given.get("LogStreamName") or self.settings["Name"]
        logs.put_log_events(
            logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": timestamp, "message": text}]
        )


KIND_OF_STATES = "StepFunctionStateMachineParameters"


def with_data(event: Event) -> Event:
    """An event whose body (SQS) or data (Kinesis) can be looked into."""
    if not isinstance(event, dict):
        return event
    if isinstance(event.get("body"), str):
        return event | {"body": decoded(event["body"])}
    if isinstance(event.get("data"), str):
        try:
            return event | {"data": decoded(base64.b64decode(event["data"], validate=True).decode())}
        except ValueError:
            return event
    return event


def resolved(parameters: dict[str, Any] | None, event: Event) -> dict[str, Any]:
    """Parameters of a target, with what their paths find in the event. Raises StageFailed if one finds nothing."""
    found = {}
    for name, value in (parameters or {}).items():
        if isinstance(value, str) and value.startswith("$."):
            value = find(value, event)
            if value is MISSING:
                raise StageFailed(f"{name}: the event has nothing at {(parameters or {})[name]}")
            value = as_text(value)
        found[name] = value
    return found


def as_text(content: Any) -> str:
    return content if isinstance(content, str) else to_json_str(content)
