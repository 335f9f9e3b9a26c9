# Function

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

# Alarms

output "alarms" {
  description = "Names of the alarms: errors (the function failed), throttles (the function was refused); with a stream, iterator_age (it is behind); with an on-failure queue, destination (a failed event could not be sent there)."
  value = merge(
    {
      errors    = aws_cloudwatch_metric_alarm.errors.alarm_name
      throttles = aws_cloudwatch_metric_alarm.throttles.alarm_name
    },
    { for alarm in aws_cloudwatch_metric_alarm.iterator_age : "iterator_age" => alarm.alarm_name },
    { for alarm in aws_cloudwatch_metric_alarm.destination : "destination" => alarm.alarm_name },
  )
}
