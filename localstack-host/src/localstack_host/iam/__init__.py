"""IAM: answers to questions about policies."""
