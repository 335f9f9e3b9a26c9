# Deployment

variable "name" {
  description = "Prefix of everything that the pattern creates. 1 to 40 lowercase letters, digits and hyphens."
  type        = string
  default     = "queue-buffer"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "name is '${var.name}': use 1 to 40 lowercase letters, digits and hyphens, with a letter or digit at both ends."
  }
}

variable "build_dir" {
  description = "Folder with the built zips (queue-buffer/<function>.zip and layers/<layer>.zip), relative to this one."
  type        = string
  default     = "../../.lab/build"

  validation {
    condition     = fileexists("${var.build_dir}/layers/powertools.zip")
    error_message = "There is no ${var.build_dir}/layers/powertools.zip. Build the zips first: make build PATTERN=queue-buffer."
  }
}

variable "architecture" {
  description = "Instruction set of functions and layers: x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "fault_injection" {
  description = "Puts the fault layer in front of every function. false deploys the pattern as for production."
  type        = bool
  default     = true
}

# Queue

variable "fifo" {
  description = "Makes the queue FIFO: orders of one customer are processed in order, one at a time."
  type        = bool
  default     = false
}

variable "visibility_timeout" {
  description = "Visibility timeout of the queue in seconds: at least six times function_timeout (SQS-6)."
  type        = number
  default     = 60
}

variable "max_receive_count" {
  description = "Receives after which a message moves to the dead-letter queue. At least 5 in production (SQS-7)."
  type        = number
  default     = 5
}

# Consumer

variable "function_timeout" {
  description = "Timeout of the functions in seconds, 1 to 900. A whole batch has to fit into it."
  type        = number
  default     = 10
}

variable "batch_size" {
  description = "Messages per invocation at most, 1 to 10. A FIFO queue always has one."
  type        = number
  default     = 10

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10
    error_message = "batch_size is ${var.batch_size}: use 1 to 10 (larger batches need a batching window, which holds messages back)."
  }
}

variable "maximum_concurrency" {
  description = "Batches at work at once, which is what the downstream sees at once: 2 to 1,000 (SQS-12)."
  type        = number
  default     = 2

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000
    error_message = "maximum_concurrency is ${var.maximum_concurrency}: a mapping takes 2 to 1000 (SQS-12)."
  }
}

variable "report_batch_item_failures" {
  description = "Whether a failed message comes back alone (SQS-2) or with its whole batch (SQS-1)."
  type        = bool
  default     = true
}

variable "backoff" {
  description = "Whether messages that failed for a transient reason wait longer after each receive. false retries at the visibility timeout."
  type        = bool
  default     = true
}

# Operations

variable "log_retention_days" {
  description = "Days that the functions' log groups keep a line."
  type        = number
  default     = 14
}

variable "alarm_topic_arns" {
  description = "ARNs of the SNS topics told when an alarm fires and when it clears."
  type        = list(string)
  default     = []
}
