"""Lambda: functions as processes of this machine, and what becomes of their invocations."""
