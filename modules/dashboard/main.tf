data "aws_region" "current" {}

locals {
  width  = 24 / var.columns # CloudWatch's grid is 24 wide
  height = 6
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for index, widget in var.widgets : {
      type       = "metric"
      x          = index % var.columns * local.width
      y          = floor(index / var.columns) * local.height
      width      = local.width
      height     = local.height
      properties = merge(widget, { period = 60, region = data.aws_region.current.id })
    }]
  })
}
