"""How is a named place of a dataset written as a Feature of EDR GeoJSON (OGC 19-086r6, clause 9)?"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import shapely

from plugins.datacube.datacube import Datacube
from plugins.datacube.location import Location


def location_feature(location: Location, cube: Datacube, address: str) -> dict[str, Any]:
    """Return a location as a Feature.

    Parameters
    ----------
    location : Location
    cube : Datacube
        The dataset, whose times and parameters the Feature names.
    address : str
        Of the list of locations; the query of this one is below it.
    """
    return {
        "type": "Feature",
        "id": location.id,
        "geometry": shapely.geometry.mapping(location.geometry),
        "properties": {
            **location.properties,
            "name": location.name,
            "label": location.name,
            **({"datetime": period(cube)} if cube.extent.start else {}),
            "parameter-name": list(cube.parameters),
            "edrqueryendpoint": f"{address}/{quote(location.id, safe='')}",
        },
    }


def period(cube: Datacube) -> str:
    """Return the time that a dataset covers, as an instant or an interval."""
    start, end = cube.extent.start or "", cube.extent.end or ""
    return start if start == end else f"{start}/{end}"
