"""The oracle of `test_oracle_*`, and how a query is put to the project and to it.

The oracle is code of its own (`oracle_*.py`), which imports nothing of the project. Test files cannot import each
other; these are none, and are found in this folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.datacube.axes import AxisKind
from plugins.datacube.cancel import Cancel
from plugins.datacube.coverage import Coverage
from plugins.datacube.errors import InvalidQueryError, NoDataError, TooLargeError
from plugins.datacube.library import OpenDatacube
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query
from plugins.datacube.query import Interpolation
from plugins.datacube.read import read
from plugins.formats import covjson

sys.path.insert(0, str(Path(__file__).parent))
from oracle_answers import check
from oracle_asked import Asked, Piece, World
from oracle_text import pieces_of

_LEADING = (AxisKind.CUSTOM, AxisKind.T, AxisKind.Z)


@pytest.fixture(scope="session")
def compare() -> Callable[..., str]:
    """Put a query to an open dataset and its answer to the oracle; return whether there was ``data``."""
    return _compare


def _compare(opened: OpenDatacube, world: World, asked: Asked, *, by_text: bool = False) -> str:
    try:
        plan = plan_query(opened.cube, parse_query(asked.kind, dict(asked.raw), opened.cube))
        coverages = read(opened, plan, Cancel())
    except NoDataError:
        check(world, asked, None)
        return "nothing"
    except TooLargeError:
        return "refused"
    except InvalidQueryError as error:
        # A ring that crosses itself, or a raster over an area without extent.
        if error.parameter not in ("coords", "resolution-x", "resolution-y"):
            raise
        return "refused"
    check(world, asked, [_piece(coverage, asked.kind) for coverage in coverages])
    if by_text:
        document = json.loads(b"".join(covjson.encode(coverages)), parse_constant=pytest.fail)
        check(world, asked, pieces_of(document, asked.kind, world))
    return "data"


def _piece(coverage: Coverage, kind: str) -> Piece:
    """Return a coverage as plain arrays."""
    leading = [(axis.key, axis.kind.value, axis.values) for axis in coverage.axes if axis.kind in _LEADING]
    composite = next((axis for axis in coverage.axes if axis.kind is AxisKind.COMPOSITE), None)
    places = {axis.kind.value: axis.values for axis in (composite.components if composite else coverage.axes)}
    form = {"position": "point", "trajectory": "path"}.get(kind, "list" if composite else "rows")
    values: dict[str, Any] = {}
    for name, array in coverage.ranges.items():
        assert array.shape == coverage.shape
        values[name] = array.astype(float).filled(np.nan) if isinstance(array, np.ma.MaskedArray) else array
    return Piece(
        leading,
        form,
        places["x"],
        places["y"],
        places.get("t") if composite else None,
        places.get("z") if composite else None,
        values,
        geographic=coverage.reference[2],
        distance=coverage.distance,
        linear=coverage.interpolation is Interpolation.LINEAR,
    )
