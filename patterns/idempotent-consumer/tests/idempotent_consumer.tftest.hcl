mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
}

run "by_default_a_payment_is_remembered_for_longer_than_its_message_can_come_back" {
  assert {
    condition     = output.payments.strategy == "transaction"
    error_message = "Strategy: ${output.payments.strategy}"
  }

  assert {
    condition     = var.record_expiry > (14 + 4) * 86400
    error_message = "A message redriven from the dead-letter queue after 14 days would be paid again (IDM-1)."
  }

  assert {
    condition     = aws_dynamodb_table.idempotency.hash_key == "id" && aws_dynamodb_table.idempotency.ttl[0].attribute_name == "expiration"
    error_message = "Powertools writes its keys into `id`, and their expiry into `expiration`."
  }

  assert {
    condition     = aws_dynamodb_table.idempotency.point_in_time_recovery[0].enabled && aws_dynamodb_table.ledger.point_in_time_recovery[0].enabled
    error_message = "A table cannot be restored."
  }

  assert {
    condition     = alltrue([for name in values(output.payments.alarms) : startswith(name, "shop-payments-")])
    error_message = "Alarms: ${jsonencode(output.payments.alarms)}"
  }

  assert {
    condition     = length(output.payments.alarms) == 4
    error_message = "Alarms: ${jsonencode(output.payments.alarms)}"
  }
}

run "refuses_a_strategy_that_the_consumer_does_not_know" {
  command = plan

  variables {
    strategy = "hope"
  }

  expect_failures = [var.strategy]
}

run "refuses_records_that_expire_at_once" {
  command = plan

  variables {
    record_expiry = 0
  }

  expect_failures = [var.record_expiry]
}
