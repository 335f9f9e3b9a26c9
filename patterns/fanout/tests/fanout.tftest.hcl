mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
}

run "each_consumer_gets_what_its_filter_lets_through" {
  assert {
    condition = jsonencode({ for consumer, subscription in aws_sns_topic_subscription.consumer :
      consumer => try([subscription.filter_policy_scope, jsondecode(subscription.filter_policy)], "every order")
      }) == jsonencode({
      billing   = "every order"
      shipping  = ["MessageAttributes", { goods = ["physical"] }]
      analytics = ["MessageBody", { amount = [{ numeric = [">=", 100] }] }]
    })
    error_message = "Filters: ${jsonencode({ for consumer, subscription in aws_sns_topic_subscription.consumer : consumer => subscription.filter_policy })}"
  }

  assert {
    condition     = alltrue([for subscription in aws_sns_topic_subscription.consumer : subscription.raw_message_delivery])
    error_message = "A subscription wraps its messages: consumers would find SNS's envelope in the body."
  }

  assert {
    condition = { for consumer, subscription in aws_sns_topic_subscription.consumer : consumer => jsondecode(subscription.redrive_policy).deadLetterTargetArn } == {
      for consumer, queue in module.undelivered : consumer => queue.arn
    }
    error_message = "A subscription without a dead-letter queue loses what it cannot deliver (SNS-3)."
  }

  assert {
    condition     = alltrue([for consumer, out in output.consumers : alltrue([for name in values(out.alarms) : startswith(name, "shop-${consumer}-")])])
    error_message = "An alarm does not name its consumer: ${jsonencode({ for consumer, out in output.consumers : consumer => out.alarms })}"
  }
}
