output "entry" {
  description = "The function that events are sent to."
  value       = "producer"
}

output "functions" {
  description = "Per function: its name and log group."
  value = {
    producer = module.producer.this
    payments = module.payments.this
  }
}

output "queues" {
  description = "Per queue with a dead-letter queue that can be redriven: its URL, and the dead-letter queue's ARN."
  value       = { payments = module.queue.this }
}

output "payments" {
  description = "The consumer: its strategy, function, queue, dead-letter queue, log group, tables and alarms."
  value = {
    strategy          = var.strategy
    function          = module.payments.name
    queue_url         = module.queue.url
    dlq_url           = module.queue.dlq_url
    dlq_arn           = module.queue.dlq_arn
    log_group         = module.payments.log_group
    ledger_table      = aws_dynamodb_table.ledger.name
    idempotency_table = aws_dynamodb_table.idempotency.name
    alarms            = merge(module.queue.alarms, module.payments.alarms)
  }
}

output "faults_parameter" {
  description = "Name of the SSM parameter that holds the fault rules; null when fault_injection is false."
  value       = module.shared.faults_parameter
}
