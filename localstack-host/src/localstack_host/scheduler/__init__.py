"""EventBridge Scheduler, on moto's schedules."""
