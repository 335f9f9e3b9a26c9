locals {
  name            = "${var.shared.name}-${var.service}"
  handler         = "app.handler"
  fault_injection = var.shared.fault_injection

  environment = merge(
    {
      POWERTOOLS_SERVICE_NAME      = var.service
      POWERTOOLS_METRICS_NAMESPACE = var.shared.name
      POWERTOOLS_LOG_LEVEL         = "INFO"
    },
    # So that the consumer knows whether anybody reads its partial batch response.
    var.event_source == null ? {} : {
      REPORT_BATCH_ITEM_FAILURES = tostring(var.event_source.report_batch_item_failures)
    },
    var.stream_source == null ? {} : { REPORT_BATCH_ITEM_FAILURES = "true" },
    var.environment,
    local.fault_injection == null ? {} : {
      FAULT_INJECTION_HANDLER   = local.handler
      FAULT_INJECTION_PARAMETER = local.fault_injection.parameter_name
      FAULT_INJECTION_FUNCTION  = var.service
    },
  )

  log_statement = {
    sid     = "WriteLogs"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    # Both act on the group's streams, whose names Lambda makes up at run time. CreateLogGroup is left out on
    # purpose: a late log line cannot bring back a log group that Terraform has destroyed.
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
  fault_injection_statement = local.fault_injection == null ? [] : [{
    sid       = "ReadFaultRules"
    actions   = ["ssm:GetParameter"]
    resources = [local.fault_injection.parameter_arn]
  }]
  event_source_statement = var.event_source == null ? [] : [{
    sid       = "ConsumeQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [var.event_source.queue_arn]
  }]
  stream_source_statements = var.stream_source == null ? [] : [
    {
      # The four that Lambda asks for "on your stream" when the mapping is created; the reference of actions names no
      # resource for ListStreams: https://github.com/aws-amplify/amplify-cli/issues/12965
      sid       = "ReadStream"
      actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
      resources = [var.stream_source.stream_arn]
    },
    {
      sid       = "ReportDiscarded"
      actions   = ["sqs:SendMessage"]
      resources = [var.stream_source.discarded_queue_arn]
    },
  ]
  on_failure_statement = var.asynchronous == null ? [] : [{
    sid       = "SendFailedEvents"
    actions   = ["sqs:SendMessage"]
    resources = [var.asynchronous.on_failure_queue_arn]
  }]
  policy_statements = concat(
    [local.log_statement],
    local.event_source_statement,
    local.stream_source_statements,
    local.on_failure_statement,
    local.fault_injection_statement,
    var.policy_statements,
  )

  alarms = merge(
    {
      errors = {
        metric    = "Errors"
        statistic = "Sum"
        threshold = 0
        says      = "${local.name} raised an exception, crashed or timed out: see its log group."
      }
      throttles = {
        metric    = "Throttles"
        statistic = "Sum"
        threshold = 0
        says      = "Invocations of ${local.name} were refused for want of concurrency: see its reserved concurrency and the account's."
      }
    },
    var.stream_source == null ? {} : {
      iterator_age = {
        metric    = "IteratorAge"
        statistic = "Maximum"
        threshold = var.stream_source.maximum_iterator_age * 1000 # the metric is in milliseconds
        says      = "${local.name} is behind its stream: a record blocks the shard, or records come faster than they are processed."
      }
    },
    # Of stream mappings and asynchronous invocations alike:
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    var.stream_source == null && var.asynchronous == null ? {} : {
      destination = {
        metric    = "DestinationDeliveryFailures"
        statistic = "Sum"
        threshold = 0
        says      = "What ${local.name} failed on left no record: Lambda could not send it to the on-failure destination. See whether the queue is there, and the role's policy."
      }
    },
  )
}

# Function

resource "aws_lambda_function" "this" {
  function_name = local.name
  role          = aws_iam_role.this.arn

  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  layers           = concat(var.shared.layers, local.fault_injection == null ? [] : [local.fault_injection.layer_arn])
  handler          = local.fault_injection == null ? local.handler : "fault_injection.handler"
  runtime          = "python3.13"
  architectures    = [var.shared.architecture]

  timeout     = var.timeout
  memory_size = 256 # CPU comes with memory: 128 MB makes boto3's import, so a cold start, slow

  environment {
    variables = local.environment
  }

  # Powertools writes each record as one line of JSON to stdout, which Text passes on as it is. JSON would change
  # the lines of Lambda itself (START, REPORT, "Task timed out") and drop stdout lines below its own log level.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }
}

# Role

resource "aws_iam_role" "this" {
  name        = local.name
  description = "What the Lambda function ${local.name} may do"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = local.name
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in local.policy_statements : {
      Sid      = statement.sid
      Effect   = "Allow"
      Action   = statement.actions
      Resource = statement.resources
    }]
  })
}

# Logs

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.shared.log_retention_days
}

# Event source mapping

resource "aws_lambda_event_source_mapping" "this" {
  count = var.event_source == null ? 0 : 1

  event_source_arn = var.event_source.queue_arn
  function_name    = aws_lambda_function.this.arn

  batch_size              = var.event_source.batch_size
  function_response_types = var.event_source.report_batch_item_failures ? ["ReportBatchItemFailures"] : []

  dynamic "scaling_config" {
    for_each = var.event_source.maximum_concurrency[*]
    content {
      maximum_concurrency = scaling_config.value
    }
  }

  # Lambda checks that the role may receive from the queue when the mapping is created.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_event_source_mapping" "stream" {
  count = var.stream_source == null ? 0 : 1

  event_source_arn  = var.stream_source.stream_arn
  function_name     = aws_lambda_function.this.arn
  starting_position = "TRIM_HORIZON" # LATEST can miss what happens while the mapping is being created (STR-7)

  batch_size                     = var.stream_source.batch_size
  function_response_types        = ["ReportBatchItemFailures"]
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = var.stream_source.maximum_retry_attempts
  maximum_record_age_in_seconds  = var.stream_source.maximum_record_age

  destination_config {
    on_failure {
      destination_arn = var.stream_source.discarded_queue_arn
    }
  }

  # Lambda checks that the role may read the stream and send to the queue when the mapping is created.
  depends_on = [aws_iam_role_policy.this]
}

# Asynchronous invocation

resource "aws_lambda_function_event_invoke_config" "this" {
  count = var.asynchronous == null ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = var.asynchronous.maximum_retry_attempts
  maximum_event_age_in_seconds = var.asynchronous.maximum_event_age

  destination_config {
    on_failure {
      destination = var.asynchronous.on_failure_queue_arn
    }
  }

  # Lambda checks that the role may send to the queue when the destination is set.
  depends_on = [aws_iam_role_policy.this]
}

# Alarms

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${local.name}-${replace(each.key, "_", "-")}"
  alarm_description = each.value.says

  namespace   = "AWS/Lambda"
  metric_name = each.value.metric
  dimensions  = { FunctionName = aws_lambda_function.this.function_name }
  statistic   = each.value.statistic

  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = 60 # the shortest that CloudWatch takes for an AWS/ metric
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # Lambda sends nothing while there is nothing to count

  alarm_actions = var.shared.alarm_topic_arns
  ok_actions    = var.shared.alarm_topic_arns
}
