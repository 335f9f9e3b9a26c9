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
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/shop-manifest" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:111122223333:mock" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::mock" }
  }
}

variables {
  name      = "shop"
  build_dir = "tests/build" # placeholders: the mocked provider does not look inside
}

run "uploads_trigger_ingest_by_prefix_and_suffix_and_failed_events_are_kept" {
  assert {
    condition = [for trigger in aws_s3_bucket_notification.uploads.lambda_function :
      "${join(", ", trigger.events)} ${trigger.filter_prefix}*${trigger.filter_suffix}"
    ] == ["s3:ObjectCreated:* incoming/*.json"]
    error_message = "Notification: ${jsonencode(aws_s3_bucket_notification.uploads.lambda_function)}"
  }

  assert {
    condition     = aws_lambda_permission.uploads.source_account == "111122223333"
    error_message = "A bucket of another account could invoke ingest."
  }

  assert {
    condition     = keys(output.uploads.alarms) == ["destination", "errors", "failed", "quarantined", "throttles"]
    error_message = "Alarms: ${jsonencode(keys(output.uploads.alarms))}"
  }

  assert {
    condition     = alltrue([for name in values(output.uploads.alarms) : startswith(name, "shop-")])
    error_message = "Alarms: ${jsonencode(output.uploads.alarms)}"
  }

  assert {
    condition = (
      keys(output.functions) == ["ingest", "replayer", "uploader", "worker"] && output.entry == "uploader"
      && output.operations == { replay = "replayer" }
    )
    error_message = "Functions: ${jsonencode(output.functions)}"
  }

  assert {
    condition     = output.faults_parameter == "/shop/faults" && keys(output.queues) == ["work"]
    error_message = "Faults parameter ${output.faults_parameter}, queues ${jsonencode(output.queues)}"
  }
}

run "the_longest_name_fits_into_those_of_the_buckets" {
  command = plan

  variables {
    name = "a-name-of-thirty-nine-letters-and-more1" # the buckets' module refuses a name of more than 63
  }
}

run "refuses_a_name_that_is_too_long_for_its_buckets" {
  command = plan

  variables {
    name = "a-name-of-forty-letters-and-hyphens-abcd"
  }

  expect_failures = [var.name]
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

run "refuses_more_retries_than_lambda_makes" {
  command = plan

  variables {
    max_retry_attempts = 3
  }

  expect_failures = [var.max_retry_attempts]
}

run "refuses_an_event_age_that_lambda_does_not_take" {
  command = plan

  variables {
    max_event_age = 30
  }

  expect_failures = [var.max_event_age]
}

run "refuses_to_plan_without_zips" {
  command = plan

  variables {
    build_dir = "tests/no-such-folder"
  }

  expect_failures = [var.build_dir]
}
