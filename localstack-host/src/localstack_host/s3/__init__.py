"""S3: events, presigned URLs, storage."""
