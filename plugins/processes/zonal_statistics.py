"""What is the mean over a country, a catchment, a box, at each time?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon
from shapely.errors import ShapelyError

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube, GridKind, Parameter
from plugins.datacube.errors import InvalidQueryError, TooLargeError
from plugins.datacube.geometry import check_position
from plugins.datacube.library import Library
from plugins.datacube.reduce.answer import answer_of_regions, describe
from plugins.datacube.reduce.areas import cells_of_query, cells_of_regions
from plugins.datacube.reduce.layout import Layout
from plugins.datacube.reduce.reduction import Rows, Statistic
from plugins.datacube.reduce.sums import Sum
from plugins.datacube.selection import Points
from plugins.processes.data_inputs import TABLES, Data, choose, data_inputs, format_input, result_output
from plugins.processes.reducing import Reducing, Setting
from plugins.processes.statistics import STATISTICS, statistics

MOST_REGIONS: Final = 1_000
MOST_VERTICES: Final = 100_000
"""Of all regions together."""
NAMES: Final = ("id", "name", "title", "NAME", "ISO_A3", "NUTS_ID")
"""Properties by which a region is called where its feature has no id."""
_POSITION: Final = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
_RINGS: Final = {"type": "array", "items": {"type": "array", "items": _POSITION, "minItems": 4}, "minItems": 1}
_GEOMETRY: Final = {
    "oneOf": [
        {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {"type": {"const": "Polygon"}, "coordinates": _RINGS},
        },
        {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"const": "MultiPolygon"},
                "coordinates": {"type": "array", "items": _RINGS, "minItems": 1},
            },
        },
    ]
}
REGIONS: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_REGIONS,
            "items": {
                "type": "object",
                "required": ["type", "geometry"],
                "properties": {
                    "type": {"const": "Feature"},
                    "id": {"type": ["string", "number"]},
                    "geometry": _GEOMETRY,
                    "properties": {"type": ["object", "null"]},
                },
            },
        },
    },
}

_OWN: Final[Mapping[str, Any]] = {
    "regions": {
        "title": "Regions",
        "description": f"A GeoJSON FeatureCollection of up to {MOST_REGIONS} Polygons and MultiPolygons, longitude "
        "first. A cell counts by the part of it that lies in the region. If absent, the cells that the query selects "
        "are the one region, each of them whole.",
        "schema": REGIONS,
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "statistics": {
        **STATISTICS,
        "description": "One or more of mean, std (both weighted by area), min, max, median, count (of cells), "
        "percentiles p0 to p100 (of the values of cells, each counting once), and integral (over the area, in square "
        "metres). Each becomes a parameter of the result: t2m_mean.",
        "schema": {
            "type": "string",
            "pattern": r"^(mean|min|max|integral|std|median|count|p(100|\d{1,2}(\.\d{1,3})?))$",
            "default": "mean",
        },
    },
    "format": format_input(TABLES),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "zonal-statistics",
    "version": "1.0.0",
    "title": "Statistics over regions",
    "description": (
        "Area-weighted means, and other statistics, over the cells of one region or of many, at each time, level and "
        "member. The area of a cell on longitudes and latitudes is exact on the sphere, by its bounds; cells that lie "
        "partly in a region count by the share of them that does."
    ),
    "keywords": ["zonal statistics", "area mean", "region", "catchment", "country", "polygon"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {**data_inputs(), **_OWN},
    "outputs": result_output("The series of each region", "A table or a dataset with a dimension region.", TABLES),
    "example": {
        "inputs": {
            "collection": "era5-like",
            "parameter-name": "t2m",
            "datetime": "2024-01-05",
            "regions": {
                "type": "FeatureCollection",
                "features": [
                    {
                        "type": "Feature",
                        "id": "Iberia",
                        "properties": {},
                        "geometry": {
                            "type": "Polygon",
                            "coordinates": [[[-9, 37], [-2, 36.5], [3, 42], [-1.5, 43.5], [-9, 43], [-9, 37]]],
                        },
                    },
                    {
                        "type": "Feature",
                        "id": "Ireland",
                        "properties": {},
                        "geometry": {
                            "type": "Polygon",
                            "coordinates": [[[-10, 52], [-6, 52], [-6, 55], [-10, 55], [-10, 52]]],
                        },
                    },
                ],
            },
            "statistics": ["mean", "max"],
            "format": "CSV",
        }
    },
}


@dataclass(frozen=True, slots=True)
class Region:
    """A named part of the Earth."""

    name: str
    geometry: Polygon | MultiPolygon


def read_regions(collection: Mapping[str, Any], *, geographic: bool = True) -> list[Region]:
    """Read a FeatureCollection that has the form of `REGIONS`.

    Raises
    ------
    InvalidQueryError
        If a geometry is no valid polygon, or two regions have one name.
    TooLargeError
        If there are more than `MOST_VERTICES` vertices.
    """
    regions: list[Region] = []
    vertices = 0
    for number, feature in enumerate(collection["features"], 1):
        name = _name(feature, number)
        parts = feature["geometry"]["coordinates"]
        rings = [parts] if feature["geometry"]["type"] == "Polygon" else parts
        vertices += sum(len(ring) for polygon in rings for ring in polygon)
        if vertices > MOST_VERTICES:
            raise TooLargeError(
                f"the regions have more than {MOST_VERTICES:,} vertices: simplify them, or send fewer at a time",
                estimate={"vertices": vertices},
                limits={"vertices": MOST_VERTICES},
            )
        regions.append(Region(name, _geometry(name, rings, geographic=geographic)))
    names = [region.name for region in regions]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidQueryError("regions", f"two regions are called {twice[:64]!r}", "an id for each feature, once")
    return regions


def _name(feature: Mapping[str, Any], number: int) -> str:
    properties = feature.get("properties") or {}
    for given in (feature.get("id"), *(properties.get(name) for name in NAMES)):
        if isinstance(given, str | int | float) and not isinstance(given, bool) and str(given).strip():
            return str(given).strip()[:200]
    return str(number)


def _geometry(name: str, polygons: Sequence[Any], *, geographic: bool) -> Polygon | MultiPolygon:
    try:
        made = [Polygon([p[:2] for p in rings[0]], [[p[:2] for p in ring] for ring in rings[1:]]) for rings in polygons]
        geometry = made[0] if len(made) == 1 else MultiPolygon(made)
    except (ShapelyError, ValueError) as error:
        raise InvalidQueryError(
            "regions", f"the region {name[:64]!r} has no rings of positions", "closed rings"
        ) from error
    for x, y in ((geometry.bounds[0], geometry.bounds[1]), (geometry.bounds[2], geometry.bounds[3])):
        check_position("regions", x, y, geographic=geographic)
    if not geometry.is_valid or geometry.is_empty:
        reason = shapely.is_valid_reason(geometry)
        raise InvalidQueryError(
            "regions",
            f"the region {name[:64]!r} is no valid polygon: {reason[:120]}",
            "rings that do not cross themselves",
        )
    return geometry


def choose_around(inputs: Mapping[str, Any], own: Collection[str], library: Library) -> Data:
    """Return the data around all regions, or those of the query."""
    if "regions" not in inputs:
        data = choose(inputs, own, library)
        if any(isinstance(group.horizontal, Points) for group in data.plan.selection.groups):
            raise InvalidQueryError("query", "points have no area", "area, cube or radius")
        return data
    for name in ("query", "coords", "bbox", "within", "within-units", "crs"):
        if name in inputs:
            raise InvalidQueryError(name, f"regions and {name} both say where", "one of them")
    probe = choose(inputs, own, library)
    regions = read_regions(inputs["regions"], geographic=probe.cube.grid.geographic)
    if probe.cube.grid.kind is not GridKind.RECTILINEAR:
        raise InvalidQueryError(
            "regions", f"{probe.cube.id} has a {probe.cube.grid.kind.value} grid, whose cells are not cut", "query area"
        )
    box = _box(probe.cube, [region.geometry for region in regions])
    return choose({**inputs, "query": "cube", "bbox": box}, own, library)


def _box(cube: Datacube, geometries: Sequence[Polygon | MultiPolygon]) -> list[float]:
    """Return a box that holds every cell that a region touches."""
    bounds = np.array([geometry.bounds for geometry in geometries])
    (west, south), (east, north) = bounds[:, :2].min(axis=0).tolist(), bounds[:, 2:].max(axis=0).tolist()
    widest = {kind: _widest(cube.axis(kind)) for kind in (AxisKind.X, AxisKind.Y)}
    west, east = west - widest[AxisKind.X], east + widest[AxisKind.X]
    south, north = south - widest[AxisKind.Y], north + widest[AxisKind.Y]
    if cube.grid.geographic:
        south, north = max(south, -90.0), min(north, 90.0)
        west, east = max(west, -540.0), min(east, 540.0)
    return [west, south, east, north]


def _widest(axis: Axis | None) -> float:
    return 0.0 if axis is None else float((axis.cells[:, 1] - axis.cells[:, 0]).max())


def setting(inputs: Mapping[str, Any], data: Data) -> Setting:
    """Take the cells of each region together."""
    names = inputs.get("statistics", ["mean"])
    made: list[Statistic] = []
    for name in dict.fromkeys(names):
        if name == "integral":
            made.append(Statistic(Sum(), _integral))
        else:
            made += statistics([name], "area", "area")
    regions = None
    if "regions" in inputs:
        regions = read_regions(inputs["regions"], geographic=data.cube.grid.geographic)
        if any(region.geometry.bounds[2] - region.geometry.bounds[0] > 360.0 for region in regions):
            raise InvalidQueryError("regions", "a region is wider than the globe", "at most 360 degrees")
    formats = TABLES
    return Setting(partial(_rows, regions=regions, seen={}), made, answer=answer_of_regions, formats=formats)


def _rows(layout: Layout, regions: Sequence[Region] | None, seen: dict[int, Rows]) -> Rows | None:
    # Parameters of one group share their cells, which take long to cut.
    key = id(layout.group)
    if key not in seen:
        seen[key] = _cut(layout, regions)
    return seen[key]


def _cut(layout: Layout, regions: Sequence[Region] | None) -> Rows:
    if regions is None:
        return Rows(layout.horizontal, None, cells=cells_of_query(layout))
    cells = cells_of_regions(layout, [region.geometry for region in regions])
    names = Axis(AxisKind.CUSTOM, "region", np.array([region.name for region in regions]), long_name="region")
    return Rows(layout.horizontal, names, cells=cells)


def _integral(parameter: Parameter) -> Parameter:
    units = (f"{parameter.units} m2" if parameter.units else None, f"{parameter.ucum}.m2" if parameter.ucum else None)
    return describe(
        parameter, "integral", "area integral", method="area: sum", units=units, dtype="float64", named=False
    )


PROCESS: Final = Reducing(DESCRIPTION, frozenset(_OWN), setting, choose_around).process("ZonalStatisticsProcessor")
