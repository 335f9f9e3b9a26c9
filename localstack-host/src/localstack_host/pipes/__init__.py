"""EventBridge Pipes: from a source to a target, with a filter, an enrichment and input templates."""
