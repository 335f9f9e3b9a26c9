# uploads (bucket) -> ingest -> work (queue) -> worker; on failure: ingest -> failed (queue) -> replayer -> ingest

data "aws_region" "current" {}

# Fails the plan when the credentials' account does not fit the workspace.
module "account" {
  source = "../../modules/account"
}

locals {
  prefix         = "incoming/" # all that the notification, the uploader and ingest are concerned with
  replay_seconds = 60          # how long one replay may take
}

# Layers

module "layers" {
  source = "../../modules/layers"

  name            = var.name
  folder          = "${var.build_dir}/layers"
  architecture    = var.architecture
  fault_injection = var.fault_injection
}

# Buckets

module "uploads" {
  source = "../../modules/bucket"

  name            = "${var.name}-uploads-${module.account.account_id}"
  force_destroy   = var.force_destroy
  expiration_days = var.retention_days
  noncurrent_days = var.retention_days
}

# A bucket of its own, without a notification: a copy in the bucket of the uploads could trigger ingest again (S3-4).
module "quarantine" {
  source = "../../modules/bucket"

  name            = "${var.name}-quarantine-${module.account.account_id}"
  force_destroy   = var.force_destroy
  expiration_days = var.retention_days
  noncurrent_days = var.retention_days
}

# Uploader

module "uploader" {
  source = "../../modules/function"

  name              = "${var.name}-uploader"
  service           = "uploader"
  metrics_namespace = var.name
  package           = "${var.build_dir}/s3-trigger/uploader.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = 60
  environment       = { BUCKET = module.uploads.name }
  policy_statements = [{
    sid     = "Upload"
    actions = ["s3:PutObject"]
    # Whoever uploads chooses the keys; the prefix is all that is known of them.
    resources = ["${module.uploads.arn}/${local.prefix}*"]
  }]
  fault_injection    = module.layers.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# Notification

resource "aws_s3_bucket_notification" "uploads" {
  bucket = module.uploads.name

  lambda_function {
    lambda_function_arn = module.ingest.arn
    events              = ["s3:ObjectCreated:*"] # every way to create one: PUT, POST, copy, multipart upload
    filter_prefix       = local.prefix
    filter_suffix       = ".json"
  }

  # S3 checks that it may invoke the function when the notification is set.
  depends_on = [aws_lambda_permission.uploads]
}

resource "aws_lambda_permission" "uploads" {
  statement_id   = "AllowUploads"
  function_name  = module.ingest.name
  action         = "lambda:InvokeFunction"
  principal      = "s3.amazonaws.com"
  source_arn     = module.uploads.arn
  source_account = module.account.account_id # a bucket's ARN names no account, and its name can be reused
}

# Ingest

module "ingest" {
  source = "../../modules/function"

  name              = "${var.name}-ingest"
  service           = "ingest"
  metrics_namespace = var.name
  package           = "${var.build_dir}/s3-trigger/ingest.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = var.function_timeout
  environment = {
    QUARANTINE_BUCKET = module.quarantine.name
    MANIFEST_TABLE    = aws_dynamodb_table.manifest.name
    QUEUE_URL         = module.work.url
    MAX_OBJECT_BYTES  = var.max_object_bytes
  }
  asynchronous = {
    on_failure_queue_arn   = module.failed.arn
    maximum_retry_attempts = var.max_retry_attempts
    maximum_event_age      = var.max_event_age
  }
  # Nothing here writes to the bucket that triggers it: a loop is not a matter of care.
  policy_statements = [
    {
      sid     = "ReadUploads"
      actions = ["s3:GetObjectVersion"]
      # Whoever uploads chooses the keys; the prefix is all that is known of them.
      resources = ["${module.uploads.arn}/${local.prefix}*"]
    },
    {
      sid     = "Quarantine"
      actions = ["s3:PutObject"]
      # Copies keep the key of their upload.
      resources = ["${module.quarantine.arn}/${local.prefix}*"]
    },
    {
      sid       = "KeepManifest"
      actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [aws_dynamodb_table.manifest.arn]
    },
    {
      sid       = "SendWork"
      actions   = ["sqs:SendMessage"]
      resources = [module.work.arn]
    },
  ]
  fault_injection    = module.layers.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# The aggregate of what no retry can help: each is for whoever uploaded it.
resource "aws_cloudwatch_metric_alarm" "quarantined" {
  alarm_name        = "${var.name}-quarantined"
  alarm_description = "Objects that can never be processed were copied to ${module.quarantine.name}, each with its reason."

  namespace   = var.name
  metric_name = "ObjectsQuarantined"
  dimensions  = { service = "ingest" }
  statistic   = "Sum"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # the metric is only there when there is something to count

  alarm_actions = var.alarm_topic_arns
  ok_actions    = var.alarm_topic_arns
}

# Manifest: for each key its newest version, and what became of it

resource "aws_dynamodb_table" "manifest" {
  name         = "${var.name}-manifest"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "key"

  attribute {
    name = "key"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Work

module "work" {
  source = "../../modules/queue"

  name               = "${var.name}-work"
  visibility_timeout = var.visibility_timeout
  function_timeout   = var.function_timeout
  max_receive_count  = var.max_receive_count
  alarm_topic_arns   = var.alarm_topic_arns
}

module "worker" {
  source = "../../modules/function"

  name              = "${var.name}-worker"
  service           = "worker"
  metrics_namespace = var.name
  package           = "${var.build_dir}/s3-trigger/worker.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = var.function_timeout
  environment       = { MANIFEST_TABLE = aws_dynamodb_table.manifest.name }
  event_source      = { queue_arn = module.work.arn }
  policy_statements = [{
    sid       = "NoteInManifest"
    actions   = ["dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.manifest.arn]
  }]
  fault_injection    = module.layers.fault_injection
  log_retention_days = var.log_retention_days
  alarm_topic_arns   = var.alarm_topic_arns
}

# Failed events: ingest's on-failure destination

module "failed" {
  source = "../../modules/dead-letter-queue"

  name               = "${var.name}-failed"
  visibility_timeout = 2 * local.replay_seconds # longer than a replay, so that it meets each record once
  alarm_description  = "Events that ingest could not process wait in ${var.name}-failed: find the cause in their records, then replay."
  alarm_topic_arns   = var.alarm_topic_arns
}

module "replayer" {
  source = "../../modules/function"

  name              = "${var.name}-replayer"
  service           = "replayer"
  metrics_namespace = var.name
  package           = "${var.build_dir}/s3-trigger/replayer.zip"
  layers            = module.layers.arns
  architecture      = var.architecture
  timeout           = local.replay_seconds
  environment = {
    QUEUE_URL     = module.failed.url
    FUNCTION_NAME = module.ingest.name
  }
  policy_statements = [
    {
      sid       = "TakeFailedEvents"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
      resources = [module.failed.arn]
    },
    {
      sid       = "InvokeIngest"
      actions   = ["lambda:InvokeFunction"]
      resources = [module.ingest.arn]
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
        title = "events by what ingest made of them"
        stat  = "Sum"
        metrics = [for metric in ["ObjectsQueued", "ObjectsQuarantined", "EventsSkipped", "EventsFailed"] :
          [var.name, metric, "service", "ingest"]
        ]
      },
      {
        title = "work items processed and failed"
        stat  = "Sum"
        metrics = [
          [var.name, "MessagesProcessed", "service", "worker"],
          [var.name, "MessagesFailed", "service", "worker", "error_class", "transient"],
          [var.name, "MessagesFailed", "service", "worker", "error_class", "permanent"],
        ]
      },
      {
        title = "events waiting to be replayed, work items waiting and dead-lettered"
        stat  = "Maximum"
        metrics = [for queue in [module.failed.name, module.work.name, module.work.dlq_name] :
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]
        ]
      },
      {
        title   = "age of the events when ingest gets them (ms)"
        stat    = "Maximum"
        metrics = [["AWS/Lambda", "AsyncEventAge", "FunctionName", module.ingest.name]]
      },
      {
        title = "ingest: errors, throttles, events dropped, destination failures"
        stat  = "Sum"
        metrics = [for metric in ["Errors", "Throttles", "AsyncEventsDropped", "DestinationDeliveryFailures"] :
          ["AWS/Lambda", metric, "FunctionName", module.ingest.name]
        ]
      },
      {
        title = "worker: errors and throttles"
        stat  = "Sum"
        metrics = [for metric in ["Errors", "Throttles"] :
          ["AWS/Lambda", metric, "FunctionName", module.worker.name]
        ]
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
