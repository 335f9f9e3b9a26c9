"""A function behind the stream of a DynamoDB table brings an action:

    def handler(event, context):
        return consume(event, context, act=audit)

What every consumer of such a stream does with a batch is here: act on each record in order, stop at the first failure.
The log line of each record that was tried (handlers.outcomes) has its `order_id`, `correlation_id`, `sequence_number`
and `event_name`.

A stream is in order, and so is the work: nothing behind a record that failed is tried before it is done with. How the
failure is told decides what Lambda does next
(https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html):

- Behind records that succeeded it is reported. It becomes the checkpoint, and the next batch begins with it.
- At the head of a batch it is raised, which has a mapping with BisectBatchOnFunctionError split the batch, until the
  record is alone. A report has nothing to split off there: the whole batch would be discarded with the record.
- A TransientError is reported also there: where it is not the record that is at fault, splitting isolates nothing.
"""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    ExceptionInfo,
    FailureResponse,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import (
    REPORTS_ARE_READ,
    TransientError,
    UnreportedFailure,
    at,
    count,
    log_failure,
    log_success,
    logger,
    metrics,
    named,
)

Act = Callable[[dict[str, Any]], dict[str, Any]]


class FailedAtHead(Exception):
    """The first record of a batch failed. Raised so that Lambda splits the batch."""


class _Processor(BatchProcessor):
    def __init__(self) -> None:
        super().__init__(event_type=EventType.DynamoDBStreams, raise_on_entire_batch_failure=False)

    def process(self) -> list[tuple[Any, ...]]:
        outcomes = []
        for record in self.records:
            outcomes.append(self._process_record(record))
            if self.fail_messages:
                break
        return outcomes

    def failure_handler(self, record: DynamoDBRecord, exception: ExceptionInfo) -> FailureResponse:
        log_failure(exception[1], _describe(record.raw_event))
        return super().failure_handler(record, exception)


def consume(event: dict[str, Any], context: LambdaContext, act: Act) -> PartialItemFailureResponse:
    """Runs `act(record)` for the records of a stream event up to the first failure, and returns the batch response.

    `act` gets the record as Lambda sent it, and returns the fields to log with "processed". Raises FailedAtHead, and
    UnreportedFailure where nobody would read the report (REPORT_BATCH_ITEM_FAILURES).
    """

    def process(record: DynamoDBRecord) -> None:
        effect = act(record.raw_event)
        log_success(effect, _describe(record.raw_event))

    response: PartialItemFailureResponse = _process_batch(event, context, process, _Processor())
    return response


@logger.inject_lambda_context
@metrics.log_metrics
def _process_batch(
    event: dict[str, Any], context: LambdaContext, process: Callable[[DynamoDBRecord], None], processor: _Processor
) -> PartialItemFailureResponse:
    response = process_partial_response(event, process, processor, context)
    done, errors = len(processor.success_messages), [error for _, error, _ in processor.exceptions]
    count(done, errors)
    if errors and not REPORTS_ARE_READ:
        raise UnreportedFailure(f"record {done + 1} of {len(event['Records'])} failed, and reports are not read")
    if errors and not done and len(event["Records"]) > 1 and not isinstance(errors[0], TransientError):
        raise FailedAtHead(f"the first of {len(event['Records'])} records failed: {errors[0]}")
    return response


def _describe(record: Any) -> dict[str, Any]:
    """What the log line says of any record. Raises nothing: in the failure path an error would hide the first one."""
    image = at(record, "dynamodb", "NewImage") or at(record, "dynamodb", "OldImage")
    return {
        "order_id": named(at(record, "dynamodb", "Keys", "order_id", "S")),
        "correlation_id": named(at(image, "correlation_id", "S")),
        "sequence_number": at(record, "dynamodb", "SequenceNumber"),
        "event_name": named(at(record, "eventName")),
    }
