from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest
from pygeoapi.formatter.base import FormatterSerializationError
from pygeoapi.plugin import load_plugin
from pygeoapi.util import get_dataset_formatters

from plugins.datacube.coverage import Coverage
from plugins.formats.formatter import CoverageResult
from plugins.formats.table import FORMATS

CLASSES = ["NetCDFFormatter", "CSVFormatter", "ZarrFormatter"]
RESOURCE = {
    "providers": [{"type": "edr", "name": "x", "default": True}],
    "formatters": [{"name": f"plugins.formats.formatter.{name}"} for name in CLASSES],
}


def test_pygeoapi_finds_each_by_what_a_client_writes() -> None:
    formatters = get_dataset_formatters(RESOURCE)
    assert list(formatters) == ["netcdf", "csv", "zarr"]
    for name, formatter in formatters.items():
        # A request is validated against the key and dispatched on `f`: they must be one.
        assert formatter.f == formatter.name == name == name.lower()
    assert [each.mimetype for each in formatters.values()] == [
        "application/netcdf",
        "text/csv; charset=utf-8",
        "application/zip",
    ]
    assert [each.extension for each in formatters.values()] == ["nc", "csv", "zarr.zip"]
    assert [each.attachment for each in formatters.values()] == [True, False, True]


def test_attachment_can_be_configured() -> None:
    definition = {"name": "plugins.formats.formatter.CSVFormatter", "attachment": True}
    assert load_plugin("formatter", definition).attachment is True


def test_written_bytes_are_those_of_the_format(any_coverage: Mapping[str, Coverage]) -> None:
    coverages = (any_coverage["grid"],)
    for name, key in (("NetCDFFormatter", "NetCDF"), ("CSVFormatter", "CSV"), ("ZarrFormatter", "Zarr")):
        formatter = load_plugin("formatter", {"name": f"plugins.formats.formatter.{name}"})
        written = formatter.write(data=CoverageResult(coverages), options={"provider_def": {}, "content_crs": None})
        assert written == b"".join(FORMATS[key].encode(coverages))
    assert zipfile.is_zipfile(io.BytesIO(written))


@pytest.mark.parametrize("data", [None, {"type": "Coverage"}, CoverageResult(())])
def test_what_cannot_be_written_is_pygeoapis_own_error(data: object) -> None:
    formatter = load_plugin("formatter", {"name": "plugins.formats.formatter.NetCDFFormatter"})
    with pytest.raises(FormatterSerializationError):
        formatter.write(data=data)
