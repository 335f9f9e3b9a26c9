"""Rules with a schedule run when they should.

AWS: rate() starts when the rule is created; cron() is evaluated in UTC, with a precision of one minute
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html). A disabled rule does not
run (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DisableRule.html). A rule that also has an event
pattern runs for matching events too (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html).

LocalStack: looks once a minute at everything that was scheduled when PutTargets was called: a second PutTargets makes
the rule run twice, a rule that is deleted, disabled or enabled later keeps running or not as it did before, and
rate(5 minutes) runs at minutes divisible by five. cron() has the wrong days of the week. A rule with a schedule gets
no events.

Here: one timer per enabled rule, at the times of ``schedule_expressions``; the first of rate() is one interval after
the rule was created, enabled or given another schedule. LocalStack's own loop is not started.

Evidence: documentation; belief that rate() first waits for one interval ("starts when you create the rule").
"""

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.events import RuleState
from localstack.services.events.models import ValidationException
from localstack.services.events.provider import EventsProvider
from localstack.services.events.utils import event_time_to_time_string, extract_event_bus_name
from localstack.utils.xray.trace_header import TraceHeader

from localstack_host.events.input_transformers import INGESTED
from localstack_host.patching import overrides, uses
from localstack_host.shared.schedule_expressions import At, InvalidExpression, Rate, parse
from localstack_host.shared.timers import TIMERS, Timer

uses(EventsProvider, "get_store", "_process_rules", "_target_sender_store")

LOG = logging.getLogger(__name__)


@dataclass
class Plan:
    expression: str
    timer: Timer | None


class ScheduledRules(EventsProvider):
    def __init__(self) -> None:
        super().__init__()
        self.plans: dict[str, Plan] = {}

    @overrides
    def on_before_start(self) -> None:
        """LocalStack's starts the loop that this module replaces, and does nothing else."""

    @overrides
    def put_rule(self, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        if expression := kwargs.get("schedule_expression"):
            validate(expression)
        response = super().put_rule(context, *args, **kwargs)
        self.plan(context, kwargs["name"], kwargs.get("event_bus_name"))
        return response

    @overrides
    def enable_rule(self, context: RequestContext, *args: Any, **kwargs: Any) -> None:
        super().enable_rule(context, *args, **kwargs)
        self.plan(context, kwargs["name"], kwargs.get("event_bus_name"))

    @overrides
    def disable_rule(self, context: RequestContext, *args: Any, **kwargs: Any) -> None:
        super().disable_rule(context, *args, **kwargs)
        self.plan(context, kwargs["name"], kwargs.get("event_bus_name"))

    @overrides
    def delete_rule(self, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        response = super().delete_rule(context, *args, **kwargs)
        self.plan(context, kwargs["name"], kwargs.get("event_bus_name"))
        return response

    def plan(self, context: RequestContext, name: str, bus_name: str | None) -> None:
        """Makes the timer of a rule agree with the rule as it is now."""
        store = self.get_store(context.region, context.account_id)
        bus = store.event_buses.get(extract_event_bus_name(bus_name))
        rule = bus.rules.get(name) if bus else None
        key = f"{context.account_id}/{context.region}/{extract_event_bus_name(bus_name)}/{name}"
        wanted = rule.schedule_expression if rule and rule.state != RuleState.DISABLED else None
        existing = self.plans.get(key)
        if existing and existing.expression == wanted:
            return
        if existing:
            del self.plans[key]
            if existing.timer:
                existing.timer.cancel()
        if wanted:
            self.plans[key] = plan = Plan(wanted, None)
            self.set_timer(key, plan, rule, time.time())

    def set_timer(self, key: str, plan: Plan, rule: Any, after: float) -> None:
        parsed = parse(plan.expression)
        assert not isinstance(parsed, At)
        due: float | None = after + parsed.seconds if isinstance(parsed, Rate) else parsed.after(after, UTC)
        if due is not None:
            plan.timer = TIMERS.at(due, self.run, key, plan, rule.name, rule.account_id, rule.region, due)

    def run(self, key: str, plan: Plan, name: str, account: str, region: str, due: float) -> None:
        if self.plans.get(key) is not plan:
            return
        rule = self.get_store(region, account).event_buses["default"].rules[name]
        self.set_timer(key, plan, rule, due)
        now = datetime.now(UTC)
        INGESTED.set(now)
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": account,
            "time": event_time_to_time_string(now),
            "region": region,
            "resources": [rule.arn],
            "detail": {},
        }
        for identifier in list(rule.targets):
            if sender := self._target_sender_store.get(f"{rule.arn}-{identifier}"):
                sender.process_event(dict(event), TraceHeader().ensure_root_exists())

    @overrides
    def _process_rules_async(self, params: dict[str, Any]) -> None:
        super()._process_rules_async(params)
        for rule in params["rules"]:
            if rule.schedule_expression and rule.event_pattern:  # LocalStack's skips rules with a schedule
                self._process_rules(
                    rule,
                    params["region"],
                    params["account_id"],
                    params["event_formatted"],
                    params["trace_header"],
                )


def validate(expression: str) -> None:
    """Raises ValidationException, also for at() and cron() without a year, which rules do not have."""
    try:
        parsed = parse(expression)
    except InvalidExpression as error:
        raise ValidationException("Parameter ScheduleExpression is not valid.") from error
    if isinstance(parsed, At):
        raise ValidationException("Parameter ScheduleExpression is not valid.")
