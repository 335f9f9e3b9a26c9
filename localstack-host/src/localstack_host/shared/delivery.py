"""Deliveries that are retried and then given to a dead-letter queue: what rules and schedules have in common.

AWS: a delivery that fails is retried with exponential backoff and jitter, by default for 24 hours and up to 185 times
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html). Missing permissions, a target
that no longer exists and an address that is not found are not retried
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html). The delays are not documented.

LocalStack: delivers once, and logs what failed.

Here: the first attempt is made at once, the others by ``timers``. Delays double from 1 s up to 480 s, with jitter, so
that 185 retries take the documented 24 hours; ``--delivery-retry-seconds N`` lets none be longer than N seconds. An
event that would be older than its maximum age at the next attempt is given up when it reaches that age.

Evidence: documentation for the limits and for what is retried; belief for the delays.
"""

import contextvars
import json
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from localstack.aws.connect import connect_to
from localstack.utils.aws.arns import parse_arn

from localstack_host.environment import DELIVERY_RETRY_SECONDS
from localstack_host.shared.timers import TIMERS

LOG = logging.getLogger(__name__)

DEFAULT_RETRIES = 185
DEFAULT_AGE_SECONDS = 86400
FIRST_DELAY_SECONDS = 1
LONGEST_DELAY_SECONDS = 480

# Parts of the error codes of AWS services.
MISSING = ("NotFound", "NonExistent", "DoesNotExist", "NoSuch")
FORBIDDEN = ("AccessDenied", "Unauthorized", "NotAuthorized", "AuthorizationError")
THROTTLED = ("Throttl", "TooManyRequests", "ThroughputExceeded", "LimitExceeded")


class InvalidInput(Exception):
    """What was to be delivered is not valid, and will not be at the next attempt."""


@dataclass(frozen=True)
class Failure:
    """Why a delivery was given up. ``exhausted`` is a retry condition, or None for an error that is not retried."""

    error: Exception
    retries: int
    exhausted: str | None


@dataclass(frozen=True)
class Delivery:
    """Something to send until it succeeds or its retry policy is exhausted.

    ``send`` gets the number of the attempt, from 1, and raises when it fails. ``give_up`` is called at most once.
    """

    send: Callable[[int], None]
    give_up: Callable[[Failure], None]
    retries: int
    age_seconds: int
    began: float

    def attempt(self, number: int = 1) -> None:
        try:
            self.send(number)
        except Exception as error:  # whatever a target raises is a failed delivery
            self.failed(error, number - 1)

    def failed(self, error: Exception, retries: int) -> None:
        context = contextvars.copy_context()
        if is_permanent(error):
            self.give_up(Failure(error, retries, None))
        elif retries >= self.retries:
            self.give_up(Failure(error, retries, "MaximumRetryAttempts"))
        elif (due := time.time() + delay(retries)) < self.began + self.age_seconds:
            TIMERS.at(due, context.run, self.attempt, retries + 2)
        else:
            expired = Failure(error, retries, "MaximumEventAgeInSeconds")
            TIMERS.at(self.began + self.age_seconds, context.run, self.give_up, expired)


def deliver(send: Callable[[int], None], policy: Mapping[str, int] | None, give_up: Callable[[Failure], None]) -> None:
    """Sends once before it returns; retries follow in other threads, with the context variables of the caller.

    ``policy`` has MaximumRetryAttempts and MaximumEventAgeInSeconds, each with AWS's default.
    """
    policy = policy or {}
    Delivery(
        send,
        give_up,
        policy.get("MaximumRetryAttempts", DEFAULT_RETRIES),
        policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE_SECONDS),
        time.time(),
    ).attempt()


def delay(retries: int) -> float:
    """Seconds until the next attempt, after ``retries`` retries."""
    longest = min(LONGEST_DELAY_SECONDS, float(os.environ.get(DELIVERY_RETRY_SECONDS, "inf")))
    full = min(FIRST_DELAY_SECONDS * 2 ** min(retries, 30), longest)
    return random.uniform(full / 2, full)


def is_permanent(error: Exception) -> bool:
    return is_invalid(error) or contains(error, MISSING + FORBIDDEN)


def is_invalid(error: Exception) -> bool:
    return isinstance(error, InvalidInput) or contains(error, ("InvalidRequestContent",))


def contains(error: Exception, parts: tuple[str, ...]) -> bool:
    return any(part in service_code(error) for part in parts)


def service_code(error: Exception) -> str:
    """The error code in a response of an AWS service; empty if the error is not such a response."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else ""


def message(error: Exception) -> str:
    """The error message in a response of an AWS service, or the error's own."""
    text = error.response["Error"].get("Message") if isinstance(error, ClientError) else str(error)
    return text or type(error).__name__


def is_client_error(error: Exception) -> bool:
    return isinstance(error, BotoCoreError)


def send_to_dead_letter_queue(arn: str, body: str, attributes: Mapping[str, str]) -> None:
    """Sends a message with String attributes. Failing to do so is logged: there is nobody left to tell."""
    queue = parse_arn(arn)
    try:
        sqs = connect_to(aws_access_key_id=queue["account"], region_name=queue["region"]).sqs
        sqs.send_message(
            QueueUrl=sqs.get_queue_url(QueueName=queue["resource"])["QueueUrl"],
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
    except Exception as error:
        LOG.warning("not sent to the dead-letter queue %s: %s; lost: %s", arn, error, json.dumps(attributes))
