data "aws_caller_identity" "this" {
  lifecycle {
    # Emulators answer with account 000000000000. State of an emulator applied to AWS, or the reverse, would find
    # nothing that it knows, and create everything again.
    postcondition {
      condition     = !can(regex("^(local|endpoint)", terraform.workspace)) || self.account_id == "000000000000"
      error_message = <<-EOT
        Workspace ${terraform.workspace} is for an emulator (account 000000000000), but the credentials are of account ${self.account_id}.
        Nothing was changed. Point AWS_ENDPOINT_URL at the emulator: eval "$(make -s env)", or use the workspace of AWS: terraform workspace select aws.
      EOT
    }
    postcondition {
      condition     = !startswith(terraform.workspace, "aws") || self.account_id != "000000000000"
      error_message = <<-EOT
        Workspace ${terraform.workspace} is for AWS, but an emulator answers (account 000000000000).
        Nothing was changed. Unset AWS_ENDPOINT_URL and use the credentials of your account, or use the emulator's workspace: terraform workspace select local.
      EOT
    }
  }
}
