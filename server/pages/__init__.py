"""Pages that work without the internet."""
