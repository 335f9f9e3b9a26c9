# None: workspace and credentials are Terraform's own.
