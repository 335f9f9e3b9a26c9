# Deployment

variable "name" {
  description = "Prefix of everything that the pattern creates. 1 to 40 lowercase letters, digits and hyphens."
  type        = string
  default     = "stream-audit"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "name is '${var.name}': use 1 to 40 lowercase letters, digits and hyphens, with a letter or digit at both ends."
  }
}

variable "build_dir" {
  description = "Folder with the built zips (stream-audit/<function>.zip and layers/<layer>.zip), relative to this one."
  type        = string
  default     = "../../.lab/build"

  validation {
    condition     = fileexists("${var.build_dir}/layers/powertools.zip")
    error_message = "There is no ${var.build_dir}/layers/powertools.zip. Build the zips first: make build PATTERN=stream-audit."
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

# Auditor

variable "function_timeout" {
  description = "Timeout of writer and auditor in seconds, 1 to 900. A whole batch has to fit into it."
  type        = number
  default     = 30
}

variable "batch_size" {
  description = "Records per invocation of the auditor at most, 1 to 10,000."
  type        = number
  default     = 100

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000
    error_message = "batch_size is ${var.batch_size}: a mapping of a stream takes 1 to 10000."
  }
}

variable "maximum_retry_attempts" {
  description = "How often a record that fails alone is tried again before it is discarded, 0 to 10,000. -1 is for ever, which blocks the shard (STR-1)."
  type        = number
  default     = 10

  validation {
    condition     = var.maximum_retry_attempts >= -1 && var.maximum_retry_attempts <= 10000
    error_message = "maximum_retry_attempts is ${var.maximum_retry_attempts}: a mapping takes -1 (for ever) to 10000."
  }
}

variable "maximum_record_age" {
  description = "Seconds after which a record that was not audited is discarded, 60 to 604,800. Well below the stream's 24 hours, which have to suffice for a replay as well. -1 is for ever."
  type        = number
  default     = 21600

  validation {
    condition     = var.maximum_record_age == -1 || (var.maximum_record_age >= 60 && var.maximum_record_age <= 604800)
    error_message = "maximum_record_age is ${var.maximum_record_age} s: a mapping takes 60 to 604800, or -1 (for ever)."
  }
}

variable "maximum_iterator_age" {
  description = "Seconds that a change may wait for its audit before the alarm fires."
  type        = number
  default     = 300
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
