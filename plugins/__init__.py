"""What pygeoapi loads, and the datacube core under it."""
