"""What several services need: timers, schedules, deliveries, news of records, a lock around moto."""
