# Bucket

resource "aws_s3_bucket" "this" {
  bucket        = var.name
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

# What S3 does by default since 2023, written down so that a change of it shows up in a plan.
resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# Access

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "DenyPlaintext"
      Effect = "Deny"
      # "*" on purpose: a Deny that leaves out a principal, an action or an object does not hold for it.
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 refuses one of two changes of a bucket's access that meet.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Lifecycle

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.expiration_days
    }

    # In a versioned bucket an expired object only becomes noncurrent: this is what deletes it.
    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    # Parts of uploads that were never completed are billed, and listed nowhere.
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # It names noncurrent versions, so the bucket has to be versioned first.
  depends_on = [aws_s3_bucket_versioning.this]
}
