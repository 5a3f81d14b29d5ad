"""Which datasets does the demonstration show, and how do they get into the data folder?

Three are real, from the package iris-sample-data (UK Met Office, Open Government Licence); one is generated, and its
title says so.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from plugins.datacube.definition import DatasetDefinition, Provider
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest.content import Progress
from plugins.datacube.ingest.folders import dataset_folder
from plugins.datacube.published import DOCUMENT, read_dataset_json, write_dataset_json

PACKAGE: Final = "iris_sample_data"
_OGL: Final = "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/"
_MET_OFFICE: Final = Provider("UK Met Office", ("producer", "licensor"), "https://www.metoffice.gov.uk/")
_SAMPLES: Final = Provider("SciTools iris-sample-data", ("processor",), "https://github.com/SciTools/iris-sample-data")
SYNTHETIC: Final = "era5-like"
PLACES: Final = Path(__file__).parent / "places"
"""Named places of our own, ``<id>.geojson`` of the datasets that have any."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of the sample data, and what to say about it."""

    file: str
    definition: DatasetDefinition


SAMPLES: Final = (
    Sample(
        "ostia_monthly.nc",
        DatasetDefinition(
            id="ostia-sst",
            href="",
            title="OSTIA sea surface temperature near the equator, monthly means",
            description=(
                "Monthly mean sea surface temperature between 5 degrees south and 5 degrees north, April 2006 to "
                "September 2010, from the Operational Sea Surface Temperature and Ice Analysis (OSTIA) of the UK Met "
                "Office."
            ),
            licence="OGL-UK-3.0",
            licence_url=_OGL,
            attribution="Contains public sector information of the UK Met Office, Open Government Licence v3.0",
            keywords=("sea surface temperature", "OSTIA", "monthly mean", "ocean", "equator"),
            providers=(_MET_OFFICE, _SAMPLES),
        ),
    ),
    Sample(
        "A1B_north_america.nc",
        DatasetDefinition(
            id="hadcm3-a1b",
            href="",
            title="HadCM3 air temperature over North America, scenario A1B",
            description=(
                "Yearly mean surface air temperature over North America from 1860 to 2099, from a run of the UK Met "
                "Office's climate model HadCM3 under the SRES scenario A1B. The calendar has 360 days a year."
            ),
            licence="OGL-UK-3.0",
            licence_url=_OGL,
            attribution="Contains public sector information of the UK Met Office, Open Government Licence v3.0",
            keywords=("air temperature", "climate projection", "HadCM3", "A1B", "North America", "360_day"),
            providers=(_MET_OFFICE, _SAMPLES),
        ),
    ),
    Sample(
        "orca2_votemper.nc",
        DatasetDefinition(
            id="orca2-temperature",
            href="",
            title="Ocean potential temperature on the ORCA2 grid",
            description=(
                "Sea water potential temperature at a depth of 5 m on the curvilinear, tripolar ORCA2 grid (about 2 "
                "degrees) of the ocean model NEMO."
            ),
            licence="OGL-UK-3.0",
            licence_url=_OGL,
            attribution="Contains public sector information of the UK Met Office, Open Government Licence v3.0",
            keywords=("ocean", "potential temperature", "NEMO", "ORCA2", "curvilinear grid"),
            providers=(_MET_OFFICE, _SAMPLES),
        ),
    ),
)


def publish_demonstration(
    data: Path, progress: Progress | None = None, *, synthetic_days: int | None = None
) -> tuple[str, ...]:
    """Publish the demonstration datasets that are not there yet.

    Parameters
    ----------
    data : Path
        The data folder.
    progress : callable, optional
        ``progress(fraction, text)`` over all that is to be done.
    synthetic_days : int, optional
        Length of the generated cube; 60 days where it is not given.

    Returns
    -------
    tuple of str
        The ids of all demonstration datasets, those that were there already too.

    Raises
    ------
    DatasetError
        If something is to be published and the package with the sample data is not installed.
    BusyError, StorageError
        As `plugins.datacube.ingest.publish.publish`.
    """
    ids = (*(sample.definition.id for sample in SAMPLES), SYNTHETIC)
    absent = [dataset_id for dataset_id in ids if not (dataset_folder(data, dataset_id) / DOCUMENT).exists()]
    if absent:
        _publish_absent(absent, data, progress, synthetic_days)
    for dataset_id in ids:
        _add_places(dataset_folder(data, dataset_id), PLACES / f"{dataset_id}.geojson")
    return ids


def _publish_absent(absent: list[str], data: Path, progress: Progress | None, synthetic_days: int | None) -> None:
    # Loading what writes costs a second, which a server that has everything does not need.
    from plugins.datacube.ingest.publish import publish
    from plugins.datacube.synthetic import DAYS, publish_synthetic

    def part_of(dataset_id: str) -> Progress:
        def tell(fraction: float, text: str) -> None:
            if progress is not None:
                progress((absent.index(dataset_id) + fraction) / len(absent), f"{dataset_id}: {text}")

        return tell

    for sample in SAMPLES:
        if sample.definition.id in absent:
            publish([sample_folder() / sample.file], sample.definition, data, part_of(sample.definition.id))
    if SYNTHETIC in absent:
        publish_synthetic(data, part_of(SYNTHETIC), days=synthetic_days or DAYS)


def _add_places(folder: Path, places: Path) -> None:
    """Give a dataset its named places, unless it has some."""
    if places.exists():
        definition = read_dataset_json(folder)
        if definition.locations is None:
            write_dataset_json(folder, replace(definition, locations=str(places)))


def sample_folder() -> Path:
    """Return the folder of the sample data, without importing its package.

    Raises
    ------
    DatasetError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DatasetError(
            "the demonstration needs the package iris-sample-data: install it with pip install 'isopleth[demo]'"
        )
    return Path(spec.origin).parent / "sample_data"
