"""Is the answer to an area right that is given at places in rows and columns of the request?"""

from __future__ import annotations

import numpy as np
from oracle_asked import Asked, fail, request_of
from oracle_cells import is_geographic, move
from oracle_regions import inside
from oracle_selection import Column, column, equal, match_leading, merged, names_of

SOME = 300
"""Places of a raster that are compared, where it has more."""


def check_raster(world, asked, name, pieces, leading, choices) -> None:
    """Check an area that is answered by places in rows and columns of the request."""
    crs, grid = request_of(asked), world.grid
    pieces = merged(asked, name, pieces, leading)
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
    block = column(world.block(name, names_of(piece, leading)), match_leading(asked, name, piece, leading, choices))
    x, y = (part.ravel() for part in np.meshgrid(piece.x, piece.y))
    values = piece.values[name].reshape(*block.values.shape[:-1], -1)
    if x.size > SOME:
        # Of many places some, most of them with a value.
        rng = np.random.default_rng(x.size)
        known = np.flatnonzero(~np.isnan(values.astype(float)).all(axis=tuple(range(values.ndim - 1))))
        some = np.concatenate([rng.choice(known if known.size else x.size, SOME // 2), rng.choice(x.size, SOME // 2)])
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
