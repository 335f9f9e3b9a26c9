# tflint --init; tflint --recursive --config "$PWD/.tflint.hcl"

plugin "terraform" {
  enabled = true
  preset  = "recommended"
}

plugin "aws" {
  enabled = true
  version = "0.42.0"
  source  = "github.com/terraform-linters/tflint-ruleset-aws"
}

plugin "aws-serverless" {
  enabled = true
  version = "0.3.3"
  source  = "github.com/awslabs/serverless-rules"
}

# On-failure destinations are for streams and Kafka. An SQS queue's mapping takes none: the queue has its dead-letter
# queue.
rule "aws_lambda_event_source_mapping_failure_destination" {
  enabled = false
}

# A correlation id in every log line ties the hops together; X-Ray is billed per trace, and its PutTraceSegments
# knows no resource but "*".
rule "aws_lambda_function_tracing_rule" {
  enabled = false
}
