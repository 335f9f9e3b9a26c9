mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
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
    condition     = output.orders.alarms.state_machine == { failed = "shop-order-failed", aborted = "shop-order-aborted", timed-out = "shop-order-timed-out", throttled = "shop-order-throttled" }
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
