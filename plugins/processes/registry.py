"""Which processes are there, and how is one of them run in a job?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from plugins.datacube.errors import UnknownError
from plugins.datacube.library import Library
from plugins.datacube.limits import Limits
from plugins.jobs.child import Report
from plugins.jobs.job import Outcome
from plugins.processes import (
    anomaly,
    climatology,
    echo,
    ensemble_statistics,
    exceedance,
    percentiles,
    subset,
    temporal_aggregation,
    trend,
    zonal_statistics,
)
from plugins.processes.context import ProcessContext
from plugins.processes.process import Prepared, Process

ENTRY: Final = "plugins.processes.registry:execute"
"""The entry function for `plugins.jobs.runner.Runner`, whose context is a `ProcessContext`."""
PRELOAD: Final = (
    "numpy", "zarr", "obstore.store", "xarray", "cf_xarray", "cftime", "netCDF4", "shapely", "pyproj", "orjson",
    "jsonschema", "plugins.processes.registry",
)  # fmt: skip
"""Modules that the jobs need, for `plugins.jobs.runner.Runner`: imported, but not used, before the fork. Should one of
them start threads it is left out, so what takes long to import is named beside our own modules that import it."""

PROCESSES: Final[Mapping[str, Process]] = MappingProxyType(
    {
        process.id: process
        for process in (
            Process(
                subset.DESCRIPTION,
                "plugins.processes.processors.SubsetProcessor",
                subset.validate,
                subset.prepare,
                subset.run,
            ),
            temporal_aggregation.PROCESS,
            climatology.PROCESS,
            anomaly.PROCESS,
            zonal_statistics.PROCESS,
            percentiles.PROCESS,
            exceedance.PROCESS,
            ensemble_statistics.PROCESS,
            trend.PROCESS,
            Process(
                echo.DESCRIPTION,
                "plugins.processes.processors.EchoProcessor",
                echo.validate,
                echo.prepare,
                echo.run,
                document=True,
            ),
        )
    }
)
"""By identifier."""


def get_process(process_id: str) -> Process:
    """Return a process.

    Raises
    ------
    UnknownError
        If there is none of this identifier.
    """
    process = PROCESSES.get(process_id)
    if process is None:
        raise UnknownError(f"there is no process {process_id[:128]!r}")
    return process


def prepare(process_id: str, inputs: object, library: Library, limits: Limits) -> Prepared:
    """Check a request completely, before a job is made of it.

    Parameters
    ----------
    process_id : str
    inputs : object
        The member ``inputs`` of the execute request, as parsed from JSON.
    library : Library
    limits : Limits
        Those of the way it will be run: at once, or as a job.

    Raises
    ------
    UnknownError
        If there is no such process.
    InvalidQueryError, NoDataError, TooLargeError, DatasetError
        What the run would raise before it reads.
    """
    process = get_process(process_id)
    return process.prepare(process.validate(inputs), library, limits)


def execute(process_id: str, inputs: dict[str, Any], context: ProcessContext, workdir: Path, report: Report) -> Outcome:
    """Run a process in a job: the entry function of the runner. Raises what `prepare` and the run raise."""
    process = get_process(process_id)
    return process.run(process.validate(inputs), context.library(), context.limits, workdir, report)
