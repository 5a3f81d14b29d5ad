"""Are the values of an answer that is read slab by slab those of the store, in order, with no chunk decoded twice?"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
import zarr

from plugins.datacube import slabs
from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import ChunkCache
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import CancelledError
from plugins.datacube.library import OpenDatacube, open_datacube
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import ReadPlan, plan_query
from plugins.datacube.slabs import in_slabs
from plugins.formats.covjson import encode

SHAPE = (2, 23, 6, 8)
VALUES = np.random.default_rng(3).normal(280, 10, SHAPE).astype("f4")
VALUES[:, 5, 2] = np.nan


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenDatacube:
    path = tmp_path_factory.mktemp("slabs") / "a.zarr"
    group = zarr.create_group(path)
    axes = {
        "number": (np.arange(2), {"standard_name": "realization"}),
        "time": (np.arange(23), {"units": "hours since 2020-01-01", "standard_name": "time"}),
        "latitude": (np.linspace(50, 0, 6), {"units": "degrees_north"}),
        "longitude": (np.arange(8) * 45.0, {"units": "degrees_east"}),
    }
    for name, (values, attributes) in axes.items():
        group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=(name,), attributes=attributes
        )[...] = values
    for name, chunks in (("maps", (1, 4, 6, 8)), ("series", (1, 23, 3, 4))):
        array = group.create_array(
            name, shape=SHAPE, chunks=chunks, dtype="f4", dimension_names=tuple(axes), attributes={"units": "K"}
        )
        array[...] = VALUES
    return open_datacube(DatasetDefinition(id="a", href=str(path)))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "WORTH_IT", 1)
    monkeypatch.setattr(slabs, "SLAB", 150)


def planned(opened: OpenDatacube, kind: str, **raw: str) -> ReadPlan:
    return plan_query(opened.cube, parse_query(kind, {k.replace("_", "-"): v for k, v in raw.items()}, opened.cube))


def written(coverages: Any) -> list[tuple[list[int], list[float | None]]]:
    document = orjson.loads(b"".join(encode(coverages)))
    ranges = [c["ranges"]["maps"] for c in document.get("coverages", [document])]
    return [(r["shape"], r["values"]) for r in ranges]


def expected(values: np.ndarray) -> list[float | None]:
    return [None if v != v else v for v in values.ravel().astype(float).tolist()]


@pytest.mark.parametrize(
    "times", ["2020-01-01T00:00:00Z/2020-01-01T22:00:00Z", "2020-01-01T03:00:00Z/2020-01-01T18:00:00Z"]
)
def test_members_and_times_in_order(opened: OpenDatacube, times: str) -> None:
    first, last = int(times[11:13]), int(times[32:34])
    todo = planned(opened, "cube", bbox="0,0,359,50", parameter_name="maps", datetime=times)
    later = in_slabs(opened, todo, Cancel())
    assert later is not None
    found = written(later)
    assert len(found) == 2
    for member, (shape, values) in enumerate(found):
        assert shape == [last - first + 1, 6, 8]
        assert [None if v is None else np.float32(v) for v in values] == expected(VALUES[member, first : last + 1])


def test_masks_and_rasters(opened: OpenDatacube) -> None:
    todo = planned(opened, "area", coords="POLYGON((0 0,100 0,0 40,0 0))", parameter_name="maps", number="1")
    later = in_slabs(opened, todo, Cancel())
    assert later is not None
    ((shape, values),) = written(later)
    y, x = np.meshgrid([40.0, 30.0, 20.0, 10.0, 0.0], [0.0, 45.0, 90.0], indexing="ij")
    inside = x / 100 + y / 40 <= 1
    truth = np.where(inside[: shape[1]], VALUES[1, :, 1:, :3], np.nan)
    assert shape == list(truth.shape)
    assert [None if v is None else np.float32(v) for v in values] == expected(truth)
    todo = planned(
        opened, "cube", bbox="0,0,270,50", parameter_name="maps", number="0", resolution_x="3", resolution_y="2"
    )
    later = in_slabs(opened, todo, Cancel())
    assert later is not None
    ((shape, values),) = written(later)
    assert shape == [23, 2, 3]
    truth = VALUES[0][:, [5, 0]][:, :, [0, 3, 6]]
    assert [None if v is None else np.float32(v) for v in values] == expected(truth)


def test_every_chunk_is_decoded_once(opened: OpenDatacube, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = planned(opened, "cube", bbox="0,0,359,50", parameter_name="maps")
    asked: list[int] = []
    real = slabs.read

    def counted(opened: OpenDatacube, todo: ReadPlan, cancel: Cancel, cache: ChunkCache) -> Any:
        asked.append(todo.cost.chunks)
        return real(opened, todo, cancel, cache=cache)

    monkeypatch.setattr(slabs, "read", counted)
    later = in_slabs(opened, todo, Cancel())
    assert later is not None
    written(later)
    assert len(asked) > 4
    assert sum(asked) == todo.cost.chunks == 12


def test_chunks_that_lie_across_are_read_as_a_whole(opened: OpenDatacube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "DECODED", 1000)
    assert in_slabs(opened, planned(opened, "cube", bbox="0,0,359,50", parameter_name="series"), Cancel()) is None
    assert in_slabs(opened, planned(opened, "position", coords="POINT(0 0)", parameter_name="maps"), Cancel()) is None


def test_it_stops_between_slabs(opened: OpenDatacube) -> None:
    cancel = Cancel()
    later = in_slabs(opened, planned(opened, "cube", bbox="0,0,359,50", parameter_name="maps", number="0"), cancel)
    assert later is not None
    parts = later[0].ranges["maps"].slabs()
    next(parts)
    cancel.cancel()
    with pytest.raises(CancelledError):
        next(parts)
