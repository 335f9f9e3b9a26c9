"""Ingest: checks each uploaded object, notes it in the manifest, and puts a work item on the queue.

S3 may deliver an event twice, late, or after that of a newer version (S3-1), and Lambda tries an event again that
failed, perhaps after all was done (ASY-1, ASY-4). So the manifest decides what is left to do with a version: nothing
if it knows a newer one, nothing if the version is already on its way, and otherwise what was not finished.
"""

import os
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from handlers.outcomes import at, log_failure, logger, metrics
from manifest import RECEIVED, claim, settle
from objects import (
    Unprocessable,
    Upload,
    correlation_id,
    described,
    fetch,
    invoice,
    metadata,
    parse,
    quarantine,
)
from work import send

MAX_OBJECT_BYTES = int(os.environ["MAX_OBJECT_BYTES"])


def count(metric: str) -> None:
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)


def ingest(upload: Upload) -> None:
    """Take one version of an object as far as it goes. Raises what the services raised, for Lambda to try again."""
    try:
        stored = fetch(upload)
    except ClientError:
        logger.append_keys(correlation_id=correlation_id(upload, metadata(upload)))
        raise
    traced_by = correlation_id(upload, stored.metadata)
    logger.append_keys(correlation_id=traced_by)
    reason, content = "", {}
    try:
        content = invoice(upload, stored, MAX_OBJECT_BYTES)
    except Unprocessable as error:
        reason = str(error)

    status = claim(upload)
    if status != RECEIVED:
        count("EventsSkipped")
        logger.info("processed", extra={"outcome": status if status == "superseded" else f"already {status}"})
    elif reason:
        quarantine(upload, stored, reason, traced_by)
        settle(upload, "quarantined", reason=reason)
        count("ObjectsQuarantined")
        logger.error("failed", extra={"error_class": "permanent", "error": reason, "outcome": "quarantined"})
    else:
        send(upload, content, traced_by)
        settle(upload, "queued")
        count("ObjectsQueued")
        logger.info("processed", extra={"outcome": "queued"})


def attempt(record: Any) -> Exception | None:
    """Ingest the object of one record. Returns what it failed on."""
    logger.append_keys(**described(record))
    try:
        ingest(parse(record))
    except Exception as error:
        log_failure(error, {})
        count("EventsFailed")
        return error
    return None


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Ingest the object of each record of an S3 event. An error is for Lambda, once all records were tried: it tries
    the event again, twice, and then sends it to the on-failure destination. So it does with an event that is none of
    S3, which somebody has to look at.
    """
    if at(event, "Event") == "s3:TestEvent":
        count("EventsSkipped")
        logger.append_keys(**described(event))
        logger.info("processed", extra={"outcome": "a test of the notification"})
        return
    records = at(event, "Records")
    errors = [attempt(record) for record in (records if isinstance(records, list) and records else [event])]
    for error in filter(None, errors):
        raise error
