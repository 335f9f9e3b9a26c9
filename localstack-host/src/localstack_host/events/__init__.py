"""EventBridge: rules, their targets and archives."""
