# producer -> topic -> subscription (filter) -> queue -> consumer, for each of billing, shipping and analytics

data "aws_partition" "current" {}
data "aws_region" "current" {}

data "aws_caller_identity" "current" {
  lifecycle {
    # Emulators answer with account 000000000000. State of an emulator applied to AWS, or the reverse, would find
    # nothing that it knows, and create everything again.
    postcondition {
      condition     = !can(regex("^(local|endpoint)", terraform.workspace)) || self.account_id == "000000000000"
      error_message = <<-EOT
        Workspace ${terraform.workspace} is for an emulator (account 000000000000), but the credentials are of account ${self.account_id}.
        Nothing was changed. Point AWS_ENDPOINT_URL at the emulator: eval "$(make -s env)", or use the workspace of AWS: terraform workspace select aws.
      EOT
    }
    postcondition {
      condition     = !startswith(terraform.workspace, "aws") || self.account_id != "000000000000"
      error_message = <<-EOT
        Workspace ${terraform.workspace} is for AWS, but an emulator answers (account 000000000000).
        Nothing was changed. Unset AWS_ENDPOINT_URL and use the credentials of your account, or use the emulator's workspace: terraform workspace select local.
      EOT
    }
  }
}

locals {
  consumers = {
    billing = {
      filter_policy       = null # every order
      filter_policy_scope = null
    }
    shipping = {
      filter_policy       = { goods = ["physical"] }
      filter_policy_scope = "MessageAttributes"
    }
    analytics = {
      filter_policy       = { amount = [{ numeric = [">=", 100] }] }
      filter_policy_scope = "MessageBody"
    }
  }

  undelivered = { for consumer in keys(local.consumers) : consumer => {
    name = "${var.name}-${consumer}-undelivered"
    arn = join(":", [
      "arn", data.aws_partition.current.partition, "sqs", data.aws_region.current.id,
      data.aws_caller_identity.current.account_id, "${var.name}-${consumer}-undelivered",
    ])
  } }

  layers          = ["powertools", "consumer"] # in the order in which Lambda unpacks them
  layer_arns      = [for layer in local.layers : aws_lambda_layer_version.this[layer].arn]
  fault_injection = one(module.fault_injection[*].fault_injection)
}

# Layers

resource "aws_lambda_layer_version" "this" {
  for_each = toset(local.layers)

  layer_name               = "${var.name}-${each.key}"
  filename                 = "${var.build_dir}/layers/${each.key}.zip"
  source_code_hash         = filebase64sha256("${var.build_dir}/layers/${each.key}.zip")
  compatible_runtimes      = ["python3.13"]
  compatible_architectures = [var.architecture]
}

module "fault_injection" {
  source = "../../modules/fault-injection"
  count  = var.fault_injection ? 1 : 0

  name         = var.name
  package      = "${var.build_dir}/layers/fault_injection.zip"
  architecture = var.architecture
}

# Producer

module "producer" {
  source = "../../modules/function"

  name              = "${var.name}-producer"
  service           = "producer"
  metrics_namespace = var.name
  package           = "${var.build_dir}/fanout/producer.zip"
  layers            = local.layer_arns
  architecture      = var.architecture
  timeout           = 30
  environment       = { TOPIC_ARN = aws_sns_topic.orders.arn }
  policy_statements = [{
    sid       = "PublishOrders"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.orders.arn]
  }]
  fault_injection    = local.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# Topic

resource "aws_sns_topic" "orders" {
  name = "${var.name}-orders"
  # AWS's own key costs nothing to keep, and its policy lets every identity of the account publish through SNS.
  kms_master_key_id = "alias/aws/sns"
}

# Subscriptions

resource "aws_sns_topic_subscription" "consumer" {
  for_each = local.consumers

  topic_arn            = aws_sns_topic.orders.arn
  protocol             = "sqs"
  endpoint             = module.queue[each.key].arn
  raw_message_delivery = true
  filter_policy        = each.value.filter_policy == null ? null : jsonencode(each.value.filter_policy)
  filter_policy_scope  = each.value.filter_policy_scope

  # A queue that is gone, or whose policy refuses, is not tried again (SNS-3): without this the message is lost.
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered[each.key].arn })
}

resource "aws_sqs_queue" "undelivered" {
  for_each = local.undelivered

  name                      = each.value.name
  message_retention_seconds = 1209600 # 14 days, the longest that SQS allows
  sqs_managed_sse_enabled   = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AllowTopic"
        Effect    = "Allow"
        Principal = { Service = "sns.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = each.value.arn
        Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.orders.arn } }
      },
      {
        Sid    = "DenyPlaintext"
        Effect = "Deny"
        # "*" on purpose: a Deny that leaves out a principal or an action does not hold for it.
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.value.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  for_each = local.consumers

  alarm_name        = "${var.name}-${each.key}-undelivered"
  alarm_description = "Orders could not be delivered to ${each.key}'s queue and wait in ${aws_sqs_queue.undelivered[each.key].name}."

  namespace   = "AWS/SQS"
  metric_name = "ApproximateNumberOfMessagesVisible"
  dimensions  = { QueueName = aws_sqs_queue.undelivered[each.key].name }
  statistic   = "Maximum"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60 # the shortest that CloudWatch takes for an AWS/ metric
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # SQS sends nothing for a queue that was idle for six hours

  alarm_actions = var.alarm_topic_arns
  ok_actions    = var.alarm_topic_arns
}

# Queues

module "queue" {
  source   = "../../modules/queue"
  for_each = local.consumers

  name               = "${var.name}-${each.key}"
  visibility_timeout = var.visibility_timeout
  function_timeout   = var.function_timeout
  max_receive_count  = var.max_receive_count
  sender_topic_arns  = [aws_sns_topic.orders.arn]
  alarm_topic_arns   = var.alarm_topic_arns
}

# Consumers

module "consumer" {
  source   = "../../modules/function"
  for_each = local.consumers

  name               = "${var.name}-${each.key}"
  service            = each.key
  metrics_namespace  = var.name
  package            = "${var.build_dir}/fanout/${each.key}.zip"
  layers             = local.layer_arns
  architecture       = var.architecture
  timeout            = var.function_timeout
  event_source       = { queue_arn = module.queue[each.key].arn }
  fault_injection    = local.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# Dashboard: one row per consumer

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = flatten([for row, consumer in keys(local.consumers) : [
      for column, widget in [
        {
          title = "orders processed and failed"
          stat  = "Sum"
          metrics = [
            [var.name, "MessagesProcessed", "service", consumer],
            [var.name, "MessagesFailed", "service", consumer, "error_class", "transient"],
            [var.name, "MessagesFailed", "service", consumer, "error_class", "permanent"],
          ]
        },
        {
          title = "messages in the queue and its dead-letter queues"
          stat  = "Maximum"
          metrics = [
            for queue in [module.queue[consumer].name, module.queue[consumer].dlq_name, local.undelivered[consumer].name] :
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]
          ]
        },
        {
          title   = "age of the oldest message (s)"
          stat    = "Maximum"
          metrics = [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", module.queue[consumer].name]]
        },
        {
          title = "errors and throttles"
          stat  = "Sum"
          metrics = [for metric in ["Errors", "Throttles"] :
            ["AWS/Lambda", metric, "FunctionName", module.consumer[consumer].name]
          ]
        },
      ] :
      {
        type   = "metric"
        x      = column * 6
        y      = row * 6
        width  = 6
        height = 6
        properties = {
          title   = "${consumer}: ${widget.title}"
          metrics = widget.metrics
          stat    = widget.stat
          period  = 60
          region  = data.aws_region.current.id
        }
      }
    ]])
  })
}
