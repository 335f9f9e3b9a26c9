# Functions

output "functions" {
  description = "What modules/function takes as shared."
  value = {
    name               = var.name
    layers             = [for layer in local.order : aws_lambda_layer_version.this[layer].arn]
    architecture       = var.architecture
    log_retention_days = var.log_retention_days
    alarm_topic_arns   = var.alarm_topic_arns

    fault_injection = one([for parameter in aws_ssm_parameter.rules : {
      layer_arn      = aws_lambda_layer_version.this["fault_injection"].arn
      parameter_name = parameter.name
      parameter_arn  = parameter.arn
    }])
  }
}

# Faults

output "faults_parameter" {
  description = "Name of the parameter that holds the fault rules; null without fault_injection."
  value       = one(aws_ssm_parameter.rules[*].name)
}
