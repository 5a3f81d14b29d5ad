"""Datacubes as STAC: describe, keep, search, serve."""
