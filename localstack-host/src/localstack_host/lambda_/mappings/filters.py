"""Filters of event source mappings match as on AWS.

AWS: "Lambda filters have the same syntax as EventBridge's event patterns"; a record that matches none of a mapping's
filters does not reach the function, and a pattern that is not valid is refused
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html).

LocalStack: a condition that meets a value of another type raises: the poller fails on the whole batch, again and again.
Two conditions on an array may hold for different elements, and a star needs a character.

Here: ``event_patterns`` of ``shared`` checks the patterns of a mapping and matches the records.

Evidence: documentation.
"""

from typing import Any

from localstack.services.lambda_ import provider

from localstack_host.patching import replace
from localstack_host.shared.event_patterns import InvalidPattern, compiled


def filter_events(self: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """MappingPoller's: the events that match at least one filter; all of them if there is none."""
    filters = (self.source_parameters.get("FilterCriteria") or {}).get("Filters") or []
    patterns = [compiled(event_filter["Pattern"]) for event_filter in filters]
    return [event for event in events if not patterns or any(pattern.matches(event) for pattern in patterns)]


def validate_event_pattern(event_pattern: str) -> bool:
    try:
        compiled(event_pattern)
    except InvalidPattern:
        return False
    return True


def install() -> None:
    # patch: the provider takes this function from its module.
    replace(provider, "validate_event_pattern", validate_event_pattern)
