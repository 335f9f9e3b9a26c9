mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name              = "orders-failed"
  alarm_description = "Orders wait in orders-failed: replay them."
}

run "by_default_it_keeps_for_as_long_as_sqs_can_and_tells_of_the_first_message" {
  assert {
    condition     = aws_sqs_queue.this.message_retention_seconds == 1209600
    error_message = "The queue retains for ${aws_sqs_queue.this.message_retention_seconds} s, not for 14 days."
  }

  assert {
    condition     = aws_sqs_queue.this.sqs_managed_sse_enabled
    error_message = "Server-side encryption is off."
  }

  assert {
    condition     = aws_sqs_queue.this.visibility_timeout_seconds == 30
    error_message = "Visibility timeout: ${aws_sqs_queue.this.visibility_timeout_seconds} s, not SQS's default."
  }

  assert {
    condition = jsondecode(aws_sqs_queue.this.policy).Statement == [{
      Sid       = "DenyPlaintext"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = "arn:aws:sqs:eu-west-1:111122223333:orders-failed"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "Policy: ${aws_sqs_queue.this.policy}"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.depth.metric_name == "ApproximateNumberOfMessagesVisible"
      && aws_cloudwatch_metric_alarm.depth.dimensions == tomap({ QueueName = "orders-failed" })
      && aws_cloudwatch_metric_alarm.depth.comparison_operator == "GreaterThanThreshold"
      && aws_cloudwatch_metric_alarm.depth.threshold == 0
      && aws_cloudwatch_metric_alarm.depth.statistic == "Maximum"
    )
    error_message = "The alarm does not watch the depth of orders-failed."
  }

  assert {
    condition     = output.alarm == "orders-failed"
    error_message = "Alarm: ${output.alarm}"
  }
}

run "only_the_named_queues_may_have_it_as_their_dead_letter_queue" {
  variables {
    source_queue_arns = ["arn:aws:sqs:eu-west-1:111122223333:orders"]
  }

  assert {
    condition = jsondecode(aws_sqs_queue.this.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:eu-west-1:111122223333:orders"]
    }
    error_message = "Redrive allow policy: ${aws_sqs_queue.this.redrive_allow_policy}"
  }
}

run "a_named_topic_may_send_and_nothing_else" {
  variables {
    sender_topic_arns = ["arn:aws:sns:eu-west-1:111122223333:orders"]
  }

  assert {
    condition = [for s in jsondecode(aws_sqs_queue.this.policy).Statement : s if s.Effect == "Allow"] == [{
      Sid       = "AllowTopic"
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:eu-west-1:111122223333:orders-failed"
      Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:sns:eu-west-1:111122223333:orders" } }
    }]
    error_message = "Policy: ${aws_sqs_queue.this.policy}"
  }
}

run "a_fifo_queue_and_its_alarm_of_another_name" {
  variables {
    fifo       = true
    alarm_name = "orders-failed-depth"
  }

  assert {
    condition     = aws_sqs_queue.this.fifo_queue && output.name == "orders-failed.fifo"
    error_message = "SQS refuses the queue ${output.name}."
  }

  assert {
    condition     = [for s in jsondecode(aws_sqs_queue.this.policy).Statement : s.Resource] == ["arn:aws:sqs:eu-west-1:111122223333:orders-failed.fifo"]
    error_message = "The policy names another queue: ${aws_sqs_queue.this.policy}"
  }

  assert {
    condition     = output.alarm == "orders-failed-depth" && aws_cloudwatch_metric_alarm.depth.dimensions == tomap({ QueueName = "orders-failed.fifo" })
    error_message = "The alarm ${output.alarm} does not watch orders-failed.fifo."
  }
}

run "refuses_a_name_that_sqs_does_not_take" {
  command = plan

  variables {
    name = "orders-failed.fifo"
  }

  expect_failures = [var.name]
}

run "refuses_a_visibility_timeout_that_sqs_does_not_know" {
  command = plan

  variables {
    visibility_timeout = 43201
  }

  expect_failures = [var.visibility_timeout]
}
