"""The lab: deploys a pattern, breaks it on purpose, observes it, records the evidence."""
