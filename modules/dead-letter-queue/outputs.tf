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

output "alarm" {
  description = "Name of the alarm that fires when the queue is not empty."
  value       = aws_cloudwatch_metric_alarm.depth.alarm_name
}

output "metrics" {
  description = "For widgets of modules/dashboard: depth (messages waiting in the queue)."
  value       = { depth = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.this.name]] }
}
