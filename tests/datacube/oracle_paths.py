"""Is the answer to a trajectory right?"""

from __future__ import annotations

import itertools

import numpy as np
from oracle_asked import Dimension, Piece, fail, request_of
from oracle_cells import is_geographic
from oracle_events import events
from oracle_places import same_place, twins
from oracle_selection import Column, Taken, column, equal, key_of, match_leading, merged, mixed, names_of


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
            key.append(key_of(values.tolist()[0]))
        waiting.setdefault(tuple(key), []).append(piece)
    names = [leading[number] for number in custom]
    kept = [choices[number] for number in custom]
    for rows in itertools.product(*(zip(option.coordinates.tolist(), option.rows, strict=True) for option in chosen)):
        key = tuple(key_of(coordinate) for coordinate, _ in rows)
        mine = _joined(asked, name, waiting.pop(key, []), names)
        fixed = [(leading[at], row) for at, (_, row) in zip(shared, rows, strict=True)]
        why: list[str] = []

        def follows(number: int, mine: list[Piece], fixed=fixed, why=why) -> bool:
            """Whether pieces are the paths of the lines from a number on, in their order."""
            if number == len(asked.lines):
                why += [f"{len(mine)} paths too many"] if mine else []
                return not mine
            must, fits = _path(world, asked, name, mine[0] if mine else None, number, names, kept, fixed, own, why)
            return (fits and follows(number + 1, mine[1:])) or (not must and follows(number + 1, mine))

        if not follows(0, mine):
            fail(asked, f"{name} at {key}: {'; '.join(why[:4])}")
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
    return [one for group in found for one in merged(asked, name, group, names)]


def _path(world, asked, name, piece, number, names, kept, fixed, own, why: list[str]) -> tuple[bool, bool]:
    """Return whether a line must have an answer, and whether a piece is one."""
    crs = request_of(asked)
    if asked.linear:
        wanted = _vertices(world, asked, number, own)
        must = any(() not in options for _, options in wanted)
    else:
        wanted = events(world, asked, number, own)
        must = any(sure for _, sure in wanted)
    if piece is None:
        if must:
            why.append(f"line {number} has no answer, though it meets {wanted[:5]}")
        return must, False
    matrices = match_leading(asked, name, piece, names, kept)
    order = [dimension.name for dimension, _ in fixed]
    block = world.block(name, [*names_of(piece, names), *order, *(dimension.name for dimension in own)])
    weights = [Taken(np.zeros(1), [row]).matrix(len(dimension.values)) for dimension, row in fixed]
    whole = column(block, [*matrices, *weights, *(np.eye(len(dimension.values)) for dimension in own)])
    front = len(matrices)
    for _ in fixed:
        whole = Column(whole.values.take(0, axis=front), whole.sizes.take(0, axis=front), whole.exact)
    if asked.linear:
        reason = _match_vertices(asked, name, piece, number, wanted, whole, own)
    else:
        reason = _match_events(world, name, piece, crs, wanted, whole, own)
    if reason is not None:
        why.append(f"line {number}: {reason}")
    return must, reason is None


def _states_of(world, piece, crs, own) -> list[list[tuple[int, ...]]]:
    """Return what each sample of a path may be: its cell, step and level, by its coordinates."""
    centre_x, centre_y = world.grid.centres_in(crs)
    found = []
    for sample, (x, y) in enumerate(zip(piece.x, piece.y, strict=True)):
        there = same_place(world.grid, crs, x, y, centre_x, centre_y)
        there |= ~np.isfinite(centre_x) & bool(np.isfinite(x) and np.isfinite(y))
        cells = np.flatnonzero(there).tolist()
        parts = [cells]
        for dimension in own:
            values = piece.t if dimension.kind == "t" else piece.z
            parts.append(np.flatnonzero(np.asarray(dimension.values) == values[sample]).tolist())
        found.append([tuple(state) for state in itertools.product(*parts)])
    return found


def _match_events(world, name, piece, crs, wanted, whole: Column, own) -> str | None:
    states = _states_of(world, piece, crs, own)
    values = piece.values[name]
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
            return (
                f"sample {sample} at {piece.x[sample]}, {piece.y[sample]} has {values[..., sample].ravel()[:3]}, "
                f"which is none of {[whole.values[(..., *s[1:], s[0])].ravel()[:3] for s in options][:4]}"
            )
        states[sample] = [(twin, *state[1:]) for state in right for twin in twins(world.grid, state[0])]
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
            return (
                f"after sample {at} ({states[at] if at >= 0 else 'none'}) comes {states[at + 1 : at + 3]}, where "
                f"{state} must come (event {number}; before: {wanted[max(0, number - 3) : number]}; "
                f"then {wanted[number + 1 : number + 3]})"
            )
        reached = following
    if len(states) - 1 not in reached:
        at = max(reached)
        return f"samples from {at + 1} on are none of the path: {states[at + 1 : at + 3]} of {len(states)}"
    return None


def _vertices(world, asked, number, own) -> list[tuple[int, list]]:
    """Return the right mixtures at each vertex: cells and weights, and those of its step and level."""
    found = []
    for vertex, (x, y) in enumerate(asked.path[number]):
        options = world.grid.options(float(x), float(y), request_of(asked), linear=True)
        parts: list[list] = [[option if option[0] else None for option in options]]
        for dimension in own:
            value = (asked.times if dimension.kind == "t" else asked.heights)[number][vertex]
            parts.append([None if one is None else one.rows[0] for one in mixed(dimension, [value])])
        found.append((vertex, [combo if None not in combo else () for combo in itertools.product(*parts)]))
    return found


def _match_vertices(asked, name, piece, number, wanted, whole: Column, own) -> str | None:
    line = asked.path[number]
    sample = 0
    for vertex, options in wanted:
        if sample < piece.x.size and piece.x[sample] == line[vertex, 0] and piece.y[sample] == line[vertex, 1]:
            for dimension in own:
                given = (asked.times if dimension.kind == "t" else asked.heights)[number][vertex]
                there = (piece.t if dimension.kind == "t" else piece.z)[sample]
                if abs(there - given) > 1e-9:
                    return f"vertex {vertex} has the {dimension.kind} {there}, not {given}"
            here = piece.values[name][..., sample]
            if any(option and _is_mixture(here, whole, option, own) for option in options):
                sample += 1
                continue
            if () not in options:
                return f"vertex {vertex} {line[vertex]} has {here.ravel()[:3]}, not {options[:3]}"
        elif () not in options:
            return f"vertex {vertex} {line[vertex]} is missing"
    if sample != piece.x.size:
        return f"sample {sample} of {piece.x.size} is no vertex of the line"
    return None


def _is_mixture(here, whole: Column, option, own) -> bool:
    (cells, weights), *rows = option
    values, sizes = whole.of(cells, weights)
    for _, row in reversed(list(zip(own, rows, strict=True))):
        part = Column(values, sizes, exact=False)
        values, sizes = part.of(tuple(row), tuple(row.values()))
    return equal(here.reshape(values.shape), values, sizes, exact=False)
