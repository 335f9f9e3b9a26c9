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
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/mock" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:111122223333:function:mock" }
  }
  mock_resource "aws_lambda_layer_version" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:111122223333:layer:mock:1" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/shop-reservations" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:111122223333:mock" }
  }
}

variables {
  name      = "shop"
  build_dir = "tests/build" # placeholders: the mocked provider does not look inside
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

  assert {
    condition     = output.faults_parameter == "/shop/faults"
    error_message = "Faults parameter: ${output.faults_parameter}"
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
