"""How is a STAC document kept, so that it is right under every address the server is reached by?

A document is a JSON object. In the repository, hrefs of this server begin with ``/`` (relative to the public base
address); when a document is served they become absolute again, under the configured address or the request's host. So
a move of the server, or a second host name, needs no new harvest, and the digest of a document does not depend on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

type Document = dict[str, Any]
"""A STAC Collection, Item or Catalog as a JSON object."""

STAC_VERSION = "1.1.0"
DATACUBE_EXTENSION = "https://stac-extensions.github.io/datacube/v2.3.0/schema.json"
ZARR_EXTENSION = "https://stac-extensions.github.io/zarr/v1.1.0/schema.json"
XARRAY_EXTENSION = "https://stac-extensions.github.io/xarray-assets/v1.0.0/schema.json"
FORECAST_EXTENSION = "https://stac-extensions.github.io/forecast/v0.2.0/schema.json"
VERSION_EXTENSION = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
EXTENSIONS = (DATACUBE_EXTENSION, ZARR_EXTENSION, XARRAY_EXTENSION)
"""The schemas whose fields the documents made from datacubes carry."""

QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
SORTABLES = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
STRUCTURAL_RELATIONS = frozenset(
    {
        "self",
        "root",
        "parent",
        "collection",
        "items",
        "item",
        "child",
        QUERYABLES,
        SORTABLES,
        "aggregate",
        "aggregations",
    }
)
"""Relations that follow from where a document is served; they are never kept, always made anew."""


def relative_to(document: Document, base: str) -> Document:
    """Return the document with the hrefs below `base` cut to begin with ``/``.

    Examples
    --------
    >>> relative_to({"links": [{"href": "http://h/ogc/a"}, {"href": "http://h2/x"}]}, "http://h")["links"]
    [{'href': '/ogc/a'}, {'href': 'http://h2/x'}]
    """
    prefix = f"{base.rstrip('/')}/"
    return _with_hrefs(document, lambda href: "/" + href[len(prefix) :] if href.startswith(prefix) else href)


def absolute_at(document: Document, base: str) -> Document:
    """Return the document with the hrefs that begin with ``/`` put below `base`.

    Examples
    --------
    >>> absolute_at({"assets": {"zarr": {"href": "/zarr/a"}}}, "https://h/prefix")["assets"]
    {'zarr': {'href': 'https://h/prefix/zarr/a'}}
    """
    return _with_hrefs(document, lambda href: base.rstrip("/") + href if href.startswith("/") else href)


def descriptive_links(document: Document) -> list[dict[str, Any]]:
    """Return the links that say something about the data, without those that `STRUCTURAL_RELATIONS` names."""
    return [link for link in document.get("links", []) if link.get("rel") not in STRUCTURAL_RELATIONS]


def kept(document: Document, base: str) -> Document:
    """Return a document of a client as it is kept: hrefs relative to `base`, structural links left out."""
    links = document.get("links")
    found = document if not isinstance(links, list) else {**document, "links": descriptive_links(document)}
    return relative_to(found, base)


def digest(documents: Sequence[Document]) -> str:
    """Return the SHA-256 of documents in canonical JSON: equal exactly when the documents are."""
    return hashlib.sha256(orjson.dumps(list(documents), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _with_hrefs(document: Document, change: Callable[[str], str]) -> Document:
    changed = dict(document)
    if "links" in document:
        changed["links"] = [_with_href(link, change) for link in document["links"]]
    if "assets" in document:
        changed["assets"] = {key: _with_href(asset, change) for key, asset in document["assets"].items()}
    return changed


def _with_href(thing: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    return {**thing, "href": change(thing["href"])} if isinstance(thing.get("href"), str) else thing


def hrefs(document: Document) -> Iterator[str]:
    """Yield every href of a document: of its links, then of its assets."""
    for thing in (*document.get("links", []), *document.get("assets", {}).values()):
        if isinstance(thing.get("href"), str):
            yield thing["href"]
