"""The states of an Icechunk repository as items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr

from catalog.embedded import EmbeddedRepository
from catalog.harvest import harvest
from catalog.links import FrontUrls
from catalog.repository import ItemQuery
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.library import Library

URLS = FrontUrls("http://127.0.0.1:8000")
Validate = Callable[[dict[str, Any]], None]


def commit(repository: icechunk.Repository, days: int, message: str) -> str:
    session = repository.writable_session("main")
    source = xr.Dataset(
        {"t": (("time", "lat", "lon"), np.zeros((days, 2, 4), np.float32), {"units": "K"})},
        {
            "time": np.arange(days).astype("datetime64[D]").astype("datetime64[ns]"),
            "lat": ("lat", [10.0, 0.0], {"units": "degrees_north"}),
            "lon": ("lon", [0.0, 5.0, 10.0, 15.0], {"units": "degrees_east"}),
        },
    )
    source.to_zarr(session.store, mode="w", zarr_format=3, consolidated=False)
    return str(session.commit(message))


@pytest.fixture
def repo(tmp_path: Path) -> tuple[icechunk.Repository, DatasetDefinition]:
    folder = tmp_path / "a.icechunk"
    return (
        icechunk.Repository.create(icechunk.local_filesystem_storage(str(folder))),
        DatasetDefinition("a", str(folder), items="snapshot"),
    )


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.harvest._DESCRIBED", {})


def found(repository: EmbeddedRepository) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in repository.search(ItemQuery(limit=100)).documents}


def test_each_snapshot_is_an_item(
    repository: EmbeddedRepository, repo: tuple[icechunk.Repository, DatasetDefinition], validate: Validate
) -> None:
    store, definition = repo
    first, second = commit(store, 3, "begin"), commit(store, 5, "append")
    store.create_tag("final", snapshot_id=first)
    library = Library([definition])
    assert harvest(library.entries(), repository, URLS).added == ("a",)
    before = found(repository)
    assert set(before) == {f"a-{first}", f"a-{second}"}
    for item in before.values():
        validate({**item, "links": [*item["links"], {"rel": "collection", "href": "/x"}]})
    old, new = before[f"a-{first}"], before[f"a-{second}"]
    assert [item["properties"]["end_datetime"] for item in (old, new)] == [
        "1970-01-03T00:00:00Z",
        "1970-01-05T00:00:00Z",
    ]
    assert (old["properties"]["version"], new["properties"]["version"]) == ("final", second)
    assert (old["properties"]["deprecated"], new["properties"]["deprecated"]) == (True, False)
    assert (old["properties"]["description"], old["properties"]["isopleth:tags"]) == ("begin", ["final"])
    assert "zarr" in new["assets"]
    assert "zarr" not in old["assets"]
    assert old["assets"]["netcdf"]["href"].startswith(f"/ogc/collections/a/instances/{first}/cube?")
    links = {link["rel"]: link["href"] for link in old["links"]}
    assert links["successor-version"] == links["latest-version"] == f"/stac/collections/a/items/a-{second}"
    assert "predecessor-version" not in links

    third = commit(store, 6, "more")
    library.refresh()
    assert harvest(library.entries(), repository, URLS).changed == ("a",)
    after = found(repository)
    assert set(after) == {*before, f"a-{third}"}
    assert after[f"a-{second}"]["properties"]["deprecated"] is True
    assert harvest(library.entries(), repository, URLS).unchanged == ("a",)


def test_the_oldest_are_left_out(
    repository: EmbeddedRepository,
    repo: tuple[icechunk.Repository, DatasetDefinition],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("catalog.versions.STATES_LIMIT", 2)
    store, definition = repo
    made = [commit(store, days, f"{days}") for days in (2, 3, 4)]
    harvest(Library([definition]).entries(), repository, URLS)
    assert set(found(repository)) == {f"a-{snapshot}" for snapshot in made[1:]}


def test_a_store_without_states_is_one_item(repository: EmbeddedRepository, tmp_path: Path) -> None:
    times = np.arange(3).astype("datetime64[D]").astype("datetime64[ns]")
    source = xr.Dataset(
        {"t": (("time", "lat", "lon"), np.zeros((3, 2, 2), np.float32))},
        {"time": times, "lat": ("lat", [1.0, 0.0]), "lon": ("lon", [0.0, 1.0])},
    )
    source.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    definition = replace(DatasetDefinition("a", str(tmp_path / "a.zarr")), items="snapshot")
    assert harvest(Library([definition]).entries(), repository, URLS).added == ("a",)
    assert set(found(repository)) == {"a-all"}
