from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr

from catalog.embedded import EmbeddedRepository
from catalog.harvest import HarvestReport, harvest
from catalog.links import FrontUrls
from catalog.repository import ItemQuery
from plugins.datacube.datacube import Datacube
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.library import Entry, Library

MakeCube = Callable[..., Datacube]
URLS = FrontUrls("http://127.0.0.1:8000")


def entry(cube: Datacube) -> Entry:
    opened: Any = SimpleNamespace(cube=cube, source=SimpleNamespace(layout="icechunk", history=None))
    return Entry(cube.definition, opened, None)


def broken(name: str) -> Entry:
    return Entry(DatasetDefinition(name, "/nowhere"), None, "the store does not exist")


def test_a_second_harvest_changes_nothing(repository: EmbeddedRepository, make_cube: MakeCube) -> None:
    assert harvest([entry(make_cube("a")), entry(make_cube("b"))], repository, URLS) == HarvestReport(added=("a", "b"))
    before = repository.get_collection("a")
    # New objects of equal content: the digest decides, not the identity.
    assert harvest([entry(make_cube("a")), entry(make_cube("b"))], repository, URLS) == HarvestReport(
        unchanged=("a", "b")
    )
    assert repository.get_collection("a") == before


def test_another_address_is_no_change(repository: EmbeddedRepository, make_cube: MakeCube) -> None:
    harvest([entry(make_cube("a"))], repository, URLS)
    report = harvest([entry(make_cube("a"))], repository, FrontUrls("https://other.example/p"))
    assert report == HarvestReport(unchanged=("a",))


def test_a_new_snapshot_is_a_change(repository: EmbeddedRepository, make_cube: MakeCube) -> None:
    cube = make_cube("a")
    harvest([entry(cube)], repository, URLS)
    assert harvest([entry(replace(cube, snapshot="s2"))], repository, URLS) == HarvestReport(changed=("a",))
    document = repository.get_collection("a")
    assert document is not None
    assert document["isopleth:snapshot"] == "s2"
    (item,) = repository.search(ItemQuery()).documents
    assert item["properties"]["isopleth:snapshot"] == "s2"


def test_what_is_gone_is_removed_and_what_was_not_harvested_stays(
    repository: EmbeddedRepository, make_cube: MakeCube
) -> None:
    repository.upsert_collection({"type": "Collection", "id": "foreign", "links": []})
    harvest([entry(make_cube("a")), entry(make_cube("b"))], repository, URLS)
    assert harvest([entry(make_cube("b"))], repository, URLS) == HarvestReport(unchanged=("b",), removed=("a",))
    assert [heading.id for heading in repository.headings()] == ["b", "foreign"]
    assert [item["id"] for item in repository.search(ItemQuery()).documents] == ["b-all"]
    assert harvest([entry(make_cube("a"))], repository, URLS) == HarvestReport(added=("a",), removed=("b",))


def test_one_broken_dataset_does_not_stop_the_others(repository: EmbeddedRepository, make_cube: MakeCube) -> None:
    bad = replace(make_cube("bad"), extent=None)  # type: ignore[arg-type]
    report = harvest([broken("gone"), entry(bad), entry(make_cube("good"))], repository, URLS)
    assert report.added == ("good",)
    assert set(report.failed) == {"gone", "bad"}
    assert report.failed["gone"] == "the store does not exist"
    assert "NoneType" not in report.failed["bad"]
    assert [heading.id for heading in repository.headings()] == ["good"]


def test_a_dataset_that_fails_today_keeps_its_description(repository: EmbeddedRepository, make_cube: MakeCube) -> None:
    harvest([entry(make_cube("a"))], repository, URLS)
    report = harvest([broken("a")], repository, URLS)
    assert report.failed == {"a": "the store does not exist"}
    assert report.removed == ()
    assert repository.get_collection("a") is not None


def test_two_catalogues_in_one_process_do_not_mix(
    repository: EmbeddedRepository, make_cube: MakeCube, tmp_path: Path
) -> None:
    cube = make_cube("a")
    harvest([entry(cube)], repository, URLS)
    second = EmbeddedRepository(tmp_path / "second.sqlite")
    assert harvest([entry(cube)], second, URLS) == HarvestReport(added=("a",))
    assert second.get_collection("a") == repository.get_collection("a")
    second.close()


def test_stores_on_disk(repository: EmbeddedRepository, tmp_path: Path) -> None:
    times = np.arange(3).astype("datetime64[D]").astype("datetime64[ns]")
    attributes = {"units": "K", "standard_name": "air_temperature"}
    source = xr.Dataset(
        {"t": (("time", "lat", "lon"), np.zeros((3, 2, 4), np.float32), attributes)},
        {
            "time": times,
            "lat": ("lat", [10.0, 0.0], {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", [350.0, 355.0, 0.0, 5.0], {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )  # fmt: skip
    source.sortby("lon").to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    (tmp_path / "b.zarr").mkdir()
    library = Library([DatasetDefinition(name, str(tmp_path / f"{name}.zarr")) for name in ("a", "b")])
    report = harvest(library.entries(), repository, URLS)
    assert report.added == ("a",)
    assert list(report.failed) == ["b"]
    assert str(tmp_path) not in report.failed["b"]
    assert harvest(library.entries(), repository, URLS).unchanged == ("a",)
    (item,) = repository.search(ItemQuery()).documents
    assert item["properties"]["start_datetime"] == "1970-01-01T00:00:00Z"
    assert item["properties"]["end_datetime"] == "1970-01-03T00:00:00Z"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_asset_tells_the_format_of_the_store(
    repository: EmbeddedRepository, tmp_path: Path, zarr_format: Literal[2, 3]
) -> None:
    source = xr.Dataset(
        {"t": (("lat", "lon"), np.zeros((2, 2), np.float32), {"units": "K"})},
        {"lat": ("lat", [1.0, 0.0], {"units": "degrees_north"}), "lon": ("lon", [0.0, 1.0], {"units": "degrees_east"})},
    )
    source.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, consolidated=zarr_format == 2)
    library = Library([DatasetDefinition("a", str(tmp_path / "a.zarr"))])
    assert harvest(library.entries(), repository, URLS).failed == {}
    document = repository.get_collection("a")
    assert document is not None
    stores = {key: asset for key, asset in document["assets"].items() if asset["roles"] == ["data"]}
    assert set(stores) == {"zarr", f"zarr-v{zarr_format}"}
    assert {asset["zarr:zarr_format"] for asset in stores.values()} == {zarr_format}
    assert document["assets"][f"zarr-v{zarr_format}"]["type"] == f"application/vnd.zarr; version={zarr_format}"


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a fresh process as far as the memory of the harvest goes."""
    monkeypatch.setattr("catalog.harvest._DESCRIBED", {})
