mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "shop"
  widgets = [for title in ["first", "second", "third", "fourth"] : {
    title   = title
    stat    = "Sum"
    metrics = [["AWS/Lambda", "Errors", "FunctionName", title], ["shop", "MessagesFailed"]]
  }]
}

run "widgets_fill_the_grid_from_left_to_right_and_top_to_bottom" {
  assert {
    condition = [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      [widget.properties.title, widget.x, widget.y, widget.width, widget.height]
      ] == [
      ["first", 0, 0, 8, 6],
      ["second", 8, 0, 8, 6],
      ["third", 16, 0, 8, 6],
      ["fourth", 0, 6, 8, 6],
    ]
    error_message = "Dashboard: ${aws_cloudwatch_dashboard.this.dashboard_body}"
  }

  assert {
    condition = jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[1] == {
      type   = "metric"
      x      = 8
      y      = 0
      width  = 8
      height = 6
      properties = {
        title   = "second"
        stat    = "Sum"
        metrics = [["AWS/Lambda", "Errors", "FunctionName", "second"], ["shop", "MessagesFailed"]]
        period  = 60
        region  = "eu-west-1"
      }
    }
    error_message = "Dashboard: ${aws_cloudwatch_dashboard.this.dashboard_body}"
  }
}

run "a_row_can_have_another_number_of_columns" {
  variables {
    columns = 2
  }

  assert {
    condition = [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      [widget.x, widget.y, widget.width]
    ] == [[0, 0, 12], [12, 0, 12], [0, 6, 12], [12, 6, 12]]
    error_message = "Dashboard: ${aws_cloudwatch_dashboard.this.dashboard_body}"
  }
}

run "refuses_columns_that_do_not_divide_the_grid" {
  command = plan

  variables {
    columns = 5
  }

  expect_failures = [var.columns]
}
