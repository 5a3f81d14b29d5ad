"""How does `isopleth check` show what the doctor found?"""

from __future__ import annotations

from pathlib import Path

import orjson

from plugins.datacube.doctor import examine, render
from server.settings import load_settings


def check(source: str, *, as_json: bool = False) -> int:
    """Examine a store, or every dataset of a configuration; return the exit code.

    Parameters
    ----------
    source : str
        Path or URL of a store, folder of a published dataset, or a configuration file (``.yml``).
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
    else:
        reports = [examine(source)]
    if as_json:
        print(orjson.dumps([report.to_json() for report in reports], option=orjson.OPT_INDENT_2).decode())  # noqa: T201
    else:
        print("\n\n".join(render(report) for report in reports) or "there are no datasets to examine")  # noqa: T201
    return max((report.exit_code for report in reports), default=0)
