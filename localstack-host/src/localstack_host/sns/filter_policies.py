"""Filter policies: no message makes one fail, and they match as on AWS.

AWS: a subscription gets the messages that its filter policy accepts, by their attributes or by their body
(https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html). An attribute of the type String is a
string, of Number a number; of String.Array, each element is a value. Attributes of the type Binary are ignored
(https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html). A body that is no JSON object
is accepted by no policy for bodies.

LocalStack: applies prefix and the other operators to whatever the message has, so that a number makes Publish fail with
InternalError, and no subscriber gets the message, also of PublishBatch, of a state machine or of S3. A Number never
equals a number, an attribute of the type String counts as a number, and of two conditions on an array each may hold for
another element.

Here: ``event_patterns`` of ``shared`` checks and matches. The limits of a policy are LocalStack's: five keys, and 150
combinations of values, each array of a nested field counting as often as the field is deep.

Evidence: recording (TestSNSFilterPolicyConditions, TestSNSFilterPolicyBody) and documentation; belief that an array
that is not JSON has no values, and that two conditions hold for one element, as in EventBridge: SNS gives its reasons.
"""

import json
import re
from typing import Any

from localstack.aws.api.sns import InvalidParameterException
from localstack.services.sns import provider
from localstack.services.sns.filter import SubscriptionFilter

from localstack_host.patching import replace
from localstack_host.shared.event_patterns import SNS, InvalidPattern, Pattern, compiled, is_or, parsed

# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
MOST_KEYS = 5
MOST_COMBINATIONS = 150
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class FilterPolicyValidator:
    """LocalStack's, by its own name: made for one request."""

    def __init__(self, scope: str, is_subscribe_call: bool) -> None:
        self.scope = scope
        self.prefix = "Invalid parameter: Attributes Reason: " if is_subscribe_call else "Invalid parameter: "

    def validate_filter_policy(self, filter_policy: Any) -> None:
        """Raises InvalidParameterException."""
        try:
            if isinstance(filter_policy, dict) and len(filter_policy) > MOST_KEYS:
                raise InvalidPattern(f"Filter policy can not have more than {MOST_KEYS} keys")
            pattern_of(filter_policy)
            if self.scope == "MessageAttributes" and is_nested(filter_policy):
                raise InvalidParameterException(
                    f"{self.prefix}Filter policy scope MessageAttributes does not support nested filter policy"
                )
            if combinations(filter_policy) > MOST_COMBINATIONS:
                raise InvalidPattern("Filter policy is too complex")
        except InvalidPattern as error:
            raise InvalidParameterException(f"{self.prefix}FilterPolicy: {error}") from error


def is_nested(policy: dict[str, Any]) -> bool:
    return any(
        any(map(is_nested, value)) if is_or(key, value) else isinstance(value, dict) for key, value in policy.items()
    )


def combinations(policy: dict[str, Any], depth: int = 1, found: int = 1) -> int:
    """How many combinations of values a valid policy has, times ``found``."""
    for key, value in policy.items():
        if is_or(key, value):
            found = sum(combinations(alternative, depth, found) for alternative in value)
        elif isinstance(value, dict):
            found = combinations(value, depth + 1, found)
        else:
            found *= len(value) * depth
    return found


def pattern_of(policy: Any) -> Pattern:
    return compiled(json.dumps(policy), SNS)


def accepts_attributes(self: Any, filter_policy: Any, message_attributes: dict[str, Any]) -> bool:
    """SubscriptionFilter's, for the scope MessageAttributes."""
    values = {name: value_of(attribute) for name, attribute in message_attributes.items()}
    return not filter_policy or pattern_of(filter_policy).matches(values)


def value_of(attribute: dict[str, Any]) -> Any:
    """What a message attribute says; an empty list, which is no value, for what filters do not look at."""
    kind = attribute.get("DataType") or attribute.get("Type") or ""
    text = attribute.get("StringValue", attribute.get("Value"))
    if not isinstance(text, str) or kind.startswith("Binary"):
        return []
    if not kind.endswith(".Array"):
        return text if kind.startswith("String") else number_of(text)
    try:
        value = parsed(text)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def number_of(text: str) -> Any:
    if not NUMBER.fullmatch(text):
        return []
    return int(text) if text.lstrip("+-").isdigit() and len(text) < 20 else float(text)  # Python's int has its limits


def accepts_body(self: Any, filter_policy: Any, message_body: str) -> bool:
    """SubscriptionFilter's, for the scope MessageBody."""
    try:
        body = parsed(message_body)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and (not filter_policy or pattern_of(filter_policy).matches(body))


def install() -> None:
    # patch: the provider makes validators from the name in its module.
    replace(provider, "FilterPolicyValidator", FilterPolicyValidator)
    # patch: the publisher, which has no extension point, has one filter for all topics.
    replace(SubscriptionFilter, "check_filter_policy_on_message_attributes", accepts_attributes)
    replace(SubscriptionFilter, "check_filter_policy_on_message_body", accepts_body)
