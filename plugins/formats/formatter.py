"""How does a stock pygeoapi write our answers in formats other than JSON?

Named in a resource of its configuration, for each format wanted::

    formatters:
      - name: plugins.formats.formatter.NetCDFFormatter
      - name: plugins.formats.formatter.CSVFormatter
      - name: plugins.formats.formatter.ZarrFormatter
      - name: plugins.formats.formatter.ECMWFFormatter
      - name: plugins.formats.formatter.GeoJSONFormatter
      - name: plugins.formats.formatter.PNGFormatter
      - name: plugins.formats.formatter.GeoTIFFFormatter
      - name: plugins.formats.formatter.ParquetFormatter
      - name: plugins.formats.formatter.ArrowFormatter

The provider returns a `CoverageResult` when it is queried with the ``format_`` of one of these, and a CoverageJSON dict
(`plugins.formats.covjson.to_dict`) otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pygeoapi.formatter.base import BaseFormatter, FormatterGenericError, FormatterSerializationError

from plugins.datacube.coverage import Coverage
from plugins.datacube.errors import IsoplethError
from plugins.formats.table import FORMATS


@dataclass(frozen=True, slots=True)
class CoverageResult:
    """An answer on its way through pygeoapi, from the provider to a formatter."""

    coverages: Sequence[Coverage]


class _CoverageFormatter(BaseFormatter):  # type: ignore[misc] # pygeoapi has no types
    """Writes coverages in one of our formats."""

    key: ClassVar[str]

    def __init__(self, formatter_def: Mapping[str, Any]) -> None:
        """Take the definition from the configuration.

        pygeoapi 0.24 checks a request against ``name`` but finds the formatter by ``f``, exactly: both are the format's
        key in lower case.

        Raises
        ------
        pygeoapi.formatter.base.FormatterGenericError
            If the format is not available on this machine.
        """
        super().__init__(dict(formatter_def))
        if self.key not in FORMATS:
            raise FormatterGenericError(f"{self.key} needs a Python package that is not installed")
        form = FORMATS[self.key]
        self.f = self.name = self.key.lower()
        self.mimetype = form.content_type
        self.extension = form.extension
        self.attachment = formatter_def.get("attachment", form.attachment)

    def write(self, options: Mapping[str, Any] | None = None, data: CoverageResult | None = None) -> bytes:
        """Return the answer as bytes.

        Parameters
        ----------
        options : mapping, optional
            What pygeoapi passes along; nothing of it is needed.
        data : CoverageResult
            What the provider returned.

        Raises
        ------
        pygeoapi.formatter.base.FormatterSerializationError
            If the provider is not one of ours, or the answer cannot be written.
        """
        del options
        if not isinstance(data, CoverageResult):
            raise FormatterSerializationError(f"{self.key} can only be written from a collection of coverages")
        try:
            return b"".join(FORMATS[self.key].encode(data.coverages))
        except IsoplethError as error:
            raise FormatterSerializationError(error.detail) from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__}> {self.name}"


class NetCDFFormatter(_CoverageFormatter):
    """NetCDF-4, asked for by ``f=netcdf``."""

    key = "NetCDF"


class CSVFormatter(_CoverageFormatter):
    """CSV, asked for by ``f=csv``."""

    key = "CSV"


class ZarrFormatter(_CoverageFormatter):
    """A zipped Zarr store, asked for by ``f=zarr``."""

    key = "Zarr"


class ECMWFFormatter(_CoverageFormatter):
    """CoverageJSON for covjsonkit and earthkit, asked for by ``f=coveragejson-ecmwf``."""

    key = "CoverageJSON-ECMWF"


class GeoJSONFormatter(_CoverageFormatter):
    """EDR GeoJSON, asked for by ``f=geojson``."""

    key = "GeoJSON"


class PNGFormatter(_CoverageFormatter):
    """A picture of the first parameter of a grid, asked for by ``f=png``."""

    key = "PNG"


class GeoTIFFFormatter(_CoverageFormatter):
    """A Cloud Optimized GeoTIFF of a grid, asked for by ``f=geotiff``."""

    key = "GeoTIFF"


class ParquetFormatter(_CoverageFormatter):
    """A Parquet table, asked for by ``f=parquet``; needs pyarrow."""

    key = "Parquet"


class ArrowFormatter(_CoverageFormatter):
    """A stream of Arrow record batches, asked for by ``f=arrow``; needs pyarrow."""

    key = "Arrow"


FORMATTERS: Final[tuple[type[_CoverageFormatter], ...]] = (
    NetCDFFormatter,
    CSVFormatter,
    ZarrFormatter,
    ECMWFFormatter,
    GeoJSONFormatter,
    PNGFormatter,
    GeoTIFFFormatter,
    *((ParquetFormatter, ArrowFormatter) if "Parquet" in FORMATS else ()),
)
"""Every formatter that works on this machine."""
