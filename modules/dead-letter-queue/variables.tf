# Queue

variable "name" {
  description = "Name of the queue. At most 75 characters. A FIFO queue's name ends in .fifo, which is added."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,75}$", var.name))
    error_message = "name is '${var.name}': use 1 to 75 letters, digits, hyphens and underscores (SQS allows 80, '.fifo' takes 5)."
  }
}

variable "fifo" {
  description = "Whether the queue is FIFO: a FIFO queue's dead-letter queue has to be one too."
  type        = bool
  default     = false
}

variable "visibility_timeout" {
  description = "Seconds that a received message stays hidden from other consumers, 0 to 43,200. SQS's default suits a queue that is only redriven; longer than its timeout for a function that takes messages from it."
  type        = number
  default     = 30

  validation {
    condition     = var.visibility_timeout >= 0 && var.visibility_timeout <= 43200
    error_message = "visibility_timeout is ${var.visibility_timeout} s: SQS allows 0 to 43200 s."
  }
}

variable "source_queue_arns" {
  description = "ARNs of the queues whose dead-letter queue this may be; empty leaves it to SQS's default, every queue of the account and region."
  type        = list(string)
  default     = []
}

variable "sender_topic_arns" {
  description = "ARNs of the SNS topics whose subscriptions may send to the queue what they could not deliver."
  type        = list(string)
  default     = []
}

# Alarm

variable "alarm_name" {
  description = "Name of the alarm on the first message; null gives it the queue's name."
  type        = string
  default     = null
}

variable "alarm_description" {
  description = "What the alarm tells whoever it wakes: what waits in the queue, and what to do about it."
  type        = string
}

variable "alarm_topic_arns" {
  description = "ARNs of the SNS topics told when the alarm fires and when it clears."
  type        = list(string)
  default     = []
}
