# producer -> topic -> subscription (filter) -> queue -> consumer, for each of billing, shipping and analytics

data "aws_region" "current" {}

# Fails the plan when the credentials' account does not fit the workspace.
module "account" {
  source = "../../modules/account"
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
}

# Layers

module "layers" {
  source = "../../modules/layers"

  name            = var.name
  folder          = "${var.build_dir}/layers"
  architecture    = var.architecture
  fault_injection = var.fault_injection
}

# Producer

module "producer" {
  source = "../../modules/function"

  name              = "${var.name}-producer"
  service           = "producer"
  metrics_namespace = var.name
  package           = "${var.build_dir}/fanout/producer.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = 30
  environment       = { TOPIC_ARN = aws_sns_topic.orders.arn }
  policy_statements = [{
    sid       = "PublishOrders"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.orders.arn]
  }]
  fault_injection    = module.layers.fault_injection
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
  redrive_policy = jsonencode({ deadLetterTargetArn = module.undelivered[each.key].arn })
}

module "undelivered" {
  source   = "../../modules/dead-letter-queue"
  for_each = local.consumers

  name              = "${var.name}-${each.key}-undelivered"
  sender_topic_arns = [aws_sns_topic.orders.arn]
  alarm_description = "Orders could not be delivered to ${each.key}'s queue and wait in ${var.name}-${each.key}-undelivered."
  alarm_topic_arns  = var.alarm_topic_arns
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
  layers             = module.layers.arns
  architecture       = var.architecture
  timeout            = var.function_timeout
  event_source       = { queue_arn = module.queue[each.key].arn }
  fault_injection    = module.layers.fault_injection
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
            for queue in [module.queue[consumer].name, module.queue[consumer].dlq_name, module.undelivered[consumer].name] :
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
