# Functions

variable "name" {
  description = "Name of the deployment: it begins the names of the functions, of the layers (<name>-powertools) and of the parameter (/<name>/faults), and is the namespace of the functions' own metrics."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the functions' log groups keep a line; one of the values that CloudWatch Logs allows (1, 3, 5, 7, 14, 30, ...)."
  type        = number
  default     = 14
}

variable "alarm_topic_arns" {
  description = "ARNs of the SNS topics told when an alarm of a function fires and when it clears."
  type        = list(string)
  default     = []
}

# Layers

variable "layers" {
  description = "Path of the folder that holds the layers' zips: powertools.zip, handlers.zip and fault_injection.zip."
  type        = string

  validation {
    condition     = fileexists("${var.layers}/powertools.zip")
    error_message = "There is no ${var.layers}/powertools.zip. Build the layers' zips first."
  }
}

variable "architecture" {
  description = "Instruction set of the functions and their layers: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is '${var.architecture}': Lambda has x86_64 and arm64."
  }
}

# Faults

variable "fault_injection" {
  description = "Adds the fault layer and the parameter that holds its rules. false creates neither."
  type        = bool
  default     = false
}
