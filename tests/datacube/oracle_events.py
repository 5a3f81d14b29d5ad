"""Which cells does a path meet, in which order, and which of them may not be missed?"""

from __future__ import annotations

import itertools

import numpy as np
from oracle_asked import Asked, Dimension, TooFineError, World, request_of
from oracle_cells import CRS84, Cloud, Grid, Lattice, is_geographic, metres, move, same
from oracle_places import least_distance, least_gap, twins
from oracle_selection import line_of
from pyproj import CRS


def events(world: World, asked: Asked, number: int, own: list[Dimension]) -> list[tuple[tuple[int, ...], bool]]:
    """Return the cells that a line meets, in order, with their steps and levels; and whether they must be answered.

    -1 in a state is outside.
    """
    line = asked.path[number]
    along = [np.asarray(asked.times[number] if dimension.kind == "t" else asked.heights[number]) for dimension in own]
    grid = world.grid
    if isinstance(grid, Lattice) and same(request_of(asked), grid.crs):
        # Of two cells in one place the first.
        return [
            ((min(twins(grid, cell)), *rest), sure)
            for (cell, *rest), sure in _events_by_clipping(grid, line, along, own)
        ]
    return _events_by_steps(world, asked, line, along, own)


def _events_by_clipping(grid: Lattice, line, along, own) -> list[tuple[tuple[int, ...], bool]]:
    """Clip each segment by the slabs of each cell."""
    lines = [grid.y, grid.x, *(line_of(dimension) for dimension in own)]
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
    if isinstance(grid, Lattice) and 1 in grid.shape:
        raise TooFineError
    found: list[tuple[tuple[int, ...], bool]] = []
    lon, lat = grid.centres_in(CRS84)
    for vertex in range(len(line) - 1):
        before = len(found)
        ends = move(*line[vertex : vertex + 2].T, crs, CRS84)
        apart = np.nan_to_num(np.hypot(np.diff(ends[0]), np.diff(ends[1]))[0]) * 111_195.0
        steps = int(max(apart / least_distance(grid) * 30, 400))
        if steps > 40_000:
            raise TooFineError
        fraction = np.linspace(0, 1, steps + 1)
        x, y = (line[vertex] + (line[vertex + 1] - line[vertex]) * fraction[:, None]).T
        cells = grid.hold(*move(x, y, crs, grid.crs))
        states = [cells]
        for dimension, way in zip(own, along, strict=True):
            order = np.argsort(dimension.values, kind="stable")
            values = way[vertex] + (way[vertex + 1] - way[vertex]) * fraction
            held = line_of(dimension).hold(np.rint(values).astype(np.int64) if dimension.kind == "t" else values)
            states.append(np.where(held >= 0, order[held], -1))
        states = np.stack(states, axis=1)
        at_lon, at_lat = move(x, y, crs, CRS84)
        length = metres(at_lon[:-1], at_lat[:-1], at_lon[1:], at_lat[1:])
        begins = np.flatnonzero(np.append(True, (np.diff(states, axis=0) != 0).any(axis=1)))
        stops = np.append(begins[1:], steps + 1)
        for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True):
            if begin:
                # A step may fall on a corner, and find any of the cells there.
                found += [(state, False) for state in _around(grid, crs, x, y, states, begin)]
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
                share * abs(float(way[vertex + 1] - way[vertex])) > 0.5 * least_gap(dimension)
                for dimension, way in zip(own, along, strict=True)
                if way[vertex + 1] != way[vertex]
            )
            found.append((state, bool(long and others and share > 3 / steps and np.isfinite(gap))))
            # A step may find the twin of a cell, or the other side of a border.
            for twin in twins(grid, cell) - {cell}:
                found.append(((twin, *state[1:]), False))
        ends = []
        for place in (0, steps):
            beside = grid.held(x[[place]], y[[place]], crs)[0] - {-1}
            states_of = [(cell, *(int(part) for part in states[place][1:])) for cell in sorted(beside)]
            ends.append([(state, False) for state in states_of if -1 not in state])
        found = [*found[:before], *ends[0], *found[before:], *ends[1]]
    return found


def _around(grid: Grid, crs: CRS, x, y, states, at: int) -> list[tuple[int, ...]]:
    """Return the states that a path may touch between two steps."""
    step = max(abs(x[at] - x[at - 1]), abs(y[at] - y[at - 1]))
    middle = (x[at] + x[at - 1]) / 2, (y[at] + y[at - 1]) / 2
    offsets = step * np.array(list(itertools.product((-1, 0, 1), repeat=2)))
    at_x, at_y = middle[0] + offsets[:, 0], middle[1] + offsets[:, 1]
    if is_geographic(crs):
        at_y = np.clip(at_y, -90, 90)
    cells = set(grid.hold(*move(at_x, at_y, crs, grid.crs)).tolist()) - {-1}
    others = {tuple(int(part) for part in states[number][1:]) for number in (at - 1, at)}
    return [(cell, *rest) for cell in sorted(cells) for rest in others if -1 not in rest]
