# writer -> orders (table) -> stream -> auditor -> audit trail (table); what the auditor gives up on -> queue -> replayer

# Fails the plan when the credentials' account does not fit the workspace.
module "account" {
  source = "../../modules/account"
}

locals {
  replay_timeout = 300 # seconds
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

# Writer

module "writer" {
  source = "../../modules/function"

  shared      = module.shared.functions
  service     = "writer"
  package     = "${var.build_dir}/stream-audit/writer.zip"
  timeout     = var.function_timeout
  environment = { ORDERS_TABLE = aws_dynamodb_table.orders.name }
  policy_statements = [{
    sid       = "ChangeOrders"
    actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    resources = [aws_dynamodb_table.orders.arn]
  }]
}

# Orders and their stream

resource "aws_dynamodb_table" "orders" {
  name         = "${var.name}-orders"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "order_id"

  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"

  attribute {
    name = "order_id"
    type = "S"
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Auditor

module "auditor" {
  source = "../../modules/function"

  shared  = module.shared.functions
  service = "auditor"
  package = "${var.build_dir}/stream-audit/auditor.zip"
  timeout = var.function_timeout
  stream_source = {
    stream_arn             = aws_dynamodb_table.orders.stream_arn
    batch_size             = var.batch_size
    maximum_retry_attempts = var.maximum_retry_attempts
    maximum_record_age     = var.maximum_record_age
    maximum_iterator_age   = var.maximum_iterator_age
    discarded_queue_arn    = module.discarded.arn
  }
  environment = {
    AUDIT_TABLE = aws_dynamodb_table.audit.name
    HEADS_TABLE = aws_dynamodb_table.heads.name
  }
  policy_statements = [
    {
      # Neither UpdateItem nor DeleteItem. PutItem can replace an entry, too: that the auditor adds only is its
      # condition, which no policy can ask for. What it replaced, the chain would show.
      sid       = "AppendEntries"
      actions   = ["dynamodb:PutItem"]
      resources = [aws_dynamodb_table.audit.arn]
    },
    {
      sid       = "MoveHeads"
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
      resources = [aws_dynamodb_table.heads.arn]
    },
  ]
}

# Audit trail: the entries, and the head of each order's chain

resource "aws_dynamodb_table" "audit" {
  name         = "${var.name}-audit"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "order_id"
  range_key    = "sequence_number"

  attribute {
    name = "order_id"
    type = "S"
  }

  attribute {
    name = "sequence_number"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_dynamodb_table" "heads" {
  name         = "${var.name}-heads"
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

# What the auditor gave up on

module "discarded" {
  source = "../../modules/dead-letter-queue"

  name               = "${var.name}-discarded"
  visibility_timeout = local.replay_timeout # a message that cannot be replayed is tried once per replay
  alarm_description  = "Changes are missing from the audit trail: fix what ${var.name}-discarded tells of, and replay before they are 24 hours old."
  alarm_topic_arns   = var.alarm_topic_arns
}

module "replayer" {
  source = "../../modules/function"

  shared  = module.shared.functions
  service = "replayer"
  package = "${var.build_dir}/stream-audit/replayer.zip"
  timeout = local.replay_timeout
  environment = {
    AUDITOR             = module.auditor.name
    DISCARDED_QUEUE_URL = module.discarded.url
  }
  policy_statements = [
    {
      sid       = "TakeDiscarded"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
      resources = [module.discarded.arn]
    },
    {
      sid       = "ReadStream"
      actions   = ["dynamodb:GetRecords", "dynamodb:GetShardIterator"]
      resources = [aws_dynamodb_table.orders.stream_arn]
    },
    {
      sid       = "HaveAudited"
      actions   = ["lambda:InvokeFunction"]
      resources = [module.auditor.arn]
    },
  ]
}

# Verification

module "verifier" {
  source = "../../modules/function"

  shared  = module.shared.functions
  service = "verifier"
  package = "${var.build_dir}/stream-audit/verifier.zip"
  timeout = 900 # Lambda's longest: it reads the whole trail
  environment = {
    ORDERS_TABLE = aws_dynamodb_table.orders.name
    AUDIT_TABLE  = aws_dynamodb_table.audit.name
    HEADS_TABLE  = aws_dynamodb_table.heads.name
  }
  policy_statements = [
    {
      sid       = "ReadTrail"
      actions   = ["dynamodb:Scan", "dynamodb:Query"]
      resources = [aws_dynamodb_table.audit.arn]
    },
    {
      sid       = "ReadOrdersAndHeads"
      actions   = ["dynamodb:Scan", "dynamodb:GetItem"]
      resources = [aws_dynamodb_table.orders.arn, aws_dynamodb_table.heads.arn]
    },
  ]
}

# Dashboard

module "dashboard" {
  source = "../../modules/dashboard"

  name = var.name
  widgets = [
    {
      title   = "changes audited, failed and unsigned"
      stat    = "Sum"
      metrics = concat(module.auditor.metrics.messages, [[var.name, "ChangesUnsigned", "service", "auditor"]])
    },
    {
      title   = "how far the auditor is behind (ms)"
      stat    = "Maximum"
      metrics = [["AWS/Lambda", "IteratorAge", "FunctionName", module.auditor.name]]
    },
    {
      title   = "discarded batches that wait for a replay"
      stat    = "Maximum"
      metrics = module.discarded.metrics.depth
    },
    {
      title   = "errors and throttles of the auditor"
      stat    = "Sum"
      metrics = module.auditor.metrics.errors_and_throttles
    },
    {
      title   = "duration of a batch (ms)"
      stat    = "Maximum"
      metrics = [["AWS/Lambda", "Duration", "FunctionName", module.auditor.name]]
    },
    {
      title = "throttled writes, and changes that were there already"
      stat  = "Sum"
      metrics = [
        ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", aws_dynamodb_table.audit.name],
        ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", aws_dynamodb_table.heads.name],
        ["AWS/DynamoDB", "ConditionalCheckFailedRequests", "TableName", aws_dynamodb_table.audit.name],
      ]
    },
  ]
}
