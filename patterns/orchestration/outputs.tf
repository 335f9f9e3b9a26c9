output "entry" {
  description = "The function that events are sent to."
  value       = "producer"
}

output "functions" {
  description = "Per function: its name and log group."
  value = {
    producer  = module.producer.this
    starter   = module.starter.this
    stock     = module.stock.this
    payments  = module.payments.this
    warehouse = module.warehouse.this
  }
}

output "state_machines" {
  description = "Per state machine: its ARN and log group."
  value = {
    order = { arn = aws_sfn_state_machine.this.arn, log_group = aws_cloudwatch_log_group.state_machine.name }
  }
}

output "queues" {
  description = "Per queue with a dead-letter queue that can be redriven: its URL, and the dead-letter queue's ARN."
  value = {
    orders    = module.orders_queue.this
    warehouse = module.warehouse_queue.this
  }
}

output "dead_letter_queues" {
  description = "Per queue of what failed that is no queue's dead-letter queue: its URL. Here of compensations that failed."
  value       = { parked = module.parked.url }
}

output "orders" {
  description = "What experiments look at: tables, queues, topic, event source mappings and alarms."
  value = {
    orders_table      = aws_dynamodb_table.orders.name
    stock_table       = aws_dynamodb_table.stock.name
    dlq_urls          = { orders = module.orders_queue.dlq_url, warehouse = module.warehouse_queue.dlq_url }
    parked_url        = module.parked.url
    customers_topic   = aws_sns_topic.customers.arn
    starter_mapping   = module.starter.mapping_id
    warehouse_mapping = module.warehouse.mapping_id
    alarms = {
      state_machine       = { for what, alarm in aws_cloudwatch_metric_alarm.state_machine : what => alarm.alarm_name }
      compensation_failed = module.parked.alarm
      orders_queue        = module.orders_queue.alarms
      warehouse_queue     = module.warehouse_queue.alarms
      starter             = module.starter.alarms
    }
  }
}

output "faults_parameter" {
  description = "Name of the SSM parameter that holds the fault rules; null when fault_injection is false."
  value       = module.shared.faults_parameter
}
