mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "orders"
  visibility_timeout = 60
  function_timeout   = 10
}

run "by_default_nobody_may_send_and_nothing_is_lost_unseen" {
  assert {
    condition = jsondecode(aws_sqs_queue.this.redrive_policy) == {
      deadLetterTargetArn = module.dead_letter_queue.arn
      maxReceiveCount     = 5
    }
    error_message = "Redrive policy: ${aws_sqs_queue.this.redrive_policy}"
  }

  assert {
    condition     = output.dlq_name == "orders-dlq" && output.alarms == { dlq_depth = "orders-dlq-depth", age = "orders-age" }
    error_message = "Dead-letter queue and alarms: ${output.dlq_name} ${jsonencode(output.alarms)}"
  }

  assert {
    condition     = aws_sqs_queue.this.message_retention_seconds < 1209600
    error_message = "A dead-lettered message keeps its enqueue time (SQS-9): retain for less than the dead-letter queue's 14 days."
  }

  assert {
    condition     = [for s in jsondecode(aws_sqs_queue.this.policy).Statement : s.Sid] == ["DenyPlaintext"]
    error_message = "Policy: ${aws_sqs_queue.this.policy}"
  }

  assert {
    condition     = aws_sqs_queue.this.sqs_managed_sse_enabled
    error_message = "Server-side encryption is off."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.age.dimensions == tomap({ QueueName = "orders" })
    error_message = "The alarm ${aws_cloudwatch_metric_alarm.age.alarm_name} does not watch the queue."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.age.threshold == 360
    error_message = "Threshold: ${aws_cloudwatch_metric_alarm.age.threshold} s, not six times 60 s."
  }

  assert {
    condition     = output.this == { url = aws_sqs_queue.this.url, dlq_arn = module.dead_letter_queue.arn }
    error_message = "Output: ${jsonencode(output.this)}"
  }

  assert {
    condition = output.metrics == {
      depth = [for queue in ["orders", "orders-dlq"] : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]]
      age   = [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "orders"]]
    }
    error_message = "Metrics: ${jsonencode(output.metrics)}"
  }
}

run "a_fifo_queue_has_a_fifo_dead_letter_queue" {
  variables {
    fifo = true
  }

  assert {
    condition     = aws_sqs_queue.this.fifo_queue
    error_message = "The queue is not FIFO."
  }

  assert {
    condition     = [aws_sqs_queue.this.name, output.dlq_name] == ["orders.fifo", "orders-dlq.fifo"]
    error_message = "SQS refuses the names ${aws_sqs_queue.this.name} and ${output.dlq_name}."
  }

  assert {
    condition     = [for s in jsondecode(aws_sqs_queue.this.policy).Statement : s.Resource] == ["arn:aws:sqs:eu-west-1:111122223333:orders.fifo"]
    error_message = "The policy names another queue: ${aws_sqs_queue.this.policy}"
  }
}

run "a_named_topic_may_send_and_nothing_else" {
  variables {
    sender_topic_arns = ["arn:aws:sns:eu-west-1:111122223333:shop"]
  }

  assert {
    condition = [for s in jsondecode(aws_sqs_queue.this.policy).Statement : s if s.Effect == "Allow"] == [{
      Sid       = "AllowTopic"
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:eu-west-1:111122223333:orders"
      Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:sns:eu-west-1:111122223333:shop" } }
    }]
    error_message = "Policy: ${aws_sqs_queue.this.policy}"
  }
}

run "refuses_a_visibility_timeout_below_six_function_timeouts" {
  command = plan

  variables {
    visibility_timeout = 59
  }

  expect_failures = [var.visibility_timeout]
}

run "takes_a_short_visibility_timeout_when_no_function_is_named" {
  command = plan

  variables {
    visibility_timeout = 6
    function_timeout   = null
  }
}

run "refuses_a_receive_count_that_sqs_does_not_know" {
  command = plan

  variables {
    max_receive_count = 1001
  }

  expect_failures = [var.max_receive_count]
}
