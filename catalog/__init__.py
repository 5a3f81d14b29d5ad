"""Datacubes as STAC: describe, keep, search, serve."""

import logging

# stac-fastapi warns about its default title as soon as it is imported; ours is given when the API is made.
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)
