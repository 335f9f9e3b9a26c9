# Deployment

variable "name" {
  description = "Prefix of everything that the pattern creates. 1 to 40 lowercase letters, digits and hyphens."
  type        = string
  default     = "orchestration"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "name is '${var.name}': use 1 to 40 lowercase letters, digits and hyphens, with a letter or digit at both ends."
  }
}

variable "build_dir" {
  description = "Folder with the built zips (orchestration/<function>.zip and layers/<layer>.zip), relative to this one."
  type        = string
  default     = "../../.lab/build"

  validation {
    condition     = fileexists("${var.build_dir}/layers/powertools.zip")
    error_message = "There is no ${var.build_dir}/layers/powertools.zip. Build the zips first: make build PATTERN=orchestration."
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

# Starter

variable "execution_naming" {
  description = "How executions are named: after their order, so that a repeated start is refused (SFN-6), or by the service. service only to see what happens without."
  type        = string
  default     = "order"

  validation {
    condition     = contains(["order", "service"], var.execution_naming)
    error_message = "execution_naming is '${var.execution_naming}': it is order or service."
  }
}

# State machine

variable "map_concurrency" {
  description = "Lines of one order that are reserved at the same time, 1 to 40; 0 is as many as the service allows."
  type        = number
  default     = 4
}

variable "task_timeout" {
  description = "Seconds after which a task is given up. Longer than function_timeout, so that no attempt runs on when the next one starts."
  type        = number
  default     = 15

  validation {
    condition     = var.task_timeout > var.function_timeout
    error_message = "task_timeout is ${var.task_timeout} s and function_timeout ${var.function_timeout} s: a function would still run when its task is given up. Make task_timeout the longer one."
  }
}

variable "retry_interval" {
  description = "Seconds before a task's first retry; each further one waits twice as long."
  type        = number
  default     = 2
}

variable "retry_attempts" {
  description = "Retries of an error that nobody classified. Lambda's service errors are retried 6 times (SFN-2)."
  type        = number
  default     = 3
}

variable "warehouse_heartbeat" {
  description = "Seconds without a heartbeat after which the warehouse is taken for silent (SFN-3)."
  type        = number
  default     = 60
}

variable "warehouse_timeout" {
  description = "Seconds that the warehouse may take in all. Longer than warehouse_heartbeat."
  type        = number
  default     = 600

  validation {
    condition     = var.warehouse_timeout > var.warehouse_heartbeat
    error_message = "warehouse_timeout is ${var.warehouse_timeout} s: it has to be longer than warehouse_heartbeat, ${var.warehouse_heartbeat} s."
  }
}

variable "execution_timeout" {
  description = "Seconds after which an execution is ended, with nothing undone: far beyond anything that its tasks can take together."
  type        = number
  default     = 3600

  validation {
    condition     = var.execution_timeout > var.warehouse_timeout
    error_message = "execution_timeout is ${var.execution_timeout} s: it has to outlast warehouse_timeout, ${var.warehouse_timeout} s, or orders end half done."
  }
}

variable "state_machine_log_level" {
  description = "What the state machine logs: ALL, ERROR, FATAL or OFF. A Standard execution's whole history is kept for 90 days anyway."
  type        = string
  default     = "ERROR"
}

variable "tracing" {
  description = "Whether Step Functions sends traces to X-Ray, which bills per trace."
  type        = bool
  default     = false
}

# Steps

variable "label" {
  description = "How a parcel's label, which can be large, gets out of its step: as a reference to where it is stored, or inline. inline only to see what happens (SFN-7)."
  type        = string
  default     = "reference"

  validation {
    condition     = contains(["reference", "inline"], var.label)
    error_message = "label is '${var.label}': it is reference or inline."
  }
}

variable "packing_seconds" {
  description = "Seconds from the warehouse's answer until the carrier can come."
  type        = number
  default     = 2
}

variable "stock" {
  description = "The first stock: pieces by article."
  type        = map(number)
  default     = { book = 1000, chair = 100, mug = 1000 }
}

# Functions and queues

variable "function_timeout" {
  description = "Timeout of the functions in seconds, 1 to 900."
  type        = number
  default     = 10
}

variable "visibility_timeout" {
  description = "Visibility timeout of the queues in seconds: at least six times function_timeout (SQS-6)."
  type        = number
  default     = 60
}

variable "max_receive_count" {
  description = "Receives after which a message moves to its dead-letter queue. At least 5 in production (SQS-7)."
  type        = number
  default     = 5
}

# Operations

variable "log_retention_days" {
  description = "Days that the log groups keep a line."
  type        = number
  default     = 14
}

variable "alarm_topic_arns" {
  description = "ARNs of the SNS topics told when an alarm fires and when it clears."
  type        = list(string)
  default     = []
}
