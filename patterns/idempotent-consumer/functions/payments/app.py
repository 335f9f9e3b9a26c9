"""Payments: every order is paid once, however often it arrives.

STRATEGY says how an order is recognised that has been paid: by its `message-id`, by its `business-key`, or by its
business key in the same `transaction` that pays.
"""

import os
from functools import partial
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import orders
from handlers.outcomes import metrics
from handlers.sqs import consume_records, parsed
from idempotency import Pay, paying_once
from ledger import Payment
from transaction import pay_once

STRATEGIES: dict[str, Pay] = {
    "message-id": paying_once("message_id"),
    "business-key": paying_once("order_id"),
    "transaction": pay_once,
}
pay = STRATEGIES[os.environ["STRATEGY"]]


def parse(body: dict[str, Any], message_id: str) -> Payment:
    return Payment(
        order_id=orders.identifier(body, "order_id"),
        customer_id=orders.identifier(body, "customer_id"),
        amount=orders.amount(body),
        message_id=message_id,
    )


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    def handle(record: SQSRecord) -> dict[str, Any]:
        payment = parsed(record, partial(parse, message_id=record.message_id))
        receipt = {"replayed": False} | pay(payment, context)
        if receipt["replayed"]:
            metrics.add_metric(name="PaymentsReplayed", unit=MetricUnit.Count, value=1)
        return receipt

    return consume_records(event, context, handle)
