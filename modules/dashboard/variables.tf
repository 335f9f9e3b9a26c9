variable "name" {
  description = "Name of the dashboard."
  type        = string
}

variable "widgets" {
  description = "The graphs, from left to right and top to bottom: title; the statistic per minute (Sum, Maximum, p90, ...) that all of its metrics are shown by; metrics, each as [namespace, metric, dimension, value, ...]. The other modules' metrics outputs are lists of them."
  type = list(object({
    title   = string
    stat    = string
    metrics = list(list(string))
  }))
}

variable "columns" {
  description = "Graphs in a row; a divisor of 24, which is the width of CloudWatch's grid."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 2, 3, 4, 6, 8, 12, 24], var.columns)
    error_message = "columns is ${var.columns}: use 1, 2, 3, 4, 6, 8, 12 or 24, which divide the 24 columns of CloudWatch's grid."
  }
}
