"""Is an answer to a query what docs/queries.md promises: right values at the right places, none missing, none more?

Written from that text, on the grids of `oracle_cells`; nothing of the project is imported. An answer comes as plain
arrays (`Piece`), from the coverages themselves or from a CoverageJSON text, and `check` raises an AssertionError that
says what is wrong with it. Where the text leaves two answers open, both are taken.
"""

from __future__ import annotations

import itertools

import numpy as np
from oracle_areas import check_list, check_rows
from oracle_asked import Asked, Piece, TooFineError, World, fail, request_of
from oracle_cells import CRS84, Lattice, is_geographic, metres, move, same
from oracle_paths import check_paths
from oracle_places import same_place
from oracle_rasters import check_raster
from oracle_selection import column, equal, match_leading, names_of, of_one_place, taken


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
    problems = []
    for some in itertools.product(*(of_one_place(options) for options in choices)):
        try:
            checker(world, asked, name, pieces, leading, list(some))
        except TooFineError:
            return
        except AssertionError as error:
            problems.append(error)
        else:
            return
    raise problems[0]


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
    block = column(world.block(name, names_of(piece, leading)), matrices)
    centre_x, centre_y = world.grid.centres_in(crs)
    for cells, weights in options:
        if not cells:
            continue
        if asked.linear:
            here = piece.x[0] == place[0] and piece.y[0] == place[1]
        else:
            centre = centre_x[cells[0]], centre_y[cells[0]]
            # A centre that has no coordinates in this CRS is answered at the place that was asked for.
            centre = centre if np.isfinite(centre).all() else place
            here = bool(same_place(world.grid, crs, piece.x[0], piece.y[0], *centre))
            if here and is_geographic(crs) and abs(piece.x[0] - place[0]) > 180 + 1e-6:
                fail(asked, f"{name}: the longitude {piece.x[0]} is not in the convention of {place[0]}")
        wanted, sizes = block.of(cells, weights)
        exact = block.exact and not asked.linear
        if here and equal(piece.values[name].reshape(wanted.shape), wanted, sizes, exact=exact):
            _check_distance(world, asked, name, piece, place)
            return True
    return False


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
    block = column(world.block(name, names_of(piece, leading)), matrices)
    centre_x, centre_y = world.grid.centres_in(crs)
    lines = [f"{name}: at {place} has {piece.values[name].ravel()[:3]} at {piece.x[0]}, {piece.y[0]}; right are"]
    for cells, weights in options[:6]:
        if cells:
            wanted = block.of(cells, weights)[0].ravel()[:3]
            lines.append(f"    {wanted} of {cells} by {weights}, {centre_x[cells[0]]}, {centre_y[cells[0]]}")
        else:
            lines.append("    nothing")
    fail(asked, "\n".join(lines))
