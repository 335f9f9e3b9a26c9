"""Auditor: every change of an order becomes one entry of the audit trail, chained to the entry before it."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from change import parse
from handlers.outcomes import metrics
from handlers.stream import consume
from trail import append


def audit(record: dict[str, Any]) -> dict[str, Any]:
    change = parse(record)
    if change.signature["actor_type"] == "unknown":
        metrics.add_metric(name="ChangesUnsigned", unit=MetricUnit.Count, value=1)
    return append(change) | {"actor_type": change.signature["actor_type"]}


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return consume(event, context, act=audit)
