# Queue

variable "name" {
  description = "Name of the queue; its dead-letter queue is <name>-dlq. At most 71 characters. A FIFO queue's names end in .fifo."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,71}$", var.name))
    error_message = "name is '${var.name}': use 1 to 71 letters, digits, hyphens and underscores (SQS allows 80, '-dlq.fifo' takes 9)."
  }
}

variable "fifo" {
  description = "Whether both queues are FIFO: in order within a message group, and no duplicates within five minutes (SQS-15, SQS-16)."
  type        = bool
  default     = false
}

variable "visibility_timeout" {
  description = "Seconds that a received message stays hidden from other consumers, 0 to 43,200. At least six times the timeout of the function that consumes it."
  type        = number

  validation {
    condition     = var.visibility_timeout >= 0 && var.visibility_timeout <= 43200
    error_message = "visibility_timeout is ${var.visibility_timeout} s: SQS allows 0 to 43200 s."
  }

  validation {
    condition     = var.function_timeout == null ? true : var.visibility_timeout >= 6 * var.function_timeout
    error_message = <<-EOT
      visibility_timeout is ${var.visibility_timeout} s, less than six times the function's timeout of ${coalesce(var.function_timeout, 0)} s (SQS-6).
      Messages would come back while a throttled batch is still being retried. Raise it to ${6 * coalesce(var.function_timeout, 0)} s or more, or lower the function's timeout.
    EOT
  }
}

variable "function_timeout" {
  description = "Timeout in seconds of the function that consumes the queue; null if no function does. Only used to check visibility_timeout."
  type        = number
  default     = null
}

variable "sender_topic_arns" {
  description = "ARNs of the SNS topics that may send to the queue."
  type        = list(string)
  default     = []
}

# Dead-letter queue

variable "max_receive_count" {
  description = "Receives after which a message moves to the dead-letter queue, 1 to 1,000. Below 5, throttling alone can dead-letter healthy messages (SQS-7)."
  type        = number
  default     = 5

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "max_receive_count is ${var.max_receive_count}: SQS allows 1 to 1000."
  }
}

# Alarms

variable "alarm_topic_arns" {
  description = "ARNs of the SNS topics told when an alarm fires and when it clears."
  type        = list(string)
  default     = []
}
