"""Which STAC items does a datacube have, and what do they say?

One for each part that `catalog.partitions` finds, so that a search by box or date finds the data. An item's id does not
change when the data do: it is that of its collection, and ``all``, the month, the year or the reference time.

A cube without a time axis has no item: a STAC item must carry a date, and an invented one would let the cube answer
searches that it should not, or miss those that it should. The collection still lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from catalog.assets import JSON, ZarrFormat, assets
from catalog.dimensions import cut, dimensions, variables
from catalog.document import EXTENSIONS, FORECAST_EXTENSION, STAC_VERSION, Document
from catalog.extents import Box, box_of, rfc3339
from catalog.links import FrontUrls
from catalog.partitions import WHOLE_SUFFIX, Part, parts
from catalog.renditions import Renditions
from plugins.datacube.calendar import MICROSECONDS, iso_duration
from plugins.datacube.datacube import Datacube
from plugins.datacube.limits import Limits


def items(cube: Datacube, urls: FrontUrls, zarr_format: ZarrFormat = 3, limits: Limits | None = None) -> list[Document]:
    """Return the items of a datacube, in the order of their times.

    Parameters
    ----------
    cube : Datacube
        The opened store.
    urls : FrontUrls
        Public addresses for the assets.
    zarr_format : {2, 3}
        The format in which the raw Zarr view shows the store.
    limits : Limits, optional
        What one answer of the server may cost; larger files are not offered.
    """
    return list(_items(cube, urls, zarr_format, limits or Limits()))


def _items(cube: Datacube, urls: FrontUrls, zarr_format: ZarrFormat, limits: Limits) -> Iterator[Document]:
    box = box_of(cube)
    geometry = footprint(box)
    described = dimensions(cube)
    measured = variables(cube)
    renditions = Renditions(cube, box, urls, limits)
    stores = assets(cube, urls, zarr_format)
    for part in parts(cube):
        parted = {name: cut(described[name], axis) for name, axis in part.axes.items()}
        properties: dict[str, Any] = {
            "title": _title(cube, part),
            **_times(part),
            "cube:dimensions": described | parted,
            "cube:variables": measured,
        }
        if part.suffix == WHOLE_SUFFIX:
            # A part need not have changed when the cube has.
            properties["isopleth:snapshot"] = cube.snapshot
        yield {
            "type": "Feature",
            "stac_version": STAC_VERSION,
            "stac_extensions": [*EXTENSIONS, *((FORECAST_EXTENSION,) if part.reference is not None else ())],
            "id": f"{cube.id}-{part.suffix}",
            "collection": cube.id,
            "geometry": geometry,
            "bbox": list(box),
            "properties": properties,
            "links": _links(cube, urls, part),
            "assets": stores | renditions.of(part),
        }


def _times(part: Part) -> dict[str, Any]:
    """Return the dates of an item, of a forecast by the forecast extension (v0.2.0) too.

    The nominal date of a period is its start: clients sort by it, and some cannot do without. The horizon leads from
    the reference time to the first valid time, the duration from there to the last one.
    """
    times: dict[str, Any] = {
        "datetime": rfc3339(part.start),
        "start_datetime": rfc3339(part.start),
        "end_datetime": rfc3339(part.end),
    }
    if part.reference is not None:
        times["forecast:reference_datetime"] = rfc3339(part.reference)
        horizon, duration = ((b - a).total_seconds() for a, b in ((part.reference, part.start), (part.start, part.end)))
        if horizon >= 0:
            times["forecast:horizon"] = _duration(horizon)
        times["forecast:duration"] = _duration(duration)
    return times


def _duration(seconds: float) -> str:
    return iso_duration(round(seconds * MICROSECONDS["second"]))


def _title(cube: Datacube, part: Part) -> str:
    if part.suffix == WHOLE_SUFFIX:
        return cube.title
    if part.reference is not None:
        return f"{cube.title}, run of {rfc3339(part.reference)}"
    return f"{cube.title}, {part.suffix}"


def _links(cube: Datacube, urls: FrontUrls, part: Part) -> list[dict[str, Any]]:
    links = [{"rel": "collection", "type": JSON, "href": urls.stac_collection(cube.id)}]
    if cube.unsupported is None:
        what, href = "collection", urls.collection(cube.id)
        if part.run is not None:
            what, href = "run", urls.instance(cube.id, part.run.id)
        title = f"The {what} in OGC API - Environmental Data Retrieval"
        links.append({"rel": "related", "type": JSON, "title": title, "href": href})
    return links


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
