"""SNS: subscriptions."""
