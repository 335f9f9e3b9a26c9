mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
}

run "a_standard_queue_with_a_concurrency_limit_partial_responses_and_backoff" {
  assert {
    condition     = module.queue.name == "shop-orders" && module.queue.dlq_name == "shop-orders-dlq"
    error_message = "Queues: ${module.queue.name}, ${module.queue.dlq_name}"
  }

  assert {
    condition     = keys(output.functions) == ["producer", "warehouse"] && output.entry == "producer"
    error_message = "Functions: ${jsonencode(output.functions)}"
  }

  assert {
    condition     = alltrue([for name in values(output.consumer.alarms) : startswith(name, "shop-")])
    error_message = "Alarms: ${jsonencode(output.consumer.alarms)}"
  }

  assert {
    condition     = keys(output.consumer.alarms) == ["age", "dlq_depth", "errors", "throttles"]
    error_message = "Alarms: ${jsonencode(keys(output.consumer.alarms))}"
  }

  assert {
    condition     = aws_dynamodb_table.reservations.name == "shop-reservations"
    error_message = "Table: ${aws_dynamodb_table.reservations.name}"
  }
}

run "a_fifo_variant" {
  variables {
    fifo = true
  }

  assert {
    condition     = module.queue.name == "shop-orders.fifo" && module.queue.dlq_name == "shop-orders-dlq.fifo"
    error_message = "Queues: ${module.queue.name}, ${module.queue.dlq_name}"
  }
}

run "refuses_a_concurrency_that_a_mapping_does_not_take" {
  command = plan

  variables {
    maximum_concurrency = 1
  }

  expect_failures = [var.maximum_concurrency]
}

run "refuses_a_batch_that_needs_a_batching_window" {
  command = plan

  variables {
    batch_size = 11
  }

  expect_failures = [var.batch_size]
}
