"""Are the values of an answer those of the store, in any layout; and is a fault of the store ever taken for data?"""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.datacube import read as read_module
from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import ChunkCache
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.describe import describe
from plugins.datacube.errors import BusyError, CancelledError, StorageError
from plugins.datacube.library import OpenDatacube, open_datacube
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query
from plugins.datacube.read import read
from plugins.datacube.sources import Source


def write(store: Any, dims: list[str], coordinates: dict[str, np.ndarray], data: np.ndarray, **more: Any) -> None:
    """Write a CF store: `data` with dimensions `dims`, and the attributes and encodings in `more`."""
    attributes: dict[str, dict[str, Any]] = {
        "lat": {"units": "degrees_north", "standard_name": "latitude"},
        "lon": {"units": "degrees_east", "standard_name": "longitude"},
        "time": {"units": "hours since 2000-01-01", "calendar": more.pop("calendar", "standard")},
        "level": {"units": "hPa", "positive": "down", "standard_name": "air_pressure", "axis": "Z"},
        "number": {"standard_name": "realization"},
    }
    group = zarr.create_group(store, zarr_format=3)
    every = {"config": {"write_empty_chunks": True}}  # chunks of nothing but zeros, too
    for name, values in coordinates.items():
        group.create_array(name, data=values, dimension_names=(name,), attributes=attributes[name], **every)
    described = {"units": "K", **more.pop("attributes", {})}
    group.create_array("v", data=data, dimension_names=dims, attributes=described, **every, **more)


def opened_memory(store: zarr.storage.MemoryStore, name: str) -> OpenDatacube:
    group = zarr.open_group(store, mode="r")
    source = Source(group, name, "zarr3", store, "store", lambda: name)
    cube = describe(source, DatasetDefinition("d", name))
    return OpenDatacube(
        cube, {p: group[p].with_config({"read_missing_chunks": False}) for p in cube.parameters}, source
    )


def answer(opened: OpenDatacube, kind: str, *, cache: ChunkCache | None = None, **raw: str) -> tuple[Coverage, ...]:
    names = {"parameter_name": "parameter-name"}
    query = parse_query(kind, {names.get(name, name): text for name, text in raw.items()}, opened.cube)
    return read(opened, plan_query(opened.cube, query), Cancel(), cache=ChunkCache(2**20) if cache is None else cache)


# -- any layout


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    coordinates: dict[str, np.ndarray] = {
        "lat": np.arange(-80.0, 81, 20)[: draw(st.integers(2, 9))],
        "time": np.arange(draw(st.integers(1, 5))) * 6,
    }
    first, count = draw(st.sampled_from([(0, 12), (-180, 12), (-30, 12), (90, 7), (-60, 5)]))
    coordinates["lon"] = np.arange(first, first + count * 30.0, 30)
    if draw(st.booleans()):
        coordinates["level"] = np.array([1000, 850, 500])
    if draw(st.booleans()):
        coordinates["number"] = np.arange(2)
    for name in ("lat", "lon"):
        if draw(st.booleans()):
            coordinates[name] = coordinates[name][::-1].copy()
    dims = draw(st.permutations(list(coordinates)))
    shape = tuple(coordinates[dim].size for dim in dims)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    packing = draw(st.sampled_from(["float", "packed", "integer", "fill"]))
    attributes: dict[str, Any] = {}
    if packing == "float":
        data = rng.normal(size=shape).astype("float32")
        data[rng.random(shape) < 0.1] = np.nan
    else:
        data = rng.integers(-300, 300, shape).astype("int16")
        if packing != "integer":
            data[rng.random(shape) < 0.2] = -32767
            attributes["_FillValue"] = -32767
        if packing == "packed":
            attributes |= {"scale_factor": 0.01, "add_offset": 273.15}
    return {
        "dims": dims,
        "coordinates": coordinates,
        "data": data,
        "attributes": attributes,
        "chunks": tuple(draw(st.integers(1, size)) for size in shape),
        "calendar": draw(st.sampled_from(["standard", "360_day", "noleap"])),
    }


def expected_values(store: Any, dims: list[str]) -> np.ndarray:
    """Decode the whole store by xarray, in canonical order."""
    with xr.open_dataset(store, engine="zarr", consolidated=False, zarr_format=3, decode_times=False) as dataset:
        order = [dim for dim in ("number", "time", "level", "lat", "lon") if dim in dims]
        return dataset["v"].transpose(*order).values


@settings(deadline=None, max_examples=40)
@given(layouts(), st.integers(-24, 12), st.integers(0, 24), st.integers(-9, 8), st.integers(0, 9), st.booleans())
def test_boxes_of_any_layout(
    layout: dict[str, Any], west: int, width: int, south: int, height: int, cached: bool
) -> None:
    store = zarr.storage.MemoryStore()
    write(store, **layout)
    opened = opened_memory(store, "layout")
    lat, lon = layout["coordinates"]["lat"], layout["coordinates"]["lon"]
    # Multiples of 15 and 10 degrees: edges often lie on centres.
    west, width, south, north = west * 15, width * 15, south * 10, min(90, (south + height) * 10)
    rows = [i for i, y in enumerate(lat) if south <= y <= north]
    columns = {}
    for i, x in enumerate(lon):
        shifted = west + (x - west) % 360
        if shifted <= west + width:
            columns[shifted] = i
    if not rows or not columns:
        return
    text = f"{west},{south},{west + width},{north}"
    (coverage,) = answer(opened, "cube", bbox=text, cache=ChunkCache(2**20 if cached else 0))
    *leading, y, x = coverage.axes
    order = sorted(columns, reverse=bool(lon[0] > lon[-1]))
    assert x.values.tolist() == order
    assert y.values.tolist() == lat[rows].tolist()
    assert [axis.size for axis in leading] == [
        layout["coordinates"][dim].size for dim in ("number", "time", "level") if dim in layout["dims"]
    ]
    expected = expected_values(store, layout["dims"])[..., rows, :][..., [columns[key] for key in order]]
    values = coverage.ranges["v"]
    assert values.shape == expected.shape
    if isinstance(values, np.ma.MaskedArray):
        values = values.astype(expected.dtype).filled(np.nan)
    assert values.dtype == expected.dtype
    assert np.array_equal(values, expected, equal_nan=expected.dtype.kind == "f")
    assert values.flags.c_contiguous


@settings(deadline=None, max_examples=40)
@given(layouts(), st.data(), st.booleans())
def test_points_times_levels_and_members_of_any_layout(
    layout: dict[str, Any], data: st.DataObject, cached: bool
) -> None:
    store = zarr.storage.MemoryStore()
    write(store, **layout)
    opened = opened_memory(store, "layout")
    coordinates = layout["coordinates"]
    picked = {
        dim: sorted(data.draw(st.sets(st.integers(0, values.size - 1), min_size=1), label=dim))
        for dim, values in coordinates.items()
        if dim not in ("lat", "lon")
    }
    cells = data.draw(
        st.lists(
            st.tuples(st.integers(0, coordinates["lat"].size - 1), st.integers(0, coordinates["lon"].size - 1)),
            min_size=1,
            max_size=6,
        )
    )
    stamps = [f"2000-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z" for hour in coordinates["time"][picked["time"]]]
    raw = {"datetime": ",".join(stamps)}
    if "level" in picked:
        raw["z"] = ",".join(str(v) for v in coordinates["level"][picked["level"]])
    if "number" in picked:
        raw["number"] = ",".join(map(str, picked["number"]))
    corners = [(coordinates["lon"][j] + 3, coordinates["lat"][i] - 3) for i, j in cells]
    coords = "MULTIPOINT(" + ",".join(f"({x} {y})" for x, y in corners) + ")"
    coverages = answer(opened, "position", coords=coords, cache=ChunkCache(2**20 if cached else 0), **raw)
    expected = expected_values(store, layout["dims"])
    order = [dim for dim in ("number", "time", "level") if dim in picked]
    assert len(coverages) == len(cells)
    for coverage, (i, j) in zip(coverages, cells, strict=True):
        value = expected[(..., i, j)]
        for place, dim in enumerate(order):
            value = value.take(picked[dim], axis=place)
        values = coverage.ranges["v"]
        if isinstance(values, np.ma.MaskedArray):
            values = values.astype(expected.dtype).filled(np.nan)
        assert np.array_equal(values[..., 0, 0], value, equal_nan=expected.dtype.kind == "f")
        assert [axis.size for axis in coverage.axes] == [*(len(picked[dim]) for dim in order), 1, 1]
        assert coverage.axes[-1].values.tolist() == [coordinates["lon"][j]]


# -- domain types


@pytest.fixture(scope="module")
def column() -> OpenDatacube:
    store = zarr.storage.MemoryStore()
    coordinates = {
        "number": np.arange(2), "time": np.arange(3), "level": np.array([1000, 500]),
        "lat": np.arange(-90.0, 91, 45), "lon": np.arange(0.0, 360, 45),
    }  # fmt: skip
    data = np.arange(2 * 3 * 2 * 5 * 8, dtype="float32").reshape(2, 3, 2, 5, 8)
    write(store, list(coordinates), coordinates, data, chunks=(1, 2, 1, 3, 3))
    return opened_memory(store, "column")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"datetime": "2000-01-01T01:00Z", "z": "500", "number": "0"}, DomainType.POINT),
        ({"z": "500", "number": "0"}, DomainType.POINT_SERIES),
        ({"datetime": "2000-01-01T01:00Z", "number": "0"}, DomainType.VERTICAL_PROFILE),
        ({"number": "0"}, DomainType.GRID),
        ({"datetime": "2000-01-01T01:00Z", "z": "500"}, None),
    ],
)
def test_domain_types_of_a_point(column: OpenDatacube, raw: dict[str, str], expected: DomainType | None) -> None:
    (coverage,) = answer(column, "position", coords="POINT(0 0)", **raw)
    assert coverage.domain_type is expected
    assert len(coverage.axes) == 5


def test_domain_types_of_a_region(column: OpenDatacube) -> None:
    for kind, place in (("cube", {"bbox": "0,0,90,90"}), ("area", {"coords": "POLYGON((0 0,90 0,90 90,0 90,0 0))"})):
        assert answer(column, kind, **place, number="1")[0].domain_type is DomainType.GRID
        assert answer(column, kind, **place)[0].domain_type is None


def test_the_mask_of_an_area_of_integers() -> None:
    store = zarr.storage.MemoryStore()
    coordinates = {"lat": np.arange(4.0), "lon": np.arange(4.0)}
    write(store, ["lat", "lon"], coordinates, np.arange(16, dtype="int32").reshape(4, 4), chunks=(2, 2))
    (coverage,) = answer(opened_memory(store, "area"), "area", coords="POLYGON((0 0,3 0,0 3,0 0))")
    assert coverage.ranges["v"].tolist() == [[0, 1, 2, 3], [4, 5, 6, None], [8, 9, None, None], [12, None, None, None]]


# -- faults


def faulty_store(path: Path, **more: Any) -> DatasetDefinition:
    coordinates = {"time": np.arange(4), "lat": np.arange(6.0), "lon": np.arange(6.0)}
    data = np.random.default_rng(0).normal(size=(4, 6, 6)).astype("float32")
    write(str(path), ["time", "lat", "lon"], coordinates, data, **{"chunks": (2, 3, 3), **more})
    return DatasetDefinition("faulty", str(path))


@pytest.mark.parametrize("capacity", [2**20, 0])
def test_a_missing_chunk(tmp_path: Path, capacity: int) -> None:
    definition = faulty_store(tmp_path / "s.zarr")
    (tmp_path / "s.zarr" / "v" / "c" / "1" / "0" / "1").unlink()
    opened, cache = open_datacube(definition), ChunkCache(capacity)
    assert answer(opened, "position", coords="POINT(0 0)", cache=cache)[0].ranges["v"].size == 4
    with pytest.raises(StorageError) as caught:
        answer(opened, "cube", bbox="0,0,5,5", cache=cache)
    assert caught.value.detail == "stored data of faulty could not be read: chunk 1.0.1 of v is missing"


def test_a_missing_chunk_of_a_sparse_dataset_is_its_fill_value(tmp_path: Path) -> None:
    definition = replace(faulty_store(tmp_path / "s.zarr", fill_value=float("nan")), sparse=True)
    (tmp_path / "s.zarr" / "v" / "c" / "1" / "0" / "1").unlink()
    (coverage,) = answer(open_datacube(definition), "cube", bbox="0,0,5,5")
    missing = np.isnan(coverage.ranges["v"])
    assert missing[2:, :3, 3:].all()
    assert missing.sum() == 2 * 3 * 3


@pytest.mark.parametrize("capacity", [2**20, 0])
@pytest.mark.parametrize("layout", ["chunks", "shards"])
def test_a_flipped_bit_under_a_checksum(tmp_path: Path, layout: str, capacity: int) -> None:
    codecs = {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]}
    shards = {"chunks": (2, 3, 3), "shards": (2, 6, 6)} if layout == "shards" else {"chunks": (2, 3, 3)}
    definition = faulty_store(tmp_path / "s.zarr", **codecs, **shards)
    names = ("1", "0", "0") if layout == "shards" else ("1", "0", "1")
    path = (tmp_path / "s.zarr" / "v" / "c").joinpath(*names)
    content = bytearray(path.read_bytes())
    content[40] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(StorageError) as caught:
        answer(open_datacube(definition), "cube", bbox="0,0,5,5", cache=ChunkCache(capacity))
    index = "1.0.0" if layout == "shards" else "1.0.1"
    assert caught.value.detail == (
        f"stored data of faulty could not be read: chunk {index} of v is damaged: its checksum is wrong"
    )


@pytest.mark.parametrize("content", [b"", b"<html>please log in</html>", bytes(100)])
def test_something_else_in_the_place_of_a_chunk(tmp_path: Path, content: bytes) -> None:
    definition = faulty_store(tmp_path / "s.zarr")
    (tmp_path / "s.zarr" / "v" / "c" / "0" / "0" / "0").write_bytes(content)
    with pytest.raises(StorageError, match=r"faulty .* chunk 0\.0\.0 of v is damaged") as caught:
        answer(open_datacube(definition), "position", coords="POINT(0 0)")
    assert str(tmp_path) not in caught.value.detail


@pytest.mark.parametrize("capacity", [2**20, 0])
def test_a_missing_and_a_truncated_chunk_of_icechunk(tmp_path: Path, capacity: int) -> None:
    repository = icechunk.Repository.create(
        icechunk.local_filesystem_storage(str(tmp_path)),
        config=icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0),
    )
    session = repository.writable_session("main")
    coordinates = {"lat": np.arange(6.0), "lon": np.arange(6.0)}
    data = np.random.default_rng(0).normal(size=(6, 6)).astype("float32")
    write(session.store, ["lat", "lon"], coordinates, data, chunks=(6, 3))
    session.commit("written")
    opened = open_datacube(DatasetDefinition("ice", str(tmp_path)))

    def ask() -> np.ndarray:
        return answer(opened, "cube", bbox="0,0,5,5", cache=ChunkCache(capacity))[0].ranges["v"]

    assert (ask() == data).all()
    damaged = max((tmp_path / "chunks").iterdir(), key=lambda path: path.stat().st_size)
    content = damaged.read_bytes()
    damaged.unlink()
    with pytest.raises(StorageError, match=r"chunk 0\.[01] of v is missing"):
        ask()
    damaged.write_bytes(content[:20])
    with pytest.raises(StorageError, match=r"chunk 0\.[01] of v is damaged"):
        ask()
    damaged.write_bytes(content)
    assert (ask() == data).all()


def test_a_failure_is_not_remembered(tmp_path: Path) -> None:
    definition = faulty_store(tmp_path / "s.zarr")
    path = tmp_path / "s.zarr" / "v" / "c" / "0" / "0" / "0"
    content, cache = path.read_bytes(), ChunkCache(2**20)
    path.unlink()
    with pytest.raises(StorageError):
        answer(open_datacube(definition), "position", coords="POINT(0 0)", cache=cache)
    path.write_bytes(content)
    assert answer(open_datacube(definition), "position", coords="POINT(0 0)", cache=cache)


# -- cancelling, progress, cache


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Read a store of 40 chunks, one a task, through the pool; returns a function that reads it."""
    coordinates = {"time": np.arange(40), "lat": np.arange(4.0), "lon": np.arange(4.0)}
    data = np.arange(40 * 16, dtype="float32").reshape(40, 4, 4)
    write(str(tmp_path / "s.zarr"), ["time", "lat", "lon"], coordinates, data, chunks=(1, 4, 4))
    opened = open_datacube(DatasetDefinition("slow", str(tmp_path / "s.zarr")))
    monkeypatch.setattr(read_module, "BLOCK_BYTES", 64)

    def start(cancel: Cancel, progress: Callable[[float], None], *, small: int, cache: ChunkCache) -> Any:
        monkeypatch.setattr(read_module, "SMALL", small)
        plan = plan_query(opened.cube, parse_query("cube", {"bbox": "0,0,3,3"}, opened.cube))
        assert plan.cost.chunks == 40
        return read(opened, plan, cancel, progress, cache=cache)

    return start


@pytest.mark.parametrize("capacity", [2**20, 0])
@pytest.mark.parametrize("small", [0, 2**20])
def test_cancelling_stops_between_blocks(slow: Callable[..., Any], small: int, capacity: int) -> None:
    cancel, seen = Cancel(), []

    def progress(done: float) -> None:
        seen.append(done)
        if len(seen) == 3:
            cancel.cancel()

    with pytest.raises(CancelledError):
        slow(cancel, progress, small=small, cache=ChunkCache(capacity))
    assert 3 <= len(seen) <= 8  # those that were running are finished


@pytest.mark.parametrize("small", [0, 2**20])
def test_cancelled_before_the_start(slow: Callable[..., Any], small: int) -> None:
    cancel, cache = Cancel(), ChunkCache(2**20)
    cancel.cancel()
    with pytest.raises(CancelledError):
        slow(cancel, lambda _: pytest.fail("nothing is to be read"), small=small, cache=cache)
    assert cache.statistics().misses == 0


@pytest.mark.parametrize("capacity", [2**20, 0])
@pytest.mark.parametrize("small", [0, 2**20])
def test_progress_rises_to_one(slow: Callable[..., Any], small: int, capacity: int) -> None:
    seen: list[float] = []
    (coverage,) = slow(Cancel(), seen.append, small=small, cache=ChunkCache(capacity))
    assert coverage.ranges["v"].ravel().tolist() == list(range(640))
    assert seen == sorted(seen)
    assert len(seen) == 40
    assert seen[-1] == 1.0


def test_small_answers_share_decoded_chunks(slow: Callable[..., Any]) -> None:
    cache = ChunkCache(2**20)
    for _ in range(3):
        slow(Cancel(), lambda _: None, small=0, cache=cache)
    statistics = cache.statistics()
    assert (statistics.misses, statistics.hits) == (40, 80)


def test_large_answers_pass_the_cache_by(slow: Callable[..., Any]) -> None:
    cache = ChunkCache(40 * 64 * 4 - 1)  # the answer decodes more than a quarter of it
    slow(Cancel(), lambda _: None, small=0, cache=cache)
    assert cache.statistics().misses == 0


def test_identical_answers_at_the_same_time_decode_once(slow: Callable[..., Any]) -> None:
    cache, results = ChunkCache(2**20), []
    threads = [
        threading.Thread(target=lambda: results.append(slow(Cancel(), lambda _: None, small=2**20, cache=cache)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 6
    assert all((result[0].ranges["v"] == results[0][0].ranges["v"]).all() for result in results)
    statistics = cache.statistics()
    assert statistics.misses == 40
    assert statistics.hits + statistics.shared == 200


def test_a_dataset_that_changed_after_planning(column: OpenDatacube) -> None:
    plan = plan_query(column.cube, parse_query("position", {"coords": "POINT(0 0)"}, column.cube))
    changed = replace(column, cube=replace(column.cube, snapshot="another"))
    with pytest.raises(BusyError):
        read(changed, plan, Cancel())
