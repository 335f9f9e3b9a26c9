"""Log events that are too old or too new are rejected by number, and retentions are those that AWS knows.

AWS: of a call of PutLogEvents, events older than 14 days, older than the log group's retention, or more than 2 hours in
the future are not stored, and rejectedLogEventsInfo has the places where the accepted ones begin and end. The events
must be in chronological order, and those between 14 days ago and 2 hours from now span 24 hours at most
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html and
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_RejectedLogEventsInfo.html). A retention is one
of 22 numbers of days
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).

LocalStack: moto counts the events that are too old one short, names the last event that is too new instead of the
first, and does not look at the retention; a rejected event is counted by metric filters. Any retention is taken.

Here: in moto's place a function that says which events are accepted; ``metric_filters`` looks at these alone. Not as on
AWS: the size of a call is not limited; stored events do not go when their retention has passed.

Evidence: documentation; belief that an event older than 14 days and than the retention is one that is too old, and for
the reasons of the refusals.
"""

import time
from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.logs import InvalidParameterException
from localstack.services.logs.provider import LogsProvider
from localstack.services.moto import call_moto
from moto.logs import exceptions
from moto.logs.models import LogsBackend

from localstack_host.patching import overrides, replace

DAY = 24 * 60 * 60 * 1000  # ms, as are the times of log events
OLDEST, NEWEST = 14 * DAY, 2 * 60 * 60 * 1000
RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def rejected(times: list[int], now: int, retention_in_days: int | None) -> dict[str, int]:
    """The RejectedLogEventsInfo of events at ``times`` (ms, ascending); empty if all are accepted."""
    too_old = sum(at < now - OLDEST for at in times)
    expired = sum(at < now - retention_in_days * DAY for at in times) if retention_in_days else 0
    too_new = sum(at > now + NEWEST for at in times)
    found = {}
    if too_old:
        found["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        found["expiredLogEventEndIndex"] = expired
    if too_new:
        found["tooNewLogEventStartIndex"] = len(times) - too_new
    return found


def accepted[T](events: list[T], info: dict[str, int]) -> list[T]:
    """What ``rejected`` leaves of ``events``."""
    start = max(info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0))
    return events[start : info.get("tooNewLogEventStartIndex")]


def put_log_events(
    self: Any, log_group_name: str, log_stream_name: str, log_events: list[dict[str, Any]]
) -> tuple[str, dict[str, int]]:
    if log_group_name not in self.groups:
        raise exceptions.ResourceNotFoundException()
    times = [event["timestamp"] for event in log_events]
    if times != sorted(times):
        raise exceptions.InvalidParameterException(
            "Log events in a single PutLogEvents request must be in chronological order."
        )
    group = self.groups[log_group_name]
    now = int(time.time() * 1000)
    valid = [at for at in times if now - OLDEST <= at <= now + NEWEST]
    if valid and valid[-1] - valid[0] > DAY:
        raise exceptions.InvalidParameterException(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    info = rejected(times, now, int(group.retention_in_days or 0))
    return group.put_log_events(log_stream_name, accepted(log_events, info)), info


class Retentions(LogsProvider):
    # A handler with expand=False takes the request as one argument, unlike the method that it overrides.
    @overrides
    @handler("PutRetentionPolicy", expand=False)
    def put_retention_policy(self, context: RequestContext, request: Any) -> None:
        days = request["retentionInDays"]
        if days not in RETENTIONS:
            raise InvalidParameterException(
                f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
                f"Member must satisfy enum value set: {sorted(RETENTIONS)}"
            )
        call_moto(context)


def install() -> None:
    # patch: moto makes its backends itself, and PutLogEvents is decided in theirs.
    replace(LogsBackend, "put_log_events", put_log_events)
