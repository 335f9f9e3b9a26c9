"""What became of a message, a record or a task, and how that is told: by a log line, and by counting.

A function brings the class of an error, where it knows it:

    raise PermanentError("the order was paid before, by another customer")
    raise TransientError("the warehouse takes no reservation")

One log line per outcome: "processed", with what the action returned, or "failed", with `error_class` (permanent or
transient) and `error`. Metrics in the embedded metric format, once per invocation: MessagesProcessed, and
MessagesFailed by `error_class`.
"""

import json
import os
from collections import Counter
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

# Powertools writes what is not ASCII as it is, and standard output refuses a lone surrogate: the line would be lost.
logger = Logger(json_serializer=partial(json.dumps, default=str, separators=(",", ":"), ensure_ascii=True))
metrics = Metrics()

# Set by modules/function together with the mapping's FunctionResponseTypes. Without ReportBatchItemFailures Lambda
# takes any response for success, and deletes the messages that it reports as failed.
REPORTS_ARE_READ = os.environ.get("REPORT_BATCH_ITEM_FAILURES", "true") == "true"

# What Python raises on data of the wrong shape: a missing key, an amount that is no number, a null, a list where an
# object was expected, text that is no UTF-8 (a ValueError), brackets nested deeper than the interpreter's stack.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

# What a log line says of one value, or of an error. Nobody but its sender bounds what is in a message.
LOGGED_CHARACTERS = 1000


class PermanentError(Exception):
    """The message itself is wrong: no retry can help, it is for a person to look at in the dead-letter queue."""


class TransientError(Exception):
    """Something that the action depends on failed: a retry may help."""


class UnreportedFailure(Exception):
    """A message that was not processed would be deleted. Raised instead, so that its whole batch comes back."""


def classify(error: BaseException | None) -> str:
    """`permanent` or `transient`. What nobody classified is transient: a wasted retry is cheaper than a lost order."""
    return "permanent" if isinstance(error, PermanentError) else "transient"


def at(data: Any, *path: str) -> Any:
    """What is at the path into nested objects; None where there is no such thing, whatever the data are."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def named(value: Any) -> Any:
    """A value of a message as a log line has it: what was sent, if that is short text or a whole number."""
    match value:
        case None | int():
            return value
        case str():
            return value[:LOGGED_CHARACTERS]
    return shown(value)


def shown(value: Any) -> str:
    """A value of a message as an error's text has it: as JSON has it, but cut, and without what is nested."""
    match value:
        case list():
            return "an array"
        case dict():
            return "an object"
        case str():
            return json.dumps(value) if len(value) <= 40 else f"{json.dumps(value[:40])}... ({len(value)} characters)"
        case None | bool() | float():
            return json.dumps(value)
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def log_success(effect: dict[str, Any], fields: dict[str, Any]) -> None:
    """The line "processed": what the action returned, and `fields`, which say of what."""
    logger.info("processed", extra=effect | fields)


def log_failure(error: BaseException | None, fields: dict[str, Any], traceback: bool = True) -> None:
    """The line "failed": `fields`, which say of what, `error_class` and `error`, and the traceback unless it is logged
    elsewhere.
    """
    error_class = classify(error)
    log = logger.error if error_class == "permanent" else logger.warning
    log(
        "failed",
        extra=fields | {"error_class": error_class, "error": f"{type(error).__name__}: {error}"[:LOGGED_CHARACTERS]},
        exc_info=error if traceback else None,
    )


def count(processed: int, errors: list[BaseException | None]) -> None:
    """MessagesProcessed, and MessagesFailed by the class of the errors."""
    metrics.add_metric(name="MessagesProcessed", unit=MetricUnit.Count, value=processed)
    for error_class, failures in Counter(map(classify, errors)).items():
        with single_metric(name="MessagesFailed", unit=MetricUnit.Count, value=failures) as failed:
            failed.add_dimension(name="error_class", value=error_class)
