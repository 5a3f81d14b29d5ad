"""Is the answer to an area right: rows and columns of the grid, or cells one by one?"""

from __future__ import annotations

import numpy as np
from oracle_asked import Asked, Piece, fail, request_of
from oracle_cells import Grid, Line, is_geographic
from oracle_places import same_longitude, same_place, twins
from oracle_regions import Members, members
from oracle_selection import Column, column, equal, match_leading, merged, names_of


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


def check_rows(world, asked, name, pieces, leading, choices) -> None:
    """Check an area in the rows and columns of the grid."""
    grid = world.grid
    wanted = members(world, asked)
    piece = _presence(world, asked, name, merged(asked, name, pieces, leading), wanted)
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
    block = column(world.block(name, names_of(piece, leading)), match_leading(asked, name, piece, leading, choices))
    values = piece.values[name].reshape(*block.values.shape[:-1], *numbers.shape)
    held = 0
    for i, j in np.ndindex(*numbers.shape):
        cell = int(numbers[i, j])
        here = values[..., i, j]
        stored = block.of([cell], [1.0])[0]
        is_stored = any(equal(here, *block.of([twin], [1.0]), exact=block.exact) for twin in twins(grid, cell))
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
    return bool((twins(grid, cell) - {cell}) & others)


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
    piece = _presence(world, asked, name, merged(asked, name, pieces, leading), wanted)
    if piece is None:
        return
    if piece.form != "list" or piece.geographic != is_geographic(crs):
        fail(asked, f"{name}: cells are answered by {piece.form}, geographic: {piece.geographic}")
    block = column(world.block(name, names_of(piece, leading)), match_leading(asked, name, piece, leading, choices))
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
