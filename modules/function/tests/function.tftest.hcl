mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/shop-billing" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/shop-billing" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:111122223333:function:shop-billing" }
  }
}

variables {
  name              = "shop-billing"
  service           = "billing"
  metrics_namespace = "shop"
  package           = "main.tf" # any file: the mocked provider does not look inside
  timeout           = 10
  layers            = ["arn:aws:lambda:eu-west-1:111122223333:layer:powertools:1"]
}

run "by_default_a_bare_function_that_may_only_write_its_log" {
  assert {
    condition     = aws_lambda_function.this.handler == "app.handler"
    error_message = "Handler: ${aws_lambda_function.this.handler}"
  }

  assert {
    condition     = aws_lambda_function.this.layers == tolist(["arn:aws:lambda:eu-west-1:111122223333:layer:powertools:1"])
    error_message = "Layers: ${join(", ", aws_lambda_function.this.layers)}"
  }

  assert {
    condition = aws_lambda_function.this.environment[0].variables == tomap({
      POWERTOOLS_SERVICE_NAME      = "billing"
      POWERTOOLS_METRICS_NAMESPACE = "shop"
      POWERTOOLS_LOG_LEVEL         = "INFO"
    })
    error_message = "Environment: ${jsonencode(aws_lambda_function.this.environment[0].variables)}"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this.policy).Statement == [{
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/shop-billing:*"]
    }]
    error_message = "Policy: ${aws_iam_role_policy.this.policy}"
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.this) == 0 && output.mapping_id == null
    error_message = "There is an event source mapping that nobody asked for."
  }

  assert {
    condition     = length(aws_lambda_function_event_invoke_config.this) == 0 && keys(output.alarms) == ["errors", "throttles"]
    error_message = "There is a destination, or an alarm, that nobody asked for."
  }

  assert {
    condition = (
      aws_lambda_function.this.logging_config[0].log_group == "/aws/lambda/shop-billing"
      && aws_cloudwatch_log_group.this.retention_in_days == 14
    )
    error_message = "Log group ${aws_lambda_function.this.logging_config[0].log_group}, ${aws_cloudwatch_log_group.this.retention_in_days} days."
  }

  assert {
    condition = alltrue([for alarm in [aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.throttles] :
      alarm.dimensions == tomap({ FunctionName = "shop-billing" }) && alarm.threshold == 0 && alarm.statistic == "Sum"
    ])
    error_message = "An alarm does not watch the function, or not from the first one on."
  }
}

run "fault_injection_wraps_the_handler" {
  variables {
    fault_injection = {
      layer_arn      = "arn:aws:lambda:eu-west-1:111122223333:layer:faults:1"
      parameter_name = "/shop/faults"
      parameter_arn  = "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/faults"
    }
  }

  assert {
    condition     = aws_lambda_function.this.handler == "fault_injection.handler"
    error_message = "Handler: ${aws_lambda_function.this.handler}"
  }

  assert {
    condition = aws_lambda_function.this.layers == tolist([
      "arn:aws:lambda:eu-west-1:111122223333:layer:powertools:1",
      "arn:aws:lambda:eu-west-1:111122223333:layer:faults:1",
    ])
    error_message = "The fault layer is not the last: ${join(", ", aws_lambda_function.this.layers)}"
  }

  assert {
    condition = { for name, value in aws_lambda_function.this.environment[0].variables : name => value if startswith(name, "FAULT_") } == {
      FAULT_INJECTION_HANDLER   = "app.handler"
      FAULT_INJECTION_PARAMETER = "/shop/faults"
      FAULT_INJECTION_FUNCTION  = "billing"
    }
    error_message = "Environment: ${jsonencode(aws_lambda_function.this.environment[0].variables)}"
  }

  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.this.policy).Statement : s if s.Sid != "WriteLogs"] == [{
      Sid      = "ReadFaultRules"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter"]
      Resource = ["arn:aws:ssm:eu-west-1:111122223333:parameter/shop/faults"]
    }]
    error_message = "Policy: ${aws_iam_role_policy.this.policy}"
  }
}

run "statements_are_passed_on_as_they_are" {
  variables {
    policy_statements = [{
      sid       = "PublishOrders"
      actions   = ["sns:Publish"]
      resources = ["arn:aws:sns:eu-west-1:111122223333:shop-orders"]
    }]
  }

  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.this.policy).Statement : s if s.Sid != "WriteLogs"] == [{
      Sid      = "PublishOrders"
      Effect   = "Allow"
      Action   = ["sns:Publish"]
      Resource = ["arn:aws:sns:eu-west-1:111122223333:shop-orders"]
    }]
    error_message = "Policy: ${aws_iam_role_policy.this.policy}"
  }
}

run "an_event_source_brings_mapping_and_permissions" {
  variables {
    event_source = {
      queue_arn           = "arn:aws:sqs:eu-west-1:111122223333:shop-billing"
      maximum_concurrency = 5
    }
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.this[0].event_source_arn == "arn:aws:sqs:eu-west-1:111122223333:shop-billing"
      && aws_lambda_event_source_mapping.this[0].batch_size == 10
      && aws_lambda_event_source_mapping.this[0].scaling_config[0].maximum_concurrency == 5
    )
    error_message = "Mapping: ${jsonencode(aws_lambda_event_source_mapping.this[0])}"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this[0].function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "One failing message would bring back its whole batch (SQS-1, SQS-2)."
  }

  assert {
    condition     = aws_lambda_function.this.environment[0].variables["REPORT_BATCH_ITEM_FAILURES"] == "true"
    error_message = "The function does not know that its partial batch responses are read."
  }

  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.this.policy).Statement : s if s.Sid != "WriteLogs"] == [{
      Sid      = "ConsumeQueue"
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
      Resource = ["arn:aws:sqs:eu-west-1:111122223333:shop-billing"]
    }]
    error_message = "Policy: ${aws_iam_role_policy.this.policy}"
  }
}

run "partial_batch_responses_can_be_left_out" {
  variables {
    event_source = {
      queue_arn                  = "arn:aws:sqs:eu-west-1:111122223333:shop-billing"
      report_batch_item_failures = false
    }
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.this[0].function_response_types) == 0
    error_message = "The mapping still expects partial batch responses."
  }

  assert {
    condition     = aws_lambda_function.this.environment[0].variables["REPORT_BATCH_ITEM_FAILURES"] == "false"
    error_message = "The function would report failures that nobody reads: Lambda would delete the messages."
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.this[0].scaling_config) == 0
    error_message = "The mapping's concurrency is limited, though no limit was given."
  }
}

run "a_stream_source_brings_a_mapping_that_discards_to_a_queue" {
  variables {
    stream_source = {
      stream_arn             = "arn:aws:dynamodb:eu-west-1:111122223333:table/shop/stream/2026"
      maximum_retry_attempts = 10
      maximum_record_age     = 3600
      maximum_iterator_age   = 300
      discarded_queue_arn    = "arn:aws:sqs:eu-west-1:111122223333:shop-discarded"
    }
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.stream[0].starting_position == "TRIM_HORIZON"
      && aws_lambda_event_source_mapping.stream[0].bisect_batch_on_function_error
      && aws_lambda_event_source_mapping.stream[0].maximum_retry_attempts == 10
      && aws_lambda_event_source_mapping.stream[0].maximum_record_age_in_seconds == 3600
      && aws_lambda_event_source_mapping.stream[0].function_response_types == toset(["ReportBatchItemFailures"])
      && aws_lambda_event_source_mapping.stream[0].destination_config[0].on_failure[0].destination_arn == "arn:aws:sqs:eu-west-1:111122223333:shop-discarded"
    )
    error_message = "Mapping: ${jsonencode(aws_lambda_event_source_mapping.stream[0])}"
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.this) == 0 && output.mapping_id == aws_lambda_event_source_mapping.stream[0].uuid
    error_message = "The function has another mapping than that of its stream."
  }

  assert {
    condition     = aws_lambda_function.this.environment[0].variables["REPORT_BATCH_ITEM_FAILURES"] == "true"
    error_message = "The function does not know that its partial batch responses are read."
  }

  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.this.policy).Statement : s.Sid => [s.Action, s.Resource] if s.Sid != "WriteLogs" } == {
      ReadStream = [
        ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"],
        ["arn:aws:dynamodb:eu-west-1:111122223333:table/shop/stream/2026"],
      ]
      ReportDiscarded = [["sqs:SendMessage"], ["arn:aws:sqs:eu-west-1:111122223333:shop-discarded"]]
    }
    error_message = "Policy: ${aws_iam_role_policy.this.policy}"
  }

  assert {
    condition = (
      output.alarms.iterator_age == "shop-billing-iterator-age"
      && aws_cloudwatch_metric_alarm.iterator_age[0].threshold == 300000
      && aws_cloudwatch_metric_alarm.iterator_age[0].dimensions == tomap({ FunctionName = "shop-billing" })
    )
    error_message = "Alarm: ${jsonencode(aws_cloudwatch_metric_alarm.iterator_age)}"
  }
}

run "failed_asynchronous_events_go_to_a_queue_which_the_role_may_send_to" {
  variables {
    asynchronous = { on_failure_queue_arn = "arn:aws:sqs:eu-west-1:111122223333:shop-failed" }
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.this[0].destination_config[0].on_failure[0].destination == "arn:aws:sqs:eu-west-1:111122223333:shop-failed"
      && aws_lambda_function_event_invoke_config.this[0].maximum_retry_attempts == 2
      && aws_lambda_function_event_invoke_config.this[0].maximum_event_age_in_seconds == 21600
    )
    error_message = "Asynchronous: ${jsonencode(aws_lambda_function_event_invoke_config.this[0])}"
  }

  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.this.policy).Statement : s if s.Sid != "WriteLogs"] == [{
      Sid      = "SendFailedEvents"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = ["arn:aws:sqs:eu-west-1:111122223333:shop-failed"]
    }]
    error_message = "Policy: ${aws_iam_role_policy.this.policy}"
  }

  assert {
    condition     = output.alarms["destination"] == "shop-billing-destination"
    error_message = "Alarms: ${jsonencode(output.alarms)}"
  }
}

run "refuses_a_zip_that_was_not_built" {
  command = plan

  variables {
    package = "no-such.zip"
  }

  # filebase64sha256 would say "no file exists"; the variable says what to do.
  expect_failures = [var.package]
}

run "refuses_an_unknown_architecture" {
  command = plan

  variables {
    architecture = "amd64"
  }

  expect_failures = [var.architecture]
}
