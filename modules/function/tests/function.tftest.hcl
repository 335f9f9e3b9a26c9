mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  shared = {
    name   = "shop"
    layers = ["arn:aws:lambda:eu-west-1:111122223333:layer:powertools:1"]
  }
  service = "billing"
  package = "main.tf" # any file: the mocked provider does not look inside
  timeout = 10
}

run "by_default_a_bare_function_that_may_only_write_its_log" {
  assert {
    condition     = [aws_lambda_function.this.function_name, aws_iam_role.this.name] == ["shop-billing", "shop-billing"]
    error_message = "Function ${aws_lambda_function.this.function_name}, role ${aws_iam_role.this.name}"
  }

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
      Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
    }]
    error_message = "Policy: ${aws_iam_role_policy.this.policy}"
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.this) == 0 && output.mapping_id == null
    error_message = "There is an event source mapping that nobody asked for."
  }

  assert {
    condition     = length(aws_lambda_function_event_invoke_config.this) == 0 && output.alarms == { errors = "shop-billing-errors", throttles = "shop-billing-throttles" }
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
    condition     = { for what, alarm in aws_cloudwatch_metric_alarm.this : what => alarm.metric_name } == { errors = "Errors", throttles = "Throttles" }
    error_message = "Alarms: ${jsonencode({ for what, alarm in aws_cloudwatch_metric_alarm.this : what => alarm.metric_name })}"
  }

  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.this :
      alarm.dimensions == tomap({ FunctionName = "shop-billing" }) && alarm.threshold == 0 && alarm.statistic == "Sum"
    ])
    error_message = "An alarm does not watch the function, or not from the first one on."
  }

  assert {
    condition     = output.this == { name = "shop-billing", log_group = "/aws/lambda/shop-billing" }
    error_message = "Output: ${jsonencode(output.this)}"
  }

  assert {
    condition = output.metrics == {
      messages = [
        ["shop", "MessagesProcessed", "service", "billing"],
        ["shop", "MessagesFailed", "service", "billing", "error_class", "transient"],
        ["shop", "MessagesFailed", "service", "billing", "error_class", "permanent"],
      ]
      errors_and_throttles = [
        ["AWS/Lambda", "Errors", "FunctionName", "shop-billing"],
        ["AWS/Lambda", "Throttles", "FunctionName", "shop-billing"],
      ]
    }
    error_message = "Metrics: ${jsonencode(output.metrics)}"
  }
}

run "fault_injection_wraps_the_handler" {
  variables {
    shared = {
      name   = "shop"
      layers = ["arn:aws:lambda:eu-west-1:111122223333:layer:powertools:1"]
      fault_injection = {
        layer_arn      = "arn:aws:lambda:eu-west-1:111122223333:layer:faults:1"
        parameter_name = "/shop/faults"
        parameter_arn  = "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/faults"
      }
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
      && aws_cloudwatch_metric_alarm.this["iterator_age"].threshold == 300000
      && aws_cloudwatch_metric_alarm.this["iterator_age"].dimensions == tomap({ FunctionName = "shop-billing" })
      && output.alarms.destination == "shop-billing-destination"
      && aws_cloudwatch_metric_alarm.this["destination"].metric_name == "DestinationDeliveryFailures"
    )
    error_message = "Alarm: ${jsonencode(aws_cloudwatch_metric_alarm.this)}"
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
    condition = (
      output.alarms["destination"] == "shop-billing-destination"
      && aws_cloudwatch_metric_alarm.this["destination"].metric_name == "DestinationDeliveryFailures"
    )
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
    shared = {
      name         = "shop"
      architecture = "amd64"
    }
  }

  expect_failures = [var.shared]
}

run "refuses_a_name_that_lambda_does_not_take" {
  command = plan

  variables {
    service = "a-service-whose-name-is-too-long-together-with-the-deployment"
  }

  expect_failures = [var.service]
}
