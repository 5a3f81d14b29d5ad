"""What does STAC say about a datacube?

`collection`: a datacube in, a STAC 1.1.0 Collection out, with the datacube (v2.3.0), zarr (v1.1.0) and xarray-assets
(v1.0.0) extensions; `described`: the same with its items. The structural links (self, root, parent, items, and one to
each item) are added by whoever serves it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pystac

from catalog.assets import ZarrFormat, assets, licence, links
from catalog.dimensions import dimensions, variables
from catalog.document import EXTENSIONS, STAC_VERSION, Document
from catalog.extents import box_of, extent_of
from catalog.items import items
from catalog.links import FrontUrls
from catalog.renditions import Renditions
from catalog.versions import SNAPSHOT, version_items
from plugins.datacube.axes import AxisKind
from plugins.datacube.datacube import Datacube
from plugins.datacube.library import OpenDatacube
from plugins.datacube.limits import Limits

KEYWORDS_LIMIT = 50


def described(
    cube: Datacube,
    urls: FrontUrls,
    zarr_format: ZarrFormat = 3,
    limits: Limits | None = None,
    opened: OpenDatacube | None = None,
) -> tuple[Document, list[Document]]:
    """Return the Collection of a datacube and its items; the parameters are those of `collection`.

    With `opened`, the dataset itself, its states become the items where its definition asks for that.
    """
    if opened is not None and cube.definition.items == SNAPSHOT and opened.source.history is not None:
        its_items = version_items(opened, urls, zarr_format, limits)
    else:
        its_items = items(cube, urls, zarr_format, limits)
    document = collection(cube, urls, zarr_format, limits)
    if its_items:
        document["item_assets"] = item_assets(its_items)
    return document, its_items


def item_assets(its_items: Iterable[Document]) -> dict[str, dict[str, Any]]:
    """Return which assets the items have, by key: their media type, roles and title, the first that is met."""
    found: dict[str, dict[str, Any]] = {}
    for item in its_items:
        for key, asset in item["assets"].items():
            if key not in found:
                found[key] = {name: asset[name] for name in ("title", "type", "roles") if name in asset}
    return found


def collection(cube: Datacube, urls: FrontUrls, zarr_format: ZarrFormat = 3, limits: Limits | None = None) -> Document:
    """Return the STAC Collection of a datacube.

    Beside the fields of the standard it carries ``isopleth:queryable`` (whether EDR and the processes can query it),
    ``isopleth:reason`` (why not), ``isopleth:integrity`` (``verified`` where every chunk has a checksum that is
    checked on reading) and ``isopleth:snapshot`` (the state of the data that is described).

    Parameters
    ----------
    cube : Datacube
        The opened store; one that cannot be queried is described all the same.
    urls : FrontUrls
        Public addresses for links and assets.
    zarr_format : {2, 3}
        The format in which the raw Zarr view shows the store.
    limits : Limits, optional
        What one answer of the server may cost: a thumbnail that would cost more is not offered.

    Returns
    -------
    dict
        Valid against the schemas of STAC 1.1.0 and of the extensions it names.
    """
    definition = cube.definition
    made = pystac.Collection(
        id=cube.id,
        title=cube.title,
        description=_description(cube),
        extent=extent_of(cube),
        license=licence(definition),
        keywords=_keywords(cube) or None,
        providers=_providers(cube) or None,
        stac_extensions=list(EXTENSIONS),
        extra_fields=_fields(cube),
    )
    document: Document = made.to_dict(include_self_link=False, transform_hrefs=False)
    document["stac_version"] = STAC_VERSION
    document["links"] = links(cube, urls, zarr_format)
    renditions = Renditions(cube, box_of(cube), urls, limits or Limits())
    document["assets"] = assets(cube, urls, zarr_format) | renditions.thumbnail(_latest(cube))
    return document


def _latest(cube: Datacube) -> dict[str, str]:
    time = cube.axis(AxisKind.T)
    return (
        {} if time is None or not time.size else {"datetime": time.take(time.values.argmax(keepdims=True)).texts()[0]}
    )


def _description(cube: Datacube) -> str:
    text = cube.description.strip() or cube.title
    if cube.unsupported is not None:
        text += f"\n\nThis dataset is listed but cannot be queried yet: {cube.unsupported}"
    return text


def _providers(cube: Datacube) -> list[pystac.Provider]:
    """Return the configured providers, with the roles that STAC knows."""
    known = {role.value for role in pystac.ProviderRole}
    return [
        pystac.Provider(p.name, roles=[pystac.ProviderRole(role) for role in p.roles if role in known], url=p.url)
        for p in cube.definition.providers
    ]


def _keywords(cube: Datacube) -> list[str]:
    """Return the configured keywords, then the standard names of the parameters, each once."""
    names = [p.standard_name for p in cube.parameters.values() if p.standard_name]
    return list(dict.fromkeys([*cube.definition.keywords, *names]))[:KEYWORDS_LIMIT]


def _fields(cube: Datacube) -> Document:
    fields: Document = {
        "cube:dimensions": dimensions(cube),
        "cube:variables": variables(cube),
        "isopleth:queryable": cube.unsupported is None,
        "isopleth:integrity": str(cube.integrity),
        "isopleth:snapshot": cube.snapshot,
    }
    if cube.unsupported is not None:
        fields["isopleth:reason"] = cube.unsupported
    if cube.definition.attribution:
        fields["attribution"] = cube.definition.attribution
    return fields
