"""Which times, levels and members does a query select, and what do the fields hold there?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from oracle_asked import Asked, Dimension, Piece, fail
from oracle_cells import Line

RELATIVE = 1e-6


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
        return mixed(dimension, sorted(set(what)))
    return _nearest(dimension, what)


def of_one_place(options: list[Taken | None]) -> list[list[Taken | None]]:
    """Divide the ways to select into those of which none has the coordinates of another one."""
    first: list[Taken | None] = []
    for option in options:
        if option is None or not any(other and is_all_of(option.coordinates, other.coordinates) for other in first):
            first.append(option)
        else:
            return [[one] for one in options]
    return [first]


def _stored(values: np.ndarray, places) -> Taken:
    places = np.asarray(places, int)
    return Taken(values[places], [{int(place): 1.0} for place in places])


def line_of(dimension: Dimension) -> Line:
    order = np.argsort(dimension.values, kind="stable")
    bounds = None if dimension.bounds is None else dimension.bounds[order]
    return Line(np.asarray(dimension.values)[order], bounds)


def held_by(dimension: Dimension, value) -> set[int]:
    """Return the positions that may be said to hold a value; -1 for none."""
    order = np.argsort(dimension.values, kind="stable")
    near = 2 if dimension.kind == "t" else max(abs(value) * 1e-9, 1e-9)
    cells = line_of(dimension).hold(np.array([value, value - near, value + near]))
    exact = np.flatnonzero(dimension.values == value)
    return {int(exact[0])} if exact.size else {int(order[cell]) if cell >= 0 else -1 for cell in cells}


def _nearest(dimension: Dimension, wanted) -> list[Taken | None]:
    found: dict[tuple[int, ...], Taken | None] = {}
    for cells in itertools.islice(itertools.product(*(held_by(dimension, value) for value in wanted)), 256):
        key = () if -1 in cells else tuple(sorted(set(cells)))
        found[key] = _stored(np.asarray(dimension.values), key) if key else None
    return list(found.values())


def mixed(dimension: Dimension, wanted) -> list[Taken | None]:
    order = np.argsort(dimension.values, kind="stable")
    line = line_of(dimension)
    rows = []
    maybe = False
    for value in wanted:
        held = held_by(dimension, value)
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
    ends = [held_by(dimension, end) for end in (low, high) if end is not None]
    # "The ends": of the heights themselves, or of the heights as widened.
    wide = [
        held_by(dimension, end)
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
        return mixed(dimension, wanted.tolist())
    held = [held_by(dimension, value) for value in wanted]
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
            if option is not None and is_all_of(values, option.coordinates):
                rows = {key_of(value): row for value, row in zip(option.coordinates, option.rows, strict=True)}
                chosen = Taken(values, [rows[key_of(value)] for value in values])
                matrices.append(chosen.matrix(len(dimension.values)))
                break
        else:
            right = [option.coordinates.tolist() for option in options if option is not None]
            fail(asked, f"{name}: along {key} has {values.tolist()} where it should have {right[:3]}")
    return matrices


def names_of(piece: Piece, leading: list[Dimension]) -> list[str]:
    """Return the stored dimensions of the leading axes of a piece, in its order."""
    names = {("t" if d.kind == "t" else "z" if d.kind == "z" else d.name): d.name for d in leading}
    return [names[kind if kind in ("t", "z") else axis] for axis, kind, _ in piece.leading]


def key_of(value) -> Any:
    return float(np.round(value, 9)) if isinstance(value, float | np.floating) else value


def is_all_of(values: np.ndarray, wanted: np.ndarray) -> bool:
    return sorted(key_of(value) for value in values.tolist()) == sorted(key_of(value) for value in wanted.tolist())


def merged(asked: Asked, name: str, pieces: list[Piece], leading: list[Dimension]) -> list[Piece]:
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
