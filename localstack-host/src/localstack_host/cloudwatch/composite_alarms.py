"""Composite alarms with every rule expression, evaluated when a child changes.

AWS: the state of a composite alarm is ALARM if its rule is true, otherwise OK, and follows the states of metric alarms
and of other composite alarms. Only between its creation and its first evaluation, which is at once, it is
INSUFFICIENT_DATA
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html). The evaluation stops
when it finds a cycle
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create_Composite_Alarm.html). The children must exist,
and cannot be deleted before it.

LocalStack: evaluates rules of ALARM("arn") and OR when a metric alarm changes; other rules, other composite alarms
and creation never. Children may be missing.

Here: the provider evaluates the rules of ``alarm_rules`` within SetAlarmState, so that a composite alarm follows its
children at once, whatever --alarm-seconds. Not as on AWS: ActionsSuppressor is ignored; of the actions only SNS topics
are notified.

Evidence: documentation; belief for the two refusals, whose messages are those that users of AWS report.
"""

from datetime import UTC, datetime
from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.cloudwatch import PutCompositeAlarmInput, StateValue
from localstack.services.cloudwatch.models import LocalStackCompositeAlarm
from localstack.services.cloudwatch.provider_v2 import _STORE_LOCK, CloudwatchProvider, ValidationException
from localstack.utils.aws import arns

from localstack_host.cloudwatch.alarm_rules import InvalidRule, parse
from localstack_host.patching import overrides, uses

uses(CloudwatchProvider, "_update_state", "_run_composite_alarm_actions")

STATE = (
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
)


class CompositeAlarms(CloudwatchProvider):
    @overrides
    @handler("PutCompositeAlarm", expand=False)
    def put_composite_alarm(self, context: RequestContext, request: PutCompositeAlarmInput) -> None:
        try:
            rule = parse(request["AlarmRule"])
        except InvalidRule as error:
            raise ValidationException(f"AlarmRule cannot be parsed: {error}") from error
        missing = sorted(name for name in rule.children if self.child(context, name) is None)
        if missing:
            raise ValidationException(
                f"Could not save the composite alarm as alarms [{', '.join(missing)}] in the alarm rule do not exist"
            )
        store = self.get_store(context.account_id, context.region)
        alarm = LocalStackCompositeAlarm(context.account_id, context.region, {**request})
        with _STORE_LOCK:
            if before := store.alarms.get(alarm.alarm["AlarmArn"]):
                alarm.alarm.update({name: before.alarm[name] for name in STATE if name in before.alarm})
            store.alarms[alarm.alarm["AlarmArn"]] = alarm
            self._evaluate_composite_alarms(context, alarm)

    @overrides
    def delete_alarms(self, context: RequestContext, alarm_names: list[str], **kwargs: Any) -> None:
        going = set(alarm_names)
        for composite in self.composites(context):
            if composite.alarm["AlarmName"] in going:
                continue
            children = (self.child(context, name) for name in parse(composite.alarm["AlarmRule"]).children)
            if used := going & {child["AlarmName"] for child in children if child}:
                raise ValidationException(
                    f"Cannot delete {','.join(sorted(used))} as there are composite alarm(s) depending on it."
                )
        super().delete_alarms(context, alarm_names, **kwargs)

    def composites(self, context: RequestContext) -> list[LocalStackCompositeAlarm]:
        store = self.get_store(context.account_id, context.region)
        return [alarm for alarm in list(store.alarms.values()) if isinstance(alarm, LocalStackCompositeAlarm)]

    def child(self, context: RequestContext, name_or_arn: str) -> Any:
        """The alarm as DescribeAlarms returns it; None if there is none."""
        arn = name_or_arn
        if not arn.startswith("arn:"):
            arn = arns.cloudwatch_alarm_arn(name_or_arn, context.account_id, context.region)
        found = self.get_store(context.account_id, context.region).alarms.get(arn)
        return found.alarm if found else None

    @overrides
    def _evaluate_composite_alarms(self, context: RequestContext, triggering_alarm: Any) -> None:
        """What LocalStack calls when a metric alarm has changed, with the store's lock held."""
        changed, waiting = [triggering_alarm], self.composites(context)
        while changed:
            trigger = changed.pop(0)
            for composite in list(waiting):
                if self.evaluate(context, composite, trigger):
                    changed.append(composite)
                    waiting.remove(composite)  # no second change: this is how a cycle ends

    def evaluate(self, context: RequestContext, composite: LocalStackCompositeAlarm, trigger: Any) -> bool:
        """Whether the state of ``composite`` changed."""

        def state(name: str) -> str:
            child = self.child(context, name)
            return child["StateValue"] if child else StateValue.INSUFFICIENT_DATA

        alarm = composite.alarm
        before = alarm["StateValue"]
        after = StateValue.ALARM if parse(alarm["AlarmRule"]).holds(state) else StateValue.OK
        if after == before:
            return False
        at = trigger.alarm["StateTransitionedTimestamp"]
        arn, value = trigger.alarm["AlarmArn"], trigger.alarm["StateValue"]
        reason = f"{arn} transitioned to {value} at {at:%A %d %B, %Y %H:%M:%S %Z}"
        data = {"triggeringAlarms": [{"arn": arn, "state": {"value": value, "timestamp": at.isoformat()}}]}
        if trigger is composite:
            reason, data = "The rule was evaluated when the alarm was saved", {"triggeringAlarms": []}
        self._update_state(context, composite, after, reason, data)
        alarm["StateTransitionedTimestamp"] = datetime.now(UTC)
        if alarm["ActionsEnabled"]:
            self._run_composite_alarm_actions(context, composite, before, trigger)
        return True
