"""SQS: queues, their dead-letter queues and metrics."""
