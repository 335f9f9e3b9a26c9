"""A disabled rule delivers nothing.

AWS: "A disabled rule won't match any events, and won't self-trigger if it has a schedule expression"; that can take a
short while (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DisableRule.html).

LocalStack: DisableRule and State=DISABLED change what DescribeRule says; events still go to the targets.

Here: the provider skips rules that are disabled, at once. ``scheduled_rules`` does it for those with a schedule.

Evidence: documentation.
"""

from typing import Any

from localstack.aws.api.events import RuleState
from localstack.services.events.provider import EventsProvider

from localstack_host.patching import overrides


class DisabledRules(EventsProvider):
    @overrides
    def _process_rules(self, rule: Any, *args: Any, **kwargs: Any) -> None:
        if rule.state != RuleState.DISABLED:
            super()._process_rules(rule, *args, **kwargs)
