"""CloudWatch Logs: filters, metrics from logs, queries."""
