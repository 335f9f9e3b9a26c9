"""Event source mappings: what invokes functions with the messages of queues and the records of streams."""
