"""The science, as OGC API processes."""
