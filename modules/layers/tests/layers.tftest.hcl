mock_provider "aws" {}

variables {
  name   = "shop"
  folder = "tests/build" # placeholders: the mocked provider does not look inside
}

run "by_default_the_layers_of_every_function_and_nothing_for_faults" {
  assert {
    condition = { for key, layer in aws_lambda_layer_version.this : key => layer.layer_name } == {
      handlers   = "shop-handlers"
      powertools = "shop-powertools"
    }
    error_message = "Layers: ${jsonencode([for layer in aws_lambda_layer_version.this : layer.layer_name])}"
  }

  assert {
    condition     = output.arns == [aws_lambda_layer_version.this["powertools"].arn, aws_lambda_layer_version.this["handlers"].arn]
    error_message = "Not powertools first, handlers second: ${jsonencode(output.arns)}"
  }

  assert {
    condition     = length(aws_ssm_parameter.rules) == 0 && output.fault_injection == null && output.faults_parameter == null
    error_message = "There is a parameter for faults, or functions are to use one."
  }
}

run "with_fault_injection_it_starts_without_a_rule_and_hands_the_function_module_what_it_takes" {
  variables {
    fault_injection = true
  }

  assert {
    condition     = aws_ssm_parameter.rules[0].name == "/shop/faults" && jsondecode(aws_ssm_parameter.rules[0].value) == { rules = [] }
    error_message = "Parameter ${aws_ssm_parameter.rules[0].name} does not start with an empty list of rules."
  }

  assert {
    condition = output.fault_injection == {
      layer_arn      = aws_lambda_layer_version.this["fault_injection"].arn
      parameter_name = "/shop/faults"
      parameter_arn  = aws_ssm_parameter.rules[0].arn
    }
    error_message = "Output: ${jsonencode(output.fault_injection)}"
  }

  assert {
    condition     = aws_lambda_layer_version.this["fault_injection"].layer_name == "shop-fault-injection" && length(output.arns) == 2
    error_message = "The fault layer is ${aws_lambda_layer_version.this["fault_injection"].layer_name}, and functions have ${length(output.arns)} others."
  }
}

run "refuses_zips_that_were_not_built" {
  command = plan

  variables {
    folder = "tests/no-such-folder"
  }

  expect_failures = [var.folder]
}

run "refuses_an_unknown_architecture" {
  command = plan

  variables {
    architecture = "arm"
  }

  expect_failures = [var.architecture]
}
