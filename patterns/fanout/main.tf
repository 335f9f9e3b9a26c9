# producer -> topic -> subscription (filter) -> queue -> consumer, for each of billing, shipping and analytics

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

# What the functions share

module "shared" {
  source = "../../modules/shared"

  name               = var.name
  layers             = "${var.build_dir}/layers"
  architecture       = var.architecture
  fault_injection    = var.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# Producer

module "producer" {
  source = "../../modules/function"

  shared      = module.shared.functions
  service     = "producer"
  package     = "${var.build_dir}/fanout/producer.zip"
  timeout     = 30
  environment = { TOPIC_ARN = aws_sns_topic.orders.arn }
  policy_statements = [{
    sid       = "PublishOrders"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.orders.arn]
  }]
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

  shared       = module.shared.functions
  service      = each.key
  package      = "${var.build_dir}/fanout/${each.key}.zip"
  timeout      = var.function_timeout
  event_source = { queue_arn = module.queue[each.key].arn }
}

# Dashboard: one row per consumer

module "dashboard" {
  source = "../../modules/dashboard"

  name    = var.name
  columns = 4
  widgets = flatten([for consumer in keys(local.consumers) : [
    {
      title   = "${consumer}: orders processed and failed"
      stat    = "Sum"
      metrics = module.consumer[consumer].metrics.messages
    },
    {
      title   = "${consumer}: messages in the queue and its dead-letter queues"
      stat    = "Maximum"
      metrics = concat(module.queue[consumer].metrics.depth, module.undelivered[consumer].metrics.depth)
    },
    {
      title   = "${consumer}: age of the oldest message (s)"
      stat    = "Maximum"
      metrics = module.queue[consumer].metrics.age
    },
    {
      title   = "${consumer}: errors and throttles"
      stat    = "Sum"
      metrics = module.consumer[consumer].metrics.errors_and_throttles
    },
  ]])
}
