# What holds for every pattern: tests/test_lint.py runs it in the folder of each, beside the pattern's own tests.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
}

run "faults_are_ruled_by_a_parameter_named_after_the_deployment" {
  assert {
    condition     = output.faults_parameter == "/shop/faults"
    error_message = "Faults parameter: ${output.faults_parameter}"
  }
}

run "the_outputs_tell_of_functions_and_queues_what_the_lab_needs" {
  assert {
    condition     = contains(keys(output.functions), output.entry)
    error_message = "Events are sent to ${output.entry}, and the functions are ${join(", ", keys(output.functions))}."
  }

  assert {
    condition     = alltrue([for function in values(output.functions) : keys(function) == ["log_group", "name"]])
    error_message = "Functions: ${jsonencode(output.functions)}"
  }

  assert {
    condition     = alltrue([for queue in values(output.queues) : keys(queue) == ["dlq_arn", "url"]])
    error_message = "Queues: ${jsonencode(output.queues)}"
  }
}

run "without_fault_injection_the_plan_contains_nothing_of_it" {
  command = plan

  variables {
    fault_injection = false
  }

  assert {
    condition     = module.shared.functions.fault_injection == null && output.faults_parameter == null
    error_message = "The plan contains the fault layer or its parameter."
  }
}

run "refuses_a_name_that_would_be_too_long_for_its_functions" {
  command = plan

  variables {
    name = "a-name-of-forty-one-letters-and-hyphens-x"
  }

  expect_failures = [var.name]
}

run "refuses_to_plan_without_zips" {
  command = plan

  variables {
    build_dir = "tests/no-such-folder"
  }

  expect_failures = [var.build_dir]
}
