"""What fails with one rule or target takes no event from another.

AWS: each rule that matches an event gets it, and each of its targets: "Multiple rules can process a single event, and
all targets of a rule are processed in parallel, not in a particular order"
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules.html). PutTargets adds the targets that can be added
and names the others in FailedEntries; a request that is not valid adds none
(https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html).

LocalStack: goes through the rules one after the other, and an exception of one (a pattern that meets a value of
another type, a target that PutTargets stored and then refused, an archive that is gone) ends that: the rules after it
get nothing, while PutEvents has answered success. PutTargets stores every target first and checks them afterwards.

Here: an exception is logged and ends what it concerns, one rule or one target. PutTargets checks first, and stores
what is valid.

Evidence: documentation; belief that a target of an unknown kind makes the whole request invalid.
"""

import logging
import re
from typing import Any

from localstack.aws.api import RequestContext, ServiceException
from localstack.aws.api.events import LimitExceededException
from localstack.services.events.models import ValidationException
from localstack.services.events.provider import EventsProvider, is_archive_arn
from localstack.services.events.target import TargetSenderFactory

from localstack_host.patching import overrides, uses
from localstack_host.shared.event_patterns import compiled

uses(EventsProvider, "get_rule_service", "_put_to_archive", "_target_sender_store")

LOG = logging.getLogger(__name__)

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html
TARGET_ID = re.compile(r"[.\-_A-Za-z0-9]+")
LONGEST_TARGET_ID = 64
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
MOST_TARGETS = 5


class DeliveryIsolation(EventsProvider):
    @overrides
    def _process_rules(self, rule: Any, region: str, account_id: str, event_formatted: Any, trace_header: Any) -> None:
        try:
            if rule.event_pattern and not compiled(rule.event_pattern).matches(event_formatted):
                return
        except Exception:  # a rule stored before patterns were checked
            LOG.exception("rule %s: its pattern was not applied to event %s", rule.arn, event_formatted["id"])
            return
        for target in list(rule.targets.values()):
            try:
                if is_archive_arn(target["Arn"]):
                    self._put_to_archive(region, account_id, archive_target_id=target["Id"], event=event_formatted)
                else:
                    sender = self._target_sender_store[f"{rule.arn}-{target['Id']}"]
                    sender.process_event(event_formatted.copy(), trace_header)
            except Exception:  # whatever a target raises, the others get the event
                LOG.exception("rule %s: target %s did not get event %s", rule.arn, target["Id"], event_formatted["id"])

    @overrides
    def put_targets(self, context: RequestContext, rule: str, targets: Any, *args: Any, **kwargs: Any) -> Any:
        service = self.get_rule_service(context.region, context.account_id, rule, kwargs.get("event_bus_name"))
        check_ids(targets)
        failed = service.validate_targets_input(targets)
        names = {entry["TargetId"] for entry in failed}
        targets = [target for target in targets if target["Id"] not in names]
        if len(service.rule.targets.keys() | {target["Id"] for target in targets}) > MOST_TARGETS:
            raise LimitExceededException("The requested resource exceeds the maximum number allowed.")
        for target in targets:
            check_sender(target, service.arn, rule, context)
        if targets:
            super().put_targets(context, rule, targets, *args, **kwargs)
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}


def check_ids(targets: Any) -> None:
    for number, target in enumerate(targets, 1):
        text = target["Id"]
        subject = f"1 validation error detected: Value '{text}' at 'targets.{number}.member.id' failed to satisfy"
        if len(text) > LONGEST_TARGET_ID:
            raise ValidationException(
                f"{subject} constraint: Member must have length less than or equal to {LONGEST_TARGET_ID}"
            )
        if not TARGET_ID.fullmatch(text):
            raise ValidationException(
                rf"{subject} constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"
            )


def check_sender(target: Any, rule_arn: str, rule: str, context: RequestContext) -> None:
    """Makes the sender that delivery will need. Raises ValidationException where there can be none."""
    try:
        TargetSenderFactory(target, rule_arn, rule, context.region, context.account_id).get_target_sender()
    except ServiceException:
        raise
    except Exception as error:  # LocalStack's for a service that it does not know, or an ARN that it cannot take apart
        raise ValidationException(
            f"Parameter {target['Arn']} is not valid. Reason: Provided Arn is not in correct format."
        ) from error
