mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
}

run "a_queue_between_producer_and_consumer" {
  assert {
    condition     = module.queue.name == "shop-orders" && module.queue.dlq_name == "shop-orders-dlq"
    error_message = "Queues: ${module.queue.name}, ${module.queue.dlq_name}"
  }

  assert {
    condition     = keys(output.functions) == ["consumer", "producer"] && output.entry == "producer"
    error_message = "Functions: ${jsonencode(output.functions)}"
  }

  assert {
    condition     = keys(output.consumer.alarms) == ["age", "dlq_depth", "errors", "throttles"]
    error_message = "Alarms: ${jsonencode(keys(output.consumer.alarms))}"
  }
}
