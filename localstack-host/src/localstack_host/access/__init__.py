"""Access control: what policies decide about a request."""
