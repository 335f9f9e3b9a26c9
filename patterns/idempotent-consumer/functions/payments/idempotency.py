"""Pays once per key with Powertools' idempotency: lock the key, pay, store the result. Three writes, one by one."""

import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyValidationError
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import PermanentError
from ledger import Payment, dynamodb, pay

Pay = Callable[[Payment, LambdaContext], dict[str, Any]]


def replayed(response: dict[str, Any], idempotent_data: DataRecord) -> dict[str, Any]:
    return response | {"replayed": True}


def paying_once(key: str) -> Pay:
    """A function that pays once per value of the payment's field `key`, and returns the first receipt to the others.

    It raises PermanentError when a key comes back with another customer or amount, IdempotencyAlreadyInProgressError
    while another delivery of the key is at work, and IdempotencyPersistenceLayerError, unpaid, when the key cannot be
    locked: both of these end with a retry.
    """
    config = IdempotencyConfig(
        event_key_jmespath=key,
        payload_validation_jmespath="[customer_id, amount]",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=int(os.environ["RECORD_EXPIRY_SECONDS"]),
        response_hook=replayed,
    )
    store = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"], boto3_client=dynamodb)

    once: Callable[..., dict[str, Any]] = idempotent_function(
        pay, data_keyword_argument="payment", persistence_store=store, config=config, key_prefix="payment"
    )

    def pay_once(payment: Payment, context: LambdaContext) -> dict[str, Any]:
        # Tells Powertools until when this attempt can be at work. Without it, a delivery that died in mid-work locks
        # its key for RECORD_EXPIRY_SECONDS, and every retry is refused (IDM-4).
        if os.environ["REGISTER_LAMBDA_CONTEXT"] == "true":
            config.register_lambda_context(context)
        try:
            return once(payment=payment)
        except IdempotencyValidationError as error:
            raise PermanentError(f"{key} was paid before, with another customer or amount: {error}") from error

    return pay_once
