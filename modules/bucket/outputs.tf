output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
}

output "arn" {
  description = "ARN of the bucket; its objects are at <arn>/<key>."
  value       = aws_s3_bucket.this.arn
}
