data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # Composed rather than read from the resources: a queue's policy names the queue itself, and the dead-letter
  # queue's redrive allow policy names the queue that is created after it.
  arn_prefix = join(":", [
    "arn", data.aws_partition.current.partition, "sqs", data.aws_region.current.id,
    data.aws_caller_identity.current.account_id,
  ])
  suffix    = var.fifo ? ".fifo" : "" # SQS knows a FIFO queue by its name
  queue_arn = "${local.arn_prefix}:${var.name}${local.suffix}"
  dlq_arn   = "${local.arn_prefix}:${var.name}-dlq${local.suffix}"

  # SQS's longest retention, 14 days. A standard queue's message keeps its original enqueue time when it moves to
  # the dead-letter queue (SQS-9), so that queue has to retain for longer than the source does.
  dlq_retention_seconds = 1209600

  # A message may spend max_receive_count visibility timeouts here and moves at the next receive after that
  # (SQS-8). Whatever is older than that is not being retried: nobody is working it off.
  expected_age_seconds = (var.max_receive_count + 1) * var.visibility_timeout

  allow_senders = [for topic_arn in var.sender_topic_arns : {
    Sid       = "AllowTopic"
    Effect    = "Allow"
    Principal = { Service = "sns.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Resource  = local.queue_arn
    Condition = { ArnEquals = { "aws:SourceArn" = topic_arn } }
  }]
}

# Queue

# The policy is part of the queue: each aws_sqs_queue_policy would add the provider's 25 s wait for attributes to
# settle, after the queue's own.
resource "aws_sqs_queue" "this" {
  name                       = "${var.name}${local.suffix}"
  fifo_queue                 = var.fifo
  visibility_timeout_seconds = var.visibility_timeout
  message_retention_seconds  = 345600 # 4 days, SQS's default
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq.arn
    maxReceiveCount     = var.max_receive_count
  })

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.allow_senders, [{
      Sid    = "DenyPlaintext"
      Effect = "Deny"
      # "*" on purpose: a Deny that leaves out a principal or an action does not hold for it.
      Principal = "*"
      Action    = "sqs:*"
      Resource  = local.queue_arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }])
  })
}

resource "aws_cloudwatch_metric_alarm" "age" {
  alarm_name        = "${var.name}-age"
  alarm_description = "The oldest message in ${var.name} has outlived its retries: the consumer is down or behind."

  namespace   = "AWS/SQS"
  metric_name = "ApproximateAgeOfOldestMessage"
  dimensions  = { QueueName = aws_sqs_queue.this.name }
  statistic   = "Maximum"

  comparison_operator = "GreaterThanThreshold"
  threshold           = local.expected_age_seconds
  period              = 60 # the shortest that CloudWatch takes for an AWS/ metric
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # SQS sends nothing for a queue without messages

  alarm_actions = var.alarm_topic_arns
  ok_actions    = var.alarm_topic_arns
}

# Dead-letter queue

resource "aws_sqs_queue" "dlq" {
  name                      = "${var.name}-dlq${local.suffix}"
  fifo_queue                = var.fifo # a FIFO queue's dead-letter queue has to be one too
  message_retention_seconds = local.dlq_retention_seconds
  sqs_managed_sse_enabled   = true

  # Inline for the same reason as the policy. Only this module's queue may use it as its dead-letter queue.
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arn]
  })

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "DenyPlaintext"
      Effect = "Deny"
      # "*" on purpose: a Deny that leaves out a principal or an action does not hold for it.
      Principal = "*"
      Action    = "sqs:*"
      Resource  = local.dlq_arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_cloudwatch_metric_alarm" "dlq_depth" {
  alarm_name        = "${var.name}-dlq-depth"
  alarm_description = "Messages of ${var.name} used up their retries and wait in ${aws_sqs_queue.dlq.name}: fix, then redrive."

  namespace   = "AWS/SQS"
  metric_name = "ApproximateNumberOfMessagesVisible"
  dimensions  = { QueueName = aws_sqs_queue.dlq.name }
  statistic   = "Maximum"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60 # the shortest that CloudWatch takes for an AWS/ metric
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # SQS sends nothing for a queue that was idle for six hours

  alarm_actions = var.alarm_topic_arns
  ok_actions    = var.alarm_topic_arns
}
