"""Input transformers, with every form of placeholder.

AWS: ``<variable>`` stands for what a JSON path finds, or for one of aws.events.rule-arn, .rule-name, .event,
.event.json and .event.ingestion-time. Outside of quotes a string gets quotes, objects and arrays are put in as JSON;
within quotes, strings are put in unescaped and the quotes of objects and arrays are removed. A variable whose path is
not there leaves nothing. A template that begins with a quote makes text, the others make JSON
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html).

LocalStack: takes a placeholder within quotes for one outside when a comma or brace follows before the next quote,
leaves the quotes of objects within quotes, fails on lists of anything but strings, escapes text that has escapes, and
replaces 0, false, null and empty lists by an empty string. What is then not JSON is not delivered, without an error.
The ingestion time is the time that the sender wrote into the event. A Kinesis stream or state machine as the target
fails when the input has no ``id``.

Here: ``input_templates`` reads the template. What is not JSON fails as INVALID_JSON, without retries. The
ingestion time is when PutEvents was called. ``id`` is taken from the event.

Evidence: recording (LocalStack's own test_events_inputs.py: string and JSON templates, missing paths, predefined
variables) and documentation (all of the page's templates); belief for null, numbers, wildcards and INVALID_JSON.
"""

import contextvars
import json
from datetime import UTC, datetime
from typing import Any

from localstack.services.events import target as targets
from localstack.services.events.provider import EventsProvider
from localstack.services.events.utils import event_time_to_time_string

from localstack_host.patching import overrides, replace, swap, uses
from localstack_host.shared.delivery import InvalidInput
from localstack_host.shared.input_templates import MISSING, find, render

uses(targets.TargetSender, "_get_predefined_template_replacements")

INGESTED: contextvars.ContextVar[datetime | None] = contextvars.ContextVar("ingested", default=None)
EVENT: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("event", default=None)


class Text(str):
    """What a template of text makes: sent as it is, not as a JSON string."""


def transform(self: Any, input_transformer: dict[str, Any], event: dict[str, Any]) -> Any:
    """TargetSender's: the input that a template makes of an event."""
    paths = input_transformer.get("InputPathsMap") or {}
    values = {name: find(path, event) for name, path in paths.items()}
    values |= self._get_predefined_template_replacements(event)
    values["aws.events.event.ingestion-time"] = event_time_to_time_string(INGESTED.get() or datetime.now(UTC))
    template = input_transformer["InputTemplate"].strip()
    text = render(template, values)
    if template.startswith('"'):
        return Text(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the input template does not make JSON: {error}: {text}") from error


class IngestionTimes(EventsProvider):
    @overrides
    def _process_rules_async(self, params: dict[str, Any]) -> None:
        INGESTED.set(datetime.now(UTC))
        super()._process_rules_async(params)


class WithEvent(targets.TargetSender):
    """A sender that needs the event even when a target gets something else."""

    @overrides
    def process_event(self, event: Any, trace_header: Any) -> None:
        EVENT.set(dict(event))
        super().process_event(event, trace_header)


class KinesisSender(WithEvent, targets.KinesisTargetSender):
    @overrides
    def send_event(self, event: Any, trace_header: Any) -> None:
        original = EVENT.get() or {}
        path = (self.target.get("KinesisParameters") or {}).get("PartitionKeyPath", "$.id")
        key = find(path, original)
        self.client.put_record(
            StreamName=self.target["Arn"].split("/")[-1],
            Data=targets.to_json_str(event).encode(),
            PartitionKey=original["id"] if key is MISSING else str(key),
        )


class StatesSender(WithEvent, targets.StatesTargetSender):
    @overrides
    def send_event(self, event: Any, trace_header: Any) -> None:
        swap(self, "service", "stepfunctions")
        self.client.start_execution(
            stateMachineArn=self.target["Arn"],
            name=(EVENT.get() or {})["id"],
            input=targets.to_json_str(event),
        )


def install() -> None:
    # patch: every kind of target inherits it, and the factory takes one class per service from a table.
    replace(targets.TargetSender, "transform_event_with_target_input_transformer", transform)

    def as_it_is(value: Any, *args: Any, **kwargs: Any) -> str:
        return str(value) if isinstance(value, Text) else to_json(value, *args, **kwargs)

    # patch: all senders serialize their input with this function of their module.
    to_json = replace(targets, "to_json_str", as_it_is)
    targets.TargetSenderFactory.register_target_sender("kinesis", KinesisSender)
    targets.TargetSenderFactory.register_target_sender("states", StatesSender)
