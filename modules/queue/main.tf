data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  suffix     = var.fifo ? ".fifo" : "" # SQS knows a FIFO queue by its name
  queue_name = "${var.name}${local.suffix}"
  # Composed rather than read from the resource: the queue's policy names the queue itself, and so does the redrive
  # allow policy of the dead-letter queue, which is created before it.
  queue_arn = join(":", [
    "arn", data.aws_partition.current.partition, "sqs", data.aws_region.current.id,
    data.aws_caller_identity.current.account_id, local.queue_name,
  ])

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
  name                       = local.queue_name
  fifo_queue                 = var.fifo
  visibility_timeout_seconds = var.visibility_timeout
  message_retention_seconds  = 345600 # 4 days, SQS's default, and less than the dead-letter queue's 14 (SQS-9)
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = module.dead_letter_queue.arn
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
  alarm_description = "Messages wait in ${var.name} unread, or more come than are processed. What is read and fails is in ${var.name}-dlq before it is that old."

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

module "dead_letter_queue" {
  source = "../dead-letter-queue"

  name              = "${var.name}-dlq"
  fifo              = var.fifo # a FIFO queue's dead-letter queue has to be one too
  source_queue_arns = [local.queue_arn]
  alarm_name        = "${var.name}-dlq-depth"
  alarm_description = "Messages of ${var.name} used up their retries and wait in ${var.name}-dlq${local.suffix}: fix, then redrive."
  alarm_topic_arns  = var.alarm_topic_arns
}
