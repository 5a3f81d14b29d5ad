"""Which files and pictures are offered, and with which queries; that they answer is tested on a running server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from catalog.describe import described
from catalog.extents import box_of
from catalog.links import FrontUrls
from catalog.partitions import parts
from catalog.renditions import Renditions
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube
from plugins.datacube.limits import Limits
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query

MakeCube = Callable[..., Datacube]
Validate = Callable[[dict[str, Any]], None]
URLS = FrontUrls("http://127.0.0.1:8000")
TINY = Limits(bytes_out=1)


def assets_of(cube: Datacube, limits: Limits | None = None) -> dict[str, Any]:
    return Renditions(cube, box_of(cube), URLS, limits or Limits()).of(parts(cube)[0])


def coarse(cube: Datacube) -> Datacube:
    """The same in one chunk a parameter."""
    parameters = {name: replace(p, chunks=p.shape) for name, p in cube.parameters.items()}
    return replace(cube, parameters=parameters)


def asked(asset: dict[str, Any]) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(asset["href"]).query).items()}


def test_what_they_ask_for(make_cube: MakeCube) -> None:
    found = assets_of(coarse(make_cube()))
    assert list(found) == ["netcdf", "geotiff", "thumbnail"]
    assert found["netcdf"]["href"].startswith("http://127.0.0.1:8000/ogc/collections/model/cube?")
    assert asked(found["netcdf"]) == {"bbox": "-180,35,180,65", "f": "NetCDF"}
    first = {"bbox": "-180,35,180,65", "datetime": "1970-01-01T00:00:00Z", "number": "0", "z": "1000"}
    assert asked(found["geotiff"]) == {**first, "f": "GeoTIFF"}
    assert asked(found["thumbnail"]) == {**first, "parameter-name": "t", "f": "PNG"}
    assert [found[key]["roles"] for key in found] == [["data"], ["data"], ["thumbnail"]]


def test_a_picture_asks_for_no_dimension_that_its_parameter_has_not(make_cube: MakeCube) -> None:
    cube = make_cube()
    whole = cube.parameters["t"]
    flat = replace(whole, name="mask", dims=("lat", "lon"), shape=whole.shape[-2:], chunks=(1, 1))
    found = assets_of(replace(cube, parameters={"mask": flat, "t": whole}))
    assert asked(found["thumbnail"]) == {"bbox": "-180,35,180,65", "parameter-name": "mask", "f": "PNG"}


def test_what_would_be_refused_is_not_offered(make_cube: MakeCube) -> None:
    cube = make_cube()
    assert assets_of(cube, TINY) == {}
    assert assets_of(replace(cube, unsupported="its grid is curvilinear")) == {}


def test_parameters_one_by_one_where_all_are_too_large(make_cube: MakeCube) -> None:
    cube = coarse(make_cube())
    one = cube.parameters["t"]
    both = replace(cube, parameters={"t": one, "u": replace(one, name="u")})
    values = int(np.prod(one.shape))
    found = assets_of(both, Limits(values=values))
    assert [key for key in found if key.startswith("netcdf")] == ["netcdf-t", "netcdf-u"]
    assert asked(found["netcdf-u"]) == {"bbox": "-180,35,180,65", "parameter-name": "u", "f": "NetCDF"}
    assert "netcdf" in assets_of(both, Limits(values=2 * values))


@pytest.mark.parametrize("values", [[60.0, 50.0, 35.0], [60.0]])
def test_rows_that_are_no_pixels_make_no_picture(make_cube: MakeCube, values: list[float]) -> None:
    cube = make_cube()
    axes = {**cube.axes, "lat": Axis(AxisKind.Y, "lat", np.array(values), "degrees_north", "latitude")}
    parameter = replace(cube.parameters["t"], shape=tuple(axis.size for axis in axes.values()))
    assert list(assets_of(coarse(replace(cube, axes=axes, parameters={"t": parameter})))) == ["netcdf"]


def test_a_collection_has_the_latest_picture_and_says_what_its_items_have(
    make_cube: MakeCube, validate: Validate
) -> None:
    document, its_items = described(coarse(make_cube()), URLS)
    validate(document)
    assert asked(document["assets"]["thumbnail"])["datetime"] == "1970-01-10T00:00:00Z"
    assert list(document["item_assets"]) == ["zarr", "zarr-v3", "netcdf", "geotiff", "thumbnail"]
    assert not any("href" in asset for asset in document["item_assets"].values())
    assert set(its_items[0]["assets"]) == set(document["item_assets"])


def test_what_each_part_costs_is_what_its_plan_says(make_cube: MakeCube) -> None:
    """Parts are planned once for many; the oracle plans every one of them."""
    days = np.arange(500, dtype=np.int64) * 86_400_000_000
    cube = make_cube()
    axes = {"time": Axis(AxisKind.T, "time", days), **{name: cube.axes[name] for name in ("lat", "lon")}}
    dims = tuple(axes)
    shape = tuple(axis.size for axis in axes.values())
    t = replace(cube.parameters["t"], dims=dims, shape=shape, chunks=(7, 3, 36))
    first, last = axes["time"].take(np.array([0, -1])).texts()
    extent = replace(cube.extent, start=first, end=last)
    cube = replace(cube, axes=axes, parameters={"t": t}, extent=extent)
    offered = set()
    for chunks in range(1, 7):
        limits = Limits(chunks=chunks)
        renditions = Renditions(cube, box_of(cube), URLS, limits)
        for part in parts(cube):
            raw = {"bbox": "-180,35,180,65", **part.query}
            fits = plan_query(cube, parse_query("cube", raw, cube)).cost.chunks <= chunks
            assert ("netcdf" in renditions.of(part)) is fits, (chunks, part.suffix)
            offered.add((chunks, fits))
    assert {(5, True), (5, False)} <= offered
