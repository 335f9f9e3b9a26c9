output "entry" {
  description = "The function that events are sent to."
  value       = "writer"
}

output "functions" {
  description = "Per function: its name and log group."
  value = {
    writer   = module.writer.this
    auditor  = module.auditor.this
    replayer = module.replayer.this
    verifier = module.verifier.this
  }
}

output "operations" {
  description = "Per operator's command: the function that does it."
  value       = { replay = "replayer", verify = "verifier" }
}

output "queues" {
  description = "Per queue with a dead-letter queue that can be redriven: none. What was discarded comes back with `replay`."
  value       = {}
}

output "dead_letter_queues" {
  description = "Per queue of what failed that is no queue's dead-letter queue: its URL. Here of what the auditor gave up on."
  value       = { discarded = module.discarded.url }
}

output "audit" {
  description = "The auditor's event source mapping, the stream, the tables, the queue of discarded batches, and the alarms."
  value = {
    function            = module.auditor.name
    mapping_id          = module.auditor.mapping_id
    stream_arn          = aws_dynamodb_table.orders.stream_arn
    orders_table        = aws_dynamodb_table.orders.name
    audit_table         = aws_dynamodb_table.audit.name
    discarded_queue_url = module.discarded.url
    alarms              = merge(module.auditor.alarms, { discarded = module.discarded.alarm })
  }
}

output "faults_parameter" {
  description = "Name of the SSM parameter that holds the fault rules; null when fault_injection is false."
  value       = module.shared.faults_parameter
}
