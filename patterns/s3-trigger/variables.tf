# Deployment

variable "name" {
  description = "Prefix of everything that the pattern creates. 1 to 24 lowercase letters, digits and hyphens."
  type        = string
  default     = "s3-trigger"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$", var.name))
    error_message = "name is '${var.name}': use 1 to 24 lowercase letters, digits and hyphens, with a letter or digit at both ends (a bucket's name has 63, of which '-quarantine-<account>-<region>' takes up to 39)."
  }
}

variable "build_dir" {
  description = "Folder with the built zips (s3-trigger/<function>.zip and layers/<layer>.zip), relative to this one."
  type        = string
  default     = "../../.lab/build"

  validation {
    condition     = fileexists("${var.build_dir}/layers/powertools.zip")
    error_message = "There is no ${var.build_dir}/layers/powertools.zip. Build the zips first: make build PATTERN=s3-trigger."
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

# Buckets

variable "force_destroy" {
  description = "Whether destroying the pattern deletes the objects in its buckets. false refuses while there are any."
  type        = bool
  default     = true
}

variable "retention_days" {
  description = "Days that an uploaded object is kept, and as many again once it is expired or overwritten."
  type        = number
  default     = 14
}

variable "max_object_bytes" {
  description = "Size in bytes above which an object is quarantined, not read. It has to fit into the function's memory."
  type        = number
  default     = 1048576
}

# Ingest

variable "function_timeout" {
  description = "Timeout of ingest and worker in seconds, 1 to 900."
  type        = number
  default     = 10
}

variable "max_retry_attempts" {
  description = "How often Lambda tries an event again that ingest failed on, 0 to 2 (ASY-1)."
  type        = number
  default     = 2

  validation {
    condition     = contains([0, 1, 2], var.max_retry_attempts)
    error_message = "max_retry_attempts is ${var.max_retry_attempts}: Lambda allows 0 to 2."
  }
}

variable "max_event_age" {
  description = "Seconds for which Lambda keeps an event that it cannot run, 60 to 21,600 (ASY-2)."
  type        = number
  default     = 21600

  validation {
    condition     = var.max_event_age >= 60 && var.max_event_age <= 21600
    error_message = "max_event_age is ${var.max_event_age} s: Lambda allows 60 to 21600 s."
  }
}

# Queue

variable "visibility_timeout" {
  description = "Visibility timeout of the queue in seconds: at least six times function_timeout (SQS-6)."
  type        = number
  default     = 60
}

variable "max_receive_count" {
  description = "Receives after which a work item moves to the dead-letter queue. At least 5 in production (SQS-7)."
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
