"""How does `isopleth check` show what the doctor found?"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import orjson

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.doctor import examine, render
from plugins.datacube.doctor.report import Finding, Report, Severity
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest.publish import is_source_file, publish
from server.settings import load_settings


def check(source: str, *, as_json: bool = False) -> int:
    """Examine a store, or every dataset of a configuration; return the exit code.

    Parameters
    ----------
    source : str
        Path or URL of a store, folder of a published dataset, a configuration file (``.yml``), or a NetCDF or GRIB
        file, which is examined as it would be published.
    as_json : bool
        Print a JSON array of reports.

    Returns
    -------
    int
        0 where everything can be served right, warnings allowed; 1 where something cannot.

    Raises
    ------
    InvalidQueryError
        If the configuration is wrong.
    """
    if source.lower().endswith((".yml", ".yaml")):
        reports = [examine(definition) for definition in load_settings(Path(source)).definitions()]
    elif is_source_file(Path(source)):
        reports = [_as_published(Path(source))]
    else:
        reports = [examine(source)]
    if as_json:
        print(orjson.dumps([report.to_json() for report in reports], option=orjson.OPT_INDENT_2).decode())  # noqa: T201
    else:
        print("\n\n".join(render(report) for report in reports) or "there are no datasets to examine")  # noqa: T201
    return max((report.exit_code for report in reports), default=0)


def _as_published(path: Path) -> Report:
    """Publish a file into a folder that is thrown away, and examine that; a file that is refused is one finding."""
    identifier = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")[:128] or "file"
    with tempfile.TemporaryDirectory(prefix="isopleth-check-") as folder:
        try:
            publish([path], DatasetDefinition(id=identifier, href=""), Path(folder))
        except DatasetError as error:
            return Report(identifier, (Finding(Severity.ERROR, "not-servable", error.detail),))
        return examine(str(Path(folder) / "datasets" / identifier))
