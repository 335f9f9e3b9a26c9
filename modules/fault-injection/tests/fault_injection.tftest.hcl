mock_provider "aws" {}

variables {
  name    = "shop"
  package = "main.tf" # any file: the mocked provider does not look inside
}

run "starts_without_a_rule_and_hands_the_function_module_what_it_takes" {
  assert {
    condition     = aws_ssm_parameter.rules.name == "/shop/faults" && jsondecode(aws_ssm_parameter.rules.value) == { rules = [] }
    error_message = "Parameter ${aws_ssm_parameter.rules.name} does not start with an empty list of rules."
  }

  assert {
    condition = output.fault_injection == {
      layer_arn      = aws_lambda_layer_version.this.arn
      parameter_name = "/shop/faults"
      parameter_arn  = aws_ssm_parameter.rules.arn
    }
    error_message = "Output: ${jsonencode(output.fault_injection)}"
  }

  assert {
    condition     = aws_lambda_layer_version.this.layer_name == "shop-fault-injection"
    error_message = "Layer: ${aws_lambda_layer_version.this.layer_name}"
  }
}

run "refuses_a_zip_that_was_not_built" {
  command = plan

  variables {
    package = "no-such.zip"
  }

  expect_failures = [var.package]
}
