# producer -> queue -> payments -> ledger, with the keys of what was paid in a table of their own

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
  package     = "${var.build_dir}/idempotent-consumer/producer.zip"
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

  name               = "${var.name}-payments"
  visibility_timeout = var.visibility_timeout
  function_timeout   = var.function_timeout
  max_receive_count  = var.max_receive_count
  alarm_topic_arns   = var.alarm_topic_arns
}

# Consumer

module "payments" {
  source = "../../modules/function"

  shared       = module.shared.functions
  service      = "payments"
  package      = "${var.build_dir}/idempotent-consumer/payments.zip"
  timeout      = var.function_timeout
  event_source = { queue_arn = module.queue.arn }
  environment = {
    STRATEGY                = var.strategy
    RECORD_EXPIRY_SECONDS   = var.record_expiry
    REGISTER_LAMBDA_CONTEXT = var.register_lambda_context
    IDEMPOTENCY_TABLE       = aws_dynamodb_table.idempotency.name
    LEDGER_TABLE            = aws_dynamodb_table.ledger.name
  }
  policy_statements = [
    {
      sid = "KeepKeys"
      # The transaction puts a key once and for all; Powertools locks it, and updates or deletes it afterwards.
      actions = concat(
        ["dynamodb:PutItem"],
        var.strategy == "transaction" ? [] : ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"],
      )
      resources = [aws_dynamodb_table.idempotency.arn]
    },
    {
      # Also within a transaction, each item needs the permission of its own operation.
      sid       = "Pay"
      actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [aws_dynamodb_table.ledger.arn]
    },
  ]
}

# Keys of what was paid

resource "aws_dynamodb_table" "idempotency" {
  name         = "${var.name}-idempotency"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  # Only cleans up: a record counts until its expiration, and is deleted up to days after it (IDM-1).
  ttl {
    attribute_name = "expiration"
    enabled        = true
  }

  # A table restored without it would pay every duplicate again.
  point_in_time_recovery {
    enabled = true
  }
}

# Ledger

resource "aws_dynamodb_table" "ledger" {
  name         = "${var.name}-ledger"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "customer_id"
  range_key    = "entry_id"

  attribute {
    name = "customer_id"
    type = "S"
  }

  attribute {
    name = "entry_id"
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
      title   = "orders processed, of these paid before, and failed"
      stat    = "Sum"
      metrics = concat(module.payments.metrics.messages, [[var.name, "PaymentsReplayed", "service", "payments"]])
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
      metrics = module.payments.metrics.errors_and_throttles
    },
    {
      title   = "writes of keys"
      stat    = "Sum"
      metrics = [["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", aws_dynamodb_table.idempotency.name]]
    },
    {
      title = "keys found, and writes that conflict"
      stat  = "Sum"
      metrics = [
        ["AWS/DynamoDB", "ConditionalCheckFailedRequests", "TableName", aws_dynamodb_table.idempotency.name],
        ["AWS/DynamoDB", "TransactionConflict", "TableName", aws_dynamodb_table.idempotency.name],
        ["AWS/DynamoDB", "TransactionConflict", "TableName", aws_dynamodb_table.ledger.name],
      ]
    },
  ]
}
