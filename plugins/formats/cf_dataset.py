"""Which dimensions, variables and attributes of the CF conventions hold an answer, whatever file format stores them?

NetCDF and Zarr share this model (CF 1.11). The coverages of one answer become one flat dataset:

- axes of equal name and values are one dimension; an axis of equal name and other values gets a number (``level_2``);
- a grid keeps all its axes as dimensions; at a point, an axis of one value is a scalar coordinate (CF 5.7);
- several points with the same other axes are the stations of one discrete sampling geometry (CF 9, the orthogonal
  representation of appendix H), with ``station`` as the first dimension;
- cells that lie in no rows and columns (HEALPix, unstructured) are the stations of such a geometry, too;
- paths of equal parameters lie one after the other in one dimension ``obs``, and ``row_size`` says how long each is
  (CF 9.3.3, contiguous ragged array); the value of each custom axis (a member) stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.datacube import Parameter
from plugins.datacube.errors import NoDataError
from plugins.formats.cf_attributes import (
    axis_attributes,
    encode_times,
    global_attributes,
    grid_mapping,
    parameter_attributes,
)
from plugins.formats.cf_values import fill_missing, storable
from plugins.formats.domains import is_dimension, is_point, is_timed, path_of, split

STATION: Final = "station"
TRAJECTORY: Final = "trajectory"
OBSERVATION: Final = "obs"
_BOUNDS: Final = "bnds"
_HORIZONTAL: Final = (AxisKind.Y, AxisKind.X)


@dataclass(frozen=True, slots=True)
class CfVariable:
    """One variable, ready to be stored as it is."""

    name: str
    dims: tuple[str, ...]
    values: NDArray[Any]
    """Numbers in native byte order, or an object array of str."""
    attributes: Mapping[str, Any]
    fill: Any | None = None
    """Value that stands for "missing" in `values`; None where nothing is missing and nothing needs it."""
    data: bool = False
    """True for a parameter, False for a coordinate, bounds or a grid mapping."""


@dataclass(frozen=True, slots=True)
class CfDataset:
    """A flat CF dataset."""

    dims: Mapping[str, int]
    variables: tuple[CfVariable, ...]
    attributes: Mapping[str, Any]


def build(coverages: Sequence[Coverage]) -> CfDataset:
    """Lay the coverages of one answer out as one CF dataset.

    Raises
    ------
    NoDataError
        If there is no coverage.
    """
    if not coverages:
        raise NoDataError("the query selects no value")
    builder = _Builder(coverages[0], {name for coverage in coverages for name in coverage.parameters})
    stations = _stations(coverages)
    if stations:
        builder.add_stations(stations)
    else:
        for coverage in coverages:
            if path_of(coverage) is None:
                builder.add(coverage)
        cells = _cells(coverages)
        for coverage in cells:
            builder.add_cells(coverage)
        for alike in _paths([each for each in coverages if not any(each is cell for cell in cells)]):
            builder.add_paths(alike)
    return builder.finish()


def _stations(coverages: Sequence[Coverage]) -> list[list[Coverage]]:
    """Return the coverages of each point where several points have the same parameters and other axes, else nothing."""
    if not all(is_point(coverage) and _position(coverage) for coverage in coverages):
        return []
    by_point: dict[tuple[float, ...], list[Coverage]] = {}
    for coverage in coverages:
        by_point.setdefault(_position(coverage), []).append(coverage)
    stations = list(by_point.values())
    first = stations[0]
    alike = all(
        len(other) == len(first) and all(_same_but_place(a, b) for a, b in zip(first, other, strict=True))
        for other in stations
    )
    return stations if len(stations) > 1 and alike else []


def _cells(coverages: Sequence[Coverage]) -> list[Coverage]:
    """Return the coverages at places that no one visits at times of their own.

    Several lines in data without times are none of these: they are paths, one after the other.
    """
    untimed = [(path, each) for each in coverages if (path := path_of(each)) is not None and not is_timed(path)]
    alone = all(_same_places(path, untimed[0][0]) for path, _ in untimed)
    beside = (AxisKind.T, AxisKind.Z)
    return [each for _, each in untimed if alone or any(axis.kind in beside for axis in each.axes)]


def _same_places(one: Axis, other: Axis) -> bool:
    """Return whether two composite axes hold the same places in the same order."""
    return one is other or (
        len(one.components) == len(other.components)
        and all(same_axis(a, b) for a, b in zip(one.components, other.components, strict=True))
    )


def _paths(coverages: Sequence[Coverage]) -> list[list[Coverage]]:
    """Return the coverages along paths, those with the same parameters and coordinates together."""
    alike: dict[tuple[Any, ...], list[Coverage]] = {}
    for coverage in coverages:
        path = path_of(coverage)
        if path is not None:
            named = [(axis.kind, axis.name) for axis in (*coverage.axes, *path.components)]
            alike.setdefault((*named, *coverage.parameters), []).append(coverage)
    return list(alike.values())


def _position(coverage: Coverage) -> tuple[float, ...]:
    """Return x and y of a coverage at one place, else nothing."""
    places = [axis for axis in coverage.axes if axis.kind in _HORIZONTAL]
    return tuple(float(axis.values[0]) for axis in places) if [axis.size for axis in places] == [1, 1] else ()


def _same_but_place(one: Coverage, other: Coverage) -> bool:
    mine, theirs = ([axis for axis in coverage.axes if axis.kind not in _HORIZONTAL] for coverage in (one, other))
    return (
        list(one.parameters) == list(other.parameters)
        and one.shape == other.shape
        and all(same_axis(a, b) for a, b in zip(mine, theirs, strict=True))
    )


def same_axis(one: Axis, other: Axis) -> bool:
    """Return whether two axes mean the same positions, in the same order."""
    return one is other or (
        (one.kind, one.name, one.calendar, one.units) == (other.kind, other.name, other.calendar, other.units)
        and np.array_equal(one.values, other.values)
    )


@dataclass(slots=True)
class _Builder:
    """Collects variables under names that are used once."""

    first: Coverage
    """Of all coverages, which share a dataset and the CRS of their x and y."""
    reserved: set[str]
    """Parameter names: a coordinate never takes one."""
    dims: dict[str, int] = field(default_factory=dict)
    variables: list[CfVariable] = field(default_factory=list)
    placed: list[tuple[Axis, bool, str]] = field(default_factory=list)
    """Axes already written: the axis, whether as a dimension, and its name in the dataset."""
    cells: list[tuple[Axis, str, list[str]]] = field(default_factory=list)
    """Composite axes already written: the axis, its dimension, and the names of its coordinates."""
    taken: set[str] = field(default_factory=set)
    mapping: str = ""
    bounds_dim: str = ""
    feature: str | None = None

    def add(self, coverage: Coverage) -> None:
        """Write one coverage with its own axes."""
        dims, scalars = self._place(coverage, coverage.axes)
        if is_point(coverage):
            self._feature(coverage, many=False)
            scalars += self._asked((), [coverage])
        shape = tuple(self.dims[dim] for dim in dims)
        for name, described in coverage.parameters.items():
            self._data(name, described, dims, coverage.ranges[name].reshape(shape), scalars)

    def add_stations(self, stations: list[list[Coverage]]) -> None:
        """Write points that differ in nothing but their place, with the station as first dimension."""
        station = self._unique(STATION)
        self.dims[station] = len(stations)
        places = {}
        for kind in _HORIZONTAL:
            axes = [next(axis for axis in of_point[0].axes if axis.kind is kind) for of_point in stations]
            places[kind] = self._places(axes, station)
        auxiliary = [*places.values(), *self._asked((station,), [of_point[0] for of_point in stations])]
        for of_parameters in zip(*stations, strict=True):
            first = of_parameters[0]
            others, scalars = self._place(first, [axis for axis in first.axes if axis.kind not in places])
            dims = (station, *others)
            self._feature(first, many=True)
            shape = tuple(self.dims[dim] for dim in dims)
            for name, described in first.parameters.items():
                stacked = np.ma.stack if any(np.ma.isMA(c.ranges[name]) for c in of_parameters) else np.stack
                values = stacked([coverage.ranges[name] for coverage in of_parameters])
                self._data(name, described, dims, values.reshape(shape), [*auxiliary, *scalars])
        self._numbers(station, "number of the point in the query")

    def add_cells(self, coverage: Coverage) -> None:
        """Write cells that lie in no rows and columns, with the cell as first dimension."""
        composite = coverage.axes[-1]
        known = next((each for each in self.cells if _same_places(each[0], composite)), None)
        others, scalars = self._place(coverage, coverage.axes[:-1])
        self._feature(coverage, many=True)
        if known is None:
            station = self._unique(STATION)
            self.dims[station] = composite.size
            known = (composite, station, [self._places([component], station) for component in composite.components])
            self.cells.append(known)
            self._numbers(station, "number of the cell in the answer")
        _, station, places = known
        dims = (station, *others)
        shape = tuple(self.dims[dim] for dim in dims)
        for name, described in coverage.parameters.items():
            values = np.moveaxis(coverage.ranges[name], -1, 0).reshape(shape)
            self._data(name, described, dims, values, [*places, *scalars])

    def add_paths(self, coverages: Sequence[Coverage]) -> None:
        """Write paths of equal parameters and coordinates one after the other, one for each value of a custom axis."""
        pieces = [piece for coverage in coverages for piece in split(coverage)]
        paths = [axis for piece in pieces for axis in piece.axes]
        trajectory, obs = self._unique(TRAJECTORY), self._unique(OBSERVATION)
        self.dims |= {trajectory: len(pieces), obs: sum(path.size for path in paths)}
        number = {"cf_role": "trajectory_id", "long_name": "number of the path in the answer"}
        self.variables.append(CfVariable(trajectory, (trajectory,), np.arange(len(pieces), dtype=np.int32), number))
        sizes = np.array([path.size for path in paths], np.int32)
        counted = {"sample_dimension": obs, "long_name": "number of places of the path"}
        self.variables.append(CfVariable(self._unique("row_size"), (trajectory,), sizes, counted))
        names = [self._places(list(axes), obs) for axes in zip(*(path.components for path in paths), strict=True)]
        for axis in coverages[0].axes:
            if axis.kind is AxisKind.CUSTOM:
                values = storable(np.array([piece.dimensions[axis.name] for piece in pieces]))
                attributes = axis_attributes(axis, self.first)
                self.variables.append(CfVariable(self._unique(axis.name), (trajectory,), values, attributes))
        timed = any(axis.kind is AxisKind.T for axis in paths[0].components)
        feature = TRAJECTORY if timed else "point"
        self.feature = feature if self.feature in (None, feature) else ""
        for name, described in coverages[0].parameters.items():
            joined = [piece.values(name) for piece in pieces]
            together = np.ma.concatenate if any(np.ma.isMA(values) for values in joined) else np.concatenate
            self._data(name, described, (obs,), together(joined), names)

    def finish(self) -> CfDataset:
        """Return the dataset: coordinates first, then the parameters."""
        self._grid_mapping()
        attributes = global_attributes(self.first)
        if self.feature:
            attributes["featureType"] = self.feature
        ordered = sorted(self.variables, key=lambda variable: variable.data)
        return CfDataset(self.dims, tuple(ordered), attributes)

    def _unique(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.taken or name in self.reserved:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name

    def _place(self, coverage: Coverage, axes: Sequence[Axis]) -> tuple[tuple[str, ...], list[str]]:
        """Write axes of a coverage; return the names of the dimensions and those of the scalar coordinates."""
        named = [(is_dimension(coverage, axis), axis) for axis in axes]
        located = [(as_dim, self._axis(axis, as_dim=as_dim)) for as_dim, axis in named]
        return tuple(name for as_dim, name in located if as_dim), [name for as_dim, name in located if not as_dim]

    def _axis(self, axis: Axis, *, as_dim: bool) -> str:
        """Write an axis once, and return its name."""
        for placed, placed_as_dim, name in self.placed:
            if placed_as_dim is as_dim and same_axis(placed, axis):
                return name
        name = self._unique(axis.name)
        self.placed.append((axis, as_dim, name))
        if as_dim:
            self.dims[name] = axis.size
        dims = (name,) if as_dim else ()
        attributes = axis_attributes(axis, self.first)
        self._coordinate(name, dims, axis, attributes, axis.values if as_dim else axis.values[0], axis.bounds)
        return name

    def _places(self, axes: list[Axis], station: str) -> str:
        """Write the coordinates of several places as one variable along a dimension, and return its name."""
        name = self._unique(axes[0].name)
        attributes = axis_attributes(axes[0], self.first)
        values = np.concatenate([axis.values for axis in axes])
        known = [axis.bounds for axis in axes if axis.bounds is not None]
        bounds = np.concatenate(known) if len(known) == len(axes) else None
        self._coordinate(name, (station,), axes[0], attributes, values, bounds)
        return name

    def _coordinate(
        self, name: str, dims: tuple[str, ...], axis: Axis, attributes: dict[str, Any], values: Any, bounds: Any
    ) -> None:
        values = np.asarray(values)
        if axis.kind is AxisKind.T:
            values, bounds, units = encode_times(values, bounds)
            attributes |= {"units": units, "calendar": axis.calendar}
        stored = storable(values)
        if bounds is not None:
            self.bounds_dim = self.bounds_dim or self._unique(_BOUNDS)
            self.dims[self.bounds_dim] = 2
            bounds_name = self._unique(f"{name}_{_BOUNDS}")
            attributes["bounds"] = bounds_name
            shaped = np.asarray(bounds).reshape((*stored.shape, 2))
            self.variables.append(CfVariable(bounds_name, (*dims, self.bounds_dim), storable(shaped), {}))
        self.variables.append(CfVariable(name, dims, stored, attributes))

    def _feature(self, coverage: Coverage, *, many: bool) -> None:
        """Note the discrete sampling geometry of a point's coverage (CF 9.1): one per file, or none."""
        others = (axis for axis in coverage.axes if axis.kind not in _HORIZONTAL)
        several = {axis.kind for axis in others if is_dimension(coverage, axis)} - {AxisKind.COMPOSITE}
        feature = {
            frozenset({AxisKind.T}): "timeSeries",
            frozenset({AxisKind.Z}): "profile",
            frozenset({AxisKind.T, AxisKind.Z}): "timeSeriesProfile",
            frozenset(): "point" if many else "",
        }.get(frozenset(several), "")
        self.feature = feature if self.feature in (None, feature) else ""

    def _numbers(self, dim: str, meaning: str) -> None:
        """Write the numbers of the places along a dimension, by which CF tells them apart."""
        role = {"timeSeries": "timeseries_id", "timeSeriesProfile": "timeseries_id", "profile": "profile_id"}
        number = {"long_name": meaning}
        if self.feature in role:
            number["cf_role"] = role[self.feature]
        self.variables.append(CfVariable(dim, (dim,), np.arange(self.dims[dim], dtype=np.int32), number))

    def _asked(self, dims: tuple[str, ...], points: Sequence[Coverage]) -> list[str]:
        """Write the locations that were asked for, and how far the cells lie from there; return the names."""
        names = []
        locations = [point.place for point in points if point.place is not None]
        if len(locations) == len(points):
            role = (
                {} if dims or self.feature not in ("timeSeries", "timeSeriesProfile") else {"cf_role": "timeseries_id"}
            )
            for name, texts, said in (
                ("station_id", [place.id for place in locations], {"long_name": "id of the location", **role}),
                ("station_name", [place.name for place in locations], {"long_name": "name of the location"}),
            ):
                names.append(self._unique(name))
                values = storable(np.array(texts, object)).reshape([self.dims[dim] for dim in dims])
                self.variables.append(CfVariable(names[-1], dims, values, said))
        distances = [point.distance for point in points if point.distance is not None]
        if len(distances) == len(points):
            names.append(self._unique("distance"))
            said = {"long_name": "distance from the place that was asked for to the centre of its cell", "units": "m"}
            metres = np.array(distances, np.float64).reshape([self.dims[dim] for dim in dims])
            self.variables.append(CfVariable(names[-1], dims, metres, said))
        return names

    def _data(
        self, name: str, described: Parameter, dims: tuple[str, ...], values: Values, coordinates: Sequence[str]
    ) -> None:
        stored = name
        if name in self.taken:
            stored = self._unique(name)
        self.taken.add(stored)
        if not self.mapping:
            self.mapping = self._unique("crs")
        filled, fill = fill_missing(values, described.missing)
        attributes = parameter_attributes(described, filled.dtype) | {"grid_mapping": self.mapping}
        if coordinates:
            attributes["coordinates"] = " ".join(coordinates)
        self.variables.append(CfVariable(stored, dims, filled, attributes, fill, data=True))

    def _grid_mapping(self) -> None:
        attributes = grid_mapping(self.first)
        self.variables.append(CfVariable(self.mapping, (), np.array(0, np.int32), attributes))
