"""How does a stock pygeoapi write our answers in formats other than JSON?

Named in a resource of its configuration, for each format wanted::

    formatters:
      - name: plugins.formats.formatter.NetCDFFormatter
      - name: plugins.formats.formatter.CSVFormatter
      - name: plugins.formats.formatter.ZarrFormatter

The provider returns a `CoverageResult` when it is queried with the ``format_`` of one of these, and a CoverageJSON dict
(`plugins.formats.covjson.to_dict`) otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pygeoapi.formatter.base import BaseFormatter, FormatterSerializationError

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
        """
        super().__init__(dict(formatter_def))
        form = FORMATS[self.key]
        self.f = self.name = self.key.lower()
        self.mimetype = form.content_type
        self.extension = form.extension
        self.attachment = formatter_def.get("attachment", form.binary)

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
