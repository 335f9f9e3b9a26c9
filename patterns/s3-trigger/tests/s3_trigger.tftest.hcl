mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
}

run "uploads_trigger_ingest_by_prefix_and_suffix_and_failed_events_are_kept" {
  assert {
    condition = [for trigger in aws_s3_bucket_notification.uploads.lambda_function :
      "${join(", ", trigger.events)} ${trigger.filter_prefix}*${trigger.filter_suffix}"
    ] == ["s3:ObjectCreated:* incoming/*.json"]
    error_message = "Notification: ${jsonencode(aws_s3_bucket_notification.uploads.lambda_function)}"
  }

  assert {
    condition     = aws_lambda_permission.uploads.source_account == "111122223333"
    error_message = "A bucket of another account could invoke ingest."
  }

  assert {
    condition     = keys(output.uploads.alarms) == ["destination", "errors", "failed", "quarantined", "throttles"]
    error_message = "Alarms: ${jsonencode(keys(output.uploads.alarms))}"
  }

  assert {
    condition     = alltrue([for name in values(output.uploads.alarms) : startswith(name, "shop-")])
    error_message = "Alarms: ${jsonencode(output.uploads.alarms)}"
  }

  assert {
    condition = (
      keys(output.functions) == ["ingest", "replayer", "uploader", "worker"] && output.entry == "uploader"
      && output.operations == { replay = "replayer" }
    )
    error_message = "Functions: ${jsonencode(output.functions)}"
  }

  assert {
    condition     = output.faults_parameter == "/shop/faults" && keys(output.queues) == ["work"]
    error_message = "Faults parameter ${output.faults_parameter}, queues ${jsonencode(output.queues)}"
  }
}

run "a_copy_in_another_region_has_buckets_of_its_own" {
  command = plan

  override_data {
    target = data.aws_region.current
    values = { id = "eu-central-1" }
  }

  assert {
    condition     = local.bucket_suffix == "111122223333-eu-central-1"
    error_message = "Suffix: ${local.bucket_suffix}"
  }
}

run "the_longest_name_fits_into_those_of_the_buckets" {
  command = plan

  override_data {
    target = data.aws_region.current
    values = { id = "ap-southeast-1" } # no region's name is longer
  }

  variables {
    name = "a-name-of-24-letters-abc" # the buckets' module refuses a name of more than 63
  }
}

run "refuses_a_name_that_is_too_long_for_its_buckets" {
  command = plan

  variables {
    name = "a-name-of-25-letters-abcd"
  }

  expect_failures = [var.name]
}

run "refuses_more_retries_than_lambda_makes" {
  command = plan

  variables {
    max_retry_attempts = 3
  }

  expect_failures = [var.max_retry_attempts]
}

run "refuses_an_event_age_that_lambda_does_not_take" {
  command = plan

  variables {
    max_event_age = 30
  }

  expect_failures = [var.max_event_age]
}
