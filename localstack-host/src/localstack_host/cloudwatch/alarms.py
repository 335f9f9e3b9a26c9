"""Metric alarms are evaluated every minute, or as often as --alarm-seconds says, and keep their state when updated.

AWS: evaluates an alarm with a period of a minute or more once a minute and one with a shorter period every ten
seconds, over a window that slides with the evaluation
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html). An update of an existing alarm
leaves its state unchanged
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html).

LocalStack: evaluates an alarm once in EvaluationPeriods x Period seconds, with a call of its own API for every data
point (12 ms of processor time), and ignores alarms on percentiles and on metric math. An update puts the alarm back
into INSUFFICIENT_DATA.

Here: every alarm is evaluated as often as on AWS, or every --alarm-seconds, with one query per metric
(``metric_database``), the expression if it has one (``metric_math``) and the decision of ``missing_data``. A change of
state goes through LocalStack's SetAlarmState, which notifies. Not as on AWS: StateReason is shorter.

Evidence: documentation.
"""

import json
import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.cloudwatch import PutMetricAlarmInput
from localstack.services.cloudwatch.alarm_scheduler import AlarmScheduler
from localstack.services.cloudwatch.models import cloudwatch_stores
from localstack.utils.aws import arns

from localstack_host.cloudwatch.alarm_checks import COMPARISONS, CheckedAlarms, period_of, statistic, watched
from localstack_host.cloudwatch.metric_data import evaluation
from localstack_host.cloudwatch.missing_data import alarm_state, evaluation_range
from localstack_host.environment import ALARM_SECONDS
from localstack_host.patching import overrides, swap, uses

uses(AlarmScheduler, "delete_scheduler_for_alarm", "scheduled_alarms", "scheduler")

LOG = logging.getLogger(__name__)

STATE = (
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
)


def interval(period: int) -> float:
    """Seconds between two evaluations of an alarm."""
    return min(float(os.environ.get(ALARM_SECONDS, "inf")), 60 if period >= 60 else 10)


class PromptScheduler(AlarmScheduler):
    """LocalStack's scheduler, in whose one thread the alarms of ``provider`` are evaluated."""

    def __init__(self, provider: "PromptAlarms") -> None:
        super().__init__()
        self.provider = provider

    @overrides
    def schedule_metric_alarm(self, alarm_arn: str) -> None:
        self.delete_scheduler_for_alarm(alarm_arn)
        alarm = self.find(alarm_arn)
        if alarm is None:
            return

        def failed(error: Exception) -> None:
            LOG.error("evaluation of alarm %s failed: %s", alarm_arn, error, exc_info=error)

        self.scheduled_alarms[alarm_arn] = self.scheduler.schedule(
            self.evaluate,
            period=interval(period_of(alarm)),
            fixed_rate=False,  # evaluations that take longer than the interval must not pile up
            args=[alarm_arn],
            on_error=failed,
        )

    def find(self, alarm_arn: str) -> Any:
        """The alarm as DescribeAlarms returns it; None if there is none."""
        arn = arns.parse_arn(alarm_arn)
        found = cloudwatch_stores[arn["account"]][arn["region"]].alarms.get(alarm_arn)
        return found.alarm if found else None

    def evaluate(self, alarm_arn: str) -> None:
        alarm = self.find(alarm_arn)
        if alarm is None:
            return
        values = self.values(alarm_arn, alarm)
        breaches = COMPARISONS[alarm["ComparisonOperator"]]
        state = alarm_state(
            [None if value is None else breaches(value, alarm["Threshold"]) for value in values],
            alarm["EvaluationPeriods"],
            alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"],
            alarm.get("TreatMissingData") or "missing",
        )
        if state is not None and state != alarm["StateValue"]:
            self.change(alarm_arn, alarm, state, values)

    def values(self, alarm_arn: str, alarm: Any) -> list[float | None]:
        """The evaluation range, oldest first; the last period ends now."""
        arn = arns.parse_arn(alarm_arn)
        period, count = period_of(alarm), evaluation_range(alarm["EvaluationPeriods"])
        end = int(time.time())
        start, database = end - count * period, self.provider.cloudwatch_database
        if queries := alarm.get("Metrics"):
            computed = evaluation(database, arn["account"], arn["region"], queries, start, end)
            points = computed.single(watched(queries)["Id"]).points
            return [points.get(start + slot * period) for slot in range(count)]
        metric = alarm | {"Stat": statistic(alarm)}
        found = database.statistic(arn["account"], arn["region"], metric, start, end)
        return [found.get(slot) for slot in range(count)]

    def change(self, alarm_arn: str, alarm: Any, state: str, values: list[float | None]) -> None:
        recent = [value for value in values if value is not None]
        missing = alarm.get("TreatMissingData") or "missing"
        if state == "INSUFFICIENT_DATA":
            reason = "Insufficient Data: too few data points in the evaluation range"
        else:
            reason = f"Threshold Crossed: {alarm['ComparisonOperator']} {alarm['Threshold']}"
        reason += f"; recent data points {recent or 'missing'}, missing ones are treated as {missing}"
        data = {
            "version": "1.0",
            "queryDate": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "period": period_of(alarm),
            "recentDatapoints": recent,
            "threshold": alarm["Threshold"],
        }
        if "Metrics" not in alarm:
            data["statistic"] = statistic(alarm)
        arn = arns.parse_arn(alarm_arn)
        context = RequestContext(None)
        context.account_id, context.region = arn["account"], arn["region"]
        self.provider.set_alarm_state(context, alarm["AlarmName"], state, reason, json.dumps(data))


class PromptAlarms(CheckedAlarms):
    def __init__(self) -> None:
        super().__init__()
        swap(self, "alarm_scheduler", PromptScheduler(self))

    @overrides
    @handler("PutMetricAlarm", expand=False)
    def put_metric_alarm(self, context: RequestContext, request: PutMetricAlarmInput) -> None:
        alarms = self.get_store(context.account_id, context.region).alarms
        arn = arns.cloudwatch_alarm_arn(request["AlarmName"], context.account_id, context.region)
        before = alarms.get(arn)
        super().put_metric_alarm(context, request)
        if before:
            alarms[arn].alarm.update({name: before.alarm[name] for name in STATE if name in before.alarm})
