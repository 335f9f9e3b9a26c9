"""Ingest: checks each uploaded object, notes it in the manifest, and puts a work item on the queue.

S3 may deliver an event twice, late, or after that of a newer version (S3-1), and Lambda tries an event again that
failed, perhaps after all was done (ASY-1, ASY-4). So the manifest decides what is left to do with a version: nothing
if it knows a newer one, nothing if the version is already on its way, and otherwise what was not finished.
"""

import os
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import log_failure, logger, metrics
from manifest import RECEIVED, claim, settle
from objects import Unprocessable, Upload, fetch, invoice, parse, quarantine
from work import send

MAX_OBJECT_BYTES = int(os.environ["MAX_OBJECT_BYTES"])


def count(metric: str) -> None:
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)


def ingest(upload: Upload) -> None:
    """Take one version of an object as far as it goes. Raises what the services raised, for Lambda to try again."""
    stored = fetch(upload)
    # What was not uploaded by the uploader has no id to be traced by: its version is one.
    correlation_id = stored.metadata.get("correlation-id") or upload.version_id
    logger.append_keys(correlation_id=correlation_id)
    reason, content = "", {}
    try:
        content = invoice(stored, MAX_OBJECT_BYTES)
    except Unprocessable as error:
        reason = str(error)

    status = claim(upload)
    if status != RECEIVED:
        count("EventsSkipped")
        logger.info("processed", extra={"outcome": status if status == "superseded" else f"already {status}"})
    elif reason:
        quarantine(upload, reason, correlation_id)
        settle(upload, "quarantined", reason=reason)
        count("ObjectsQuarantined")
        logger.error("failed", extra={"error_class": "permanent", "error": reason, "outcome": "quarantined"})
    else:
        send(upload, content, correlation_id)
        settle(upload, "queued")
        count("ObjectsQueued")
        logger.info("processed", extra={"outcome": "queued"})


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Ingest the object of each record of an S3 event. An error is for Lambda: it tries the event again, twice, and
    then sends it to the on-failure destination.
    """
    for record in event["Records"]:
        upload = parse(record)
        logger.append_keys(key=upload.key, version_id=upload.version_id, correlation_id=None)
        try:
            ingest(upload)
        except Exception as error:
            log_failure(error, {})
            count("EventsFailed")
            raise
