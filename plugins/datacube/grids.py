"""How do the cells of a store lie on the Earth, and along which dimensions?

The marks are tried from the most telling to the least: HEALPix, an unstructured mesh, one-dimensional latitude and
longitude, a projection, two-dimensional latitude and longitude, a single place. What cannot be queried right is
recognised too, so that it can be listed with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from plugins.datacube import cf, coordinates, crs
from plugins.datacube.contents import Contents, Variable
from plugins.datacube.datacube import CRS84, Grid, GridKind
from plugins.datacube.errors import DatasetError
from plugins.datacube.mesh import healpix

RADIANS: Final = "latitude and longitude are in radians; EDR queries need degrees"
MERIDIAN: Final = (
    "longitudes are counted from another meridian than Greenwich; EDR queries on them are not supported yet"
)
NO_SYSTEM: Final = (
    "x and y are projected coordinates, and nothing says of which CRS: add a CF grid mapping, or name it in the "
    "configuration (crs)"
)
NO_UNITS: Final = "the units of x and y are not those of their CRS, and cannot be converted to them"
CONTRADICTION: Final = (
    "the grid mapping and the two-dimensional latitudes and longitudes put the cells in different places; the latter "
    "are believed"
)
COMPARED: Final = 20
"""Rows and columns of a projected grid whose two coordinates are compared."""
HEALPIX_LEVEL: Final = "the data lies on a HEALPix grid whose refinement level or order of pixels is not a known one"


@dataclass(frozen=True, slots=True)
class Horizontal:
    """The horizontal coordinates of a store."""

    kind: GridKind
    dims: tuple[str, ...]
    """Dimensions of the grid in the order y, x; one for a list of cells; none for a single place."""
    x: Variable | None = None
    """One-dimensional coordinate of the last dimension."""
    y: Variable | None = None
    longitude: Variable | None = None
    """Longitudes of the cells, where x is not longitude itself."""
    latitude: Variable | None = None
    mapping: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the grid mapping."""
    native: CRS | None = None
    """CRS of x and y where they are not longitude and latitude."""
    factor: float = 1.0
    """By which x and y are multiplied to be in the units of that CRS."""
    pixels: Variable | None = None
    """The numbers of HEALPix pixels, where they are listed."""
    remark: str | None = None
    """What an operator should know of it, though it is served."""
    unsupported: str | None = None


def recognise(contents: Contents, label: str, native: str | None) -> Horizontal:
    """Find the horizontal coordinates.

    Parameters
    ----------
    contents : Contents
        The variables of the store.
    label : str
        Name of the store, for messages.
    native : str or None
        The CRS that the operator gives where the store declares none.

    Raises
    ------
    DatasetError
        If no horizontal coordinates are recognised, or two are equally good.
    """
    belonging = coordinates.attached(contents.variables)
    free = [variable for name, variable in contents.variables.items() if name not in belonging]
    mapping = _mapping(contents)
    latitudes = _matching(cf.LATITUDE, free)
    longitudes = _matching(cf.LONGITUDE, free)
    found = (
        _healpix(contents, mapping)
        or _mesh(contents, latitudes, longitudes)
        or _one_dimensional(contents, label, latitudes, longitudes, mapping)
        or _projected(free, latitudes, longitudes, mapping, native)
        or _two_dimensional(latitudes, longitudes)
        or _single_place(latitudes, longitudes)
    )
    if found is None:
        raise DatasetError(
            f"{label} has no recognisable {_lacking(latitudes, longitudes)}: no coordinate has the CF standard name or "
            "units of one, or a known name"
        )
    return found


def _lacking(latitudes: Sequence[Variable], longitudes: Sequence[Variable]) -> str:
    if latitudes and not longitudes:
        return "longitude"
    return "latitude" if longitudes and not latitudes else "latitude and longitude"


def _matching(criterion: cf.Criterion, variables: Sequence[Variable]) -> list[Variable]:
    """Return the variables that fit, coordinates of one or two dimensions or scalars, best marks first."""
    ranked = [
        (rank, variable)
        for variable in variables
        if len(variable.dims) <= 2 and variable.dtype.kind in "iuf" and (rank := criterion.rank(variable)) is not None
    ]
    return [variable for _, variable in sorted(ranked, key=lambda entry: entry[0])]


def _mapping(contents: Contents) -> Mapping[str, Any]:
    named = [word.rstrip(":") for variable in contents.variables.values() for word in variable.words("grid_mapping")]
    for name in named:
        if (variable := contents.variables.get(name)) is not None:
            return variable.attributes
    # Some writers forget the reference.
    others = (variable for variable in contents.variables.values() if cf.is_grid_mapping(variable))
    return next((variable.attributes for variable in others if not variable.dims), {})


def _healpix(contents: Contents, mapping: Mapping[str, Any]) -> Horizontal | None:
    marked = [variable for variable in contents.variables.values() if cf.is_healpix(variable.attributes)]
    if not marked and not cf.is_healpix(mapping):
        return None
    cells = next((variable for variable in marked if len(variable.dims) == 1), None)
    dims = cells.dims if cells is not None else _cell_dimension(contents)
    merged: dict[str, Any] = {}
    for variable in marked:
        merged.update(variable.attributes)
    attributes = {**merged, **mapping}
    known = healpix.read_level(attributes) is not None and healpix.read_nested(attributes) is not None
    if not known or len(dims) != 1:
        return None if dims and _has_places(contents, dims) else _refused(dims, attributes)
    return Horizontal(GridKind.HEALPIX, dims, mapping=attributes, pixels=cells)


def _has_places(contents: Contents, dims: tuple[str, ...]) -> bool:
    """Whether the pixels have coordinates: then they are served as any list of cells."""
    found = [v for v in contents.variables.values() if v.dims == dims and v.dtype.kind in "iuf"]
    return all(any(kind.rank(v) is not None for v in found) for kind in (cf.LATITUDE, cf.LONGITUDE))


def _refused(dims: tuple[str, ...], attributes: Mapping[str, Any]) -> Horizontal:
    return Horizontal(GridKind.HEALPIX, dims, mapping=attributes, unsupported=HEALPIX_LEVEL)


def _cell_dimension(contents: Contents) -> tuple[str, ...]:
    """Return the dimension of HEALPix cells where no variable says it: by its name, else by its length, 12 · 4^k."""
    sizes: dict[str, int] = {}
    for variable in contents.variables.values():
        sizes.update(zip(variable.dims, variable.shape, strict=True))
    lengths = {12 * 4**order for order in range(30)}
    named = [dim for dim in sizes if dim in cf.CELL_DIMENSIONS]
    return tuple((named or [dim for dim, size in sizes.items() if size in lengths])[:1])


def _mesh(contents: Contents, latitudes: Sequence[Variable], longitudes: Sequence[Variable]) -> Horizontal | None:
    """Recognise an unstructured mesh by the conventions of UGRID."""
    mesh = next((v for v in contents.variables.values() if v.text("cf_role") == "mesh_topology"), None)
    if mesh is None:
        return None
    for location in ("face", "node", "edge"):
        names = mesh.words(f"{location}_coordinates")
        on_mesh = [v for v in contents.variables.values() if v.text("location") == location]
        latitude = next((v for v in latitudes if v.name in names), None)
        longitude = next((v for v in longitudes if v.name in names), None)
        if latitude is not None and longitude is not None and any(latitude.dims[0] in v.dims for v in on_mesh):
            return _cells(latitude, longitude)
    return None


def _cells(latitude: Variable, longitude: Variable) -> Horizontal:
    return Horizontal(
        GridKind.UNSTRUCTURED,
        latitude.dims,
        longitude=longitude,
        latitude=latitude,
    )


def _one_dimensional(
    contents: Contents,
    label: str,
    latitudes: Sequence[Variable],
    longitudes: Sequence[Variable],
    mapping: Mapping[str, Any],
) -> Horizontal | None:
    latitude = _only("latitude", [v for v in latitudes if len(v.dims) == 1], contents, label)
    longitude = _only("longitude", [v for v in longitudes if len(v.dims) == 1], contents, label)
    if latitude is None or longitude is None:
        return None
    if latitude.dims != longitude.dims:
        return _rectilinear(longitude, latitude, mapping)
    if str(contents.attributes.get("featureType", "")).lower() in cf.DISCRETE_SAMPLING:
        return Horizontal(
            GridKind.POINT,
            latitude.dims,
            longitude=longitude,
            latitude=latitude,
        )
    return _cells(latitude, longitude)


def _rectilinear(x: Variable, y: Variable, mapping: Mapping[str, Any]) -> Horizontal:
    unsupported = RADIANS if coordinates.in_radians(x) or coordinates.in_radians(y) else None
    if crs.prime_meridian(mapping) != 0:
        unsupported = MERIDIAN
    return Horizontal(GridKind.RECTILINEAR, (*y.dims, *x.dims), x, y, mapping=mapping, unsupported=unsupported)


def _only(what: str, found: Sequence[Variable], contents: Contents, label: str) -> Variable | None:
    """Return the one coordinate that fields are laid on, coordinate variables (named as their dimension) first.

    Raises
    ------
    DatasetError
        If fields lie on several.
    """
    own = [variable for variable in found if variable.dims == (variable.name,)] or list(found)
    used = [variable for variable in own if _carries_fields(variable.dims[0], contents)]
    by_dimension = {variable.dims[0]: variable for variable in reversed(used or own)}
    if len(by_dimension) > 1:
        names = " and ".join(sorted(variable.name for variable in by_dimension.values()))
        raise DatasetError(f"{label} has more than one {what} axis ({names}): serve one grid a dataset")
    return next(iter(by_dimension.values()), None)


def _carries_fields(dimension: str, contents: Contents) -> bool:
    belonging = coordinates.attached(contents.variables)
    return any(
        dimension in variable.dims and len(variable.dims) > 1
        for name, variable in contents.variables.items()
        if name not in belonging
    )


def _projected(
    free: Sequence[Variable],
    latitudes: Sequence[Variable],
    longitudes: Sequence[Variable],
    mapping: Mapping[str, Any],
    native: str | None,
) -> Horizontal | None:
    x = next((v for v in _matching(cf.PROJECTED_X, free) if len(v.dims) == 1), None)
    y = next((v for v in _matching(cf.PROJECTED_Y, free) if len(v.dims) == 1), None)
    if x is None or y is None or x.dims == y.dims:
        return None
    system = crs.from_grid_mapping(mapping) if mapping else None
    if system is None and native is not None:
        system = crs.from_text(native)
    dims = (*y.dims, *x.dims)
    if system is not None and system.is_geographic and not system.is_derived:
        return _rectilinear(x, y, mapping)
    auxiliary = _pair(latitudes, longitudes, rank=2)
    rotated = mapping.get("grid_mapping_name") == "rotated_latitude_longitude" or (
        x.text("standard_name") == "grid_longitude"
    )
    longitude, latitude = auxiliary if auxiliary is not None else (None, None)
    if system is None:
        if auxiliary is not None:
            return None  # its latitudes and longitudes say where the cells are
        if not rotated and x.text("standard_name") is None:
            return None  # two axes called x and y, and nothing that says where they are
        return Horizontal(GridKind.PROJECTED, dims, x, y, mapping=mapping, unsupported=NO_SYSTEM)
    factor = crs.unit_factor(system, x.text("units"), mapping)
    if factor is None or crs.unit_factor(system, y.text("units"), mapping) != factor:
        if auxiliary is not None:
            return None
        return Horizontal(GridKind.PROJECTED, dims, x, y, mapping=mapping, native=system, unsupported=NO_UNITS)
    if auxiliary is not None and not crs.agrees(system, *_centres(x, y, factor, auxiliary)):
        # What is written cell by cell is more likely right than three numbers of an attribute.
        return Horizontal(
            GridKind.CURVILINEAR, auxiliary[1].dims, longitude=longitude, latitude=latitude, remark=CONTRADICTION
        )
    return Horizontal(GridKind.PROJECTED, dims, x, y, longitude, latitude, mapping, system, factor=factor)


def _centres(
    x: Variable, y: Variable, factor: float, auxiliary: tuple[Variable, Variable]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return x, y, longitude and latitude of some cells, each of shape (rows, columns)."""
    longitude, latitude = (coordinates.degrees(variable) for variable in auxiliary)
    if auxiliary[1].dims != (*y.dims, *x.dims):
        longitude, latitude = longitude.T, latitude.T
    rows, columns = (np.unique(np.linspace(0, size - 1, COMPARED).astype(int)) for size in longitude.shape)
    some = np.ix_(rows, columns)
    wide, high = np.meshgrid(coordinates.numbers(x)[columns] * factor, coordinates.numbers(y)[rows] * factor)
    return wide, high, longitude[some], latitude[some]


def _pair(latitudes: Sequence[Variable], longitudes: Sequence[Variable], rank: int) -> tuple[Variable, Variable] | None:
    """Return the best (longitude, latitude) of a number of dimensions that lie on the same dimensions."""
    for latitude in latitudes:
        for longitude in longitudes:
            if len(latitude.dims) == rank and latitude.dims == longitude.dims:
                return longitude, latitude
    return None


def _two_dimensional(latitudes: Sequence[Variable], longitudes: Sequence[Variable]) -> Horizontal | None:
    pair = _pair(latitudes, longitudes, rank=2)
    if pair is None:
        return None
    return Horizontal(
        GridKind.CURVILINEAR,
        pair[1].dims,
        longitude=pair[0],
        latitude=pair[1],
    )


def _single_place(latitudes: Sequence[Variable], longitudes: Sequence[Variable]) -> Horizontal | None:
    pair = _pair(latitudes, longitudes, rank=0)
    if pair is None:
        return None
    return Horizontal(GridKind.POINT, (), longitude=pair[0], latitude=pair[1])


def grid_of(horizontal: Horizontal) -> Grid:
    """Return the grid and its CRS.

    Latitudes and longitudes are given in CRS84 whatever the ellipsoid: models run on a sphere, and their fields are
    laid on the Earth by the numbers as they stand.
    """
    if horizontal.native is not None and horizontal.kind is GridKind.PROJECTED:
        wkt = str(horizontal.native.to_wkt())
        return Grid(horizontal.kind, crs.uri(horizontal.native), wkt, geographic=False)
    geographic = horizontal.kind is not GridKind.PROJECTED
    return Grid(horizontal.kind, CRS84, crs.crs84_wkt(), geographic=geographic)
