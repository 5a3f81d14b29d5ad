"""Is an answer to a query what docs/queries.md promises: the right values, at the right places, none missing, none more?

Written from that text, on the grids of `oracle_cells`; nothing of the project is imported. An answer comes as plain
arrays (`Piece`), from the coverages themselves or from a CoverageJSON text, and `check` raises an AssertionError that
says what is wrong with it. Where the text leaves two answers open, both are taken.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyproj import CRS

from oracle_cells import CRS84, Cloud, Grid, Healpix, Lattice, Line, is_geographic, metres, move, vectors

RELATIVE = 1e-6
SEAM = 20_037_508.342789244
"""The antimeridian in EPSG:3857."""
SOME = 300
"""Places of a raster that are compared, where it has more."""
AREAS = ("area", "cube", "radius", "corridor")


@dataclass
class Dimension:
    name: str
    kind: str
    """``t`` (int64 microseconds since 1970), ``z`` or ``custom``."""
    values: np.ndarray
    bounds: np.ndarray | None = None


@dataclass
class Field:
    dims: tuple[str, ...]
    values: np.ndarray
    """Decoded, in stored order; NaN is missing."""


@dataclass
class World:
    """A dataset as its maker knows it."""

    grid: Grid
    cell_dims: tuple[str, ...]
    leading: dict[str, Dimension]
    fields: dict[str, Field]

    def block(self, name: str, leading: Sequence[str]) -> np.ndarray:
        """Return the values of a field, the named dimensions first, then one for the cells."""
        one = self.fields[name]
        moved = np.transpose(one.values, [one.dims.index(dim) for dim in (*leading, *self.cell_dims)])
        return moved.reshape(*moved.shape[: len(leading)], -1)


@dataclass
class Asked:
    """A query, as numbers."""

    kind: str
    points: tuple[tuple[float, float], ...] = ()
    polygons: tuple[tuple[np.ndarray, ...], ...] = ()
    """Of each the outer ring, then its holes, shape (n, 2), closed."""
    bbox: tuple[float, float, float, float] = (0, 0, 0, 0)
    lines: tuple[np.ndarray, ...] = ()
    """shape (n, 2): vertices."""
    heights: tuple[np.ndarray, ...] | None = None
    """Z of each vertex of each line."""
    times: tuple[np.ndarray, ...] | None = None
    """M of each vertex of each line, in microseconds since 1970."""
    metres: float = 0.0
    """``within``, or ``corridor-width``."""
    height: float = 0.0
    crs: CRS | None = None
    linear: bool = False
    columns: int = 0
    rows: int = 0
    levels: int = 0
    select: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    """By the name of a dimension: ``("interval", (low, high))`` or ``("values", [...])``."""
    parameters: tuple[str, ...] = ()
    raw: Mapping[str, str] = field(default_factory=dict)
    """As it was sent."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The bbox, its east beyond 180 where it crosses the antimeridian."""
        west, south, east, north = self.bbox
        while west > east:
            east += 360.0
        return west, south, east, north

    @property
    def path(self) -> list[np.ndarray]:
        return [np.asarray(line, float) for line in self.lines]


@dataclass
class Piece:
    """One coverage of an answer."""

    leading: list[tuple[str, str, np.ndarray]]
    """Name, kind and values of the axes before the horizontal ones, in the order of the array."""
    form: str
    """``point``, ``rows``, ``list`` (cells one by one) or ``path``."""
    x: np.ndarray
    y: np.ndarray
    t: np.ndarray | None
    z: np.ndarray | None
    values: dict[str, np.ndarray]
    """NaN is missing."""
    geographic: bool
    distance: float | None = None
    linear: bool = False


@dataclass
class Taken:
    """One right way to take positions along a dimension: the coordinates, and of each its cells and weights."""

    coordinates: np.ndarray
    rows: list[dict[int, float]]

    def matrix(self, size: int) -> np.ndarray:
        found = np.zeros((len(self.rows), size))
        for number, row in enumerate(self.rows):
            for cell, weight in row.items():
                found[number, cell] += weight
        return found


class TooFineError(Exception):
    """A path is too long beside the cells for the oracle to follow it, or leaves the Earth."""


def fail(asked: Asked, why: str) -> None:
    raise AssertionError(f"{why}\n  asked: {asked.kind} {dict(asked.raw)}")


def check(world: World, asked: Asked, pieces: list[Piece] | None) -> None:
    """Compare an answer with what is right; None is "no data"."""
    names = asked.parameters or tuple(world.fields)
    found = 0
    for name in names:
        mine = [piece for piece in pieces or [] if name in piece.values]
        found += len(mine)
        check_parameter(world, asked, name, mine)
    if pieces is not None:
        others = {name for piece in pieces for name in piece.values} - set(names)
        if others:
            fail(asked, f"answers parameters that were not asked for: {others}")
        if not found:
            fail(asked, "answers nothing, and does not say so")
        for piece in pieces:
            if piece.linear != asked.linear:
                fail(asked, "says another interpolation than was asked for")


def check_parameter(world: World, asked: Asked, name: str, pieces: list[Piece]) -> None:
    own = {"z": asked.heights, "t": asked.times} if asked.kind == "trajectory" else {}
    leading = [
        dimension
        for dim, dimension in world.leading.items()
        if dim in world.fields[name].dims and own.get(dimension.kind) is None
    ]
    choices = [taken(dimension, asked) for dimension in leading]
    empty_leading = any(choice is None for options in choices for choice in options)
    if any(all(choice is None for choice in options) for options in choices):
        if pieces:
            fail(asked, f"{name}: there is nothing at these times, levels or members")
        return
    checker = {"position": check_points, "trajectory": check_paths}.get(asked.kind)
    if checker is None:
        raster = (
            asked.columns
            or asked.rows
            or (isinstance(world.grid, Lattice) and asked.crs is not None and not same(asked.crs, world.grid.crs))
        )
        checker = check_raster if raster else check_rows if isinstance(world.grid, Lattice) else check_list
    if not pieces and empty_leading:
        return
    with contextlib.suppress(TooFineError):
        checker(world, asked, name, pieces, leading, choices)


def same(a: CRS, b: CRS) -> bool:
    return a == b or {a.to_authority(), b.to_authority()} <= {("OGC", "CRS84"), ("EPSG", "4326")}


# ---------------------------------------------------------------------------------------------- times, levels, members


def taken(dimension: Dimension, asked: Asked) -> list[Taken | None]:
    """Return all right ways to select along a dimension; None for "nothing is there"."""
    values = np.asarray(dimension.values)
    number = np.arange(values.size)
    how, what = asked.select.get(dimension.name, ("all", None))
    if asked.kind == "corridor":
        if dimension.kind == "t" and asked.times is not None:
            every = np.concatenate(asked.times)
            return _between(dimension, every.min(), every.max(), 0)
        if dimension.kind == "z" and asked.heights is not None:
            every = np.concatenate(asked.heights)
            how, what = "interval", (every.min(), every.max())
            if not asked.levels:
                return _between(dimension, *what, asked.height / 2)
        elif dimension.kind == "z" and asked.height and how != "all" and not asked.levels:
            ends = what if how == "interval" else (min(what), max(what))
            return _between(dimension, *ends, asked.height / 2)
    if dimension.kind == "z" and asked.levels:
        return _evenly(dimension, asked, how, what)
    if how == "all":
        return [_stored(values, number)]
    if how == "interval":
        low, high = what
        inside = np.ones(values.size, bool)
        inside &= True if low is None else values >= low
        inside &= True if high is None else values <= high
        return [_stored(values, number[inside])] if inside.any() else [None]
    if dimension.kind == "custom":
        places = [int(np.flatnonzero(values == value)[0]) for value in what if (values == value).any()]
        return [_stored(values, np.unique(places))] if len(places) == len(what) else [None]
    if asked.linear:
        return _mixed(dimension, sorted(set(what)))
    return _nearest(dimension, what)


def _stored(values: np.ndarray, places) -> Taken:
    places = np.asarray(places, int)
    return Taken(values[places], [{int(place): 1.0} for place in places])


def _line(dimension: Dimension) -> Line:
    order = np.argsort(dimension.values, kind="stable")
    bounds = None if dimension.bounds is None else dimension.bounds[order]
    return Line(np.asarray(dimension.values)[order], bounds)


def _held(dimension: Dimension, value) -> set[int]:
    """Return the positions that may be said to hold a value; -1 for none."""
    order = np.argsort(dimension.values, kind="stable")
    near = 2 if dimension.kind == "t" else max(abs(value) * 1e-9, 1e-9)
    cells = _line(dimension).hold(np.array([value, value - near, value + near]))
    exact = np.flatnonzero(dimension.values == value)
    return {int(exact[0])} if exact.size else {int(order[cell]) if cell >= 0 else -1 for cell in cells}


def _nearest(dimension: Dimension, wanted) -> list[Taken | None]:
    found: dict[tuple[int, ...], Taken | None] = {}
    for cells in itertools.islice(itertools.product(*(_held(dimension, value) for value in wanted)), 256):
        key = () if -1 in cells else tuple(sorted(set(cells)))
        found[key] = _stored(np.asarray(dimension.values), key) if key else None
    return list(found.values())


def _mixed(dimension: Dimension, wanted) -> list[Taken | None]:
    order = np.argsort(dimension.values, kind="stable")
    line = _line(dimension)
    rows = []
    maybe = False
    for value in wanted:
        held = _held(dimension, value)
        maybe |= -1 in held
        if held == {-1}:
            return [None]
        near = 2 if dimension.kind == "t" else max(abs(value) * 1e-9, 1e-9)
        parts = next(found for at in (value, value - near, value + near) if (found := line.mix(at)) is not None)
        rows.append({int(order[cell]): weight for cell, weight in parts})
    made: list[Taken | None] = [Taken(np.array(wanted), rows)]
    return [*made, None] if maybe else made


def _between(dimension: Dimension, low, high, beyond) -> list[Taken | None]:
    """Return the steps or levels of a corridor: those between its ends, and the cells that hold the ends."""
    values = np.asarray(dimension.values)
    inside = np.ones(values.size, bool)
    inside &= True if low is None else values >= low - beyond
    inside &= True if high is None else values <= high + beyond
    must = set(np.flatnonzero(inside).tolist())
    ends = [_held(dimension, end) for end in (low, high) if end is not None]
    # "The ends": of the heights themselves, or of the heights as widened.
    wide = [
        _held(dimension, end)
        for end in (None if low is None else low - beyond, None if high is None else high + beyond)
        if end is not None
    ]
    found: dict[tuple[int, ...], Taken | None] = {}
    for of_ends in (ends, [*ends, *wide]):
        for cells in itertools.product(*of_ends):
            key = tuple(sorted(must | (set(cells) - {-1})))
            found[key] = _stored(values, key) if key else None
    return list(found.values())


def _evenly(dimension: Dimension, asked: Asked, how: str, what) -> list[Taken | None]:
    """Return so many levels, evenly from the lowest that is asked for to the highest."""
    values = np.asarray(dimension.values, float)
    low, high = values.min(), values.max()
    if how == "interval":
        low, high = low if what[0] is None else what[0], high if what[1] is None else what[1]
        if asked.kind == "corridor" and (asked.heights is not None or asked.height):
            low, high = low, high
    elif how == "values":
        low, high = min(what), max(what)
    wanted = np.linspace(low, high, asked.levels) if asked.levels > 1 else np.array([(low + high) / 2])
    if asked.linear:
        return _mixed(dimension, wanted.tolist())
    held = [_held(dimension, value) for value in wanted]
    if any(-1 in place for place in held):
        return [None, *_even_nearest(wanted, held, values)]
    return _even_nearest(wanted, held, values)


def _even_nearest(wanted, held, values) -> list[Taken | None]:
    del values
    found: list[Taken | None] = []
    for cells in itertools.islice(itertools.product(*held), 256):
        if -1 not in cells:
            found.append(Taken(wanted, [{cell: 1.0} for cell in cells]))
    return found


def match_leading(
    asked: Asked, name: str, piece: Piece, leading: list[Dimension], choices: list[list[Taken | None]]
) -> list[np.ndarray]:
    """Return the weights of the stored positions for each position of a piece, dimension by dimension in its order."""
    by_name = {dimension.name: (dimension, options) for dimension, options in zip(leading, choices, strict=True)}
    keys = {("t" if d.kind == "t" else "z" if d.kind == "z" else d.name): d.name for d in leading}
    order = [kind if kind in ("t", "z") else axis for axis, kind, _ in piece.leading]
    if set(order) != set(keys) or len(order) != len(keys):
        fail(asked, f"{name}: has the axes {order} where it varies along {sorted(keys)}")
    matrices = []
    for key, (_, _, values) in zip(order, piece.leading, strict=True):
        dimension, options = by_name[keys[key]]
        for option in options:
            if option is not None and _is_all_of(values, option.coordinates):
                rows = {_key(value): row for value, row in zip(option.coordinates, option.rows, strict=True)}
                chosen = Taken(values, [rows[_key(value)] for value in values])
                matrices.append(chosen.matrix(len(dimension.values)))
                break
        else:
            right = [option.coordinates.tolist() for option in options if option is not None]
            fail(asked, f"{name}: along {key} has {values.tolist()} where it should have {right[:3]}")
    return matrices


def _key(value) -> Any:
    return float(np.round(value, 9)) if isinstance(value, float | np.floating) else value


def _is_all_of(values: np.ndarray, wanted: np.ndarray) -> bool:
    return sorted(_key(value) for value in values.tolist()) == sorted(_key(value) for value in wanted.tolist())


@dataclass
class Column:
    """What a field holds at the selected times, levels and members, for all cells; and how large its terms were."""

    values: np.ndarray
    sizes: np.ndarray
    exact: bool

    def of(self, cells: Sequence[int], weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        if len(cells) == 1 and weights[0] == 1.0:
            return self.values[..., cells[0]], self.sizes[..., cells[0]]
        total, size = 0.0, 0.0
        for cell, weight in zip(cells, weights, strict=True):
            if weight != 0:
                total = total + self.values[..., cell] * weight
                size = size + self.sizes[..., cell] * weight
        return np.asarray(total), np.asarray(size)


def column(block: np.ndarray, matrices: list[np.ndarray]) -> Column:
    exact = all(((m == 0) | (m == 1)).all() for m in matrices)
    values = block
    if exact:
        for number, matrix in enumerate(matrices):
            values = np.take(values, matrix.argmax(axis=1), axis=number)
        return Column(values, np.abs(values.astype(float)), exact=True)
    values = values.astype(float)
    missing = np.isnan(values).astype(float)
    values = np.nan_to_num(values)
    sizes = np.abs(values)
    for number, matrix in enumerate(matrices):
        values, sizes, missing = (
            np.moveaxis(np.tensordot(matrix, part, axes=(1, number)), 0, number) for part in (values, sizes, missing)
        )
    return Column(np.where(missing > 0, np.nan, values), sizes, exact=False)


def equal(actual: np.ndarray, wanted: np.ndarray, sizes: np.ndarray, *, exact: bool) -> bool:
    actual, wanted = np.asarray(actual, float), np.asarray(wanted, float)
    if actual.shape != wanted.shape or (np.isnan(actual) != np.isnan(wanted)).any():
        return False
    near = 0.0 if exact else RELATIVE * np.nan_to_num(np.asarray(sizes, float))
    with np.errstate(invalid="ignore"):
        return bool((np.isnan(wanted) | (np.abs(actual - wanted) <= near)).all())


# -------------------------------------------------------------------------------------------------------------- places


def request_of(asked: Asked) -> CRS:
    return CRS84 if asked.crs is None else asked.crs


def close(a, b, crs: CRS, near: float = 0.0) -> np.ndarray:
    """Whether two coordinates are one, but for the rounding of a transformation."""
    return np.abs(np.asarray(a) - b) <= max(near, 1e-9 if crs.is_geographic else 1e-5)


def same_longitude(a, b, near: float = 1e-9) -> np.ndarray:
    return np.abs((np.asarray(a) - b + 180) % 360 - 180) <= near


def same_place(grid: Grid, crs: CRS, x, y, wanted_x, wanted_y) -> np.ndarray:
    # 0.1 that is stored in 32 bits may be transformed as 0.1.
    near = 0.0 if grid.hair < 1e-5 else grid.beside(crs)
    along = same_longitude(x, wanted_x, max(near, 1e-9)) if is_geographic(crs) else close(x, wanted_x, crs, near)
    polar = is_geographic(crs) & (np.abs(np.asarray(wanted_y)) > 90 - 1e-9)
    if not crs.is_geographic and grid.crs == CRS84:
        # What lies on the antimeridian may lie at either end of a projection.
        along |= close(np.abs(x), SEAM, crs) & close(np.abs(wanted_x), SEAM, crs)
    return (along | polar) & close(y, wanted_y, crs, near)


def check_points(world, asked, name, pieces, leading, choices) -> None:
    crs = request_of(asked)
    waiting = list(pieces)
    for x, y in asked.points:
        options = world.grid.options(x, y, crs, linear=asked.linear)
        piece = next(iter(waiting), None)
        if piece is not None and _is_answer_at(world, asked, name, piece, (x, y), options, leading, choices):
            waiting.pop(0)
        elif ((), ()) not in options:
            if piece is None:
                fail(asked, f"{name}: no answer at {x}, {y}, which lies in a cell of {options[:4]}")
            explain_point(world, asked, name, piece, (x, y), options, leading, choices)
    if waiting:
        fail(asked, f"{name}: {len(waiting)} answers too many, at {waiting[0].x}, {waiting[0].y}")


def _is_answer_at(world, asked, name, piece, place, options, leading, choices) -> bool:
    crs = request_of(asked)
    if piece.form != "point" or piece.geographic != is_geographic(crs):
        fail(asked, f"{name}: a point is answered by {piece.form}, geographic: {piece.geographic}")
    matrices = match_leading(asked, name, piece, leading, choices)
    block = column(world.block(name, _names(piece, leading)), matrices)
    centre_x, centre_y = world.grid.centres_in(crs)
    for cells, weights in options:
        if not cells:
            continue
        if asked.linear:
            here = piece.x[0] == place[0] and piece.y[0] == place[1]
        else:
            here = bool(same_place(world.grid, crs, piece.x[0], piece.y[0], centre_x[cells[0]], centre_y[cells[0]]))
            if here and is_geographic(crs) and abs(piece.x[0] - place[0]) > 180 + 1e-6:
                fail(asked, f"{name}: the longitude {piece.x[0]} is not in the convention of {place[0]}")
        wanted, sizes = block.of(cells, weights)
        exact = block.exact and not asked.linear
        if here and equal(piece.values[name].reshape(wanted.shape), wanted, sizes, exact=exact):
            _check_distance(world, asked, name, piece, place)
            return True
    return False


def _names(piece: Piece, leading: list[Dimension]) -> list[str]:
    """Return the stored dimensions of the leading axes of a piece, in its order."""
    names = {("t" if d.kind == "t" else "z" if d.kind == "z" else d.name): d.name for d in leading}
    return [names[kind if kind in ("t", "z") else axis] for axis, kind, _ in piece.leading]


def _check_distance(world, asked, name, piece, place) -> None:
    crs = request_of(asked)
    if piece.distance is None:
        fail(asked, f"{name}: does not say how far the centre of the cell is")
    held = world.grid.held(np.array([place[0]]), np.array([place[1]]), crs)[0] - {-1}
    lon, lat = world.grid.centres_in(CRS84)
    at_lon, at_lat = move([place[0]], [place[1]], crs, CRS84)
    right = [float(metres(at_lon[0], at_lat[0], lon[cell], lat[cell])) for cell in held]
    near = 1e-2 + 1.2e5 * world.grid.hair
    if not any(abs(piece.distance - one) <= near + 1e-6 * one for one in right):
        fail(asked, f"{name}: the centre lies {right} m away, and not {piece.distance}")


def explain_point(world, asked, name, piece, place, options, leading, choices) -> None:
    crs = request_of(asked)
    matrices = match_leading(asked, name, piece, leading, choices)
    block = column(world.block(name, _names(piece, leading)), matrices)
    centre_x, centre_y = world.grid.centres_in(crs)
    lines = [f"{name}: at {place} has {piece.values[name].ravel()[:3]} at {piece.x[0]}, {piece.y[0]}; right are"]
    for cells, weights in options[:6]:
        if cells:
            wanted = block.of(cells, weights)[0].ravel()[:3]
            lines.append(f"    {wanted} of {cells} by {weights}, {centre_x[cells[0]]}, {centre_y[cells[0]]}")
        else:
            lines.append("    nothing")
    fail(asked, "\n".join(lines))


# --------------------------------------------------------------------------------------------------------------- areas


def inside(asked: Asked, x, y, crs: CRS, *, exact: bool, hair: float) -> np.ndarray:
    """Tell of each place of a CRS whether it lies in the area: 1 for yes, -1 for no, 0 for both."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    found = np.full(x.shape, -1)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if asked.kind in ("radius", "corridor"):
        lon, lat = move(x[known], y[known], crs, CRS84)
        found[known] = (_in_circles if asked.kind == "radius" else _in_corridor)(asked, lon, lat)
        return found
    # What was computed is right but for rounding; what was given is exact.
    rounding = 0.0 if exact else (1e-9 if crs.is_geographic else 1e-5)
    near = max(hair if crs.is_geographic else 1e-5, rounding)
    turns = 360.0 * np.arange(-4, 5) if is_geographic(crs) else np.zeros(1)
    test = _in_box if asked.kind == "cube" else _in_polygons
    found[known] = np.max([test(asked, x[known] + turn, y[known], near, exact=exact) for turn in turns], axis=0)
    return found


def _in_box(asked: Asked, x, y, near: float, *, exact: bool) -> np.ndarray:
    west, south, east, north = asked.box
    # How deep a place lies in the box: negative outside.
    deep = np.minimum(np.minimum(x - west, east - x), np.minimum(y - south, north - y))
    return np.where(deep >= (0 if exact else near), 1, np.where(deep >= -near, 0, -1))


def _in_polygons(asked: Asked, x, y, near: float, *, exact: bool) -> np.ndarray:
    found = np.full(x.shape, -1)
    for rings in asked.polygons:
        odd = np.zeros(x.shape, bool)
        away = np.full(x.shape, np.inf)
        on_edge = np.zeros(x.shape, bool)
        for ring in rings:
            for (x1, y1), (x2, y2) in itertools.pairwise(np.asarray(ring, float)):
                crossed = (y1 > y) != (y2 > y)
                with np.errstate(divide="ignore", invalid="ignore"):
                    odd ^= crossed & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
                length = (x2 - x1) ** 2 + (y2 - y1) ** 2
                part = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / (length or 1.0), 0, 1)
                away = np.minimum(away, np.hypot(x1 + part * (x2 - x1) - x, y1 + part * (y2 - y1) - y))
                if x1 == x2 or y1 == y2:
                    on_edge |= (min(x1, x2) <= x) & (x <= max(x1, x2)) & (min(y1, y2) <= y) & (y <= max(y1, y2))
                on_edge |= ((x == x1) & (y == y1)) | ((x == x2) & (y == y2))
        here = np.where(odd, 1, -1)
        here[away <= near] = 0
        if exact:
            here[on_edge] = 1
        found = np.maximum(found, here)
    return found


def _in_circles(asked: Asked, lon, lat) -> np.ndarray:
    points = np.array(asked.points, float)
    at_lon, at_lat = move(points[:, 0], points[:, 1], request_of(asked), CRS84)
    away = metres(at_lon[:, None], at_lat[:, None], lon, lat).min(axis=0)
    near = 1e-2 + 1e-8 * asked.metres
    return np.where(np.abs(away - asked.metres) <= near, 0, np.where(away < asked.metres, 1, -1))


def _in_corridor(asked: Asked, lon, lat) -> np.ndarray:
    away = np.full(lon.shape, np.inf)
    for a, b in arcs(asked):
        away = np.minimum(away, _from_arcs(a, b, vectors(lon, lat)))
    half = asked.metres / 2
    # The path is followed to within about 30 m.
    return np.where(np.abs(away - half) <= 40.0, 0, np.where(away < half, 1, -1))


def arcs(asked: Asked, longest: float = 0.05) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the ends of short arcs along each line, as unit vectors."""
    crs = request_of(asked)
    for line in asked.path:
        whole = []
        for a, b in itertools.pairwise(line):
            wide = np.abs(b - a).max()
            count = int(np.ceil(wide / longest)) if crs.is_geographic else 1000
            whole.append(a + (b - a) * np.linspace(0, 1, max(count, 1) + 1)[:, None])
        places = np.concatenate(whole)
        lon, lat = move(places[:, 0], places[:, 1], crs, CRS84)
        if np.isnan(lon).any():
            raise TooFineError
        along = vectors(lon, lat)
        yield along[:-1], along[1:]


def _from_arcs(a: np.ndarray, b: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the least distance of places from short arcs, in metres."""
    best = np.full(len(places), np.inf)
    for start in range(0, len(a), 512):
        p, q = a[start : start + 512, None], b[start : start + 512, None]
        way = q - p
        length = (way**2).sum(axis=-1)
        part = np.clip(((places - p) * way).sum(axis=-1) / np.where(length > 0, length, 1.0), 0, 1)
        nearest = p + part[..., None] * way
        nearest /= np.linalg.norm(nearest, axis=-1, keepdims=True)
        chords = np.linalg.norm(places - nearest, axis=-1).min(axis=0)
        best = np.minimum(best, 2 * 6_371_008.8 * np.arcsin(np.clip(chords / 2, 0, 1)))
    return best


@dataclass
class Members:
    """Which cells an answer must hold, and which it may hold."""

    must: set[int]
    may: set[int]
    one: bool = False
    """Any one of `may`, where there is no `must`."""
    nothing: bool = False
    """Whether there may be no answer."""


def members(world: World, asked: Asked) -> Members:
    crs = request_of(asked)
    grid = world.grid
    own = same(crs, grid.crs)
    x, y = grid.centres_in(crs)
    state = inside(asked, x, y, crs, exact=own, hair=max(grid.hair, 1e-9))
    if not crs.is_geographic and grid.crs == CRS84:
        other = inside(asked, np.where(close(np.abs(x), SEAM, crs), -x, x), y, crs, exact=False, hair=1e-9)
        state = np.where(state == other, state, 0)
    must, may = set(np.flatnonzero(state > 0).tolist()), set(np.flatnonzero(state >= 0).tolist())
    if must:
        return Members(must, may)
    met = _met(world, asked)
    if not may:
        return met
    return Members(set(), may | met.must | met.may, nothing=met.nothing)


def _met(world: World, asked: Asked) -> Members:
    """Return what an area without a centre takes."""
    crs, grid = request_of(asked), world.grid
    if asked.kind == "radius":
        held = [grid.held(np.array([x]), np.array([y]), crs)[0] for x, y in asked.points]
    elif asked.kind == "corridor":
        return _met_by_path(world, asked)
    elif asked.kind == "cube":
        if isinstance(grid, Lattice) and same(crs, grid.crs):
            return _met_by_box(grid, asked)
        west, south, east, north = asked.box
        wide, high = np.linspace(west, east, 25), np.linspace(south, north, 25)
        at_x, at_y = (part.ravel() for part in np.meshgrid(wide, high))
        held = grid.held(at_x, at_y, crs)
        # Cells that are met by a corner of the box alone may be missed.
        inner = grid.held(*(part.ravel() for part in np.meshgrid(wide[2:-2:5], high[2:-2:5])), crs)
        must = {next(iter(one)) for one in inner if len(one) == 1} - {-1}
        every = set().union(*held) - {-1}
        return Members(must if (west < east and south < north) else set(), every, nothing=not must)
    else:
        places = []
        for rings in asked.polygons:
            outer = np.asarray(rings[0], float)
            west, south = outer.min(axis=0)
            east, north = outer.max(axis=0)
            wide, high = np.linspace(west, east, 40), np.linspace(south, north, 40)
            at_x, at_y = (part.ravel() for part in np.meshgrid(wide, high))
            within = _in_polygons(asked, at_x, at_y, 1e-12, exact=False) >= 0
            places.append(np.stack([at_x[within], at_y[within]]))
        at_x, at_y = np.concatenate(places, axis=1)
        held = grid.held(at_x, at_y, crs) if at_x.size else [{-1}]
        every = set().union(*held)
        return Members(set(), every - {-1}, one=True, nothing=-1 in every or not every)
    must = {next(iter(one)) for one in held if len(one) == 1} - {-1}
    return Members(must, set().union(*held) - {-1}, nothing=not must)


def _met_by_box(grid: Lattice, asked: Asked) -> Members:
    """Return the cells that share more than an edge with a box."""
    west, south, east, north = asked.box
    found = []
    for line, low, high in ((grid.y, south, north), (grid.x, west, east)):
        bottom, top = line.cells
        turns = line.turns
        shared = np.max([np.minimum(top + t, high) - np.maximum(bottom + t, low) for t in turns], axis=0)
        centred = np.max([(line.values + t >= low) & (line.values + t <= high) for t in turns], axis=0)
        touched = set(np.flatnonzero(shared >= -1e-9).tolist())
        # Along an axis that has centres in the box, these are enough.
        certain = np.flatnonzero(centred) if centred.any() else np.flatnonzero(shared > 1e-6)
        found.append((set(certain.tolist()), touched | set(np.flatnonzero(centred).tolist())))
    columns = len(grid.x.values)
    must, may = ({i * columns + j for i in found[0][k] for j in found[1][k]} for k in (0, 1))
    return Members(must, may, nothing=not must)


def _met_by_path(world: World, asked: Asked) -> Members:
    must, may = set(), set()
    for number in range(len(asked.lines)):
        for (cell, *_), sure in events(world, asked, number, []):
            may.add(cell)
            if sure:
                must.add(cell)
    return Members(must - {-1}, may - {-1}, nothing=not must - {-1})


def _presence(world, asked, name, pieces, wanted: Members) -> Piece | None:
    if len(pieces) > 1:
        fail(asked, f"{name}: {len(pieces)} answers to one area")
    if not pieces:
        if wanted.must or (wanted.may and not wanted.nothing):
            fail(asked, f"{name}: no answer, though {len(wanted.must)} cells lie there: {sorted(wanted.must)[:5]}")
        return None
    if not wanted.may:
        fail(asked, f"{name}: an answer where no cell lies")
    return pieces[0]


def _merged(asked: Asked, name: str, pieces: list[Piece], leading: list[Dimension]) -> list[Piece]:
    """Join the pieces of one area that CoverageJSON has cut along members, or along the levels of a list."""
    if len(pieces) < 2:
        return pieces
    first = pieces[0]
    axes = {}
    for position, (axis, kind, _) in enumerate(first.leading):
        axes[axis] = (kind, sorted({value for piece in pieces for value in piece.leading[position][2].tolist()}))
    shape = tuple(len(values) for _, values in axes.values())
    tail = first.values[name].shape[len(first.leading) :]
    whole = np.full((*shape, *tail), np.nan)
    seen = np.zeros(shape, int)
    for piece in pieces:
        if not (np.array_equal(piece.x, first.x) and np.array_equal(piece.y, first.y)):
            return pieces
        where = np.ix_(*([axes[axis][1].index(v) for v in values.tolist()] for axis, _, values in piece.leading))
        whole[where] = piece.values[name]
        seen[where] += 1
    if (seen != 1).any():
        fail(asked, f"{name}: some members or levels are answered twice or never")
    merged = [(axis, kind, np.array(values)) for axis, (kind, values) in axes.items()]
    return [Piece(merged, first.form, first.x, first.y, first.t, first.z, {name: whole}, first.geographic)]


def check_rows(world, asked, name, pieces, leading, choices) -> None:
    """Check an area in the rows and columns of the grid."""
    grid = world.grid
    wanted = members(world, asked)
    piece = _presence(world, asked, name, _merged(asked, name, pieces, leading), wanted)
    if piece is None:
        return
    if piece.form != "rows" or piece.geographic != is_geographic(grid.crs):
        fail(asked, f"{name}: rows and columns are answered by {piece.form}, geographic: {piece.geographic}")
    rows = _positions(asked, piece.y, grid.y, "y")
    columns = _positions(asked, piece.x, grid.x, "x")
    numbers = rows[:, None] * len(grid.x.values) + columns
    missing = wanted.must - set(numbers.ravel().tolist())
    missing -= {cell for cell in missing if _has_twin(grid, cell, set(numbers.ravel().tolist()))}
    if missing:
        fail(asked, f"{name}: the cells {sorted(missing)[:5]} are missing of {len(wanted.must)}")
    block = column(world.block(name, _names(piece, leading)), match_leading(asked, name, piece, leading, choices))
    values = piece.values[name].reshape(*block.values.shape[:-1], *numbers.shape)
    held = 0
    for i, j in np.ndindex(*numbers.shape):
        cell = int(numbers[i, j])
        here = values[..., i, j]
        stored = block.of([cell], [1.0])[0]
        is_stored = any(equal(here, *block.of([twin], [1.0]), exact=block.exact) for twin in _twins(grid, cell))
        is_missing = bool(np.isnan(here.astype(float)).all())
        twin = _has_twin(grid, cell, wanted.may)
        if cell in wanted.must:
            right = is_stored
        elif cell in wanted.may or twin:
            right = is_stored or is_missing
        else:
            right = is_missing
        held += is_stored and cell in wanted.may
        if not right:
            fail(
                asked,
                f"{name}: cell {cell} ({piece.x[j]}, {piece.y[i]}) has {here.ravel()[:3]}, "
                f"stored is {stored.ravel()[:3]}, in: {cell in wanted.must}, may: {cell in wanted.may}",
            )
    if wanted.one and held != 1 and not _all_missing(block, wanted.may):
        fail(asked, f"{name}: {held} cells where one was due")
    if asked.kind == "cube" and is_geographic(grid.crs):
        _check_convention(asked, piece.x)


def _all_missing(block: Column, cells: set[int]) -> bool:
    return any(np.isnan(block.values[..., cell].astype(float)).all() for cell in cells)


def _has_twin(grid: Grid, cell: int, others: set[int]) -> bool:
    """Whether a cell lies on the meridian of another one (0 and 360 in one axis)."""
    return bool((_twins(grid, cell) - {cell}) & others)


def _positions(asked: Asked, values: np.ndarray, line: Line, what: str) -> np.ndarray:
    """Return the positions of coordinates along an axis; they follow each other without a gap."""
    stored = (line.values if line.stored is None else line.stored).astype(float)
    found = []
    for value in values:
        fits = same_longitude(stored, value) if line.circular else stored == value
        if not fits.any():
            fail(asked, f"{what} {value} is no coordinate of the grid")
        places = np.flatnonzero(fits)
        after = [p for p in places if found and (p - found[-1]) % len(stored) == 1]
        found.append(int(after[0] if after else places[0]))
    if len(set(found)) != len(found):
        fail(asked, f"{what} has a row or a column twice: {values}")
    gaps = np.diff(values)
    if not ((gaps > 0).all() or (gaps < 0).all()):
        fail(asked, f"{what} neither rises nor falls: {values}")
    return np.array(found)


def _check_convention(asked: Asked, x: np.ndarray) -> None:
    west, _, east, _ = asked.box
    # A cell that a narrow box meets may have its centre beside it.
    if x.min() < west - 181 or x.max() > east + 181 or (x.size > 1 and x.max() - x.min() >= 360 + 1e-6):
        fail(asked, f"the longitudes {x.min()} to {x.max()} are not in the convention of the request")
    centred = [v for v in x if west - 1e-6 <= v <= east + 1e-6]
    if not centred and x.size > 2:
        fail(asked, f"the longitudes {x.min()} to {x.max()} are not in the convention of the request")


def check_list(world, asked, name, pieces, leading, choices) -> None:
    """Check an area of cells one by one."""
    crs = request_of(asked)
    wanted = members(world, asked)
    piece = _presence(world, asked, name, _merged(asked, name, pieces, leading), wanted)
    if piece is None:
        return
    if piece.form != "list" or piece.geographic != is_geographic(crs):
        fail(asked, f"{name}: cells are answered by {piece.form}, geographic: {piece.geographic}")
    block = column(world.block(name, _names(piece, leading)), match_leading(asked, name, piece, leading, choices))
    centre_x, centre_y = world.grid.centres_in(crs)
    values = piece.values[name].reshape(*block.values.shape[:-1], -1)
    free = set(wanted.may)
    for number, (x, y) in enumerate(zip(piece.x, piece.y, strict=True)):
        there = np.flatnonzero(same_place(world.grid, crs, x, y, centre_x, centre_y))
        fits = [
            cell
            for cell in there.tolist()
            if cell in free and equal(values[..., number], *block.of([cell], [1.0]), exact=block.exact)
        ]
        if not fits:
            fail(
                asked,
                f"{name}: {values[..., number].ravel()[:3]} at {x}, {y} is not among {there} "
                f"(those that may: {[cell in wanted.may for cell in there]}), or is there twice",
            )
        free.discard(next((cell for cell in fits if cell in wanted.must), fits[0]))
    left = wanted.must & free
    if left:
        fail(asked, f"{name}: the cells {sorted(left)[:5]} are missing of {len(wanted.must)}")
    if wanted.one and piece.x.size != 1:
        fail(asked, f"{name}: {piece.x.size} cells where one was due")


# ------------------------------------------------------------------------------------------------------------- rasters


def check_raster(world, asked, name, pieces, leading, choices) -> None:
    """Check an area that is answered by places in rows and columns of the request."""
    crs, grid = request_of(asked), world.grid
    pieces = _merged(asked, name, pieces, leading)
    if len(pieces) > 1:
        fail(asked, f"{name}: {len(pieces)} answers to one area")
    least, most = _box(asked)
    if not pieces:
        _expect_no_raster(world, asked, name, least, most)
        return
    piece = pieces[0]
    if piece.form != "rows" or piece.geographic != is_geographic(crs):
        fail(asked, f"{name}: a raster is answered by {piece.form}, geographic: {piece.geographic}")
    for values, low, high, count, what in (
        (piece.x, least[0], most[0], asked.columns, "x"),
        (piece.y, least[1], most[1], asked.rows, "y"),
    ):
        _check_even(world, asked, values, (low, high), count, what)
    block = column(world.block(name, _names(piece, leading)), match_leading(asked, name, piece, leading, choices))
    x, y = (part.ravel() for part in np.meshgrid(piece.x, piece.y))
    values = piece.values[name].reshape(*block.values.shape[:-1], -1)
    if x.size > SOME:
        # Of many places some, most of them with a value.
        rng = np.random.default_rng(x.size)
        known = np.flatnonzero(~np.isnan(values.astype(float)).all(axis=tuple(range(values.ndim - 1))))
        some = np.concatenate([rng.choice(known, SOME // 2), rng.choice(x.size, SOME // 2)])
        x, y, values = x[some], y[some], values[..., some]
    state = inside(asked, x, y, crs, exact=False, hair=1e-9) if asked.kind != "cube" else np.ones(x.size)
    if not (state > 0).any():
        # An area that holds no place of the raster gets those nearest to its middle, its points or its path.
        state = np.zeros(x.size)
    own_x, own_y = move(x, y, crs, grid.crs)
    held = grid.hold(own_x, own_y)
    for place in range(x.size):
        here = values[..., place]
        if state[place] <= 0 and np.isnan(here.astype(float)).all():
            continue
        if state[place] < 0:
            fail(asked, f"{name}: {here.ravel()[:3]} at {x[place]}, {y[place]}, outside the area")
        if not asked.linear and _fits(block, here, [((int(held[place]),), (1.0,)) if held[place] >= 0 else ((), ())]):
            continue
        options = grid.options(x[place], y[place], crs, linear=asked.linear)
        if not _fits(block, here, options, linear=asked.linear):
            right = [block.of(*option)[0].ravel()[:2] if option[0] else None for option in options[:6]]
            fail(
                asked, f"{name}: {here.ravel()[:2]} at {x[place]}, {y[place]} where {right} of {options[:3]} are right"
            )


def _fits(block: Column, here: np.ndarray, options, *, linear: bool = False) -> bool:
    for cells, weights in options:
        if not cells and np.isnan(here.astype(float)).all():
            return True
        if cells and equal(here, *block.of(cells, weights), exact=block.exact and not linear):
            return True
    return False


def _box(asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest coordinates of an area, in the CRS of the request."""
    if asked.kind == "cube":
        west, south, east, north = asked.box
        return np.array([west, south]), np.array([east, north])
    if asked.kind == "area":
        every = np.concatenate([ring for rings in asked.polygons for ring in rings])
        return every.min(axis=0), every.max(axis=0)
    return np.full(2, np.nan), np.full(2, np.nan)


def _check_even(world, asked, values, ends, count, what) -> None:
    low, high = ends
    if count and values.size != count:
        fail(asked, f"{what}: {values.size} places where {count} were asked for")
    if values.size > 1:
        gaps = np.diff(values)
        if np.abs(gaps - gaps.mean()).max() > 1e-9 * max(1.0, np.abs(values).max()) or gaps[0] == 0:
            fail(asked, f"{what} is not even: {values[:5]}")
    if np.isfinite(low):
        near = 1e-9 * max(1.0, abs(low), abs(high))
        turned = what == "x" and is_geographic(request_of(asked)) and high - low >= 360
        right = (values.min(), values.max()) if values.size > 1 else (values[0] * 2 - high, high)
        if values.size > 1 and not turned and (abs(right[0] - low) > near or abs(right[1] - high) > near):
            fail(asked, f"{what} reaches from {right[0]} to {right[1]}, not from {low} to {high}")
        if values.size == 1 and not low - near <= values[0] <= high + near:
            fail(asked, f"{what} is {values[0]}, outside {low} to {high}")


def _expect_no_raster(world, asked, name, least, most) -> None:
    """Check that nothing of the data lies where a raster would."""
    crs, grid = request_of(asked), world.grid
    if not (asked.columns and asked.rows and np.isfinite(least).all()):
        # So many places that any cell of some size would be met.
        centre_x, centre_y = grid.centres_in(crs)
        state = inside(asked, centre_x, centre_y, crs, exact=False, hair=1e-6)
        if asked.columns or asked.rows or (state > 0).sum() < 8 or not np.isfinite(least).all():
            return
        wide = [np.ptp(part[state > 0]) for part in (centre_x, centre_y)]
        if (np.array(wide) * 3 < most - least).any():
            return
        fail(asked, f"{name}: no answer, though {(state > 0).sum()} centres lie there")
    axes = [
        np.linspace(low, high, count) if count > 1 else np.array([(low + high) / 2])
        for low, high, count in zip(least, most, (asked.columns, asked.rows), strict=True)
    ]
    if is_geographic(crs) and most[0] - least[0] >= 360 and asked.columns > 1:
        axes[0] = np.linspace(least[0], least[0] + 360, asked.columns, endpoint=False)
    x, y = (part.ravel() for part in np.meshgrid(*axes))
    state = inside(asked, x, y, crs, exact=False, hair=1e-9) if asked.kind != "cube" else np.ones(x.size)
    for place in np.flatnonzero(state > 0):
        if ((), ()) not in grid.options(x[place], y[place], crs, linear=asked.linear):
            fail(asked, f"{name}: no answer, though {x[place]}, {y[place]} lies in a cell")


# --------------------------------------------------------------------------------------------------------------- paths


def events(world: World, asked: Asked, number: int, own: list[Dimension]) -> list[tuple[tuple[int, ...], bool]]:
    """Return the cells that a line meets, in order, with their steps and levels; and whether they must be answered.

    -1 in a state is outside.
    """
    line = asked.path[number]
    along = [np.asarray(asked.times[number] if dimension.kind == "t" else asked.heights[number]) for dimension in own]
    grid = world.grid
    if isinstance(grid, Lattice) and same(request_of(asked), grid.crs):
        # Of two cells in one place the first.
        return [((min(_twins(grid, cell)), *rest), sure) for (cell, *rest), sure in
                _events_by_clipping(grid, line, along, own)]
    return _events_by_steps(world, asked, line, along, own)


def _events_by_clipping(grid: Lattice, line, along, own) -> list[tuple[tuple[int, ...], bool]]:
    """Clip each segment by the slabs of each cell."""
    lines = [grid.y, grid.x, *(_line(dimension) for dimension in own)]
    orders = [None, None, *(np.argsort(dimension.values, kind="stable") for dimension in own)]
    ways = [line[:, 1], line[:, 0], *along]
    found: list[tuple[tuple[int, ...], bool]] = []
    for vertex in range(len(line)):
        found += _at_vertex(grid, lines, orders, [way[vertex] for way in ways])
        if vertex + 1 == len(line):
            break
        length = max(abs(ways[0][vertex + 1] - ways[0][vertex]), abs(ways[1][vertex + 1] - ways[1][vertex]))
        spans = []
        for one, way in zip(lines, ways, strict=True):
            a, b = float(way[vertex]), float(way[vertex + 1])
            low, high = one.cells
            spans.append(
                [
                    (cell, *span)
                    for cell in range(len(one.values))
                    for turn in one.turns
                    if (span := _span(a, b, float(low[cell] - turn), float(high[cell] - turn))) is not None
                ]
            )
        met = []
        for parts in itertools.product(*spans):
            begin, end = max(part[1] for part in parts), min(part[2] for part in parts)
            certain = all(part[3] for part in parts)
            if end < begin:
                continue
            size = (end - begin) * length if length else (end - begin)
            cells = [part[0] for part in parts]
            state = [cells[0] * len(grid.x.values) + cells[1]]
            state += [int(order[cell]) for order, cell in zip(orders[2:], cells[2:], strict=True)]
            met.append(((begin + end) / 2, tuple(state), certain and size > (1e-6 if length else 1e-9)))
        found += [(state, sure) for _, state, sure in sorted(met)]
    return found


def _span(a: float, b: float, low: float, high: float) -> tuple[float, float, bool] | None:
    """Return which part of the way from a to b lies between two ends, and whether it is not along an edge."""
    if a == b:
        if not low <= a <= high:
            return None
        near = 1e-9 * max(1.0, abs(a))
        return 0.0, 1.0, low + near < a < high - near or low == high
    # To cross a cell of no width is no doubt to touch it, and no more.
    first, last = sorted(((low - a) / (b - a), (high - a) / (b - a)))
    first, last = max(first, 0.0), min(last, 1.0)
    return (first, last, high - low > 1e-5) if last >= first else None


def _at_vertex(grid, lines, orders, values) -> list[tuple[tuple[int, ...], bool]]:
    cells = []
    for one, value, order in zip(lines, values, orders, strict=True):
        near = 2 if one.values.dtype.kind in "iu" else 1e-9 * max(1.0, abs(value))
        held = one.hold(np.array([value, value - near, value + near]))
        cells.append({int(cell) if order is None or cell < 0 else int(order[cell]) for cell in held})
    sure = all(len(one) == 1 for one in cells)
    found = []
    for state in itertools.product(*cells):
        if -1 not in state:
            found.append(((state[0] * len(grid.x.values) + state[1], *state[2:]), sure))
    return found


def _events_by_steps(world, asked, line, along, own) -> list[tuple[tuple[int, ...], bool]]:
    """Look at a line in many small steps; what it stays in for less than half the distance of centres may be missed."""
    grid, crs = world.grid, request_of(asked)
    found: list[tuple[tuple[int, ...], bool]] = []
    lon, lat = grid.centres_in(CRS84)
    for vertex in range(len(line) - 1):
        before = len(found)
        ends = move(*line[vertex : vertex + 2].T, crs, CRS84)
        apart = np.nan_to_num(np.hypot(np.diff(ends[0]), np.diff(ends[1]))[0]) * 111_195.0
        steps = int(max(apart / _least_distance(grid) * 30, 400))
        if steps > 40_000:
            raise TooFineError
        fraction = np.linspace(0, 1, steps + 1)
        x, y = (line[vertex] + (line[vertex + 1] - line[vertex]) * fraction[:, None]).T
        cells = grid.hold(*move(x, y, crs, grid.crs))
        states = [cells]
        for dimension, way in zip(own, along, strict=True):
            order = np.argsort(dimension.values, kind="stable")
            values = way[vertex] + (way[vertex + 1] - way[vertex]) * fraction
            held = _line(dimension).hold(np.rint(values).astype(np.int64) if dimension.kind == "t" else values)
            states.append(np.where(held >= 0, order[held], -1))
        states = np.stack(states, axis=1)
        at_lon, at_lat = move(x, y, crs, CRS84)
        length = metres(at_lon[:-1], at_lat[:-1], at_lon[1:], at_lat[1:])
        begins = np.flatnonzero(np.append(True, (np.diff(states, axis=0) != 0).any(axis=1)))
        stops = np.append(begins[1:], steps + 1)
        for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True):
            state = tuple(int(part) for part in states[begin])
            if -1 in state:
                continue
            cell = state[0]
            apart = metres(lon[cell], lat[cell], lon, lat)
            apart = np.where(np.isnan(apart) | (apart < 1.0), np.inf, apart)
            gap = max(float(apart.min()), grid.spacing if isinstance(grid, Cloud) else 0.0)
            long = np.nansum(length[begin : stop - 1]) > 0.5 * gap
            share = (stop - begin) / steps
            others = all(
                share * abs(float(way[vertex + 1] - way[vertex])) > 0.5 * _least_gap(dimension)
                for dimension, way in zip(own, along, strict=True)
                if way[vertex + 1] != way[vertex]
            )
            found.append((state, bool(long and others and share > 3 / steps and np.isfinite(gap))))
            # A step may find the twin of a cell, or the other side of a border.
            for twin in _twins(grid, cell) - {cell}:
                found.append(((twin, *state[1:]), False))
        ends = []
        for place in (0, steps):
            beside = grid.held(x[[place]], y[[place]], crs)[0] - {-1}
            states_of = [(cell, *(int(part) for part in states[place][1:])) for cell in sorted(beside)]
            ends.append([(state, False) for state in states_of if -1 not in state])
        found = [*found[:before], *ends[0], *found[before:], *ends[1]]
    return found


def _least_distance(grid: Grid) -> float:
    """Return how near the centres of neighbouring rows or columns, or cells, come to each other, in metres."""
    if not isinstance(grid, Lattice):
        return grid.spacing if isinstance(grid, Cloud) else 6.5e6 / 2**grid.level
    gaps = [float(np.abs(np.diff(one.values)).min()) for one in (grid.y, grid.x) if len(one.values) > 1]
    return min(gaps, default=1.0) * (111_195.0 if grid.crs.is_geographic else 1.0)


def _least_gap(dimension: Dimension) -> float:
    return float(np.abs(np.diff(np.sort(dimension.values.astype(float)))).min(initial=np.inf))


def _twins(grid: Grid, cell: int) -> set[int]:
    """Return the cells whose centres are in one place."""
    if isinstance(grid, Lattice) and grid.x.circular:
        row, at = divmod(cell, len(grid.x.values))
        columns = np.flatnonzero(same_longitude(grid.x.values.astype(float), float(grid.x.values[at])))
        return {row * len(grid.x.values) + int(column) for column in columns}
    if not isinstance(grid, Cloud):
        return {cell}
    lon, lat = grid.centres()
    return set(np.flatnonzero(metres(lon[cell], lat[cell], lon, lat) < 1e-3).tolist())


def check_paths(world, asked, name, pieces, leading, choices) -> None:
    """Check the answer to a trajectory: one path for each line, time and level."""
    shared = [number for number, dimension in enumerate(leading) if dimension.kind != "custom"]
    custom = [number for number in range(len(leading)) if number not in shared]
    own = [
        dimension
        for kind, given in (("t", asked.times), ("z", asked.heights))
        if given is not None
        for dimension in world.leading.values()
        if dimension.kind == kind and dimension.name in world.fields[name].dims
    ]
    options = [[option for option in choices[number] if option is not None] for number in shared]
    problems = []
    for chosen in itertools.product(*options):
        try:
            _check_paths_at(world, asked, name, pieces, leading, choices, shared, custom, chosen, own)
        except AssertionError as error:
            problems.append(error)
        else:
            return
    raise problems[0]


def _check_paths_at(world, asked, name, pieces, leading, choices, shared, custom, chosen, own) -> None:
    waiting: dict[tuple, list[Piece]] = {}
    kinds = [leading[number].kind for number in shared]
    for piece in pieces:
        if piece.form != "path" or piece.geographic != is_geographic(request_of(asked)):
            fail(asked, f"{name}: a path is answered by {piece.form}, geographic: {piece.geographic}")
        key = []
        for kind in kinds:
            values = piece.t if kind == "t" else piece.z
            if values is None or len(set(values.tolist())) != 1:
                fail(asked, f"{name}: a path has several {kind}, or none: {values}")
            key.append(_key(values.tolist()[0]))
        waiting.setdefault(tuple(key), []).append(piece)
    names = [leading[number] for number in custom]
    kept = [choices[number] for number in custom]
    for rows in itertools.product(*(zip(option.coordinates.tolist(), option.rows, strict=True) for option in chosen)):
        key = tuple(_key(coordinate) for coordinate, _ in rows)
        mine = _joined(asked, name, waiting.pop(key, []), names)
        for number in range(len(asked.lines)):
            piece = next(iter(mine), None)
            fixed = [(leading[at], row) for at, (_, row) in zip(shared, rows, strict=True)]
            if _is_path(world, asked, name, piece, number, names, kept, fixed, own):
                mine = mine[1:] if piece is not None and _is_path.used else mine
            else:
                fail(asked, f"{name}: line {number} at {key}: {_is_path.why}")
        if mine:
            fail(asked, f"{name}: {len(mine)} paths too many at {key}")
    if waiting:
        fail(asked, f"{name}: paths at {sorted(waiting)} which were not asked for")


def _joined(asked, name, pieces: list[Piece], names: list[Dimension]) -> list[Piece]:
    """Join the paths of one line that CoverageJSON has cut along members."""
    size = int(np.prod([max(len(p.leading[k][2]) for p in pieces) for k in range(len(names))])) if pieces else 1
    if not pieces or not names or size > 1:
        return pieces
    found: list[list[Piece]] = []
    for piece in pieces:
        member = tuple(values.tolist()[0] for _, _, values in piece.leading)
        for group in found:
            alike = np.array_equal(group[0].x, piece.x) and np.array_equal(group[0].y, piece.y)
            others = {tuple(values.tolist()[0] for _, _, values in one.leading) for one in group}
            if alike and member not in others:
                group.append(piece)
                break
        else:
            found.append([piece])
    return [one for group in found for one in _merged(asked, name, group, names)]


def _is_path(world, asked, name, piece, number, names, kept, fixed, own) -> bool:
    """Whether a piece is the path of a line; `used` says whether there is one at all."""
    _is_path.used, _is_path.why = True, ""
    crs = request_of(asked)
    if asked.linear:
        wanted = _vertices(world, asked, number, own)
        must = [vertex for vertex, options in wanted if all(options_ for options_ in options)]
    else:
        wanted = events(world, asked, number, own)
        must = [state for state, sure in wanted if sure]
    if piece is None:
        _is_path.why = f"no answer, though it meets {must[:5]}"
        return not must
    matrices = match_leading(asked, name, piece, names, kept)
    order = [dimension.name for dimension, _ in fixed]
    block = world.block(name, [*_names(piece, names), *order, *(dimension.name for dimension in own)])
    weights = [Taken(np.zeros(1), [row]).matrix(len(dimension.values)) for dimension, row in fixed]
    whole = column(block, [*matrices, *weights, *(np.eye(len(dimension.values)) for dimension in own)])
    front = len(matrices)
    for _ in fixed:
        whole = Column(whole.values.take(0, axis=front), whole.sizes.take(0, axis=front), whole.exact)
    if asked.linear:
        fits = _match_vertices(asked, name, piece, number, wanted, whole, own)
    else:
        fits = _match_events(world, asked, name, piece, crs, wanted, whole, own)
    if not fits and not must:
        _is_path.used = False
        return True
    return fits


def _states_of(world, asked, piece, crs, own) -> list[list[tuple[int, ...]]]:
    """Return what each sample of a path may be: its cell, step and level, by its coordinates."""
    centre_x, centre_y = world.grid.centres_in(crs)
    found = []
    for sample, (x, y) in enumerate(zip(piece.x, piece.y, strict=True)):
        cells = np.flatnonzero(same_place(world.grid, crs, x, y, centre_x, centre_y)).tolist()
        parts = [cells]
        for dimension in own:
            values = piece.t if dimension.kind == "t" else piece.z
            parts.append(np.flatnonzero(np.asarray(dimension.values) == values[sample]).tolist())
        found.append([tuple(state) for state in itertools.product(*parts)])
    return found


def _match_events(world, asked, name, piece, crs, wanted, whole: Column, own) -> bool:
    states = _states_of(world, asked, piece, crs, own)
    values = piece.values[name]
    front = whole.values.ndim - 1 - len(own)
    for sample, options in enumerate(states):
        right = []
        for state in options:
            where = (..., *state[1:], state[0])
            if equal(
                values[..., sample].reshape(whole.values[where].shape),
                whole.values[where],
                whole.sizes[where],
                exact=whole.exact,
            ):
                right.append(state)
        if not right:
            _is_path.why = (
                f"sample {sample} at {piece.x[sample]}, {piece.y[sample]} has {values[..., sample].ravel()[:3]}, "
                f"which is none of {[whole.values[(..., *s[1:], s[0])].ravel()[:3] for s in options][:4]}"
            )
            return False
        states[sample] = [(twin, *state[1:]) for state in right for twin in _twins(world.grid, state[0])]
    del front
    reached = {-1}
    for number, (state, sure) in enumerate(wanted):
        following = set()
        for at in reached:
            if at >= 0 and state in states[at]:
                following.add(at)
            if at + 1 < len(states) and state in states[at + 1]:
                following.add(at + 1)
            if not sure:
                following.add(at)
        if not following:
            at = max(reached)
            _is_path.why = (
                f"after sample {at} ({states[at] if at >= 0 else 'none'}) comes {states[at + 1 : at + 3]}, where "
                f"{state} must come (event {number}; before: {wanted[max(0, number - 3) : number]}; "
                f"then {wanted[number + 1 : number + 3]})"
            )
            return False
        reached = following
    if len(states) - 1 not in reached:
        at = max(reached)
        _is_path.why = f"samples from {at + 1} on are none of the path: {states[at + 1 : at + 3]} of {len(states)}"
        return False
    return True


def _vertices(world, asked, number, own) -> list[tuple[int, list]]:
    """Return the right mixtures at each vertex: cells and weights, and those of its step and level."""
    found = []
    for vertex, (x, y) in enumerate(asked.path[number]):
        options = world.grid.options(float(x), float(y), request_of(asked), linear=True)
        parts: list[list] = [[option if option[0] else None for option in options]]
        for dimension in own:
            value = (asked.times if dimension.kind == "t" else asked.heights)[number][vertex]
            parts.append([None if one is None else one.rows[0] for one in _mixed(dimension, [value])])
        found.append((vertex, [combo if None not in combo else () for combo in itertools.product(*parts)]))
    return found


def _match_vertices(asked, name, piece, number, wanted, whole: Column, own) -> bool:
    line = asked.path[number]
    sample = 0
    for vertex, options in wanted:
        if sample < piece.x.size and piece.x[sample] == line[vertex, 0] and piece.y[sample] == line[vertex, 1]:
            for dimension in own:
                given = (asked.times if dimension.kind == "t" else asked.heights)[number][vertex]
                there = (piece.t if dimension.kind == "t" else piece.z)[sample]
                if abs(there - given) > 1e-9:
                    _is_path.why = f"vertex {vertex} has the {dimension.kind} {there}, not {given}"
                    return False
            here = piece.values[name][..., sample]
            if any(option and _is_mixture(here, whole, option, own) for option in options):
                sample += 1
                continue
            if () not in options:
                _is_path.why = f"vertex {vertex} {line[vertex]} has {here.ravel()[:3]}, not {options[:3]}"
                return False
        elif () not in options:
            _is_path.why = f"vertex {vertex} {line[vertex]} is missing"
            return False
    if sample != piece.x.size:
        _is_path.why = f"sample {sample} of {piece.x.size} is no vertex of the line"
        return False
    return True


def _is_mixture(here, whole: Column, option, own) -> bool:
    (cells, weights), *rows = option
    values, sizes = whole.of(cells, weights)
    for _, row in reversed(list(zip(own, rows, strict=True))):
        part = Column(values, sizes, exact=False)
        values, sizes = part.of(tuple(row), tuple(row.values()))
    return equal(here.reshape(values.shape), values, sizes, exact=False)


__all__ = ["Asked", "Dimension", "Field", "Healpix", "Piece", "World", "check"]
