# The default workspace is nobody's. Folders beside this file are named like the workspace that their tests run in.

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

run "takes_any_other_account" {
  command = plan

  override_data {
    target = data.aws_caller_identity.this
    values = { account_id = "111122223333" }
  }

  assert {
    condition     = output.account_id == "111122223333"
    error_message = "Account: ${output.account_id}"
  }
}
