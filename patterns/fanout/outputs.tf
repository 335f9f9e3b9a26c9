output "topic_arn" {
  description = "ARN of the topic that orders are published to."
  value       = aws_sns_topic.orders.arn
}

output "entry" {
  description = "The function that events are sent to."
  value       = "producer"
}

output "functions" {
  description = "Per function: its name and log group."
  value = merge(
    { producer = module.producer.this },
    { for consumer, function in module.consumer : consumer => function.this },
  )
}

output "queues" {
  description = "Per queue with a dead-letter queue that can be redriven: its URL, and the dead-letter queue's ARN."
  value       = { for consumer, queue in module.queue : consumer => queue.this }
}

output "dead_letter_queues" {
  description = "Per queue of what failed that is no queue's dead-letter queue: its URL. Here per consumer, of what SNS could not deliver."
  value       = { for consumer, queue in module.undelivered : "${consumer}-undelivered" => queue.url }
}

output "consumers" {
  description = "Per consumer: its function, queue, dead-letter queue, queue of undelivered orders, subscription, event source mapping, log group and alarms."
  value = { for consumer in keys(local.consumers) : consumer => {
    function         = module.consumer[consumer].name
    queue_url        = module.queue[consumer].url
    dlq_url          = module.queue[consumer].dlq_url
    dlq_arn          = module.queue[consumer].dlq_arn
    undelivered_url  = module.undelivered[consumer].url
    subscription_arn = aws_sns_topic_subscription.consumer[consumer].arn
    mapping_id       = module.consumer[consumer].mapping_id
    log_group        = module.consumer[consumer].log_group
    alarms = merge(module.queue[consumer].alarms, module.consumer[consumer].alarms, {
      undelivered = module.undelivered[consumer].alarm
    })
  } }
}

output "faults_parameter" {
  description = "Name of the SSM parameter that holds the fault rules; null when fault_injection is false."
  value       = module.shared.faults_parameter
}
