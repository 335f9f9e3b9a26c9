"""StartReplay replays archived events, to the rules that are asked for.

AWS: StartReplay sends the archived events that occurred between EventStartTime and EventEndTime to the bus again, with
the field ``replay-name``; a replayed event is not archived again
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html). With Destination.FilterArns only these
rules get them (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ReplayDestination.html).

LocalStack: keeps the time of archived events as text and fails to compare it, so that StartReplay answers
InternalException as soon as there is an event; FilterArns is not looked at.

Here: the archive gives out events with times, earliest first, compared to the second; rules outside FilterArns are
skipped for replayed events.

Evidence: documentation.
"""

from datetime import UTC, datetime
from typing import Any

from localstack.services.events.archive import ArchiveService
from localstack.services.events.provider import EventsProvider
from localstack.services.events.utils import convert_to_timezone_aware_datetime

from localstack_host.patching import overrides, replace


class EventReplay(EventsProvider):
    @overrides
    def _process_rules(self, rule: Any, region: str, account_id: str, event_formatted: Any, trace_header: Any) -> None:
        replay = self.get_store(region, account_id).replays.get(event_formatted.get("replay-name"))
        rules = replay.destination.get("FilterArns") if replay else None
        if not rules or rule.arn in rules:
            super()._process_rules(rule, region, account_id, event_formatted, trace_header)


def between(self: Any, start_time: datetime, end_time: datetime) -> list[dict[str, Any]]:
    """The archived events of a time range, with ``time`` as a datetime, as the callers expect it."""
    start, end = (
        convert_to_timezone_aware_datetime(limit).astimezone(UTC).replace(microsecond=0)
        for limit in (start_time, end_time)
    )
    events = [{**event, "time": datetime.fromisoformat(event["time"])} for event in self.archive.events.values()]
    return sorted((e for e in events if start <= e["time"] <= end), key=lambda event: event["time"])


def install() -> None:
    # patch: the provider makes archives from the class itself and takes their events with this method only.
    replace(ArchiveService, "get_events", between)
