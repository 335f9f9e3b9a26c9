output "entry" {
  description = "The function that events are sent to."
  value       = "producer"
}

output "functions" {
  description = "Per function: its name and log group."
  value = {
    producer = module.producer.this
    consumer = module.consumer.this
  }
}

output "queues" {
  description = "Per queue with a dead-letter queue that can be redriven: its URL, and the dead-letter queue's ARN."
  value       = { orders = module.queue.this }
}

output "consumer" {
  description = "The consumer: its queue, dead-letter queue and alarms."
  value = {
    queue_url = module.queue.url
    dlq_url   = module.queue.dlq_url
    alarms    = merge(module.queue.alarms, module.consumer.alarms)
  }
}

output "faults_parameter" {
  description = "Name of the SSM parameter that holds the fault rules; null when fault_injection is false."
  value       = module.shared.faults_parameter
}
