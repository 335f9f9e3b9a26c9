# Not the shared mocks: there every layer has the same ARN, and their order could not be told.
mock_provider "aws" {}

variables {
  name   = "shop"
  layers = "../../.lab/build/layers" # the mocked provider does not look into the zips
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
    condition     = output.functions.layers == [aws_lambda_layer_version.this["powertools"].arn, aws_lambda_layer_version.this["handlers"].arn]
    error_message = "Not powertools first, handlers second: ${jsonencode(output.functions.layers)}"
  }

  assert {
    condition     = length(aws_ssm_parameter.rules) == 0 && output.functions.fault_injection == null && output.faults_parameter == null
    error_message = "There is a parameter for faults, or functions are to use one."
  }

  assert {
    condition = (
      output.functions.name == "shop" && output.functions.architecture == "x86_64"
      && output.functions.log_retention_days == 14 && length(output.functions.alarm_topic_arns) == 0
    )
    error_message = "Output: ${jsonencode(output.functions)}"
  }
}

run "what_is_given_for_the_functions_is_handed_on" {
  variables {
    architecture       = "arm64"
    log_retention_days = 30
    alarm_topic_arns   = ["arn:aws:sns:eu-west-1:111122223333:on-call"]
  }

  assert {
    condition = (
      output.functions.architecture == "arm64" && output.functions.log_retention_days == 30
      && output.functions.alarm_topic_arns == tolist(["arn:aws:sns:eu-west-1:111122223333:on-call"])
    )
    error_message = "Output: ${jsonencode(output.functions)}"
  }

  assert {
    condition     = alltrue([for layer in aws_lambda_layer_version.this : layer.compatible_architectures == toset(["arm64"])])
    error_message = "A layer is for another architecture than the functions."
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
    condition = output.functions.fault_injection == {
      layer_arn      = aws_lambda_layer_version.this["fault_injection"].arn
      parameter_name = "/shop/faults"
      parameter_arn  = aws_ssm_parameter.rules[0].arn
    }
    error_message = "Output: ${jsonencode(output.functions.fault_injection)}"
  }

  assert {
    condition     = output.faults_parameter == "/shop/faults"
    error_message = "Faults parameter: ${output.faults_parameter}"
  }

  assert {
    condition     = aws_lambda_layer_version.this["fault_injection"].layer_name == "shop-fault-injection" && length(output.functions.layers) == 2
    error_message = "The fault layer is ${aws_lambda_layer_version.this["fault_injection"].layer_name}, and functions have ${length(output.functions.layers)} others."
  }
}

run "refuses_zips_that_were_not_built" {
  command = plan

  variables {
    layers = "tests/no-such-folder"
  }

  expect_failures = [var.layers]
}

run "refuses_an_unknown_architecture" {
  command = plan

  variables {
    architecture = "arm"
  }

  expect_failures = [var.architecture]
}
