mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name            = "shop-uploads"
  expiration_days = 30
  noncurrent_days = 7
}

run "private_versioned_encrypted_and_over_tls_only" {
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "The bucket can be made public: ${jsonencode(aws_s3_bucket_public_access_block.this)}"
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket is not versioned."
  }

  assert {
    condition = [for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
      rule.apply_server_side_encryption_by_default[0].sse_algorithm
    ] == ["AES256"]
    error_message = "The bucket is not encrypted as it should be."
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.this.policy).Statement == [{
      Sid       = "DenyPlaintext"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "Policy: ${aws_s3_bucket_policy.this.policy}"
  }
}

run "objects_and_their_versions_expire_and_are_not_destroyed_otherwise" {
  assert {
    condition = (
      aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].days == 30
      && aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].noncurrent_days == 7
    )
    error_message = "Lifecycle: ${jsonencode(aws_s3_bucket_lifecycle_configuration.this.rule)}"
  }

  assert {
    condition     = aws_s3_bucket.this.force_destroy == false
    error_message = "Destroying the bucket would delete what is in it, which nobody asked for."
  }
}

run "refuses_a_name_that_s3_does_not_take" {
  command = plan

  variables {
    name = "Shop_Uploads"
  }

  expect_failures = [var.name]
}
