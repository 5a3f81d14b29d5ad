"""What does STAC say about a datacube?

One function, `collection`: a datacube in, a STAC 1.1.0 Collection out, with the datacube (v2.3.0), zarr (v1.1.0) and
xarray-assets (v1.0.0) extensions. The structural links (self, root, parent, items) are added by whoever serves it.
"""

from __future__ import annotations

import pystac

from catalog.assets import GEOJSON, ZarrFormat, assets, licence, links
from catalog.dimensions import dimensions, variables
from catalog.document import EXTENSIONS, STAC_VERSION, Document
from catalog.extents import extent_of
from catalog.items import has_item, item_id
from catalog.links import FrontUrls
from plugins.datacube.datacube import Datacube

KEYWORDS_LIMIT = 50


def collection(cube: Datacube, urls: FrontUrls, zarr_format: ZarrFormat = 3) -> Document:
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

    Returns
    -------
    dict
        Valid against the schemas of STAC 1.1.0 and of the extensions it names.
    """
    definition = cube.definition
    described = pystac.Collection(
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
    document: Document = described.to_dict(include_self_link=False, transform_hrefs=False)
    document["stac_version"] = STAC_VERSION
    document["links"] = links(cube, urls, zarr_format)
    if has_item(cube):
        href = urls.stac_item(cube.id, item_id(cube))
        document["links"].append({"rel": "item", "href": href, "type": GEOJSON, "title": "The whole datacube"})
    document["assets"] = assets(cube, urls, zarr_format)
    return document


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
