# Function

output "this" {
  description = "Name of the function and of its log group: what a pattern tells of each of its functions."
  value = {
    name      = aws_lambda_function.this.function_name
    log_group = aws_cloudwatch_log_group.this.name
  }
}

output "name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.this.arn
}

# Role

output "role_name" {
  description = "Name of the function's role."
  value       = aws_iam_role.this.name
}

# Logs

output "log_group" {
  description = "Name of the function's log group."
  value       = aws_cloudwatch_log_group.this.name
}

# Event source mapping

output "mapping_id" {
  description = "UUID of the event source mapping, or null without one."
  value       = one(concat(aws_lambda_event_source_mapping.this[*].uuid, aws_lambda_event_source_mapping.stream[*].uuid))
}

# Alarms and metrics

output "alarms" {
  description = "Names of the alarms: errors (the function failed), throttles (the function was refused); with a stream, iterator_age (it is behind); with a stream or asynchronous, destination (what failed could not be sent to the on-failure destination)."
  value       = { for what, alarm in aws_cloudwatch_metric_alarm.this : what => alarm.alarm_name }
}

output "metrics" {
  description = "For widgets of modules/dashboard: messages (those that the function processed, and those that it failed on by class of error, as the layer handlers counts them), errors_and_throttles."
  value = {
    messages = [
      [var.shared.name, "MessagesProcessed", "service", var.service],
      [var.shared.name, "MessagesFailed", "service", var.service, "error_class", "transient"],
      [var.shared.name, "MessagesFailed", "service", var.service, "error_class", "permanent"],
    ]
    errors_and_throttles = [for metric in ["Errors", "Throttles"] :
      ["AWS/Lambda", metric, "FunctionName", aws_lambda_function.this.function_name]
    ]
  }
}
