"""What does a CoverageJSON document say, read by its declared axes alone?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from oracle_asked import Piece, World

LEADING = ("t", "z")


def pieces_of(document: Mapping[str, Any], kind: str, world: World) -> list[Piece]:
    """Return the answers of a document; those over several members, or over the levels of a list, are joined."""
    several = document["type"] == "CoverageCollection"
    coverages = document["coverages"] if several else [document]
    linear = document["isopleth:interpolation"] == "linear"
    groups: list[tuple[tuple[Any, ...], list[Piece]]] = []
    for coverage in coverages:
        shared = document.get("referencing", []) if several else []
        piece = _piece(coverage, coverage["domain"].get("referencing", shared), kind, world, linear=linear)
        signature = (piece.form, piece.x.tobytes(), piece.y.tobytes(), tuple(piece.values), piece.distance)
        if piece.form == "path":
            signature += tuple(None if part is None else part.tobytes() for part in (piece.t, piece.z))
        members = _members(piece)
        # Of the same place asked for twice, the second answer begins where a member comes again.
        if groups and groups[-1][0] == signature and members not in [_members(one) for one in groups[-1][1]]:
            groups[-1][1].append(piece)
        else:
            groups.append((signature, [piece]))
    return [_joined(group) for _, group in groups]


def _members(piece: Piece) -> tuple[Any, ...]:
    return tuple(tuple(values.tolist()) for _, _, values in piece.leading)


def _piece(coverage, references, kind: str, world: World, *, linear: bool) -> Piece:
    axes = coverage["domain"]["axes"]
    found = {key: _values(key, axis["values"]) for key, axis in axes.items() if key != "composite"}
    form = {"position": "point", "trajectory": "path"}.get(kind, "list" if "composite" in axes else "rows")
    leading = [(name, "custom", np.array([value])) for name, value in coverage.get("isopleth:dimensions", {}).items()]
    t = z = None
    places: dict[str, np.ndarray] = {key: found[key] for key in "xy" if key in found}
    if "composite" in axes:
        columns = dict(
            zip(axes["composite"]["coordinates"], zip(*axes["composite"]["values"], strict=True), strict=True)
        )
        places = {key: _values(key, list(column)) for key, column in columns.items()}
        if form == "path":
            t, z = places.get("t"), places.get("z")
        elif "z" in places:
            assert len(set(places["z"].tolist())) == 1
            found["z"] = places["z"][:1]
    leading += [(key, key, found[key]) for key in LEADING if key in found and form != "path"]
    horizontal = {"path": ("composite",), "list": ("composite",), "point": (), "rows": ("y", "x")}[form]
    values = {}
    for name, array in coverage["ranges"].items():
        named = array.get("axisNames", [])
        whole = np.array([np.nan if v is None else v for v in array["values"]], float)
        whole = whole.reshape([len(axes[key]["values"]) for key in named])
        assert array.get("shape", []) == list(whole.shape)
        assert all(len(axis["values"]) == 1 for key, axis in axes.items() if key not in named)
        wanted = [*(key for key, kind_of, _ in leading if kind_of != "custom"), *horizontal]
        order = [key for key in named if key in wanted]
        whole = whole.transpose(
            [
                named.index(key)
                for key in (*(key for key in wanted if key in order), *(key for key in named if key not in wanted))
            ]
        )
        sizes = [len(part) for _, _, part in leading]
        tail = {"rows": [len(found.get("y", ())), len(found.get("x", ()))], "point": [1, 1]}
        whole = whole.reshape([*sizes, *tail.get(form, [len(places["x"])])])
        stored = world.fields[name].values.dtype
        # A number of 32 bits is written with as many decimals as tell it from its neighbours.
        values[name] = whole.astype(stored) if stored == np.float32 else whole
    types = [one["system"]["type"] for one in references if "x" in one["coordinates"]]
    return Piece(
        leading,
        form,
        places["x"],
        places["y"],
        t,
        z,
        values,
        geographic=types == ["GeographicCRS"],
        distance=coverage.get("isopleth:distance"),
        linear=linear,
    )


def _values(key: str, values: list[Any]) -> np.ndarray:
    if key != "t":
        return np.array(values, float)
    return np.array([np.datetime64(value.removesuffix("Z"), "us").astype(np.int64) for value in values])


def _joined(pieces: list[Piece]) -> Piece:
    first = pieces[0]
    if len(pieces) == 1:
        return first
    axes = [
        (name, kind, np.array(sorted({value for piece in pieces for value in piece.leading[number][2].tolist()})))
        for number, (name, kind, _) in enumerate(first.leading)
    ]
    values = {}
    for name, part in first.values.items():
        whole = np.full((*(len(axis) for *_, axis in axes), *part.shape[len(axes) :]), np.nan, part.dtype)
        for piece in pieces:
            where = [np.searchsorted(axis, own) for (*_, axis), (*_, own) in zip(axes, piece.leading, strict=True)]
            whole[np.ix_(*where)] = piece.values[name]
        values[name] = whole
    return Piece(
        axes, first.form, first.x, first.y, first.t, first.z, values, first.geographic, first.distance, first.linear
    )
