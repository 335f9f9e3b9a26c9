# Layer

resource "aws_lambda_layer_version" "this" {
  layer_name               = "${var.name}-fault-injection"
  description              = "Wraps a function's handler and acts on the fault rules in ${aws_ssm_parameter.rules.name}"
  filename                 = var.package
  source_code_hash         = filebase64sha256(var.package)
  compatible_runtimes      = ["python3.13"]
  compatible_architectures = [var.architecture]
}

# Rules

resource "aws_ssm_parameter" "rules" {
  name        = "/${var.name}/faults"
  description = "Fault rules in force; none when the list is empty"
  type        = "String"
  value       = jsonencode({ rules = [] })

  lifecycle {
    # Faults are switched on and off by writing the parameter: an apply must not undo a fault that is being shown.
    ignore_changes = [value]
  }
}
