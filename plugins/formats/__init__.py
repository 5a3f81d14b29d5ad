"""A coverage as bytes."""
