# Layers

locals {
  order = ["powertools", "handlers"] # in which Lambda unpacks them
}

resource "aws_lambda_layer_version" "this" {
  for_each = toset(concat(local.order, var.fault_injection ? ["fault_injection"] : []))

  layer_name               = "${var.name}-${replace(each.key, "_", "-")}"
  filename                 = "${var.layers}/${each.key}.zip"
  source_code_hash         = filebase64sha256("${var.layers}/${each.key}.zip")
  compatible_runtimes      = ["python3.13"]
  compatible_architectures = [var.architecture]
}

# Faults

resource "aws_ssm_parameter" "rules" {
  count = var.fault_injection ? 1 : 0

  name        = "/${var.name}/faults"
  description = "Fault rules in force; none when the list is empty"
  type        = "String"
  value       = jsonencode({ rules = [] })

  lifecycle {
    # Faults are switched on and off by writing the parameter: an apply must not undo a fault that is being shown.
    ignore_changes = [value]
  }
}
