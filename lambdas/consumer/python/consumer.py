"""What every SQS consumer does with a batch: parse, act, log and count each message, report the failed ones.

The layer `consumer`. A function brings what is its own, a parser and an action:

    def handler(event, context):
        return consume(event, context, parse=parse, act=invoice)

One log line per message, with the `order_id`, `correlation_id`, `message_id` and `receive_count` of the message:
"processed" with the fields that the action returned, or "failed" with `error_class` and `error`. Metrics in the
embedded metric format, once per invocation: MessagesProcessed, and MessagesFailed by `error_class`.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    ExceptionInfo,
    FailureResponse,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()

# What Python raises on data of the wrong shape: a missing key, an amount that is no number, a null.
MALFORMED = (ArithmeticError, LookupError, TypeError, ValueError)


class PermanentError(Exception):
    """The message itself is wrong: no retry can help, it is for a person to look at in the dead-letter queue."""


class TransientError(Exception):
    """Something that the action depends on failed: a retry may help."""


def classify(error: BaseException | None) -> str:
    """`permanent` or `transient`. What nobody classified is transient: a wasted retry is cheaper than a lost order."""
    return "permanent" if isinstance(error, PermanentError) else "transient"


class _Processor(BatchProcessor):
    def failure_handler(self, record: SQSRecord, exception: ExceptionInfo) -> FailureResponse:
        error = exception[1]
        error_class = classify(error)
        log = logger.error if error_class == "permanent" else logger.warning
        fields = {"error_class": error_class, "error": f"{type(error).__name__}: {error}"}
        log("failed", extra=_describe(record) | fields, exc_info=error)
        return super().failure_handler(record, exception)


# A batch of which every message failed is reported message by message, as a mixed one is, instead of raised:
# AWS/Lambda Errors then counts broken invocations (crash, timeout) and a lone poison message does not set off
# their alarm; MessagesFailed, the age of the oldest message and the depth of the dead-letter queue tell of messages.
processor = _Processor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def consume[Message](
    event: dict[str, Any],
    context: LambdaContext,
    parse: Callable[[dict[str, Any]], Message],
    act: Callable[[Message], dict[str, Any]],
) -> PartialItemFailureResponse:
    """Run `act(parse(body))` for every message of an SQS event, and return the partial batch response.

    `parse` gets the body decoded from JSON; what it raises on malformed data (KeyError, ValueError, TypeError,
    ArithmeticError) is permanent. `act` returns the fields to log with "processed". A failed message, permanent or
    transient, is listed in `batchItemFailures`: SQS delivers it again up to `maxReceiveCount` times and then keeps
    it in the dead-letter queue. Raises UnexpectedBatchTypeError on an event without records.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    def process(record: SQSRecord) -> None:
        effect = act(_parse(record, parse))
        logger.info("processed", extra=effect | _describe(record))

    response: PartialItemFailureResponse = _process_batch(event, context, process)
    return response


@logger.inject_lambda_context
@metrics.log_metrics
def _process_batch(
    event: dict[str, Any], context: LambdaContext, process: Callable[[SQSRecord], None]
) -> PartialItemFailureResponse:
    response = process_partial_response(event, process, processor, context)
    metrics.add_metric(name="MessagesProcessed", unit=MetricUnit.Count, value=len(processor.success_messages))
    failures = Counter(classify(error) for _, error, _ in processor.exceptions)
    for error_class, count in failures.items():
        with single_metric(name="MessagesFailed", unit=MetricUnit.Count, value=count) as failed:
            failed.add_dimension(name="error_class", value=error_class)
    return response


def _parse[Message](record: SQSRecord, parse: Callable[[dict[str, Any]], Message]) -> Message:
    try:
        return parse(_decode(record))
    except MALFORMED as error:
        raise PermanentError(f"malformed message: {type(error).__name__}: {error}") from error


def _decode(record: SQSRecord) -> dict[str, Any]:
    body = json.loads(record.body)
    if not isinstance(body, dict):
        raise TypeError(f"the body is a JSON {type(body).__name__}, not an object")
    return body


def _describe(record: SQSRecord) -> dict[str, Any]:
    try:
        body = _decode(record)
    except MALFORMED:
        body = {}
    # Raw message delivery turns the SNS message's attributes into SQS message attributes.
    # https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html
    attribute = record.message_attributes.get("correlation_id")
    return {
        "order_id": body.get("order_id"),
        "correlation_id": attribute["stringValue"] if attribute else body.get("correlation_id"),
        "message_id": record.message_id,
        "receive_count": int(record.attributes.approximate_receive_count),
    }
