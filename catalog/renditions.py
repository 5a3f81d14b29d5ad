"""By which addresses does a client get a part of a datacube as a file or as a picture, without reading Zarr?

Each is a ``cube`` query of OGC API EDR, computed when it is asked for. What the server would refuse (too large, a grid
that has no rows and columns) is not offered: a query is planned before its address is published, once for all parts
that touch equally many times and chunks, since they cost the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from catalog.extents import Box
from catalog.forecasts import Run
from catalog.links import FrontUrls
from catalog.partitions import Part
from plugins.datacube.axes import AxisKind
from plugins.datacube.datacube import Datacube, GridKind
from plugins.datacube.errors import IsoplethError
from plugins.datacube.limits import Limits, admit
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query

NETCDF: Final = "application/netcdf"
GEOTIFF: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
PNG: Final = "image/png"
SINGLE_LIMIT: Final = 20
"""Of so many parameters each has a file of its own, where one file of all would be too large."""

type Asset = dict[str, Any]


class Renditions:
    """The files and pictures of one datacube.

    Parameters
    ----------
    cube : Datacube
        The opened store.
    box : Box
        Its bounding box in degrees.
    urls : FrontUrls
        Public addresses.
    limits : Limits
        What one answer may cost.
    """

    def __init__(self, cube: Datacube, box: Box, urls: FrontUrls, limits: Limits) -> None:
        self._cube = cube
        self._urls = urls
        self._limits = limits
        self._box = {"bbox": ",".join(f"{edge:.12g}" for edge in box)}
        self._first = {
            ("z" if axis.kind is AxisKind.Z else axis.name): axis.texts()[0]
            for axis in cube.axes.values()
            if axis.kind in (AxisKind.Z, AxisKind.CUSTOM) and axis.size
        }
        self._known: dict[tuple[Any, ...], bool] = {}
        self._has_pictures = cube.unsupported is None and _has_rows_and_columns(cube)

    def of(self, part: Part) -> dict[str, Asset]:
        """Return the assets of a part: NetCDF of all of it; its first time as GeoTIFF and as thumbnail."""
        found = self._files(part)
        if not self._has_pictures:
            return found
        at = {**self._first, **part.query, **self._first_time(part)}
        if href := self._href(at, "GeoTIFF", part):
            found["geotiff"] = {
                "href": href,
                "type": GEOTIFF,
                "title": "GeoTIFF of the first time",
                "description": "Cloud-optimised; one band a parameter, at the first time, level and member",
                "roles": ["data"],
            }
        return found | self.thumbnail(at, part)

    def thumbnail(self, at: Mapping[str, str], part: Part | None = None) -> dict[str, Asset]:
        """Return the asset ``thumbnail``: the first parameter as a picture, drawn when it is asked for.

        Parameters
        ----------
        at : mapping
            The query's time, level and other dimensions; where one is missing, its first value is taken.
        part : Part, optional
            Of which it is.
        """
        if not self._has_pictures:
            return {}
        run = None if part is None else part.run
        parameters = self._cube.parameters.values()
        parameter = next((p for p in parameters if run is None or run.dimension in p.dims), None)
        if parameter is None:
            return {}
        axes = self._cube.axes_of(parameter)
        names = {{AxisKind.Z: "z", AxisKind.T: "datetime"}.get(axis.kind, axis.name) for axis in axes}
        needed = {name: value for name, value in {**self._first, **at}.items() if name in names}
        href = self._href({**needed, "parameter-name": parameter.name}, "PNG", part)
        if href is None:
            return {}
        title = f"Picture of {parameter.label or parameter.name}"
        return {"thumbnail": {"href": href, "type": PNG, "title": title, "roles": ["thumbnail"]}}

    def _files(self, part: Part) -> dict[str, Asset]:
        if href := self._href(part.query, "NetCDF", part):
            return {"netcdf": {"href": href, "type": NETCDF, "title": "NetCDF (CF conventions)", "roles": ["data"]}}
        if not 1 < len(self._cube.parameters) <= SINGLE_LIMIT:
            return {}
        found = {}
        for name, parameter in self._cube.parameters.items():
            if part.run is not None and part.run.dimension not in parameter.dims:
                continue
            if href := self._href({**part.query, "parameter-name": name}, "NetCDF", part):
                title = f"{parameter.label or name} as NetCDF (CF conventions)"
                found[f"netcdf-{name}"] = {"href": href, "type": NETCDF, "title": title, "roles": ["data"]}
        return found

    def _first_time(self, part: Part) -> dict[str, str]:
        if part.run is not None:
            return {} if "datetime" in part.query else {"datetime": part.run.first}
        time = next((axis for axis in part.axes.values() if axis.kind is AxisKind.T), self._cube.axis(AxisKind.T))
        return (
            {}
            if time is None or not time.size
            else {"datetime": time.take(time.values.argmin(keepdims=True)).texts()[0]}
        )

    def _touched(self, part: Part) -> tuple[int, ...]:
        """Return how many positions and how many chunks of each length a part has along the axes that it cuts."""
        found: list[int] = []
        for name, (first, last) in part.spans.items():
            lengths = {p.chunks[p.dims.index(name)] for p in self._cube.parameters.values() if name in p.dims}
            found += [part.axes[name].size, *(last // n - first // n + 1 for n in sorted(lengths))]
        return tuple(found)

    def _href(self, query: Mapping[str, str], form: str, part: Part | None) -> str | None:
        """Return the address of a query in a format, or None where the server would refuse it."""
        asked = {**self._box, **query, "f": form}
        # Parts that touch as much cost the same; so does one time, wherever it is.
        touched = self._touched(part) if part is not None and form == "NetCDF" else ()
        key = (form, asked.get("parameter-name"), touched)
        if key not in self._known:
            try:
                admit(plan_query(self._cube, parse_query("cube", asked, self._cube)).cost, self._limits)
                self._known[key] = True
            except IsoplethError:
                self._known[key] = False
        if not self._known[key]:
            return None
        address = self._urls.collection(self._cube.id)
        if part is not None and part.run is not None:
            address = self._urls.instance(self._cube.id, part.run.id)
            asked = self._of_run(asked, part.run, first=form != "NetCDF")
        return f"{address}/cube?{urlencode(asked, quote_via=quote, safe=',:/')}"

    def _of_run(self, asked: Mapping[str, str], run: Run, *, first: bool) -> dict[str, str]:
        """Return a query of the collection as one of a run, whose steps are times."""
        inside = {name: value for name, value in asked.items() if name not in ("datetime", run.dimension, run.period)}
        form = {"f": inside.pop("f")}
        return inside | ({"datetime": run.first} if first else {}) | form


def _has_rows_and_columns(cube: Datacube) -> bool:
    """Whether the cells are pixels: equally spaced along x and along y."""
    horizontal = (cube.axis(AxisKind.X), cube.axis(AxisKind.Y))
    kinds = (GridKind.RECTILINEAR, GridKind.PROJECTED)
    return cube.grid.kind in kinds and all(axis is not None and axis.step is not None for axis in horizontal)
