"""Coverages built by hand from NumPy arrays: the oracle of every test is the array itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.datacube import CRS84, Datacube, Extent, Grid, GridKind, Integrity, Parameter
from plugins.datacube.definition import DatasetDefinition

WKT_CRS84 = (
    'GEOGCRS["WGS 84 (CRS84)",DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],CS[ellipsoidal,2],AXIS["geodetic longitude (Lon)",east],'
    'AXIS["geodetic latitude (Lat)",north],UNIT["degree",0.0174532925199433],ID["OGC","CRS84"]]'
)
HOUR = 3_600_000_000

type Make = Callable[..., Coverage]


def make_cube(*, geographic: bool = True, wkt: str = WKT_CRS84, crs: str = CRS84, **definition: Any) -> Datacube:
    said = {"id": "demo", "href": "unused", "licence": "CC-BY-4.0", "attribution": "The Office", **definition}
    return Datacube(
        definition=DatasetDefinition(**said),
        title="A demonstration",
        description="Made by hand",
        parameters={},
        axes={},
        grid=Grid(GridKind.RECTILINEAR if geographic else GridKind.PROJECTED, crs, wkt, geographic),
        extent=Extent(-180, -90, 180, 90),
        snapshot="SNAPSHOT1",
        integrity=Integrity.VERIFIED,
        attributes={"institution": "ECMWF", "history": "yesterday", "source": "model"},
    )


def make_axes(
    *,
    custom: Sequence[tuple[str, Sequence[Any]]] = (),
    t: Sequence[int] | None = None,
    z: Sequence[float] | None = None,
    y: Sequence[float] | None = (51.5,),
    x: Sequence[float] | None = (-0.25,),
    calendar: str = "proleptic_gregorian",
    bounds: bool = False,
    z_name: str = "level",
) -> tuple[Axis, ...]:
    """Times are hours since 1970 in the calendar."""

    def cells(values: Any, half: Any) -> Any:
        return np.stack([values - half, values + half], axis=1) if bounds else None

    axes = []
    for name, values in custom:
        array = np.asarray(values)
        standard = "realization" if name == "number" else None
        axes.append(Axis(AxisKind.CUSTOM, name, array, standard_name=standard))
    if t is not None:
        times = np.asarray(t, np.int64) * HOUR
        axes.append(
            Axis(
                AxisKind.T,
                "time",
                times,
                standard_name="time",
                calendar=calendar,
                bounds=cells(times, HOUR // 2),
            )
        )
    if z is not None:
        axes.append(
            Axis(
                AxisKind.Z,
                z_name,
                np.asarray(z, np.float64),
                units="hPa",
                standard_name="air_pressure",
                long_name="pressure level",
                positive="down",
            )
        )
    for kind, name, given in ((AxisKind.Y, "latitude", y), (AxisKind.X, "longitude", x)):
        if given is not None:
            places = np.asarray(given, np.float64)
            axes.append(Axis(kind, name, places, units="degrees", standard_name=name, bounds=cells(places, 0.125)))
    return tuple(axes)


def make_parameter(name: str, values: Any, **described: Any) -> Parameter:
    fields = {
        "label": "2 metre temperature", "standard_name": "air_temperature", "long_name": "2 metre temperature",
        "units": "K", "ucum": "K", "cell_methods": "time: mean", **described,
    }  # fmt: skip
    return Parameter(name=name, dims=(), shape=values.shape, dtype=str(values.dtype), chunks=values.shape, **fields)


def make_coverage(
    values: Mapping[str, Any] | None = None,
    *,
    dtype: str = "f4",
    domain_type: DomainType | None = None,
    cube: Datacube | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    **axes: Any,
) -> Coverage:
    """A coverage with random values, unless `values` gives them by parameter name."""
    made = make_axes(**axes)
    shape = tuple(axis.size for axis in made)
    if values is None:
        values = {"t2m": (np.random.default_rng(7).standard_normal(shape) * 30 + 280).astype(dtype)}
    described = {
        name: make_parameter(name, array, **(parameters or {}).get(name, {})) for name, array in values.items()
    }
    return Coverage(cube or make_cube(), domain_type, made, described, dict(values))


@pytest.fixture(scope="session")
def make() -> Make:
    """Factory of coverages: see `make_coverage`."""
    return make_coverage


@pytest.fixture(scope="session")
def trajectory() -> Coverage:
    """Two members along a path of four places, with times and levels: values 0 to 7."""
    made = make_axes(
        custom=[("number", [3, 7])],
        t=[0, 1, 1, 3],
        z=[1000, 850, 850, 500],
        y=[50, 50, 51.5, 53],
        x=[-1.5, 0, 1.5, 182],
    )
    number, t, z, y, x = made
    along = Axis(AxisKind.COMPOSITE, "composite", np.arange(4), components=(t, x, y, z))
    values = np.arange(8, dtype="f4").reshape(2, 4)
    return Coverage(make_cube(), None, (number, along), {"t2m": make_parameter("t2m", values)}, {"t2m": values})


def make_cells(
    *,
    t: Sequence[int] | None = (0, 6),
    z: Sequence[float] | None = None,
    members: Sequence[int] = (),
    places: Sequence[tuple[float, float]] = ((-1.5, 50.0), (0.0, 50.0), (181.5, 51.5)),
    cube: Datacube | None = None,
    values: Any = None,
) -> Coverage:
    """Cells of a grid without rows and columns, at (x, y); values 0, 1, 2 ... in array order, the second missing."""
    leading = make_axes(t=t, z=z, y=None, x=None, custom=[("number", members)] if members else ())
    y, x = make_axes(y=[y for _, y in places], x=[x for x, _ in places])
    composite = Axis(AxisKind.COMPOSITE, "composite", np.arange(len(places)), components=(x, y))
    shape = (*(axis.size for axis in leading), len(places))
    if values is None:
        values = np.arange(np.prod(shape), dtype="f4").reshape(shape)
        values[..., 1] = np.nan
    kind: DomainType | None = DomainType.MULTI_POINT_SERIES if len(t or ()) > 1 else DomainType.MULTI_POINT
    if len(members) > 1 or len(z or ()) > 1:
        kind = None
    parameters = {"t2m": make_parameter("t2m", values)}
    return Coverage(cube or make_cube(), kind, (*leading, composite), parameters, {"t2m": values})


@pytest.fixture(scope="session")
def cells() -> Make:
    """Factory of answers on HEALPix, curvilinear and unstructured grids: see `make_cells`."""
    return make_cells


@pytest.fixture(scope="session")
def cube() -> Callable[..., Datacube]:
    """Factory of the description of a dataset: see `make_cube`."""
    return make_cube


@pytest.fixture(scope="session")
def any_coverage() -> Mapping[str, Coverage]:
    """One coverage of every kind that a query can give, by name."""
    lat, lon = [52.0, 51.5, 51.0], [-0.5, -0.25, 0.0, 0.25]
    days = [0, 24, 48]
    integers = np.ma.masked_equal(np.arange(12, dtype="i2").reshape(3, 4), 5)
    holes = np.where(np.arange(36).reshape(3, 3, 4) % 5 == 0, np.nan, np.arange(36).reshape(3, 3, 4)).astype("f4")
    return {
        "point": make_coverage(domain_type=DomainType.POINT, t=[5], z=[850]),
        "point-without-time": make_coverage(domain_type=DomainType.POINT),
        "series": make_coverage(domain_type=DomainType.POINT_SERIES, t=days),
        "series-of-one": make_coverage(domain_type=DomainType.POINT_SERIES, t=[7]),
        "series-float64": make_coverage(domain_type=DomainType.POINT_SERIES, t=days, dtype="f8"),
        "profile": make_coverage(domain_type=DomainType.VERTICAL_PROFILE, t=[3], z=[1000, 850, 500]),
        "series-of-profiles": make_coverage(t=days, z=[1000, 850]),
        "grid": make_coverage({"t2m": holes}, domain_type=DomainType.GRID, t=days, y=lat, x=lon),
        "grid-bounds": make_coverage(domain_type=DomainType.GRID, t=days, y=lat, x=lon, bounds=True),
        "grid-levels": make_coverage(domain_type=DomainType.GRID, t=days, z=[850, 500], y=lat, x=lon),
        "grid-of-one": make_coverage(domain_type=DomainType.GRID, t=[0], z=[850]),
        "masked-integers": make_coverage({"mask": integers}, domain_type=DomainType.GRID, y=lat, x=lon),
        "member": make_coverage(domain_type=DomainType.POINT_SERIES, custom=[("number", [3])], t=days),
        "members": make_coverage(custom=[("number", [0, 1, 2])], t=days),
        "members-grid": make_coverage(custom=[("number", [0, 1])], t=days, z=[850], y=lat, x=lon),
        "strings": make_coverage(custom=[("expver", ["0001", "0005, é"])], t=days),
        "members-steps": make_coverage(custom=[("number", [0, 1]), ("step", [0.0, 6.5])]),
        "360-day": make_coverage(domain_type=DomainType.POINT_SERIES, t=[58 * 24, 59 * 24], calendar="360_day"),
        "noleap": make_coverage(domain_type=DomainType.POINT_SERIES, t=[58 * 24, 59 * 24], calendar="noleap"),
    }
