# Bucket

variable "name" {
  description = "Name of the bucket, unique among all buckets of all accounts. 3 to 63 lowercase letters, digits and hyphens."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name is '${var.name}': use 3 to 63 lowercase letters, digits and hyphens, with a letter or digit at both ends."
  }
}

variable "force_destroy" {
  description = "Whether destroying the bucket deletes the objects in it, all versions. false refuses to destroy a bucket that is not empty."
  type        = bool
  default     = false
}

# Lifecycle

variable "expiration_days" {
  description = "Days after which an object expires, from 1."
  type        = number
}

variable "noncurrent_days" {
  description = "Days for which a version is kept once it is overwritten, deleted or expired, from 1."
  type        = number
}
