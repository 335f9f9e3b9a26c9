output "fault_injection" {
  description = "What modules/function takes as fault_injection: the layer, and the parameter that holds the rules."
  value = {
    layer_arn      = aws_lambda_layer_version.this.arn
    parameter_name = aws_ssm_parameter.rules.name
    parameter_arn  = aws_ssm_parameter.rules.arn
  }
}
