"""How does a document of another catalogue become one of ours: in STAC 1.1, with addresses that hold everywhere?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pystac.errors import STACError, STACTypeError
from pystac.serialization.identify import identify_stac_object
from pystac.serialization.migrate import migrate_to_latest

from catalog.document import STAC_VERSION, STRUCTURAL_RELATIONS, Document
from catalog.reading import is_web, resolved
from plugins.datacube.errors import InvalidQueryError

_UNKEPT: Final = STRUCTURAL_RELATIONS | {"next", "prev"}

type Found = tuple[str, Any]
"""The address of a document, and the document."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a catalogue lies, and where the public finds it."""

    root: str
    """Address of its folder, with a slash at the end."""
    published: str | None
    """Address under which a local folder is published; None where that is not known."""

    def public(self, found: Found) -> str | None:
        """Return the address at which the public finds a document; None for a file that nobody has published."""
        address, document = found
        if is_web(address):
            return address
        if self.published is not None and address.startswith(self.root):
            return f"{self.published.rstrip('/')}/{address[len(self.root) :]}"
        own = next((link.get("href") for link in links_of(document) if link.get("rel") == "self"), None)
        return own if isinstance(own, str) and is_web(own) else None


def prepared(found: Found, place: Place) -> Document:
    """Return a document in STAC 1.1, without structural links, all of whose addresses are absolute.

    Raises
    ------
    InvalidQueryError
        If it is of no version of STAC that can be read, or what its addresses are relative to is not known.
    """
    document = found[1]
    if not isinstance(document, dict):
        raise InvalidQueryError("body", "it is no JSON object")
    if document.get("stac_version") != STAC_VERSION:
        try:
            document = migrate_to_latest(document, identify_stac_object(document))
        except (STACError, STACTypeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidQueryError("stac_version", "it is of no version of STAC that can be read") from error
    public = place.public(found)
    links = [_absolute(link, public) for link in links_of(document) if link.get("rel") not in _UNKEPT]
    made = {**document, "links": links}
    assets = document.get("assets")
    if isinstance(assets, dict):
        made["assets"] = {key: _absolute(asset, public) for key, asset in assets.items()}
    return made


def links_of(document: Any) -> list[Document]:
    """Return the links of a document as far as they are objects."""
    links = document.get("links") if isinstance(document, dict) else None
    return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []


def _absolute(thing: Any, public: str | None) -> Any:
    if not isinstance(thing, dict) or not isinstance(href := thing.get("href"), str) or urlsplit(href).scheme:
        return thing
    if public is None:
        detail = f"its address {href[:80]!r} is relative, and where it is published is not known (--published)"
        raise InvalidQueryError("href", detail)
    return {**thing, "href": resolved(public, href)}
