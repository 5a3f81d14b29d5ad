"""By which links and assets does a STAC collection lead to its data?

One Zarr group is published under two asset keys, because clients know different media types for it: xpystac and QGIS
look for ``application/vnd+zarr``, the STAC best practice for Zarr asks for ``application/vnd.zarr`` with its version.
"""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from catalog.links import FrontUrls
from plugins.datacube.datacube import Datacube
from plugins.datacube.definition import DatasetDefinition

type ZarrFormat = Literal[2, 3]
"""The format in which ``/zarr/{collection}`` shows a store."""

ZARR_LEGACY = "application/vnd+zarr"
ZARR_STANDARD: dict[ZarrFormat, str] = {2: "application/vnd.zarr; version=2", 3: "application/vnd.zarr; version=3"}
JSON = "application/json"
GEOJSON = "application/geo+json"
PROCESSES_RELATION = "http://www.opengis.net/def/rel/ogc/1.0/processes"
OTHER_LICENCE = "other"
_LICENCE_ID = re.compile(r"[\w\-.+]+", re.ASCII)
_DEPRECATED_LICENCES = frozenset({"proprietary", "various"})


def assets(cube: Datacube, urls: FrontUrls, zarr_format: ZarrFormat = 3) -> dict[str, dict[str, Any]]:
    """Return the assets of a collection or of an item: its Zarr group, as ``zarr`` and as ``zarr-v3`` (or ``-v2``)."""
    href = urls.zarr(cube.id)
    group = {"zarr:consolidated": True, "zarr:node_type": "group", "zarr:zarr_format": zarr_format}
    return {
        "zarr": {
            "href": href,
            "type": ZARR_LEGACY,
            "title": "Zarr store",
            "description": "The whole datacube; opens with xarray.open_dataset(href, engine='zarr', chunks={})",
            "roles": ["data"],
            **group,
            "xarray:open_kwargs": {"engine": "zarr", "chunks": {}},
        },
        f"zarr-v{zarr_format}": {
            "href": href,
            "type": ZARR_STANDARD[zarr_format],
            "title": "Zarr store (the same, under its standard media type)",
            "roles": ["data"],
            **group,
        },
    }


def links(cube: Datacube, urls: FrontUrls, zarr_format: ZarrFormat = 3) -> list[dict[str, Any]]:
    """Return the links that lead from a collection to the other fronts, its licence and its origin.

    A dataset that cannot be queried has none to EDR and the processes: no link leads to a refusal.
    """
    found: list[dict[str, Any]] = [
        {
            "rel": "store",
            "href": urls.zarr(cube.id),
            "type": ZARR_STANDARD[zarr_format],
            "title": "Root of the Zarr store",
        }
    ]
    if cube.unsupported is None:
        found += [
            {
                "rel": "related",
                "href": urls.collection(cube.id),
                "type": JSON,
                "title": "The same collection in OGC API - Environmental Data Retrieval",
            },
            {"rel": "service", "href": urls.ogc, "type": JSON, "title": "OGC API of this server"},
            {"rel": PROCESSES_RELATION, "href": urls.processes, "type": JSON, "title": "OGC API - Processes"},
        ]
    found += licence_links(cube.definition)
    origin = _public_origin(cube.definition.href)
    if origin is not None:
        found.append({"rel": "via", "href": origin, "title": "Where the data are read from"})
    return found


def licence(definition: DatasetDefinition) -> str:
    """Return STAC's ``license``: an SPDX identifier, or ``other``.

    Examples
    --------
    >>> licence(DatasetDefinition("a", "a.zarr", licence="CC-BY-4.0"))
    'CC-BY-4.0'
    >>> licence(DatasetDefinition("a", "a.zarr", licence="ask the author"))
    'other'
    """
    text = (definition.licence or "").strip()
    if not _LICENCE_ID.fullmatch(text) or text.lower() in _DEPRECATED_LICENCES or text.lower() == OTHER_LICENCE:
        return OTHER_LICENCE
    return text


def licence_links(definition: DatasetDefinition) -> list[dict[str, Any]]:
    """Return the link to the licence's text: as configured, else SPDX's page of it; none where neither is known."""
    identifier = licence(definition)
    if definition.licence_url:
        title = definition.licence or "Licence"
        return [{"rel": "license", "href": definition.licence_url, "title": title}]
    if identifier == OTHER_LICENCE:
        return []
    href = f"https://spdx.org/licenses/{identifier}.html"
    return [{"rel": "license", "href": href, "type": "text/html", "title": identifier}]


def _public_origin(href: str) -> str | None:
    """Return the store's own address where the public may see it: ``https``, without credentials or a query.

    Paths of the server's disk and private buckets are nobody's business.
    """
    parts = urlsplit(href)
    public = parts.scheme in ("http", "https") and "@" not in parts.netloc and not parts.query and not parts.fragment
    return href if public else None
