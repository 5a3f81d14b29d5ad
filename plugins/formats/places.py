"""Where on the Earth are the cells of an answer, in the longitudes and latitudes of GeoJSON?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from plugins.datacube.coverage import Coverage
from plugins.datacube.errors import InvalidQueryError

type Degrees = Callable[[Any, Any], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Arrays of x and y to arrays of longitude and latitude."""


def to_degrees(coverage: Coverage, key: str = "GeoJSON") -> Degrees:
    """Return what turns x and y of an answer into longitude and latitude (CRS84), longitudes from -180 to 180.

    Geographic coordinates are taken as they are, of whatever sphere or ellipsoid: the models mean the places of maps.
    `key` is the format that needs it, for the error.

    Raises
    ------
    InvalidQueryError
        If the CRS is not known; from the function, if a place has no longitude and latitude.
    """
    _, wkt, geographic = coverage.reference
    if geographic:
        return lambda x, y: (wrapped(x), np.asarray(y, np.float64))
    problem = InvalidQueryError(
        "f", f"{key} takes longitude and latitude, and the grid has none that is known", "CoverageJSON, NetCDF or CSV"
    )
    try:
        transformer = Transformer.from_crs(wkt, "OGC:CRS84", always_xy=True)
    except ProjError as error:
        raise problem from error

    def transformed(x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        longitude, latitude = transformer.transform(x, y)
        if not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
            raise problem
        return wrapped(longitude), np.asarray(latitude, np.float64)

    return transformed


def wrapped(longitudes: Any) -> NDArray[np.float64]:
    """Return longitudes from -180 to 180; those that are there already stay as they are, to the last bit.

    Examples
    --------
    >>> wrapped([-180, 180, 190, 359.75, -190]).tolist()
    [-180.0, 180.0, -170.0, -0.25, 170.0]
    """
    degrees = np.array(longitudes, np.float64)
    outside = np.abs(degrees) > 180
    degrees[outside] -= 360 * np.ceil((degrees[outside] - 180) / 360)
    return degrees
