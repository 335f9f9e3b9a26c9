# producer -> queue -> consumer with a concurrency limit -> downstream (a table)

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
  package     = "${var.build_dir}/queue-buffer/producer.zip"
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
  fifo               = var.fifo
  visibility_timeout = var.visibility_timeout
  function_timeout   = var.function_timeout
  max_receive_count  = var.max_receive_count
  alarm_topic_arns   = var.alarm_topic_arns
}

# Consumer

module "warehouse" {
  source = "../../modules/function"

  shared  = module.shared.functions
  service = "warehouse"
  package = "${var.build_dir}/queue-buffer/warehouse.zip"
  timeout = var.function_timeout
  environment = merge(
    { TABLE_NAME = aws_dynamodb_table.reservations.name },
    var.backoff ? { QUEUE_URL = module.queue.url, BACKOFF_BASE_SECONDS = tostring(var.visibility_timeout) } : {},
  )
  event_source = {
    queue_arn = module.queue.arn
    # What fails comes back and uses up a receive together with what waits behind it in the batch: with one message
    # per batch, only the poison message of a group is dead-lettered.
    batch_size                 = var.fifo ? 1 : var.batch_size
    maximum_concurrency        = var.maximum_concurrency
    report_batch_item_failures = var.report_batch_item_failures
  }
  policy_statements = concat(
    [{
      sid       = "Reserve"
      actions   = ["dynamodb:PutItem"]
      resources = [aws_dynamodb_table.reservations.arn]
    }],
    var.backoff ? [{
      sid       = "PostponeOrders"
      actions   = ["sqs:ChangeMessageVisibility"]
      resources = [module.queue.arn]
    }] : [],
  )
}

# Downstream

resource "aws_dynamodb_table" "reservations" {
  name         = "${var.name}-reservations"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "order_id"

  attribute {
    name = "order_id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Dashboard

module "dashboard" {
  source = "../../modules/dashboard"

  name = var.name
  widgets = [
    {
      title   = "orders processed and failed"
      stat    = "Sum"
      metrics = module.warehouse.metrics.messages
    },
    {
      title = "messages waiting, in flight and dead-lettered"
      stat  = "Maximum"
      metrics = concat(
        module.queue.metrics.depth,
        [["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", module.queue.name]],
      )
    },
    {
      title   = "age of the oldest message (s)"
      stat    = "Maximum"
      metrics = module.queue.metrics.age
    },
    {
      title   = "batches at work at once"
      stat    = "Maximum"
      metrics = [["AWS/Lambda", "ConcurrentExecutions", "FunctionName", module.warehouse.name]]
    },
    {
      title   = "errors and throttles"
      stat    = "Sum"
      metrics = module.warehouse.metrics.errors_and_throttles
    },
    {
      title   = "throttled writes of the downstream"
      stat    = "Sum"
      metrics = [["AWS/DynamoDB", "WriteThrottleEvents", "TableName", aws_dynamodb_table.reservations.name]]
    },
  ]
}
