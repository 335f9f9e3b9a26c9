# writer -> orders (table) -> stream -> auditor -> audit trail (table); what the auditor gives up on -> queue -> redriver

data "aws_region" "current" {}

# Fails the plan when the credentials' account does not fit the workspace.
module "account" {
  source = "../../modules/account"
}

locals {
  redrive_timeout = 300 # seconds
}

# Layers

module "layers" {
  source = "../../modules/layers"

  name            = var.name
  folder          = "${var.build_dir}/layers"
  architecture    = var.architecture
  fault_injection = var.fault_injection
}

# Writer

module "writer" {
  source = "../../modules/function"

  name              = "${var.name}-writer"
  service           = "writer"
  metrics_namespace = var.name
  package           = "${var.build_dir}/stream-audit/writer.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = var.function_timeout
  environment       = { ORDERS_TABLE = aws_dynamodb_table.orders.name }
  policy_statements = [{
    sid       = "ChangeOrders"
    actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    resources = [aws_dynamodb_table.orders.arn]
  }]
  fault_injection    = module.layers.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
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

  name              = "${var.name}-auditor"
  service           = "auditor"
  metrics_namespace = var.name
  package           = "${var.build_dir}/stream-audit/auditor.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = var.function_timeout
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
  fault_injection    = module.layers.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
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
  visibility_timeout = local.redrive_timeout # a message that cannot be replayed is tried once per re-drive
  alarm_description  = "Changes are missing from the audit trail: fix what ${var.name}-discarded tells of, and re-drive before they are 24 hours old."
  alarm_topic_arns   = var.alarm_topic_arns
}

module "redriver" {
  source = "../../modules/function"

  name              = "${var.name}-redriver"
  service           = "redriver"
  metrics_namespace = var.name
  package           = "${var.build_dir}/stream-audit/redriver.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = local.redrive_timeout
  environment = {
    AUDITOR             = module.auditor.name
    DISCARDED_QUEUE_URL = module.discarded.url
  }
  policy_statements = [
    {
      sid       = "TakeDiscarded"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
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
  fault_injection    = module.layers.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# Verification

module "verifier" {
  source = "../../modules/function"

  name              = "${var.name}-verifier"
  service           = "verifier"
  metrics_namespace = var.name
  package           = "${var.build_dir}/stream-audit/verifier.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = 900 # Lambda's longest: it reads the whole trail
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
  fault_injection    = module.layers.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# Dashboard

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for index, widget in [
      {
        title = "changes audited, failed and unsigned"
        stat  = "Sum"
        metrics = [
          [var.name, "MessagesProcessed", "service", "auditor"],
          [var.name, "MessagesFailed", "service", "auditor", "error_class", "transient"],
          [var.name, "MessagesFailed", "service", "auditor", "error_class", "permanent"],
          [var.name, "ChangesUnsigned", "service", "auditor"],
        ]
      },
      {
        title   = "how far the auditor is behind (ms)"
        stat    = "Maximum"
        metrics = [["AWS/Lambda", "IteratorAge", "FunctionName", module.auditor.name]]
      },
      {
        title   = "discarded batches that wait for a re-drive"
        stat    = "Maximum"
        metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", module.discarded.name]]
      },
      {
        title   = "errors and throttles of the auditor"
        stat    = "Sum"
        metrics = [for metric in ["Errors", "Throttles"] : ["AWS/Lambda", metric, "FunctionName", module.auditor.name]]
      },
      {
        title   = "duration of a batch (ms)"
        stat    = "Maximum"
        metrics = [["AWS/Lambda", "Duration", "FunctionName", module.auditor.name]]
      },
      {
        title = "throttled writes, and changes that were there already"
        stat  = "Sum"
        metrics = concat(
          [for table in [aws_dynamodb_table.audit, aws_dynamodb_table.heads] : ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", table.name]],
          [["AWS/DynamoDB", "ConditionalCheckFailedRequests", "TableName", aws_dynamodb_table.audit.name]],
        )
      },
      ] :
      {
        type       = "metric"
        x          = index % 3 * 8
        y          = floor(index / 3) * 6
        width      = 8
        height     = 6
        properties = merge(widget, { period = 60, region = data.aws_region.current.id })
      }
    ]
  })
}
