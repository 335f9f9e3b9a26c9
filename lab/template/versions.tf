terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  backend "local" {}
}

# Region, credentials and endpoint come from the environment: the same files deploy to an emulator and to AWS.
provider "aws" {
  default_tags {
    tags = {
      pattern    = "new-pattern"
      deployment = var.name
      managed-by = "terraform"
    }
  }
}
