# producer -> queue -> consumer

# Fails the plan when the credentials' account does not fit the workspace.
module "account" {
  source = "../../modules/account"
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
  package     = "${var.build_dir}/new-pattern/producer.zip"
  timeout     = 30
  environment = { QUEUE_URL = module.queue.url }
  policy_statements = [{
    sid       = "SendOrders"
    actions   = ["sqs:SendMessage"]
    resources = [module.queue.arn]
  }]
}

# Queue

module "queue" {
  source = "../../modules/queue"

  name               = "${var.name}-orders"
  visibility_timeout = var.visibility_timeout
  function_timeout   = var.function_timeout
  max_receive_count  = var.max_receive_count
  alarm_topic_arns   = var.alarm_topic_arns
}

# Consumer

module "consumer" {
  source = "../../modules/function"

  shared       = module.shared.functions
  service      = "consumer"
  package      = "${var.build_dir}/new-pattern/consumer.zip"
  timeout      = var.function_timeout
  event_source = { queue_arn = module.queue.arn }
}

# Dashboard

module "dashboard" {
  source = "../../modules/dashboard"

  name = var.name
  widgets = [
    {
      title   = "orders processed and failed"
      stat    = "Sum"
      metrics = module.consumer.metrics.messages
    },
    {
      title   = "messages in the queue and its dead-letter queue"
      stat    = "Maximum"
      metrics = module.queue.metrics.depth
    },
    {
      title   = "age of the oldest message (s)"
      stat    = "Maximum"
      metrics = module.queue.metrics.age
    },
    {
      title   = "errors and throttles"
      stat    = "Sum"
      metrics = module.consumer.metrics.errors_and_throttles
    },
  ]
}
