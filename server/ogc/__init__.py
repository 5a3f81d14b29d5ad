"""pygeoapi hosted under /ogc, and the API functions that must go past it."""
