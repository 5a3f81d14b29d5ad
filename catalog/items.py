"""Which STAC items does a datacube have?

One: the item ``<collection>-all`` covers the whole datacube, so that a search by box or date finds the data. Its id
does not change when the data do; ``isopleth:snapshot`` tells which state it describes.

A cube without a time axis has no item: a STAC item must carry a date, and an invented one would let the cube answer
searches that it should not, or miss those that it should. The collection still lists it.
"""

from __future__ import annotations

from typing import Any

from catalog.assets import JSON, ZarrFormat, assets
from catalog.dimensions import dimensions, variables
from catalog.document import EXTENSIONS, STAC_VERSION, Document
from catalog.extents import Box, box_of, interval_of, rfc3339
from catalog.links import FrontUrls
from plugins.datacube.datacube import Datacube

WHOLE_SUFFIX = "-all"


def item_id(cube: Datacube) -> str:
    """Return the id of the item that covers the whole cube."""
    return f"{cube.id}{WHOLE_SUFFIX}"


def has_item(cube: Datacube) -> bool:
    """Return whether the cube has dates that a STAC item can carry."""
    return None not in interval_of(cube)


def items(cube: Datacube, urls: FrontUrls, zarr_format: ZarrFormat = 3) -> tuple[Document, ...]:
    """Return the items of a datacube: one or none.

    Parameters
    ----------
    cube : Datacube
        The opened store.
    urls : FrontUrls
        Public addresses for the assets.
    zarr_format : {2, 3}
        The format in which the raw Zarr view shows the store.
    """
    start, end = interval_of(cube)
    if start is None or end is None:
        return ()
    box = box_of(cube)
    document: Document = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": item_id(cube),
        "collection": cube.id,
        "geometry": footprint(box),
        "bbox": list(box),
        "properties": {
            "title": cube.title,
            "datetime": rfc3339(start) if start == end else None,
            "start_datetime": rfc3339(start),
            "end_datetime": rfc3339(end),
            "cube:dimensions": dimensions(cube),
            "cube:variables": variables(cube),
            "isopleth:snapshot": cube.snapshot,
        },
        "links": [{"rel": "collection", "type": JSON, "href": urls.stac_collection(cube.id)}],
        "assets": assets(cube, urls, zarr_format),
    }
    return (document,)


def footprint(box: Box) -> dict[str, Any]:
    """Return a box as a GeoJSON geometry; a box of no width or height is a line or a point.

    Examples
    --------
    >>> footprint((1.0, 2.0, 1.0, 2.0))
    {'type': 'Point', 'coordinates': [1.0, 2.0]}
    """
    west, south, east, north = box
    if west == east and south == north:
        return {"type": "Point", "coordinates": [west, south]}
    if west == east or south == north:
        return {"type": "LineString", "coordinates": [[west, south], [east, north]]}
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}
