mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/mock" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/mock" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:111122223333:function:mock" }
  }
  mock_resource "aws_lambda_layer_version" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:111122223333:layer:mock:1" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:111122223333:mock" }
  }
}

variables {
  name      = "shop"
  build_dir = "tests/build" # placeholders: the mocked provider does not look inside
}

run "by_default_a_payment_is_remembered_for_longer_than_its_message_can_come_back" {
  assert {
    condition     = output.payments.strategy == "transaction"
    error_message = "Strategy: ${output.payments.strategy}"
  }

  assert {
    condition     = var.record_expiry > 1209600
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

  assert {
    condition     = output.faults_parameter == "/shop/faults"
    error_message = "Faults parameter: ${output.faults_parameter}"
  }
}

run "without_fault_injection_the_plan_contains_nothing_of_it" {
  command = plan

  variables {
    fault_injection = false
  }

  assert {
    condition     = module.layers.fault_injection == null && output.faults_parameter == null
    error_message = "The plan contains the fault layer or its parameter."
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

run "refuses_a_name_that_would_be_too_long_for_its_functions" {
  command = plan

  variables {
    name = "a-name-of-forty-one-letters-and-hyphens-x"
  }

  expect_failures = [var.name]
}

run "refuses_to_plan_without_zips" {
  command = plan

  variables {
    build_dir = "tests/no-such-folder"
  }

  expect_failures = [var.build_dir]
}
