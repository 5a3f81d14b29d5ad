"""pygeoapi provider plugins over the datacube core."""
