output "account_id" {
  description = "Id of the account that the credentials are of; 000000000000 is an emulator's."
  value       = data.aws_caller_identity.this.account_id
}
