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
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:111122223333:shop-orders" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:111122223333:mock" }
  }
}

variables {
  name      = "shop"
  build_dir = "tests/build" # placeholders: the mocked provider does not look inside
}

run "each_consumer_gets_what_its_filter_lets_through" {
  assert {
    condition = jsonencode({ for consumer, subscription in aws_sns_topic_subscription.consumer :
      consumer => try([subscription.filter_policy_scope, jsondecode(subscription.filter_policy)], "every order")
      }) == jsonencode({
      billing   = "every order"
      shipping  = ["MessageAttributes", { goods = ["physical"] }]
      analytics = ["MessageBody", { amount = [{ numeric = [">=", 100] }] }]
    })
    error_message = "Filters: ${jsonencode({ for consumer, subscription in aws_sns_topic_subscription.consumer : consumer => subscription.filter_policy })}"
  }

  assert {
    condition     = alltrue([for subscription in aws_sns_topic_subscription.consumer : subscription.raw_message_delivery])
    error_message = "A subscription wraps its messages: consumers would find SNS's envelope in the body."
  }

  assert {
    condition = { for consumer, subscription in aws_sns_topic_subscription.consumer : consumer => jsondecode(subscription.redrive_policy).deadLetterTargetArn } == {
      for consumer, queue in module.undelivered : consumer => queue.arn
    }
    error_message = "A subscription without a dead-letter queue loses what it cannot deliver (SNS-3)."
  }

  assert {
    condition     = alltrue([for consumer, out in output.consumers : alltrue([for name in values(out.alarms) : startswith(name, "shop-${consumer}-")])])
    error_message = "An alarm does not name its consumer: ${jsonencode({ for consumer, out in output.consumers : consumer => out.alarms })}"
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
