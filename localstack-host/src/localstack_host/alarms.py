"""Metric alarms look at their evaluation range, as often as --alarm-seconds says.

AWS: evaluates an alarm with a period of a minute or more once a minute, over the most recent data points of its
evaluation range; more than these are used only in the place of missing ones
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html).

LocalStack: evaluates an alarm once in EvaluationPeriods x Period seconds. It collects at least two data points more
than EvaluationPeriods and counts breaching ones among all of them, so that an alarm on one period of 60 seconds
stays in ALARM for three minutes after the metric went back.

Here: with --alarm-seconds N every alarm is evaluated at least every N seconds; without it, as LocalStack does. The
comparison gets the most recent EvaluationPeriods data points. Collecting, comparing and changing the state stay
LocalStack's own.
"""

import os
from typing import Any

from localstack.services.cloudwatch import alarm_scheduler
from localstack.utils.scheduler import ScheduledTask, Scheduler

from localstack_host.environment import ALARM_SECONDS
from localstack_host.patching import replace


class PromptScheduler(Scheduler):
    """Runs periodic tasks at least every ``LOCALSTACK_HOST_ALARM_SECONDS`` seconds."""

    def schedule(self, func: Any, period: float | None = None, *args: Any, **kwargs: Any) -> ScheduledTask:
        if period is not None and ALARM_SECONDS in os.environ:
            period = min(period, float(os.environ[ALARM_SECONDS]))
            # Evaluations that take longer than the interval must not pile up.
            kwargs["fixed_rate"] = False
        return super().schedule(func, period, *args, **kwargs)


def install() -> None:
    def recent_points_exceed(metric_values: list[float | None], alarm_details: Any) -> bool:
        """:param metric_values: most recent first"""
        return exceeded(metric_values[: alarm_details["EvaluationPeriods"]], alarm_details)

    # patch: the alarm scheduler makes its Scheduler from the name in its module; no setting holds the interval.
    replace(alarm_scheduler, "Scheduler", PromptScheduler)
    # patch: calculate_alarm_state calls it by name with every data point that was collected.
    exceeded = replace(alarm_scheduler, "is_threshold_exceeded", recent_points_exceed)
