# Deployment

variable "name" {
  description = "Prefix of everything that the pattern creates. 1 to 40 lowercase letters, digits and hyphens."
  type        = string
  default     = "idempotent-consumer"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "name is '${var.name}': use 1 to 40 lowercase letters, digits and hyphens, with a letter or digit at both ends."
  }
}

variable "build_dir" {
  description = "Folder with the built zips (idempotent-consumer/<function>.zip and layers/<layer>.zip), relative to this one."
  type        = string
  default     = "../../.lab/build"

  validation {
    condition     = fileexists("${var.build_dir}/layers/powertools.zip")
    error_message = "There is no ${var.build_dir}/layers/powertools.zip. Build the zips first: make build PATTERN=idempotent-consumer."
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

# Consumer

variable "strategy" {
  description = "How a payment is recognised that was made before: by message-id, by business-key (both with Powertools' idempotency), or by business key in the transaction that pays."
  type        = string
  default     = "transaction"

  validation {
    condition     = contains(["message-id", "business-key", "transaction"], var.strategy)
    error_message = "strategy is '${var.strategy}': it is one of message-id, business-key and transaction."
  }
}

variable "record_expiry" {
  description = "Seconds for which a paid order is remembered: a duplicate that arrives later is paid again (IDM-1). 19 days outlast one redrive: 14 days from when it was sent to when it is redriven at the latest, and 4 in the queue again (SQS-9, SQS-14); each further redrive adds up to 14."
  type        = number
  default     = 1641600

  validation {
    condition     = var.record_expiry >= 1
    error_message = "record_expiry is ${var.record_expiry} s: a record that expires at once recognises no duplicate."
  }
}

variable "register_lambda_context" {
  description = "Whether Powertools is told the function's remaining time. false only to see what happens without: a delivery that dies locks its order until record_expiry (IDM-4)."
  type        = bool
  default     = true
}

variable "function_timeout" {
  description = "Timeout of the consumer in seconds, 1 to 900."
  type        = number
  default     = 10
}

variable "visibility_timeout" {
  description = "Visibility timeout of the consumer's queue in seconds: at least six times function_timeout (SQS-6)."
  type        = number
  default     = 60
}

variable "max_receive_count" {
  description = "Receives after which a message moves to the dead-letter queue. At least 5 in production (SQS-7)."
  type        = number
  default     = 5
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
