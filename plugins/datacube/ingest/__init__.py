"""NetCDF and GRIB files become checksummed Icechunk repositories.

This package module imports nothing: the GRIB decoder runs as ``python -m plugins.datacube.ingest.grib_child`` in a
process of its own, where PROJ must not be loaded a second time.
"""
