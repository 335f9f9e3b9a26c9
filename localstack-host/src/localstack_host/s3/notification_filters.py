"""Notifications of one bucket whose filters overlap are refused.

AWS: "You get an error if you try to save a notification configuration that has invalid overlapping name filters for the
same event types": of two configurations with a common event type, the prefixes must not overlap or the suffixes must
not; one that is not given overlaps every other
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html). A filter has at most one
prefix and one suffix.

LocalStack: saves them, and notifies everybody.

Here: the provider compares each two of the queues, topics and functions.

Evidence: documentation; the messages as users of AWS report them.
"""

from itertools import combinations
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.s3 import InvalidArgument, NotificationConfiguration
from localstack.services.s3.provider import S3Provider

from localstack_host.patching import overrides

KINDS = ("QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations")


def rule(configuration: Any, name: str) -> str:
    """The prefix or suffix; empty if it is not given."""
    rules = ((configuration.get("Filter") or {}).get("Key") or {}).get("FilterRules") or []
    values = [one.get("Value") or "" for one in rules if (one.get("Name") or "").lower() == name]
    if len(values) > 1:
        raise InvalidArgument(
            f"Cannot specify more than one {name} rule in a filter.",
            ArgumentName="FilterRule.Name",
            ArgumentValue=name,
        )
    return values[0] if values else ""


def same_events(one: str, other: str) -> bool:
    """Whether two event types have an event in common; a * at the end stands for all of a kind."""
    return any(
        first == second or (first.endswith("*") and second.startswith(first[:-1]))
        for first, second in ((one, other), (other, one))
    )


def overlap(one: Any, other: Any) -> bool:
    prefixes, suffixes = ([rule(each, name) for each in (one, other)] for name in ("prefix", "suffix"))
    return (
        any(same_events(first, second) for first in one["Events"] for second in other["Events"])
        and (prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0]))
        and (suffixes[0].endswith(suffixes[1]) or suffixes[1].endswith(suffixes[0]))
    )


class NotificationFilters(S3Provider):
    @overrides
    def put_bucket_notification_configuration(
        self,
        context: RequestContext,
        bucket: str,
        notification_configuration: NotificationConfiguration,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        configurations = [one for kind in KINDS for one in notification_configuration.get(kind) or []]
        for configuration in configurations:
            rule(configuration, "prefix"), rule(configuration, "suffix")
        if any(overlap(one, other) for one, other in combinations(configurations, 2)):
            raise InvalidArgument(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes "
                "are overlapping for the same event type."
            )
        super().put_bucket_notification_configuration(context, bucket, notification_configuration, *args, **kwargs)
