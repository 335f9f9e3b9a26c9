"""DynamoDB and its streams, on moto."""
