# Function

variable "shared" {
  description = "What the functions of one deployment share, which is the output functions of modules/shared: the deployment's name, which is also the CloudWatch namespace of the functions' own metrics; ARNs of layer versions, in the order in which Lambda unpacks them; x86_64 or arm64; the fault layer and its parameter, behind which the function then runs (null runs it bare); days that the log group keeps a line, one of the values that CloudWatch Logs allows; ARNs of the SNS topics told when an alarm fires and when it clears."
  type = object({
    name         = string
    layers       = optional(list(string), [])
    architecture = optional(string, "x86_64")
    fault_injection = optional(object({
      layer_arn      = string
      parameter_name = string
      parameter_arn  = string
    }))
    log_retention_days = optional(number, 14)
    alarm_topic_arns   = optional(list(string), [])
  })

  validation {
    condition     = contains(["x86_64", "arm64"], var.shared.architecture)
    error_message = "architecture is '${var.shared.architecture}': Lambda has x86_64 and arm64."
  }
}

variable "service" {
  description = "Short name of the function, without the deployment: Powertools' service name and the name that fault rules use. The function, its role and its log group (/aws/lambda/...) are named <shared.name>-<service>, at most 64 letters, digits, hyphens and underscores."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", "${var.shared.name}-${var.service}"))
    error_message = "The function would be named '${var.shared.name}-${var.service}': use 1 to 64 letters, digits, hyphens and underscores (the limit of Lambda and of IAM roles)."
  }
}

variable "package" {
  description = "Path of the function's zip; its handler is app.handler."
  type        = string

  validation {
    condition     = fileexists(var.package)
    error_message = "There is no file ${var.package}. Build the function's zip first."
  }
}

variable "timeout" {
  description = "Seconds after which Lambda ends an invocation, 1 to 900."
  type        = number

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 900
    error_message = "timeout is ${var.timeout} s: Lambda allows 1 to 900 s."
  }
}

variable "environment" {
  description = "Environment variables besides Powertools' own."
  type        = map(string)
  default     = {}
}

# Role

variable "policy_statements" {
  description = "What the function may do besides writing its log, reading its fault rules and consuming its event source."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))
  default = []
}

# Event source mapping

variable "event_source" {
  description = "SQS queue that the function consumes, or null. maximum_concurrency 2 to 1,000 (SQS-12); report_batch_item_failures lets the function return single messages (SQS-2)."
  type = object({
    queue_arn                  = string
    batch_size                 = optional(number, 10)
    maximum_concurrency        = optional(number)
    report_batch_item_failures = optional(bool, true)
  })
  default = null
}

variable "stream_source" {
  description = "DynamoDB stream that the function consumes from its beginning (STR-7), or null. A failing batch is split until the failing record is alone (STR-2), which is tried maximum_retry_attempts more times, and for maximum_record_age seconds at most; then its metadata goes to discarded_queue_arn (STR-4). An alarm fires when records wait for more than maximum_iterator_age seconds."
  type = object({
    stream_arn             = string
    batch_size             = optional(number, 100)
    maximum_retry_attempts = number
    maximum_record_age     = number
    maximum_iterator_age   = number
    discarded_queue_arn    = string
  })
  default = null
}

# Asynchronous invocation

variable "asynchronous" {
  description = "What becomes of events that the function, invoked asynchronously (by S3, SNS, EventBridge), fails on, or null if it never is: ARN of the SQS queue that gets their records (ASY-3); maximum_retry_attempts 0 to 2 (ASY-1); maximum_event_age in seconds, 60 to 21,600 (ASY-2)."
  type = object({
    on_failure_queue_arn   = string
    maximum_retry_attempts = optional(number, 2)
    maximum_event_age      = optional(number, 21600)
  })
  default = null
}
