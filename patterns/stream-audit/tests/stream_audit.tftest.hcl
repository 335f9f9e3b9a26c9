mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
}

run "a_stream_with_both_images_and_a_trail_that_can_be_restored" {
  assert {
    condition     = aws_dynamodb_table.orders.stream_enabled && aws_dynamodb_table.orders.stream_view_type == "NEW_AND_OLD_IMAGES"
    error_message = "An entry could not say what a change changed."
  }

  assert {
    condition     = aws_dynamodb_table.audit.hash_key == "order_id" && aws_dynamodb_table.audit.range_key == "sequence_number"
    error_message = "A record that comes again would not find its entry."
  }

  assert {
    condition = alltrue([for table in [aws_dynamodb_table.orders, aws_dynamodb_table.audit, aws_dynamodb_table.heads] :
      table.point_in_time_recovery[0].enabled
    ])
    error_message = "A table cannot be restored."
  }

  assert {
    condition     = length(aws_dynamodb_table.audit.ttl) == 0
    error_message = "Entries of the audit trail would expire."
  }

  assert {
    condition     = var.maximum_record_age < 86400
    error_message = "What is discarded could not be replayed: the stream keeps it for 24 hours."
  }

  assert {
    condition     = keys(output.audit.alarms) == ["destination", "discarded", "errors", "iterator_age", "throttles"]
    error_message = "Alarms: ${jsonencode(keys(output.audit.alarms))}"
  }

  assert {
    condition     = alltrue([for name in values(output.audit.alarms) : startswith(name, "shop-")])
    error_message = "Alarms: ${jsonencode(output.audit.alarms)}"
  }

  assert {
    condition     = alltrue([for function in [output.entry, output.operations.replay, output.operations.verify] : contains(keys(output.functions), function)])
    error_message = "A command has no function: ${jsonencode(output.operations)}"
  }
}

run "refuses_an_age_that_a_mapping_does_not_take" {
  command = plan

  variables {
    maximum_record_age = 30
  }

  expect_failures = [var.maximum_record_age]
}

run "refuses_an_empty_batch" {
  command = plan

  variables {
    batch_size = 0
  }

  expect_failures = [var.batch_size]
}

run "refuses_fewer_retries_than_for_ever" {
  command = plan

  variables {
    maximum_retry_attempts = -2
  }

  expect_failures = [var.maximum_retry_attempts]
}
