mock_provider "aws" {}

run "takes_the_account_of_an_emulator" {
  command = plan

  override_data {
    target = data.aws_caller_identity.this
    values = { account_id = "000000000000" }
  }

  assert {
    condition     = output.account_id == "000000000000"
    error_message = "Account: ${output.account_id}"
  }
}

run "refuses_any_other_account" {
  command = plan

  override_data {
    target = data.aws_caller_identity.this
    values = { account_id = "111122223333" }
  }

  expect_failures = [data.aws_caller_identity.this]
}
