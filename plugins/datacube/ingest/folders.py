"""Where in the data folder do datasets live?"""

from __future__ import annotations

from pathlib import Path

DATASETS = "datasets"
INGESTED = "ingested"
SCRATCH = ".scratch-"
"""Folders in which GRIB fields are decoded; what a crash left of them is removed by the next publication."""


def dataset_folder(data: Path, dataset_id: str) -> Path:
    """Return the folder of a published dataset: ``store`` and ``dataset.json`` are in it."""
    return data / DATASETS / dataset_id
