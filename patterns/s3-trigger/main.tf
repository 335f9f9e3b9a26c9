# uploads (bucket) -> ingest -> work (queue) -> worker; on failure: ingest -> failed (queue) -> replayer -> ingest

# Fails the plan when the credentials' account does not fit the workspace.
module "account" {
  source = "../../modules/account"
}

locals {
  prefix         = "incoming/" # all that the notification, the uploader and ingest are concerned with
  replay_seconds = 60          # how long one replay may take

  # A bucket's name is unique among all accounts, and all regions.
  bucket_suffix = "${module.account.account_id}-${data.aws_region.current.id}"
}

data "aws_region" "current" {}

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

# Buckets

module "uploads" {
  source = "../../modules/bucket"

  name            = "${var.name}-uploads-${local.bucket_suffix}"
  force_destroy   = var.force_destroy
  expiration_days = var.retention_days
  noncurrent_days = var.retention_days
}

# A bucket of its own, without a notification: a copy in the bucket of the uploads could trigger ingest again (S3-4).
module "quarantine" {
  source = "../../modules/bucket"

  name            = "${var.name}-quarantine-${local.bucket_suffix}"
  force_destroy   = var.force_destroy
  expiration_days = var.retention_days
  noncurrent_days = var.retention_days
}

# Uploader

module "uploader" {
  source = "../../modules/function"

  shared      = module.shared.functions
  service     = "uploader"
  package     = "${var.build_dir}/s3-trigger/uploader.zip"
  timeout     = 60
  environment = { BUCKET = module.uploads.name }
  policy_statements = [{
    sid     = "Upload"
    actions = ["s3:PutObject"]
    # Whoever uploads chooses the keys; the prefix is all that is known of them.
    resources = ["${module.uploads.arn}/${local.prefix}*"]
  }]
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

  shared  = module.shared.functions
  service = "ingest"
  package = "${var.build_dir}/s3-trigger/ingest.zip"
  timeout = var.function_timeout
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

  shared       = module.shared.functions
  service      = "worker"
  package      = "${var.build_dir}/s3-trigger/worker.zip"
  timeout      = var.function_timeout
  environment  = { MANIFEST_TABLE = aws_dynamodb_table.manifest.name }
  event_source = { queue_arn = module.work.arn }
  policy_statements = [{
    sid       = "NoteInManifest"
    actions   = ["dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.manifest.arn]
  }]
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

  shared  = module.shared.functions
  service = "replayer"
  package = "${var.build_dir}/s3-trigger/replayer.zip"
  timeout = local.replay_seconds
  environment = {
    QUEUE_URL     = module.failed.url
    FUNCTION_NAME = module.ingest.name
  }
  policy_statements = [
    {
      sid       = "TakeFailedEvents"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
      resources = [module.failed.arn]
    },
    {
      sid       = "InvokeIngest"
      actions   = ["lambda:InvokeFunction"]
      resources = [module.ingest.arn]
    },
  ]
}

# Dashboard

module "dashboard" {
  source = "../../modules/dashboard"

  name = var.name
  widgets = [
    {
      title = "events by what ingest made of them"
      stat  = "Sum"
      metrics = [for metric in ["ObjectsQueued", "ObjectsQuarantined", "EventsSkipped", "EventsFailed"] :
        [var.name, metric, "service", "ingest"]
      ]
    },
    {
      title   = "work items processed and failed"
      stat    = "Sum"
      metrics = module.worker.metrics.messages
    },
    {
      title   = "events waiting to be replayed, work items waiting and dead-lettered"
      stat    = "Maximum"
      metrics = concat(module.failed.metrics.depth, module.work.metrics.depth)
    },
    {
      title   = "age of the events when ingest gets them (ms)"
      stat    = "Maximum"
      metrics = [["AWS/Lambda", "AsyncEventAge", "FunctionName", module.ingest.name]]
    },
    {
      title = "ingest: errors, throttles, events dropped, destination failures"
      stat  = "Sum"
      metrics = concat(
        module.ingest.metrics.errors_and_throttles,
        [for metric in ["AsyncEventsDropped", "DestinationDeliveryFailures"] :
          ["AWS/Lambda", metric, "FunctionName", module.ingest.name]
        ],
      )
    },
    {
      title   = "worker: errors and throttles"
      stat    = "Sum"
      metrics = module.worker.metrics.errors_and_throttles
    },
  ]
}
