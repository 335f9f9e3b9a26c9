"""What SQS refuses: attributes out of their ranges, message attributes that are none, and single entries of a batch.

AWS: the attributes of a queue have ranges, in CreateQueue and in SetQueueAttributes; a change of a FIFO queue's delay
is one for the messages that are there, too
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html). A message has up to
ten attributes, and a Number has up to 38 digits, from -10^128 to 10^126
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html). A visibility
timeout, with all that was added to it, is at most twelve hours
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html). An entry of a
batch that is refused fails alone, with the error that the single request would have had
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_BatchResultErrorEntry.html).

LocalStack: checks few of these. It stores a VisibilityTimeout of "abc", after which every receive is an internal error.
Failed entries of two batches have the names of Python's classes for codes.

Here: the provider checks each request before it acts.

Evidence: documentation; the messages as quoted in public bug reports, or belief.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from localstack.aws.api import RequestContext, ServiceException
from localstack.aws.api.sqs import QueueAttributeMap
from localstack.services.sqs import provider
from localstack.services.sqs.constants import FIFO_MSG_REGEX
from localstack.services.sqs.exceptions import InvalidAttributeValue, InvalidParameterValueException
from localstack.services.sqs.provider import SqsProvider as StockSqsProvider

from localstack_host.patching import overrides, replace, uses
from localstack_host.sqs.queues import ATTEMPT

uses(StockSqsProvider, "_resolve_queue", "_assert_batch")

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}
CHOICES = {
    "FifoQueue": ("true",),
    "ContentBasedDeduplication": ("true", "false"),
    "SqsManagedSseEnabled": ("true", "false"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
MOST_ATTRIBUTES = 10
MOST_DIGITS = 38
MOST, LEAST = Decimal("1e126"), Decimal("-1e128")


def check_queue_attributes(given: Mapping[str, str], held: Mapping[str, str]) -> None:
    """Raises InvalidAttributeValue for attributes ``given`` to a queue that has those that are ``held``.

    An empty value is one to be taken away. Names that no queue has are the provider's.
    """
    for name, value in given.items():
        least, most = RANGES.get(name, (0, 0))
        if name in RANGES and not (re.fullmatch(r"[0-9]{1,9}", value) and least <= int(value) <= most):
            raise InvalidAttributeValue(f"Invalid value for the parameter {name}.")
        if name in CHOICES and value.lower() not in map(str.lower, CHOICES[name]):
            raise InvalidAttributeValue(f"Invalid value for the parameter {name}.")
    both = {**held, **given}
    if both.get("FifoThroughputLimit") == "perMessageGroupId" and both.get("DeduplicationScope") != "messageGroup":
        raise InvalidAttributeValue(
            "Invalid value for the parameter FifoThroughputLimit. "
            "Reason: perMessageGroupId is allowed only when the value for DeduplicationScope is messageGroup."
        )


def check_message_attributes(given: Any) -> None:
    """Raises InvalidParameterValueException for a message's MessageAttributes, if what LocalStack checks is right."""
    if len(given or {}) > MOST_ATTRIBUTES:
        raise InvalidParameterValueException(
            f"Number of message attributes [{len(given)}] exceeds the allowed maximum [{MOST_ATTRIBUTES}]."
        )
    for name, attribute in (given or {}).items():
        kind = attribute["DataType"].partition(".")[0]
        if not attribute.get("BinaryValue" if kind == "Binary" else "StringValue"):
            raise InvalidParameterValueException(
                f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
            )
        if kind == "Number" and not is_number(attribute["StringValue"]):
            raise InvalidParameterValueException(
                f"Can't cast the value of message (user) attribute '{name}' to a number."
            )


def is_number(text: str) -> bool:
    try:
        number = Decimal(text) if text.isascii() else Decimal("NaN")
    except InvalidOperation:
        return False
    if "_" in text or not number.is_finite() or not LEAST <= number <= MOST:
        return False
    return len("".join(map(str, number.as_tuple().digits)).strip("0")) <= MOST_DIGITS


def check_range(parameter: str, value: int | None, least: int, most: int, words: str) -> None:
    """Raises InvalidParameterValueException; None is a parameter that is not given."""
    if value is not None and not least <= value <= most:
        raise InvalidParameterValueException(f"Value {value} for parameter {parameter} is invalid. Reason: {words}")


def check_delay(seconds: int | None) -> None:
    least, most = RANGES["DelaySeconds"]
    check_range("DelaySeconds", seconds, least, most, f"DelaySeconds must be >= {least} and <= {most}.")


def check_visibility(seconds: int | None) -> None:
    least, most = RANGES["VisibilityTimeout"]
    check_range("VisibilityTimeout", seconds, least, most, f"Must be >= {least} and <= {most}, if provided.")


class CheckedRequests(StockSqsProvider):
    @overrides
    def create_queue(
        self,
        context: RequestContext,
        queue_name: str,
        attributes: QueueAttributeMap | None = None,
        *args: Any,
        **kw: Any,
    ) -> Any:
        check_queue_attributes(attributes or {}, {})
        return super().create_queue(context, queue_name, attributes, *args, **kw)

    @overrides
    def set_queue_attributes(
        self, context: RequestContext, queue_url: str, attributes: QueueAttributeMap, **kwargs: Any
    ) -> None:
        queue: Any = self._resolve_queue(context, queue_url=queue_url)
        check_queue_attributes(attributes, queue.attributes)
        super().set_queue_attributes(context, queue_url, attributes, **kwargs)
        if queue.fifo and "DelaySeconds" in attributes:
            queue.delay_anew()

    @overrides
    def _put_message(self, queue: Any, context: RequestContext, message_body: str, *args: Any, **kwargs: Any) -> Any:
        check_delay(kwargs["delay_seconds"] if "delay_seconds" in kwargs else args[0] if args else None)
        return super()._put_message(queue, context, message_body, *args, **kwargs)

    @overrides
    def send_message_batch(self, context: RequestContext, queue_url: str, entries: list[Any], **kwargs: Any) -> Any:
        answer: Any = super().send_message_batch(context, queue_url, entries, **kwargs)
        return {**answer, "Failed": [on_the_wire(failure) for failure in answer.get("Failed") or []] or None}

    @overrides
    def receive_message(self, context: RequestContext, queue_url: str, *args: Any, **kwargs: Any) -> Any:
        check_visibility(kwargs.get("visibility_timeout"))
        if kwargs.get("max_number_of_messages") == 0:
            check_range("MaxNumberOfMessages", 0, 1, 10, "Must be between 1 and 10, if provided.")
        attempt = kwargs.get("receive_request_attempt_id")
        if attempt is not None and not re.fullmatch(FIFO_MSG_REGEX, attempt):
            raise InvalidParameterValueException(
                f"Value {attempt} for parameter ReceiveRequestAttemptId is invalid. Reason: ReceiveRequestAttemptId "
                "can only include alphanumeric and punctuation characters. 1 to 128 in length."
            )
        token = ATTEMPT.set(attempt)
        try:
            return super().receive_message(context, queue_url, *args, **kwargs)
        finally:
            ATTEMPT.reset(token)

    @overrides
    def change_message_visibility(
        self, context: RequestContext, queue_url: str, receipt_handle: str, visibility_timeout: int, **kwargs: Any
    ) -> None:
        check_visibility(visibility_timeout)
        super().change_message_visibility(context, queue_url, receipt_handle, visibility_timeout, **kwargs)

    @overrides
    def change_message_visibility_batch(
        self, context: RequestContext, queue_url: str, entries: list[Any], **kwargs: Any
    ) -> Any:
        self._assert_batch(entries)
        return one_by_one(
            entries,
            lambda entry: self.change_message_visibility(
                context, queue_url, entry["ReceiptHandle"], entry.get("VisibilityTimeout", 0)
            ),
        )

    @overrides
    def delete_message_batch(self, context: RequestContext, queue_url: str, entries: list[Any], **kwargs: Any) -> Any:
        self._assert_batch(entries)
        return one_by_one(entries, lambda entry: self.delete_message(context, queue_url, entry["ReceiptHandle"]))


# As the single requests' errors are called on the wire.
WIRE_CODES = {
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
}


def on_the_wire(failure: dict[str, Any]) -> dict[str, Any]:
    return {**failure, "Code": WIRE_CODES.get(failure["Code"], failure["Code"]), "SenderFault": True}


def one_by_one(entries: list[Any], act: Callable[[Any], None]) -> dict[str, Any]:
    """A batch's answer: `act` raises the error that becomes an entry's."""
    done, failed = [], []
    for entry in entries:
        try:
            act(entry)
        except ServiceException as error:
            failed.append(on_the_wire({"Id": entry["Id"], "Code": error.code, "Message": error.message}))
        else:
            done.append({"Id": entry["Id"]})
    return {"Successful": done, "Failed": failed}


def install() -> None:
    def check(given: Any) -> None:
        stock(given)
        check_message_attributes(given)

    # patch: the provider checks a message's attributes by a name in its module.
    stock = replace(provider, "check_attributes", check)
