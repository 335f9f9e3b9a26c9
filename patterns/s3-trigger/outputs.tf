output "entry" {
  description = "The function that events are sent to."
  value       = "uploader"
}

output "functions" {
  description = "Per function: its name and log group."
  value = { for name, function in {
    uploader = module.uploader
    ingest   = module.ingest
    worker   = module.worker
    replayer = module.replayer
  } : name => function.this }
}

output "operations" {
  description = "Per operation: the function that does it, invoked with {}."
  value       = { replay = "replayer" }
}

output "queues" {
  description = "Per queue with a dead-letter queue that can be redriven: its URL, and the dead-letter queue's ARN."
  value       = { work = module.work.this }
}

output "dead_letter_queues" {
  description = "Per queue of what failed that is no queue's dead-letter queue: its URL. Here of events that ingest could not process."
  value       = { failed = module.failed.url }
}

output "uploads" {
  description = "What happens to uploads: the bucket, the prefix that triggers, ingest and its role, the quarantine's bucket, the manifest's table, the URL of the queue of failed events, the worker's event source mapping, the URLs of its queue and dead-letter queue, and the alarms."
  value = {
    bucket           = module.uploads.name
    bucket_arn       = module.uploads.arn
    prefix           = local.prefix
    ingest           = module.ingest.name
    ingest_role      = module.ingest.role_name
    quarantine       = module.quarantine.name
    quarantine_arn   = module.quarantine.arn
    manifest         = aws_dynamodb_table.manifest.name
    failed_queue_url = module.failed.url
    worker_mapping   = module.worker.mapping_id
    work_queue_url   = module.work.url
    work_dlq_url     = module.work.dlq_url
    alarms = merge(module.ingest.alarms, {
      failed      = module.failed.alarm
      quarantined = aws_cloudwatch_metric_alarm.quarantined.alarm_name
    })
  }
}

output "faults_parameter" {
  description = "Name of the SSM parameter that holds the fault rules; null when fault_injection is false."
  value       = module.shared.faults_parameter
}
