"""The demonstration datasets are real, complete, and published once."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from plugins.datacube.errors import DatasetError
from plugins.datacube.library import Library
from plugins.datacube.locations import locations_of
from plugins.datacube.published import read_dataset_json, write_dataset_json
from server import demonstration
from server.demonstration import SAMPLES, publish_demonstration, sample_folder

IDS = ("ostia-sst", "hadcm3-a1b", "orca2-temperature", "era5-like")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("iris_sample_data") is None:
        pytest.skip("the package iris-sample-data is not installed")
    folder = tmp_path_factory.mktemp("demonstration")
    fractions: list[float] = []
    ids = publish_demonstration(folder, lambda fraction, _text: fractions.append(fraction), synthetic_days=2)
    assert ids == IDS
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    return folder


def test_all_are_listed_with_their_origin(data: Path) -> None:
    entries = {entry.definition.id: entry for entry in Library([], data / "datasets").entries()}
    assert set(entries) == set(IDS)
    for sample in SAMPLES:
        definition = entries[sample.definition.id].definition
        assert definition.licence == "OGL-UK-3.0"
        assert definition.licence_url
        assert "Met Office" in str(definition.attribution)
        assert definition.providers[0].name == "UK Met Office"
        assert definition.keywords
    assert all(entry.problem is None for entry in entries.values())
    unsupported = {name for name, entry in entries.items() if entry.opened and entry.opened.cube.unsupported}
    assert unsupported == set()
    hadcm3 = entries["hadcm3-a1b"].opened
    assert hadcm3 is not None
    assert next(a for a in hadcm3.cube.axes.values() if a.kind.value == "t").calendar == "360_day"


def test_two_have_named_places_inside_their_data(data: Path) -> None:
    library = Library([], data / "datasets")
    for name in IDS:
        opened = library.get(name)
        found = locations_of(opened)
        assert bool(found) == (name in ("ostia-sst", "era5-like"))
        box = opened.cube.extent
        for one in found:
            middle = one.geometry.centroid
            assert box.west <= middle.x <= box.east, one.id
            assert box.south <= middle.y <= box.north, one.id


def test_places_are_added_to_what_was_published_without(data: Path) -> None:
    folder = data / "datasets" / "era5-like"
    write_dataset_json(folder, replace(read_dataset_json(folder), locations=None))
    (folder / "locations.geojson").unlink()
    assert read_dataset_json(folder).locations is None
    publish_demonstration(data)
    assert "London" in [one.name for one in locations_of(Library([], data / "datasets").get("era5-like"))]


def test_values_are_those_of_the_files(data: Path) -> None:
    library = Library([], data / "datasets")
    for sample, name in zip(SAMPLES, ("surface_temperature", "air_temperature", "votemper"), strict=True):
        stored = np.asarray(library.get(sample.definition.id).arrays[name][...])
        with xr.open_dataset(sample_folder() / sample.file, engine="netcdf4", decode_cf=False) as wanted:
            assert stored.tobytes() == wanted[name].values.tobytes()


def test_a_second_time_touches_nothing_and_needs_no_sample_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.is_file()}
    monkeypatch.setattr(demonstration, "PACKAGE", "no_such_package")
    assert publish_demonstration(data) == IDS
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.is_file()} == marks


def test_without_the_sample_data_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstration, "PACKAGE", "no_such_package")
    with pytest.raises(DatasetError, match=r"isopleth\[demo\]"):
        publish_demonstration(tmp_path)
