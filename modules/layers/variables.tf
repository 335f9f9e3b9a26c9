# Layers

variable "name" {
  description = "Prefix of the layers (<name>-powertools) and of the parameter (/<name>/faults)."
  type        = string
}

variable "folder" {
  description = "Path of the folder that holds the layers' zips: powertools.zip, handlers.zip and fault_injection.zip."
  type        = string

  validation {
    condition     = fileexists("${var.folder}/powertools.zip")
    error_message = "There is no ${var.folder}/powertools.zip. Build the layers' zips first."
  }
}

variable "architecture" {
  description = "Instruction set of the functions that use the layers: x86_64 or arm64."
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
