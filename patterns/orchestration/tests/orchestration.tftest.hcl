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
  mock_resource "aws_cloudwatch_event_bus" {
    defaults = { arn = "arn:aws:events:eu-west-1:111122223333:event-bus/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:111122223333:log-group:mock" }
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
  mock_resource "aws_sfn_state_machine" {
    defaults = { arn = "arn:aws:states:eu-west-1:111122223333:stateMachine:mock" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:111122223333:mock" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:eu-west-1:111122223333:mock"
      url = "https://sqs.eu-west-1.amazonaws.com/111122223333/mock"
    }
  }
}

variables {
  name      = "shop"
  build_dir = "tests/build" # placeholders: the mocked provider does not look inside
}

run "the_definition_is_rendered_and_logged" {
  assert {
    condition     = jsondecode(aws_sfn_state_machine.this.definition).StartAt == "Keep the order"
    error_message = "The definition does not begin with its first state."
  }

  assert {
    condition = alltrue([
      for state in values(jsondecode(aws_sfn_state_machine.this.definition).States) :
      can(state.TimeoutSeconds) && length(state.Retry) >= length(local.retriers) if state.Type == "Task"
    ])
    error_message = "A task has no timeout, or not the shared retriers (SFN-2, SFN-3)."
  }

  assert {
    condition     = aws_sfn_state_machine.this.type == "STANDARD" && aws_sfn_state_machine.this.logging_configuration[0].level == "ERROR"
    error_message = "The state machine is not a Standard one that logs its errors."
  }

  assert {
    condition     = !aws_sfn_state_machine.this.tracing_configuration[0].enabled && !strcontains(aws_iam_role_policy.state_machine.policy, "xray")
    error_message = "Traces are sent, or allowed, though nobody asked for them."
  }

  assert {
    condition     = output.orders.alarms.state_machine == { failed = "shop-order-failed", timed-out = "shop-order-timed-out", throttled = "shop-order-throttled" }
    error_message = "Alarms: ${jsonencode(output.orders.alarms.state_machine)}"
  }

  assert {
    condition     = output.orders.alarms.compensation_failed == "shop-compensation-failed" && output.faults_parameter == "/shop/faults"
    error_message = "Alarm: ${output.orders.alarms.compensation_failed}, faults parameter: ${output.faults_parameter}"
  }

  assert {
    condition     = aws_dynamodb_table.orders.point_in_time_recovery[0].enabled && aws_dynamodb_table.stock.point_in_time_recovery[0].enabled
    error_message = "A table cannot be restored."
  }
}

run "with_tracing_the_role_may_send_traces" {
  variables {
    tracing = true
  }

  assert {
    condition     = aws_sfn_state_machine.this.tracing_configuration[0].enabled && strcontains(aws_iam_role_policy.state_machine.policy, "xray:PutTraceSegments")
    error_message = "Tracing is on, and the role may not send traces."
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

run "refuses_a_naming_that_the_starter_does_not_know" {
  command = plan

  variables {
    execution_naming = "hope"
  }

  expect_failures = [var.execution_naming]
}

run "refuses_a_label_that_the_stock_does_not_know" {
  command = plan

  variables {
    label = "by-mail"
  }

  expect_failures = [var.label]
}

run "refuses_a_task_that_is_given_up_while_its_function_runs" {
  command = plan

  variables {
    task_timeout = 10
  }

  expect_failures = [var.task_timeout]
}

run "refuses_a_warehouse_timeout_within_one_heartbeat" {
  command = plan

  variables {
    warehouse_heartbeat = 600
  }

  expect_failures = [var.warehouse_timeout]
}

run "refuses_an_execution_that_ends_while_the_warehouse_may_still_answer" {
  command = plan

  variables {
    execution_timeout = 600
  }

  expect_failures = [var.execution_timeout]
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
