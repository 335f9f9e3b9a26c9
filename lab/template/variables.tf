# Deployment

variable "name" {
  description = "Prefix of everything that the pattern creates. 1 to 40 lowercase letters, digits and hyphens."
  type        = string
  default     = "new-pattern"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "name is '${var.name}': use 1 to 40 lowercase letters, digits and hyphens, with a letter or digit at both ends."
  }
}

variable "build_dir" {
  description = "Folder with the built zips (new-pattern/<function>.zip and layers/<layer>.zip), relative to this one."
  type        = string
  default     = "../../.lab/build"

  validation {
    condition     = fileexists("${var.build_dir}/layers/powertools.zip")
    error_message = "There is no ${var.build_dir}/layers/powertools.zip. Build the zips first: make build PATTERN=new-pattern."
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

variable "function_timeout" {
  description = "Timeout of the functions in seconds, 1 to 900."
  type        = number
  default     = 10
}

variable "visibility_timeout" {
  description = "Visibility timeout of the consumers' queues in seconds: at least six times function_timeout (SQS-6)."
  type        = number
  default     = 60
}

variable "max_receive_count" {
  description = "Receives after which a message moves to its consumer's dead-letter queue. At least 5 in production (SQS-7)."
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
