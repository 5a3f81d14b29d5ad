"""Which formats can an answer have, and which of them does a client get?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

from plugins.datacube.coverage import Coverage
from plugins.datacube.errors import InvalidQueryError, NotAcceptableError
from plugins.datacube.query import UNGRIDDED
from plugins.formats import (
    arrow_table,
    covjson,
    covjson_ecmwf,
    csv_text,
    geojson,
    geotiff,
    netcdf,
    quicklook,
    zipped_zarr,
)
from plugins.formats.accept import parse_accept, preferred

type Encoder = Callable[[Sequence[Coverage]], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write an answer."""

    key: str
    """Name as EDR lists it in ``output_formats``; clients compare it in any case."""
    media_type: str
    """Media type without parameters, for links and descriptions; of a negotiated format, what the client asked for."""
    extension: str
    """Of file names, without a leading dot."""
    encode: Encoder
    """Coverages of one answer to parts of bytes; raises NoDataError for none."""
    binary: bool
    aliases: tuple[str, ...]
    """Other names for ``f``, lower case."""
    media_aliases: tuple[str, ...] = ()
    """Other media types under which the same bytes are known."""
    media_parameters: str = ""
    """Parameters of the canonical media type in Content-Type and in links, by which clients tell the format."""
    grids_only: bool = False
    """True where `encode` refuses answers at points, and grids that are not regular, by an InvalidQueryError."""
    made_by: str = ""
    """Of a file in which its readers seek: the package that writes it. Equal answers give equal bytes while its version
    stays, so that a part of one can be sent by itself."""
    picture: bool = False
    """True for what a browser shows by itself: to be looked at, not saved."""

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media type and its aliases."""
        return (self.media_type, *(alias for alias in self.media_aliases if alias != self.media_type))

    @property
    def content_type(self) -> str:
        """Value of the Content-Type header. JSON never has a charset: earthkit-data compares the whole value."""
        parameters = "charset=utf-8" if self.media_type.startswith("text/") else self.media_parameters
        return f"{self.media_type}; {parameters}" if parameters else self.media_type

    @property
    def release(self) -> str:
        """Version of the package that writes the file; empty where no reader seeks in it."""
        return _version(self.made_by) if self.made_by else ""

    @property
    def attachment(self) -> bool:
        """Whether a browser should save the answer rather than show it."""
        return self.binary and not self.picture


@lru_cache(maxsize=16)
def _version(package: str) -> str:
    return version(package)


_ALWAYS: Final = (
    Format(
        "CoverageJSON", covjson.MEDIA_TYPE, "covjson", covjson.encode, binary=False,
        aliases=("covjson", "json", "coverage+json"), media_aliases=covjson.MEDIA_ALIASES,
    ),
    Format(
        "NetCDF", netcdf.MEDIA_TYPE, "nc", netcdf.encode, binary=True,
        aliases=("netcdf4", "nc"), media_aliases=netcdf.MEDIA_ALIASES, made_by="netCDF4",
    ),
    Format(
        "CSV", csv_text.MEDIA_TYPE, "csv", csv_text.encode, binary=False,
        aliases=(), media_aliases=csv_text.MEDIA_ALIASES,
    ),
    Format(
        "Zarr", zipped_zarr.MEDIA_TYPE, "zarr.zip", zipped_zarr.encode, binary=True,
        aliases=("zip",), media_aliases=zipped_zarr.MEDIA_ALIASES, made_by="zarr",
    ),
    # Known by its name alone: its media type is that of CoverageJSON, which comes first.
    Format(
        covjson_ecmwf.KEY, covjson_ecmwf.MEDIA_TYPE, "covjson", covjson_ecmwf.encode, binary=False,
        aliases=("covjson-ecmwf", "ecmwf", "polytope"),
    ),
    Format(
        "GeoJSON", geojson.MEDIA_TYPE, "geojson", geojson.encode, binary=False,
        aliases=("geo+json",), media_aliases=geojson.MEDIA_ALIASES,
    ),
    # Before GeoTIFF: a browser that accepts any image can draw this one.
    Format(
        quicklook.KEY, quicklook.MEDIA_TYPE, "png", quicklook.encode, binary=True,
        aliases=(), grids_only=True, picture=True,
    ),
    Format(
        geotiff.KEY, geotiff.MEDIA_TYPE, "tif", geotiff.encode, binary=True,
        aliases=("tiff", "tif", "cog"), media_parameters=geotiff.MEDIA_PARAMETERS, grids_only=True, made_by="rasterio",
    ),
)  # fmt: skip
_WITH_PYARROW: Final = (
    Format(
        "Parquet", arrow_table.PARQUET_MEDIA_TYPE, "parquet", arrow_table.encode_parquet, binary=True,
        aliases=(), media_aliases=arrow_table.PARQUET_MEDIA_ALIASES, made_by="pyarrow",
    ),
    Format(
        "Arrow", arrow_table.ARROW_MEDIA_TYPE, "arrows", arrow_table.encode_arrow, binary=True,
        aliases=("arrows", "ipc"),
    ),
)  # fmt: skip
FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {known.key: known for known in (*_ALWAYS, *(_WITH_PYARROW if arrow_table.AVAILABLE else ()))}
)
"""By key, the default first."""


@lru_cache(maxsize=64)
def formats_for(query_type: str) -> tuple[str, ...]:
    """Return the keys of the formats in which a query is answered: rasters and pictures only where it gives a grid."""
    gridded = query_type not in UNGRIDDED
    return tuple(key for key, known in FORMATS.items() if gridded or not known.grids_only)


REMEMBERED: Final = 512
"""Characters of ``f`` and the Accept header up to which their outcome is kept."""


def negotiate(f: str | None, accept: str | None, available: Sequence[str] = tuple(FORMATS)) -> Format:
    """Choose the format of an answer from the parameter ``f`` and the Accept header (OGC 19-086r6).

    Parameters
    ----------
    f : str or None
        A key, an alias or a media type, in any case; wins over `accept`. Blank counts as absent.
    accept : str or None
        The Accept header. Where `f` is given, it only picks among the media types of that format.
    available : sequence of str
        Keys of the formats that may be chosen, the default first.

    Returns
    -------
    Format
        With the `media_type` that the answer should carry: the alias that the client asked for, else the canonical one.

    Raises
    ------
    InvalidQueryError
        If `f` names no available format.
    NotAcceptableError
        If there is no `f` and the client accepts none of the formats. HTML is none of them: pages are the server's.
    """
    if len(f or "") + len(accept or "") <= REMEMBERED:
        return _remembered(f, accept, tuple(available))
    return _negotiate(f, accept, available)


def _negotiate(f: str | None, accept: str | None, available: Sequence[str]) -> Format:
    formats = [FORMATS[key] for key in available]
    if f is not None and f.strip():
        chosen, asked = _named(f, formats)
        if asked is None and accept:
            asked = preferred(accept, chosen.media_types)
        return replace(chosen, media_type=asked) if asked else chosen
    if accept is None or not accept.strip():
        return formats[0]
    by_type = {media_type: known for known in reversed(formats) for media_type in known.media_types}
    offered = [media_type for known in formats for media_type in known.media_types]
    wanted = None
    if any((each.type, each.subtype) == ("text", "html") for each in parse_accept(accept)):
        # A browser that opens a page names the images that it can draw in one: it does not ask for a picture.
        pages = [media_type for media_type in offered if not media_type.startswith("image/")]
        wanted = preferred(accept, pages)
    wanted = wanted or preferred(accept, offered)
    if wanted is None:
        raise NotAcceptableError(
            "Accept",
            "none of the accepted media types can be produced",
            ", ".join(known.media_type for known in formats),
        )
    return replace(by_type[wanted], media_type=wanted)


_remembered = lru_cache(maxsize=256)(_negotiate)
"""Clients send few different headers, and send them with every request."""


def _named(f: str, formats: Sequence[Format]) -> tuple[Format, str | None]:
    """Return the format of a name, and the media type if the name was one."""
    # A "+" that was not escaped in the URL arrives as a space; parameters of a media type do not matter.
    name = f.strip().lower().replace(" ", "+")
    media_type = name.partition(";")[0].rstrip("+")
    for known in formats:
        if name == known.key.lower() or name in known.aliases:
            return known, None
        if media_type in known.media_types:
            return known, media_type
    valid = ", ".join(known.key for known in formats)
    raise InvalidQueryError("f", f"{f.strip()[:64]!r} is not a format of this collection", f"one of {valid}")
