# Layer

variable "name" {
  description = "Prefix of the layer (<name>-fault-injection) and of the parameter (/<name>/faults)."
  type        = string
}

variable "package" {
  description = "Path of the fault layer's zip."
  type        = string

  validation {
    condition     = fileexists(var.package)
    error_message = "There is no file ${var.package}. Build the layer's zip first."
  }
}

variable "architecture" {
  description = "Instruction set of the functions that use the layer: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is '${var.architecture}': Lambda has x86_64 and arm64."
  }
}
