"""Asynchronous invocations: what becomes of those that fail, are throttled or grow too old.

AWS: an event whose function fails is tried again after one and after two more minutes. One that is throttled, or
meets an error of Lambda's own, goes back to the queue and is tried again for up to six hours, or
MaximumEventAgeInSeconds, after one second at first and after five minutes at most
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html). An event that is given up goes to
the on-failure destination, as a record that says why, and to the dead-letter queue, as it was sent, with the
attributes RequestID, ErrorCode and ErrorMessage (the first KB); with a reserved concurrency of 0 at once
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html). What cannot be delivered counts
in DestinationDeliveryFailures or DeadLetterErrors
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html).

LocalStack: measures the age of a throttled event as if it waited a minute, so that one with a short maximum age is
given up at its first throttle, and then loses it: neither destination nor queue get it. Tries throttled events every
second, however long. Sends a RequestID of its own invention to the dead-letter queue, and nothing with a reserved
concurrency of 0. Ignores the settings of an alias. Receives events long before it can run them, so that they can run
twice, and for two seconds after an update of the function receives some that it never runs.

Here: a poller of its own decides by ``next_step``. --async-retry-seconds shortens the wait after a failure, not what it
adds to the event's age, so that the same events are given up as on AWS; waits after a throttle are whole, because what
they wait for is not faster.

Evidence: documentation; records and attributes recording TestLambdaDestinationSqs, TestLambdaDestinationEventbridge,
TestLambdaDLQ, TestLambdaConcurrency::test_reserved_concurrency; belief for what a throttled event's record leaves out
(as with a reserved concurrency of 0) and for its ErrorCode, 429.
"""

import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from localstack import config
from localstack.aws.connect import connect_to
from localstack.services.lambda_.invocation import event_manager
from localstack.services.lambda_.invocation.event_manager import Poller as StockPoller
from localstack.services.lambda_.invocation.event_manager import SQSInvocation
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.utils.aws import arns
from localstack.utils.aws.message_forwarding import send_event_to_target

from localstack_host.lambda_ import metrics
from localstack_host.patching import overrides, replace, uses
from localstack_host.shared.arrivals import ARRIVALS
from localstack_host.shared.json_text import decoded

uses(StockPoller, "_shutdown_event", "invoker_pool", "event_queue_url")
uses(ThreadPoolExecutor, "_max_workers")

LOG = logging.getLogger(__name__)

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
RETRY_SECONDS = 60
MAXIMUM_RETRIES = 2
MAXIMUM_AGE_SECONDS = 6 * 60 * 60
MAXIMUM_THROTTLE_SECONDS = 5 * 60
ERROR_MESSAGE_BYTES = 1024
# Events announce themselves (``sqs.queues``); this is only for what LocalStack might do past that.
IDLE_SECONDS = 20

Outcome = Literal["success", "error", "throttled"]


@dataclass(frozen=True)
class Step:
    """What happens to an event after an attempt: it is given up, with a condition, or waits ``seconds``."""

    condition: str = ""
    seconds: float = 0


def next_step(
    outcome: Outcome,
    age: float,
    retries: int,
    throttles: int,
    reserved_concurrency: int | None = None,
    maximum_retries: int = MAXIMUM_RETRIES,
    maximum_age: float = MAXIMUM_AGE_SECONDS,
) -> Step:
    """What AWS does after an attempt.

    ``age`` is in seconds since the event was sent, ``retries`` how often it was tried again after an error,
    ``throttles`` how often it was put back since then.

    >>> next_step("error", age=1, retries=0, throttles=0)
    Step(condition='', seconds=60)
    >>> next_step("error", age=185, retries=2, throttles=0)
    Step(condition='RetriesExhausted', seconds=0)
    >>> next_step("error", age=1, retries=0, throttles=0, maximum_age=60)
    Step(condition='EventAgeExceeded', seconds=0)
    >>> next_step("throttled", age=1, retries=0, throttles=3, maximum_age=60)
    Step(condition='', seconds=8)
    """
    if outcome == "success":
        return Step(condition="Success")
    if reserved_concurrency == 0:
        return Step(condition="ZeroReservedConcurrency")
    if outcome == "error":
        wait = RETRY_SECONDS * (retries + 1)
        if retries >= maximum_retries:
            return Step(condition="RetriesExhausted")
        return Step(condition="EventAgeExceeded") if age + wait > maximum_age else Step(seconds=wait)
    if age >= maximum_age:
        return Step(condition="EventAgeExceeded")
    # The last attempt is at the maximum age, which is when the event expires.
    return Step(seconds=min(2**throttles, MAXIMUM_THROTTLE_SECONDS, math.ceil(maximum_age - age)))


def record(
    condition: str, event: SQSInvocation, version: FunctionVersion, result: InvocationResult | None
) -> dict[str, Any]:
    """What a destination receives. ``result`` is that of the last attempt, None when that was not an invocation."""
    content = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": event.invocation.request_id,
            "functionArn": version.qualified_arn,
            "condition": condition,
            "approximateInvokeCount": event.retries + (result is not None),
        },
        "requestPayload": decoded(event.invocation.payload),
    }
    if result is None:
        return content
    response = {"statusCode": 200, "executedVersion": version.id.qualifier}
    if result.is_error:
        response["functionError"] = "Unhandled"
    return content | {"responseContext": response, "responsePayload": decoded(result.payload or b"null")}


def dead_letter_attributes(request_id: str, result: InvocationResult | None) -> dict[str, Any]:
    """The message attributes of an event in a dead-letter queue."""
    code, message = "429", "Rate Exceeded."
    if result is not None:
        error = decoded(result.payload or b"null")
        code, message = "200", str(error.get("errorMessage", "")) if isinstance(error, dict) else ""
    message = message.encode()[:ERROR_MESSAGE_BYTES].decode(errors="ignore")
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": code},
    }
    # SQS accepts no empty attribute.
    return attributes | ({"ErrorMessage": {"DataType": "String", "StringValue": message}} if message else {})


class Poller(StockPoller):
    """Takes the events of one version of a function from its queue, each when a thread is free for it."""

    def __init__(self, version_manager: Any, event_queue_url: str) -> None:
        super().__init__(version_manager, event_queue_url)
        self.free = threading.Semaphore(self.invoker_pool._max_workers)
        found = self.queue().get_queue_attributes(QueueUrl=event_queue_url, AttributeNames=["QueueArn"])
        self.queue_arn = found["Attributes"]["QueueArn"]

    @overrides
    def stop(self) -> None:
        super().stop()
        ARRIVALS.wake(self.queue_arn)

    @overrides
    def run(self, *_: Any, **__: Any) -> None:
        while not self._shutdown_event.is_set():
            if not self.free.acquire(timeout=1):
                continue
            taken = False
            try:
                taken = self.take()
            except Exception as error:  # the poller must outlive whatever happens to one event
                LOG.warning("events of %s: %s", self.version_manager.function_arn, error)
                self._shutdown_event.wait(1)
            finally:
                if not taken:
                    self.free.release()

    def take(self) -> bool:
        """Whether an event has been taken, and with it a thread."""
        visibility = self.version_manager.function_version.config.timeout + 60
        seen = ARRIVALS.count(self.queue_arn)
        messages = self.queue().receive_message(QueueUrl=self.event_queue_url, VisibilityTimeout=visibility)["Messages"]
        if not messages:
            ARRIVALS.wait(self.queue_arn, seen, IDLE_SECONDS, self._shutdown_event)
            return False
        if self._shutdown_event.is_set():
            # The function has been updated: the poller of the new version works on the same queue.
            self.queue().send_message(QueueUrl=self.event_queue_url, MessageBody=messages[0]["Body"])
            self.delete(messages[0])
            return False
        self.invoker_pool.submit(self.handle_message, messages[0])
        return True

    @overrides
    def handle_message(self, message: dict[str, Any]) -> None:
        event = SQSInvocation.decode(message["Body"])
        try:
            self.attempt(event)
            self.delete(message)
        except Exception as error:  # the queue is gone with the function, or an error of this module
            LOG.warning("asynchronous event %s was lost: %r", event.invocation.request_id, error)
        finally:
            self.free.release()

    def delete(self, message: dict[str, Any]) -> None:
        self.queue().delete_message(QueueUrl=self.event_queue_url, ReceiptHandle=message["ReceiptHandle"])

    def queue(self) -> Any:
        return event_manager.get_sqs_client(self.version_manager.function_version)

    def settings(self, event: SQSInvocation) -> Any:
        """The event invoke configuration of the alias or version that was invoked, or None."""
        configurations = self.version_manager.function.event_invoke_configs
        asked = event.invocation.invoked_arn.split(":")[7:]
        return configurations.get(asked[0] if asked else self.version_manager.function_version.id.qualifier)

    def attempt(self, event: SQSInvocation) -> None:
        settings, outcome, result = self.settings(event), "throttled", None
        try:
            result = self.version_manager.invoke(invocation=event.invocation)
            outcome = "error" if result.is_error else "success"
        except Exception as error:  # throttled, or an error of Lambda's own: AWS treats them alike
            LOG.debug("event %s is put back: %s", event.invocation.request_id, error)
        step = next_step(
            outcome,  # type: ignore[arg-type]
            age=(datetime.now() - event.invocation.invoke_time).total_seconds(),
            retries=event.retries,
            throttles=event.exception_retries,
            reserved_concurrency=self.version_manager.function.reserved_concurrent_executions,
            **limits(settings),
        )
        if step.condition:
            self.deliver(step.condition, event, result, settings)
        elif outcome == "error":
            shortened = step.seconds * config.LAMBDA_RETRY_BASE_DELAY_SECONDS / RETRY_SECONDS
            event.retries, event.exception_retries = event.retries + 1, 0
            event.invocation.invoke_time -= timedelta(seconds=step.seconds - shortened)
            self.put_back(event, shortened)
        else:
            event.exception_retries += 1
            self.put_back(event, step.seconds)

    def put_back(self, event: SQSInvocation, seconds: float) -> None:
        self.queue().send_message(
            QueueUrl=self.event_queue_url, MessageBody=event.encode(), DelaySeconds=round(seconds)
        )

    def deliver(self, condition: str, event: SQSInvocation, result: InvocationResult | None, settings: Any) -> None:
        """To the destination for ``condition`` and, unless that is Success, to the dead-letter queue."""
        version = self.version_manager.function_version
        kind = "OnSuccess" if condition == "Success" else "OnFailure"
        destinations = (settings.destination_config if settings else None) or {}
        if target := destinations.get(kind, {}).get("Destination"):
            try:
                send_record(target, record(condition, event, version, result), version)
            except Exception as error:  # as on AWS: counted, and lost
                LOG.warning("record of %s not sent to %s: %s", version.qualified_arn, target, error)
                metrics.publish(version, "DestinationDeliveryFailures", 1, "Count")
        if condition != "Success" and (target := version.config.dead_letter_arn):
            try:
                send_dead_letter(target, event, version, result)
            except Exception as error:  # as on AWS: counted, and lost
                LOG.warning("event of %s not sent to %s: %s", version.qualified_arn, target, error)
                metrics.publish(version, "DeadLetterErrors", 1, "Count")


def limits(settings: Any) -> dict[str, Any]:
    """``maximum_retries`` and ``maximum_age``, where the configuration sets them."""
    given = {
        "maximum_retries": settings.maximum_retry_attempts if settings else None,
        "maximum_age": settings.maximum_event_age_in_seconds if settings else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def send_record(target: str, content: dict[str, Any], version: FunctionVersion) -> None:
    success = content["requestContext"]["condition"] == "Success"
    event = content
    if ":events:" in target:
        event = {"detail": content, "resources": [target, version.qualified_arn]}
    send_event_to_target(
        target_arn=target,
        event=event,
        role=version.config.role,
        source_arn=version.id.unqualified_arn(),
        source_service="lambda",
        events_source="lambda",
        events_detail_type=f"Lambda Function Invocation Result - {'Success' if success else 'Failure'}",
    )


def send_dead_letter(
    target: str, event: SQSInvocation, version: FunctionVersion, result: InvocationResult | None
) -> None:
    clients = connect_to.with_assumed_role(
        role_arn=version.config.role,
        service_principal="lambda",
        region_name=arns.extract_region_from_arn(target),
    )
    metadata = {"source_arn": version.id.unqualified_arn(), "service_principal": "lambda"}
    body = event.invocation.payload.decode()
    attributes = dead_letter_attributes(event.invocation.request_id, result)
    if ":sqs:" in target:
        clients.sqs.request_metadata(**metadata).send_message(
            QueueUrl=arns.sqs_queue_url_for_arn(target), MessageBody=body, MessageAttributes=attributes
        )
    else:
        clients.sns.request_metadata(**metadata).publish(TopicArn=target, Message=body, MessageAttributes=attributes)


def install() -> None:
    # patch: LocalStack's event manager makes its poller of this name itself.
    replace(event_manager, "Poller", Poller)
