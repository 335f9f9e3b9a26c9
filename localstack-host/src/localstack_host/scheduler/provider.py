"""EventBridge Scheduler invokes its targets.

AWS: rate() starts at StartDate, or at once when there is none, and counts on from there; cron() and at() are evaluated
in the schedule's time zone; at() ignores StartDate and EndDate
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html). A flexible time window delays each
invocation by up to its length
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-flexible-time-windows.html). With
ActionAfterCompletion=DELETE a schedule is deleted after its last invocation, a recurring one only if it has an EndDate
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html). The input may have
``<aws.scheduler.schedule-arn>``, .scheduled-time, .execution-id and .attempt-number
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html). What could not be
delivered goes to the dead-letter queue: the body is the request, the attributes are ERROR_CODE and ERROR_MESSAGE of the
target's API, EXECUTION_ID, IS_PAYLOAD_TRUNCATED, RETRY_ATTEMPTS, SCHEDULED_TIME, SCHEDULE_ARN, TARGET_ARN (in the form
arn:aws:scheduler:::aws-sdk:sqs:sendMessage) and, after an error that is retried, EXHAUSTED_RETRY_CONDITION
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html).

LocalStack: stores schedules and never invokes anything; cron() without a year is refused.

Here: one timer per enabled schedule, at the times of ``schedule_expressions``, retries by ``delivery``. Targets are
Lambda, SQS, SNS, Step Functions, EventBridge and Kinesis, and every API operation as a universal target. Invocations
are at the second, where AWS says within the minute.

Evidence: documentation; belief for which errors are not retried (as for rules), the input of a target without Input,
that at() in the past runs only within its minute, and that rate() starts again when its schedule is enabled or changed.
"""

import json
import logging
import random
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from localstack import config
from localstack.aws.api import RequestContext, handler
from localstack.aws.api.scheduler import ValidationException
from localstack.aws.connect import connect_to
from localstack.services.moto import call_moto
from localstack.services.scheduler import provider
from localstack.utils.aws.arns import parse_arn
from moto.scheduler.models import scheduler_backends

from localstack_host.patching import overrides, replace
from localstack_host.shared.delivery import Failure, deliver, message, send_to_dead_letter_queue, service_code
from localstack_host.shared.schedule_expressions import At, InvalidExpression, Rate, parse, time_zone
from localstack_host.shared.timers import TIMERS, Timer

LOG = logging.getLogger(__name__)

PRECISION_SECONDS = 60
CONTEXT_ATTRIBUTE = re.compile(r"<aws\.scheduler\.([a-z-]+)>")
UNIVERSAL_TARGET = ":scheduler:::aws-sdk:"
# Names of services in the ARN of a universal target where boto3 has another one.
CLIENTS = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}

# Account, region, group and name of a schedule.
type Key = tuple[str, str, str, str]


@dataclass
class Plan:
    """A schedule as it was when its timer was set."""

    settings: tuple[Any, ...]
    start: int
    timer: Timer | None = None


@dataclass(frozen=True)
class Request:
    """A call of an API operation: ``service`` and ``action`` as in the ARN of a universal target."""

    service: str
    action: str
    parameters: Mapping[str, Any]

    @property
    def arn(self) -> str:
        return f"arn:aws:scheduler:::aws-sdk:{self.service}:{self.action}"

    def send(self, account: str, region: str) -> None:
        clients = connect_to(aws_access_key_id=account, region_name=region)
        client = clients.get_client(CLIENTS.get(self.service, self.service))
        getattr(client, xform_name(self.action[0].upper() + self.action[1:]))(**self.parameters)


def request(target: Mapping[str, Any], text: str) -> Request:
    """What a target with the input ``text`` calls.

    Raises ValidationException if the target's ARN is of no known kind.
    """
    arn = target["Arn"]
    if UNIVERSAL_TARGET in arn:
        service, action = arn.rsplit(":", 2)[1:]
        return Request(service, action, json.loads(text))
    parts = parse_arn(arn)
    match parts["service"]:
        case "lambda":
            parameters = {"FunctionName": arn, "InvocationType": "Event", "Payload": text}
            return Request("lambda", "invoke", parameters)
        case "sqs":
            url = f"{config.internal_service_url()}/{parts['account']}/{parts['resource']}"
            parameters = {"QueueUrl": url, "MessageBody": text, **target.get("SqsParameters", {})}
            return Request("sqs", "sendMessage", parameters)
        case "sns":
            return Request("sns", "publish", {"TopicArn": arn, "Message": text})
        case "states":
            return Request("sfn", "startExecution", {"stateMachineArn": arn, "input": text})
        case "events":
            entry = {"EventBusName": arn, "Detail": text, **target.get("EventBridgeParameters", {})}
            return Request("eventbridge", "putEvents", {"Entries": [entry]})
        case "kinesis":
            name = parts["resource"].partition("/")[2]
            parameters = {"StreamName": name, "Data": text, **target.get("KinesisParameters", {})}
            return Request("kinesis", "putRecord", parameters)
    raise ValidationException(f"Target {arn} is not supported by localstack-host.")


def next_time(schedule: Any, start: int, after: float) -> float | None:
    """When a schedule is due next, later than ``after``; None when it is completed.

    ``schedule`` is moto's Schedule; ``start`` is when rate() began, unless it has a StartDate, in whole seconds, as all
    that is added to it.
    """
    parsed, zone = parse(schedule.schedule_expression), time_zone(schedule.schedule_expression_timezone)
    if isinstance(parsed, At):
        return parsed.after(after, zone)
    begin = float(schedule.start_date) if schedule.start_date else None
    if isinstance(parsed, Rate):
        first = begin or start
        passed = max(0, int((after - first) // parsed.seconds) + 1)
        due: float | None = first + passed * parsed.seconds
    else:
        due = parsed.after(after if begin is None else max(after, begin - 1), zone)
    if due is not None and schedule.end_date and due > float(schedule.end_date):
        return None
    return due


def window(flexible: Mapping[str, Any]) -> float:
    """Seconds by which an invocation is delayed."""
    if flexible.get("Mode") != "FLEXIBLE":
        return 0
    return random.uniform(0, 60 * flexible["MaximumWindowInMinutes"])


def validate(expression: str, zone: str | None) -> None:
    try:
        parse(expression)
        time_zone(zone or "UTC")
    except InvalidExpression as error:
        raise ValidationException(f"Invalid Schedule Expression {expression}: {error}.") from error


class SchedulerProvider(provider.SchedulerProvider):
    def __init__(self) -> None:
        self.plans: dict[Key, Plan] = {}

    @overrides
    @handler("CreateSchedule", expand=False)
    def create_schedule(self, context: RequestContext, request: Any) -> Any:
        validate(request["ScheduleExpression"], request.get("ScheduleExpressionTimezone"))
        response = call_moto(context)
        self.plan(key(context, request))
        return response

    @overrides
    @handler("UpdateSchedule", expand=False)
    def update_schedule(self, context: RequestContext, request: Any) -> Any:
        validate(request["ScheduleExpression"], request.get("ScheduleExpressionTimezone"))
        response = call_moto(context)
        schedule = find(key(context, request))
        if schedule:  # moto keeps the old values of these two
            schedule.action_after_completion = request.get("ActionAfterCompletion")
            schedule.state = schedule.state or "ENABLED"
        self.plan(key(context, request))
        return response

    @overrides
    @handler("DeleteSchedule", expand=False)
    def delete_schedule(self, context: RequestContext, request: Any) -> Any:
        response = call_moto(context)
        self.plan(key(context, request))
        return response

    @overrides
    @handler("DeleteScheduleGroup", expand=False)
    def delete_schedule_group(self, context: RequestContext, request: Any) -> Any:
        response = call_moto(context)
        for planned in list(self.plans):
            if planned[:3] == (context.account_id, context.region, request["Name"]):
                self.plan(planned)
        return response

    def plan(self, key: Key) -> None:
        """Makes the timer of a schedule agree with the schedule as it is now."""
        schedule, existing = find(key), self.plans.get(key)
        settings = timing(schedule) if schedule and schedule.state != "DISABLED" else None
        if existing and existing.settings == settings:
            return
        if existing:
            del self.plans[key]
            if existing.timer:
                existing.timer.cancel()
        if schedule and settings:
            now = int(time.time())
            self.plans[key] = plan = Plan(settings, now)
            parsed = parse(schedule.schedule_expression)
            # rate() without a StartDate is due now; at() in the past runs within its minute.
            past = PRECISION_SECONDS if isinstance(parsed, At) else 1 if isinstance(parsed, Rate) else 0
            self.set_timer(key, plan, schedule, now - past)

    def set_timer(self, key: Key, plan: Plan, schedule: Any, after: float) -> bool:
        """Whether the schedule is due again later than ``after``."""
        due = next_time(schedule, plan.start, after)
        if due is None:
            return False
        plan.timer = TIMERS.at(due + window(schedule.flexible_time_window), self.run, key, plan, due)
        return True

    def run(self, key: Key, plan: Plan, due: float) -> None:
        schedule = find(key)
        if schedule is None or self.plans.get(key) is not plan:
            return
        again = self.set_timer(key, plan, schedule, due)
        invoke(schedule, due, key[0], key[1])
        recurring = not isinstance(parse(schedule.schedule_expression), At)
        ends = not recurring or schedule.end_date
        if not again and ends and schedule.action_after_completion == "DELETE" and find(key) is schedule:
            group = scheduler_backends[key[0]][key[1]].schedule_groups[key[2]]
            group.schedules.pop(key[3], None)
            self.plans.pop(key, None)


def key(context: RequestContext, request: Mapping[str, Any]) -> Key:
    return context.account_id, context.region, request.get("GroupName") or "default", request["Name"]


def find(key: Key) -> Any | None:
    """moto's Schedule."""
    group = scheduler_backends[key[0]][key[1]].schedule_groups.get(key[2])
    return group.schedules.get(key[3]) if group else None


def timing(schedule: Any) -> tuple[Any, ...]:
    """The settings that, when they change, make a schedule begin anew."""
    return (
        schedule.schedule_expression,
        schedule.schedule_expression_timezone,
        schedule.start_date,
        schedule.end_date,
        json.dumps(schedule.flexible_time_window, sort_keys=True),
    )


def invoke(schedule: Any, due: float, account: str, region: str) -> None:
    """Invokes the target with the settings of now; changes of the schedule do not reach retries."""
    target, execution = json.loads(json.dumps(schedule.target)), uuid.uuid4().hex[:16]
    scheduled = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    attributes = {"schedule-arn": schedule.arn, "scheduled-time": scheduled, "execution-id": execution}
    text = target.get("Input") or json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": account,
            "time": scheduled,
            "region": region,
            "resources": [schedule.arn],
            "detail": "{}",
        }
    )

    def call(attempt: int) -> Request:
        values = {**attributes, "attempt-number": str(attempt)}
        filled = CONTEXT_ATTRIBUTE.sub(lambda found: values.get(found[1], found[0]), text)
        return request(target, filled)

    def give_up(failure: Failure) -> None:
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            LOG.warning("invocation %s of %s dropped: %s", execution, schedule.arn, failure)
            return
        try:
            called = call(failure.retries + 1)
            arn, body = called.arn, json.dumps(called.parameters)
        except Exception:  # the input makes no request: the reason of the failure
            arn, body = target["Arn"], text
        values = {
            "ERROR_CODE": service_code(failure.error) or "AWS.Scheduler.InternalServerError",
            "ERROR_MESSAGE": message(failure.error),
            "EXECUTION_ID": execution,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(failure.retries),
            "SCHEDULED_TIME": scheduled,
            "SCHEDULE_ARN": schedule.arn,
            "TARGET_ARN": arn,
        }
        if failure.exhausted:
            values["EXHAUSTED_RETRY_CONDITION"] = failure.exhausted
        send_to_dead_letter_queue(queue, body, values)

    deliver(lambda attempt: call(attempt).send(account, region), target.get("RetryPolicy"), give_up)


def install() -> None:
    # patch: LocalStack checks expressions inside its own patch of moto, with patterns that demand a year.
    replace(provider, "_validate_schedule_expression", lambda expression: validate(expression, None))
