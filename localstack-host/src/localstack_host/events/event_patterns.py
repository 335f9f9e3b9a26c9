"""Event patterns of rules and archives are checked when they are stored, and match as on AWS.

AWS: PutRule, CreateArchive, UpdateArchive and TestEventPattern answer InvalidEventPatternException for a pattern that
is not valid, and store nothing (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html). An
archive keeps the events that match its present pattern
(https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_UpdateArchive.html).

LocalStack: PutRule stores whatever it is given, and the event that meets it raises. UpdateArchive changes what
DescribeArchive says, and not what is archived.

Here: the provider compiles the pattern before anything is stored; ``event_patterns`` of ``shared`` matches.

Evidence: recording (TestEventPattern::test_event_pattern) for the error; documentation.
"""

import json
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.events import InvalidEventPatternException
from localstack.services.events import provider
from localstack.services.events.provider import EventsProvider

from localstack_host.patching import overrides, replace, uses
from localstack_host.shared.event_patterns import InvalidPattern, Pattern, compiled
from localstack_host.shared.json_text import decoded

uses(EventsProvider, "get_store", "_archive_service_store")


class EventPatterns(EventsProvider):
    @overrides
    def put_rule(self, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        check(kwargs)
        return super().put_rule(context, *args, **kwargs)

    @overrides
    def create_archive(self, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        check(kwargs)
        return super().create_archive(context, *args, **kwargs)

    @overrides
    def update_archive(self, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        check(kwargs)
        response = super().update_archive(context, *args, **kwargs)
        if text := kwargs.get("event_pattern"):
            store = self.get_store(context.region, context.account_id)
            archive = self._archive_service_store[store.archives[kwargs["archive_name"]].arn]
            rule = store.event_buses[archive.event_bus_name].rules[archive.rule_name]
            rule.event_pattern = json.dumps(json.loads(text) | {"replay-name": [{"exists": False}]})
        return response


def check(request: dict[str, Any]) -> None:
    if text := request.get("event_pattern"):
        valid(text)


def valid(text: str) -> Pattern:
    """The pattern. Raises InvalidEventPatternException."""
    try:
        return compiled(text)
    except InvalidPattern as error:
        raise InvalidEventPatternException(f"Event pattern is not valid. Reason: {error}") from error


def matches_event(event_pattern: str, event: str) -> bool:
    """LocalStack's, for TestEventPattern."""
    return valid(event_pattern).matches(decoded(event))


def install() -> None:
    # patch: the provider takes this function from its module.
    replace(provider, "matches_event", matches_event)
