"""Which JSON schemas do several processes share?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from plugins.datacube.errors import InvalidQueryError

BBOX: Final[Mapping[str, Any]] = {
    "type": "object",
    "format": "ogc-bbox",
    "required": ["bbox"],
    "properties": {
        "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
        "crs": {"type": "string", "format": "uri", "default": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
    },
}
"""A bounding box value (OGC 18-062r2, clause 7.11.2.5; bbox.yaml)."""


def bbox_values(name: str, given: Mapping[str, Any] | Sequence[float]) -> tuple[float, ...]:
    """Return the 4 or 6 numbers of a bounding box value or array.

    Raises
    ------
    InvalidQueryError
        If there are five.
    """
    numbers = tuple(given["bbox"] if isinstance(given, Mapping) else given)
    if len(numbers) not in (4, 6):
        raise InvalidQueryError(name, f"the bounding box {name!r} has {len(numbers)} numbers", "4 or 6 numbers")
    return numbers
