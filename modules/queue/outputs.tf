# Queue

output "this" {
  description = "URL of the queue and ARN of its dead-letter queue: what a pattern tells of each queue that can be redriven."
  value = {
    url     = aws_sqs_queue.this.url
    dlq_arn = module.dead_letter_queue.arn
  }
}

output "name" {
  description = "Name of the queue."
  value       = aws_sqs_queue.this.name
}

output "url" {
  description = "URL of the queue."
  value       = aws_sqs_queue.this.url
}

output "arn" {
  description = "ARN of the queue."
  value       = aws_sqs_queue.this.arn
}

# Dead-letter queue

output "dlq_name" {
  description = "Name of the dead-letter queue."
  value       = module.dead_letter_queue.name
}

output "dlq_url" {
  description = "URL of the dead-letter queue."
  value       = module.dead_letter_queue.url
}

output "dlq_arn" {
  description = "ARN of the dead-letter queue."
  value       = module.dead_letter_queue.arn
}

# Alarms and metrics

output "alarms" {
  description = "Names of the alarms: dlq_depth (dead-letter queue not empty) and age (oldest message older than its retries)."
  value = {
    dlq_depth = module.dead_letter_queue.alarm
    age       = aws_cloudwatch_metric_alarm.age.alarm_name
  }
}

output "metrics" {
  description = "For widgets of modules/dashboard: depth (messages waiting in the queue, and in its dead-letter queue), age (of the oldest message, in seconds)."
  value = {
    depth = concat(
      [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.this.name]],
      module.dead_letter_queue.metrics.depth,
    )
    age = [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", aws_sqs_queue.this.name]]
  }
}
