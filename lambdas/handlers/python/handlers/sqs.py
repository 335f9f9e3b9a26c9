"""A function behind a queue brings a parser and an action:

    def handler(event, context):
        return consume(event, context, parse=parse, act=invoice)

What every SQS consumer does with a batch is here: parse, act, log and count each message, report the failed ones. The
log line of each (handlers.outcomes) has the `order_id` (or the `key` of an object), `correlation_id`, `message_id` and
`receive_count` of the message: also of one that is nothing but noise, since whoever may send chooses what is in it.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    ExceptionInfo,
    FailureResponse,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.exceptions import UnexpectedBatchTypeError
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import (
    MALFORMED,
    REPORTS_ARE_READ,
    PermanentError,
    UnreportedFailure,
    at,
    classify,
    count,
    log_failure,
    log_success,
    logger,
    metrics,
    named,
)


class _Processor(BatchProcessor):
    def __init__(self, postpone: Callable[[SQSRecord], int] | None) -> None:
        # A batch of which every message failed is reported message by message, as a mixed one is, instead of raised:
        # AWS/Lambda Errors then counts broken invocations (crash, timeout) and a lone poison message does not set off
        # their alarm; MessagesFailed, the age of the oldest message and the depth of the dead-letter queue tell of
        # messages.
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        self.postpone = postpone

    def failure_handler(self, record: SQSRecord, exception: ExceptionInfo) -> FailureResponse:
        fields = _describe(record.raw_event)
        if classify(exception[1]) == "transient" and self.postpone:
            fields |= _postponed(record, self.postpone)
        log_failure(exception[1], fields)
        return super().failure_handler(record, exception)


def consume[Message](
    event: dict[str, Any],
    context: LambdaContext,
    parse: Callable[[dict[str, Any]], Message],
    act: Callable[[Message], dict[str, Any]],
    postpone: Callable[[SQSRecord], int] | None = None,
) -> PartialItemFailureResponse:
    """Runs `act(parse(body))` for every message of an SQS event, and returns the partial batch response.

    `parse` gets the body decoded from JSON, numbers with a point as Decimal; what it raises on malformed data
    (handlers.outcomes.MALFORMED) is permanent. `act` returns the fields to log with "processed". A failed message,
    permanent or transient, is listed in `batchItemFailures`: SQS delivers it again up to `maxReceiveCount` times and
    then keeps it in the dead-letter queue. `postpone` (handlers.backoff) hides a message that failed for a transient
    reason for as many seconds as it returns. Raises UnexpectedBatchTypeError, before anything is done, on an event that
    is not of a queue: it has no messages that could be reported. Raises UnreportedFailure rather than let a message be
    deleted that was not processed.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    return consume_records(event, context, lambda record: act(parsed(record, parse)), postpone)


def consume_records(
    event: dict[str, Any],
    context: LambdaContext,
    handle: Callable[[SQSRecord], dict[str, Any]],
    postpone: Callable[[SQSRecord], int] | None = None,
) -> PartialItemFailureResponse:
    """The same for an action that needs more of the record than its body, such as the message id.

    `handle(record)` gets the body with `parsed(record, parse)`, and returns the fields to log with "processed".
    """

    def process(record: SQSRecord) -> None:
        effect = handle(record)
        log_success(effect, _describe(record.raw_event))

    response: PartialItemFailureResponse = _process_batch(event, context, process, _Processor(postpone))
    return response


@logger.inject_lambda_context
@metrics.log_metrics
def _process_batch(
    event: dict[str, Any], context: LambdaContext, process: Callable[[SQSRecord], None], processor: _Processor
) -> PartialItemFailureResponse:
    if not all(isinstance(at(record, "messageId"), str) for record in _records(event)):
        raise UnexpectedBatchTypeError("a record without messageId: SQS did not send this event")
    response = process_partial_response(event, process, processor, context)
    count(len(processor.success_messages), [error for _, error, _ in processor.exceptions])
    successes: list[Any] = list(processor.success_messages)  # the records as they came, though typed otherwise
    processed = {record["messageId"] for record in successes}
    refuse_to_lose(event, processed, response if REPORTS_ARE_READ else {"batchItemFailures": []})
    return response


def refuse_to_lose(event: dict[str, Any], processed: set[str], report: PartialItemFailureResponse) -> None:
    """Raises UnreportedFailure when a message of the event was neither processed nor is in the report.

    Lambda deletes it otherwise: an empty list, which a handler that swallows its errors returns, is complete success.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    reported = {failure["itemIdentifier"] for failure in report["batchItemFailures"]}
    lost = [record["messageId"] for record in event["Records"] if record["messageId"] not in processed | reported]
    if lost:
        raise UnreportedFailure(f"{len(lost)} of {len(event['Records'])} messages failed unreported: {', '.join(lost)}")


def _postponed(record: SQSRecord, postpone: Callable[[SQSRecord], int]) -> dict[str, Any]:
    try:
        return {"retry_in_seconds": postpone(record)}
    except Exception as error:  # The message is retried all the same, after the queue's visibility timeout.
        return {"not_postponed": f"{type(error).__name__}: {error}"}


def parsed[Message](record: SQSRecord, parse: Callable[[dict[str, Any]], Message]) -> Message:
    """`parse(body)`, the body decoded from JSON. Raises PermanentError on malformed data."""
    try:
        return parse(_decode(at(record.raw_event, "body")))
    except MALFORMED as error:
        raise PermanentError(f"malformed message: {type(error).__name__}: {error}") from error


def _decode(body: Any) -> dict[str, Any]:
    # Money is decimal: a float has other digits than were sent.
    decoded = json.loads(body, parse_float=Decimal)
    if not isinstance(decoded, dict):
        raise TypeError(f"the body is a JSON {type(decoded).__name__}, not an object")
    return decoded


def _records(event: Any) -> list[Any]:
    records = at(event, "Records")
    if not (isinstance(records, list) and records):
        raise UnexpectedBatchTypeError("no records: SQS did not send this event")
    return records


def _describe(record: Any) -> dict[str, Any]:
    """What the log line says of any message. Raises nothing: in the failure path an error would fail the batch."""
    try:
        body = _decode(at(record, "body"))
    except MALFORMED:
        body = {}
    # Raw message delivery turns the SNS message's attributes into SQS message attributes, of any type.
    # https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html
    attribute = at(record, "messageAttributes", "correlation_id", "stringValue")
    receives = at(record, "attributes", "ApproximateReceiveCount")
    # What the message is about: an order, or an object of a bucket.
    subjects = [name for name in ("order_id", "key") if name in body] or ["order_id"]
    return {
        **{name: named(body.get(name)) for name in subjects},
        "correlation_id": named(attribute if isinstance(attribute, str) else body.get("correlation_id")),
        "message_id": at(record, "messageId"),
        "receive_count": int(receives) if isinstance(receives, str) and receives.isdecimal() else None,
    }
