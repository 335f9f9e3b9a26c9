"""A rule's target has a retry policy and a dead-letter queue.

AWS: an event that could not be delivered is retried as the target's RetryPolicy says, then sent to the queue of its
DeadLetterConfig, or dropped. The message's body is the event; its attributes are RULE_ARN, TARGET_ARN, ERROR_CODE
(such as NO_RESOURCE or THROTTLING), ERROR_MESSAGE, RETRY_ATTEMPTS and, when a limit ended it,
EXHAUSTED_RETRY_CONDITION (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html).

LocalStack: stores both settings and ignores them; an event whose target fails is lost, with a line in the log.

Here: the sender of a target goes through ``delivery``. A target that was removed in the meantime is not retried. Not as
on AWS: an HTTP error of an API destination or of API Gateway, and a bus that does not exist, count as delivered, as in
LocalStack; the metrics of AWS/Events are not published.

Evidence: documentation for the attributes and the conditions; belief for which error has which ERROR_CODE.
"""

import logging
from typing import Any

import requests
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import HTTPClientError, ReadTimeoutError
from localstack.services.events.provider import EventsProvider
from localstack.services.events.utils import to_json_str

from localstack_host.patching import overrides, swap, uses
from localstack_host.shared.delivery import (
    FORBIDDEN,
    MISSING,
    THROTTLED,
    Failure,
    contains,
    deliver,
    is_client_error,
    is_invalid,
    message,
    send_to_dead_letter_queue,
    service_code,
)

uses(EventsProvider, "_target_sender_store")

LOG = logging.getLogger(__name__)

PARAMETER = ("InvalidParameter", "Validation", "MissingParameter")


def error_code(error: Exception) -> str:
    """ERROR_CODE of the message in the dead-letter queue."""
    if is_invalid(error):
        return "INVALID_JSON"
    if isinstance(error, ReadTimeoutError | requests.Timeout):
        return "TIMEOUT"
    if isinstance(error, BotoConnectionError | HTTPClientError | requests.ConnectionError):
        return "CONNECTION_FAILURE"
    for code, parts in (
        ("NO_RESOURCE", MISSING),
        ("NO_PERMISSIONS", FORBIDDEN),
        ("THROTTLING", THROTTLED),
        ("INVALID_PARAMETER", PARAMETER),
    ):
        if contains(error, parts):
            return code
    if service_code(error):
        return "ERROR_FROM_TARGET"
    return "SDK_CLIENT_ERROR" if is_client_error(error) else "INTERNAL_ERROR"


class TargetRetries(EventsProvider):
    @overrides
    def create_target_sender(self, *args: Any, **kwargs: Any) -> Any:
        sender = super().create_target_sender(*args, **kwargs)
        target, sender.send_once = sender.target, sender.process_event

        def process_event(event: dict[str, Any], trace_header: Any) -> None:
            kept = {name: value for name, value in event.items() if name != "event-bus-name"}

            def attempt(_: int) -> None:
                # PutTargets replaces a sender: what waits for a retry goes on with the present settings.
                if current := self._target_sender_store.get(sender.unique_id):
                    current.send_once(dict(event), trace_header)

            def give_up(failure: Failure) -> None:
                queue = (target.get("DeadLetterConfig") or {}).get("Arn")
                if not queue:
                    LOG.warning("event %s dropped: %s", event.get("id"), failure)
                    return
                attributes = {
                    "RULE_ARN": sender.rule_arn,
                    "TARGET_ARN": target["Arn"],
                    "ERROR_CODE": error_code(failure.error),
                    "ERROR_MESSAGE": message(failure.error),
                    "RETRY_ATTEMPTS": str(failure.retries),
                }
                if failure.exhausted:
                    attributes["EXHAUSTED_RETRY_CONDITION"] = failure.exhausted
                send_to_dead_letter_queue(queue, to_json_str(kept), attributes)

            deliver(attempt, target.get("RetryPolicy"), give_up)

        swap(sender, "process_event", process_event)
        return sender
