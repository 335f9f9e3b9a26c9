data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  queue_name = var.fifo ? "${var.name}.fifo" : var.name # SQS knows a FIFO queue by its name
  # Composed rather than read from the resource: the queue's policy names the queue itself.
  queue_arn = join(":", [
    "arn", data.aws_partition.current.partition, "sqs", data.aws_region.current.id,
    data.aws_caller_identity.current.account_id, local.queue_name,
  ])

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

# Both policies are part of the queue: each aws_sqs_queue_policy or aws_sqs_queue_redrive_allow_policy would add the
# provider's 25 s wait for attributes to settle, after the queue's own. The redrive allow policy so names source queues
# that do not exist yet: that SQS takes it is belief, for its policies hold ARNs as text, and the source queue, which
# comes later, is what is checked against it (docs/gaps.md).
resource "aws_sqs_queue" "this" {
  name                       = local.queue_name
  fifo_queue                 = var.fifo
  visibility_timeout_seconds = var.visibility_timeout
  message_retention_seconds  = 1209600 # 14 days, the longest that SQS allows
  sqs_managed_sse_enabled    = true

  redrive_allow_policy = length(var.source_queue_arns) == 0 ? null : jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = var.source_queue_arns
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

# Alarm

resource "aws_cloudwatch_metric_alarm" "depth" {
  alarm_name        = coalesce(var.alarm_name, local.queue_name)
  alarm_description = var.alarm_description

  namespace   = "AWS/SQS"
  metric_name = "ApproximateNumberOfMessagesVisible"
  dimensions  = { QueueName = aws_sqs_queue.this.name }
  statistic   = "Maximum"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60 # the shortest that CloudWatch takes for an AWS/ metric
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # SQS sends nothing for a queue that was idle for six hours

  alarm_actions = var.alarm_topic_arns
  ok_actions    = var.alarm_topic_arns
}
