output "arns" {
  description = "The layers of every function, in the order in which Lambda unpacks them: Powertools, and what handlers have in common."
  value       = [for layer in local.order : aws_lambda_layer_version.this[layer].arn]
}

output "fault_injection" {
  description = "What modules/function takes as fault_injection: the fault layer, and the parameter that holds the rules. null without fault_injection."
  value = one([for parameter in aws_ssm_parameter.rules : {
    layer_arn      = aws_lambda_layer_version.this["fault_injection"].arn
    parameter_name = parameter.name
    parameter_arn  = parameter.arn
  }])
}

output "faults_parameter" {
  description = "Name of the parameter that holds the fault rules; null without fault_injection."
  value       = one(aws_ssm_parameter.rules[*].name)
}
