# producer -> orders queue -> starter -> state machine -> stock, payments, warehouse; what cannot be undone -> parked

data "aws_partition" "current" {}

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
  package     = "${var.build_dir}/orchestration/producer.zip"
  timeout     = 30
  environment = { QUEUE_URL = module.orders_queue.url }
  policy_statements = [{
    sid       = "SendOrders"
    actions   = ["sqs:SendMessage"]
    resources = [module.orders_queue.arn]
  }]
}

# Starter

module "orders_queue" {
  source = "../../modules/queue"

  name               = "${var.name}-orders"
  visibility_timeout = var.visibility_timeout
  function_timeout   = var.function_timeout
  max_receive_count  = var.max_receive_count
  alarm_topic_arns   = var.alarm_topic_arns
}

module "starter" {
  source = "../../modules/function"

  shared       = module.shared.functions
  service      = "starter"
  package      = "${var.build_dir}/orchestration/starter.zip"
  timeout      = var.function_timeout
  event_source = { queue_arn = module.orders_queue.arn }
  environment = {
    STATE_MACHINE_ARN = aws_sfn_state_machine.this.arn
    EXECUTION_NAMING  = var.execution_naming
  }
  policy_statements = [{
    sid       = "StartExecutions"
    actions   = ["states:StartExecution"]
    resources = [aws_sfn_state_machine.this.arn]
  }]
}

# State machine

locals {
  # Errors are classified in this one list, and each task of the definition has it.
  retriers = jsondecode(templatefile("${path.module}/statemachine/retriers.json", {
    retry_interval = var.retry_interval
    retry_attempts = var.retry_attempts
  }))
}

resource "aws_sfn_state_machine" "this" {
  name     = "${var.name}-order"
  type     = "STANDARD"
  role_arn = aws_iam_role.state_machine.arn

  definition = templatefile("${path.module}/statemachine/order.asl.json", {
    partition           = data.aws_partition.current.partition
    retriers            = join(",", [for retrier in local.retriers : jsonencode(retrier)])
    orders_table        = aws_dynamodb_table.orders.name
    stock_function      = module.stock.arn
    payments_function   = module.payments.arn
    customers_topic     = aws_sns_topic.customers.arn
    warehouse_queue     = module.warehouse_queue.url
    parked_queue        = module.parked.url
    event_bus           = aws_cloudwatch_event_bus.this.name
    map_concurrency     = var.map_concurrency
    task_timeout        = var.task_timeout
    warehouse_timeout   = var.warehouse_timeout
    warehouse_heartbeat = var.warehouse_heartbeat
    execution_timeout   = var.execution_timeout
  })

  logging_configuration {
    log_destination        = "${aws_cloudwatch_log_group.state_machine.arn}:*" # the form that Step Functions asks for
    level                  = var.state_machine_log_level
    include_execution_data = true
  }

  tracing_configuration {
    enabled = var.tracing
  }

  # Step Functions checks that the role may deliver logs when the state machine is created.
  depends_on = [aws_iam_role_policy.state_machine]
}

resource "aws_cloudwatch_log_group" "state_machine" {
  # With this prefix the policy by which log groups let AWS services write to them does not grow with each group.
  name              = "/aws/vendedlogs/states/${var.name}-order"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "state_machine" {
  name        = "${var.name}-order"
  description = "What the state machine ${var.name}-order may do"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = module.account.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "state_machine" {
  name = "${var.name}-order"
  role = aws_iam_role.state_machine.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "InvokeSteps"
          Effect   = "Allow"
          Action   = ["lambda:InvokeFunction"]
          Resource = [module.stock.arn, module.payments.arn]
        },
        {
          Sid      = "RecordOrders"
          Effect   = "Allow"
          Action   = ["dynamodb:UpdateItem"]
          Resource = [aws_dynamodb_table.orders.arn]
        },
        {
          Sid      = "AskTheWarehouseAndPark"
          Effect   = "Allow"
          Action   = ["sqs:SendMessage"]
          Resource = [module.warehouse_queue.arn, module.parked.arn]
        },
        {
          Sid      = "NotifyCustomers"
          Effect   = "Allow"
          Action   = ["sns:Publish"]
          Resource = [aws_sns_topic.customers.arn]
        },
        {
          Sid      = "Announce"
          Effect   = "Allow"
          Action   = ["events:PutEvents"]
          Resource = [aws_cloudwatch_event_bus.this.arn]
        },
        {
          Sid    = "DeliverLogs"
          Effect = "Allow"
          Action = [
            "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
            "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
          ]
          # These operations know no resources:
          # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy
          Resource = ["*"]
        },
      ],
      var.tracing ? [{
        Sid    = "Trace"
        Effect = "Allow"
        Action = [
          "xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
        ]
        # Nor do these: https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html
        Resource = ["*"]
      }] : [],
    )
  })
}

resource "aws_cloudwatch_metric_alarm" "state_machine" {
  for_each = {
    failed    = { metric = "ExecutionsFailed", says = "An order was invalid, could not be undone, or its execution broke" }
    aborted   = { metric = "ExecutionsAborted", says = "Somebody stopped an execution, and nothing was undone" }
    timed-out = { metric = "ExecutionsTimedOut", says = "An execution was ended by its own timeout, and nothing was undone" }
    throttled = { metric = "ExecutionThrottled", says = "State transitions wait for the account's quota" }
  }

  alarm_name        = "${var.name}-order-${each.key}"
  alarm_description = "${each.value.says}: see the executions of ${var.name}-order."

  namespace   = "AWS/States"
  metric_name = each.value.metric
  dimensions  = { StateMachineArn = aws_sfn_state_machine.this.arn }
  statistic   = "Sum"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60 # the shortest that CloudWatch takes for an AWS/ metric
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # Step Functions sends nothing while no execution ends

  alarm_actions = var.alarm_topic_arns
  ok_actions    = var.alarm_topic_arns
}

# Stock: a step of the state machine

module "stock" {
  source = "../../modules/function"

  shared  = module.shared.functions
  service = "stock"
  package = "${var.build_dir}/orchestration/stock.zip"
  timeout = var.function_timeout
  environment = {
    STOCK_TABLE  = aws_dynamodb_table.stock.name
    ORDERS_TABLE = aws_dynamodb_table.orders.name
    LABEL        = var.label
  }
  policy_statements = [
    {
      # Also within a transaction, each item needs the permission of its own operation.
      sid       = "MoveLines"
      actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [aws_dynamodb_table.orders.arn]
    },
    {
      sid       = "ChangeStock"
      actions   = ["dynamodb:UpdateItem"]
      resources = [aws_dynamodb_table.stock.arn]
    },
  ]
}

# Payments: a step of the state machine

module "payments" {
  source = "../../modules/function"

  shared      = module.shared.functions
  service     = "payments"
  package     = "${var.build_dir}/orchestration/payments.zip"
  timeout     = var.function_timeout
  environment = { ORDERS_TABLE = aws_dynamodb_table.orders.name }
  policy_statements = [{
    sid       = "RecordPayments"
    actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.orders.arn]
  }]
}

# Customers: told by the state machine; subscribe what sends the mails

resource "aws_sns_topic" "customers" {
  name = "${var.name}-customers"
  # AWS's own key costs nothing to keep, and its policy lets every identity of the account publish through SNS.
  kms_master_key_id = "alias/aws/sns"
}

# Warehouse: answers the state machine with a task token

module "warehouse_queue" {
  source = "../../modules/queue"

  name               = "${var.name}-warehouse"
  visibility_timeout = var.visibility_timeout
  function_timeout   = var.function_timeout
  max_receive_count  = var.max_receive_count
  alarm_topic_arns   = var.alarm_topic_arns
}

module "warehouse" {
  source = "../../modules/function"

  shared       = module.shared.functions
  service      = "warehouse"
  package      = "${var.build_dir}/orchestration/warehouse.zip"
  timeout      = var.function_timeout
  event_source = { queue_arn = module.warehouse_queue.arn }
  environment = {
    ORDERS_TABLE    = aws_dynamodb_table.orders.name
    PACKING_SECONDS = tostring(var.packing_seconds)
  }
  policy_statements = [
    {
      sid       = "RecordPickings"
      actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [aws_dynamodb_table.orders.arn]
    },
    {
      # The reference of actions names no resource for these three. In fact they are checked against the state machine
      # of the token's task: https://github.com/aws/aws-cdk/pull/8486
      sid       = "Answer"
      actions   = ["states:SendTaskHeartbeat", "states:SendTaskSuccess", "states:SendTaskFailure"]
      resources = [aws_sfn_state_machine.this.arn]
    },
  ]
}

# Announcements: what others may react to

resource "aws_cloudwatch_event_bus" "this" {
  name = var.name
}

# Parked compensations

module "parked" {
  source = "../../modules/dead-letter-queue"

  name              = "${var.name}-parked"
  alarm_name        = "${var.name}-compensation-failed"
  alarm_description = "What could not be undone waits for a person in ${var.name}-parked."
  alarm_topic_arns  = var.alarm_topic_arns
}

# Stores: the stock of each article, and all that is recorded of an order (the order itself, its lines, payment, picking
# and label)

resource "aws_dynamodb_table" "stock" {
  name         = "${var.name}-stock"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "sku"

  attribute {
    name = "sku"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_dynamodb_table_item" "stock" {
  for_each = var.stock

  table_name = aws_dynamodb_table.stock.name
  hash_key   = aws_dynamodb_table.stock.hash_key
  item       = jsonencode({ sku = { S = each.key }, available = { N = tostring(each.value) } })

  lifecycle {
    # The first stock only: an apply must not bring back what was sold.
    ignore_changes = [item]
  }
}

resource "aws_dynamodb_table" "orders" {
  name         = "${var.name}-orders"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "order_id"
  range_key    = "record"

  attribute {
    name = "order_id"
    type = "S"
  }

  attribute {
    name = "record"
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
      title = "executions started, succeeded, failed, timed out"
      stat  = "Sum"
      metrics = [for metric in ["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut"] :
        ["AWS/States", metric, "StateMachineArn", aws_sfn_state_machine.this.arn]
      ]
    },
    {
      title   = "duration of executions (ms)"
      stat    = "p90"
      metrics = [["AWS/States", "ExecutionTime", "StateMachineArn", aws_sfn_state_machine.this.arn]]
    },
    {
      title   = "throttled state transitions"
      stat    = "Sum"
      metrics = [["AWS/States", "ExecutionThrottled", "StateMachineArn", aws_sfn_state_machine.this.arn]]
    },
    {
      title = "messages: orders, for the warehouse, dead letters, parked compensations"
      stat  = "Maximum"
      metrics = concat(
        module.orders_queue.metrics.depth,
        module.warehouse_queue.metrics.depth,
        module.parked.metrics.depth,
      )
    },
    {
      title = "errors and throttles of the steps"
      stat  = "Sum"
      metrics = concat(
        module.stock.metrics.errors_and_throttles,
        module.payments.metrics.errors_and_throttles,
        module.warehouse.metrics.errors_and_throttles,
      )
    },
    {
      title   = "orders received by the starter"
      stat    = "Sum"
      metrics = [[var.name, "MessagesProcessed", "service", "starter"]]
    },
  ]
}
