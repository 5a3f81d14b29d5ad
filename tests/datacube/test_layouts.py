"""Several stores of the same data: the cheapest answers, and every one of them answers the same."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.core.sync import sync

from plugins.datacube import layouts, library
from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import ChunkCache
from plugins.datacube.coverage import Coverage
from plugins.datacube.definition import NATIVE, DatasetDefinition, LayoutDefinition
from plugins.datacube.doctor import examine
from plugins.datacube.errors import DatasetError, InvalidQueryError, StorageError
from plugins.datacube.ingest.publish import publish
from plugins.datacube.layout import copy as copying
from plugins.datacube.layout import passes as cutting
from plugins.datacube.layout.passes import inside, overlap, passes
from plugins.datacube.layout.purpose import Purpose, chunks_for, named_chunks, read_sizes, shards_for
from plugins.datacube.layout.write import LayoutReport, write_layout
from plugins.datacube.layouts import choose, compare, usable
from plugins.datacube.library import OpenDatacube, open_datacube
from plugins.datacube.parse import parse_query
from plugins.datacube.read import read

Era5Like = Callable[..., tuple[Path, ModuleType]]
START = np.datetime64("2020-01-01T00", "h")
HOURS = 24 * 4
MAPS = ("--years", "0.011", "--resolution", "5", "--chunks", "map", "--variables", "t2m,tp")


SERIES = "time=-1,latitude=10,longitude=12"
"""Chunks for series of a cube as small as that."""
MEMORY = 1 << 18


def silent(_fraction: float, _text: str) -> None:
    pass


def opened_at(href: Path, *copies: LayoutDefinition, **fields: object) -> OpenDatacube:
    return open_datacube(DatasetDefinition("era5", str(href), layouts=copies, **fields))  # type: ignore[arg-type]


def write(
    opened: OpenDatacube, folder: Path, purpose: str = SERIES, *, memory: int = MEMORY, progress=silent
) -> LayoutReport:  # type: ignore[no-untyped-def]
    """Write a layout beside `folder`, for a purpose or with named chunks."""
    target = LayoutDefinition("copy", str(folder / "store"))
    cube = opened.cube
    if "=" in purpose:
        sizes = read_sizes(purpose, cube)
        return write_layout(opened, target, folder, purpose, lambda p: named_chunks(sizes, p), progress, memory=memory)
    chosen = Purpose(purpose)
    return write_layout(opened, target, folder, purpose, lambda p: chunks_for(chosen, cube, p), progress, memory=memory)


def copy_in(folder: Path, name: str = "copy") -> LayoutDefinition:
    return LayoutDefinition(name, str(folder / "store"))


def answer(opened: OpenDatacube, kind: str, cache: ChunkCache | None = None, **raw: str) -> tuple[Coverage, ...]:
    query = parse_query(kind, {key.replace("_", "-"): text for key, text in raw.items()}, opened.cube)
    chosen, plan = choose(opened, query)
    return read(chosen, plan, Cancel(), cache=cache)


def chosen(opened: OpenDatacube, kind: str, **raw: str) -> str:
    query = parse_query(kind, {key.replace("_", "-"): text for key, text in raw.items()}, opened.cube)
    return choose(opened, query)[0].layout


@pytest.fixture(scope="module")
def maps(era5_like: Era5Like, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one map a chunk."""
    path, _ = era5_like(*MAPS)
    target = tmp_path_factory.mktemp("maps") / "maps.zarr"
    with xr.open_dataset(path, engine="zarr", chunks=None, decode_times=False) as source:
        loaded = source.load()
    for variable in loaded.variables.values():
        variable.encoding = {}
    encoding = {name: {"chunks": (1, *loaded[name].shape[1:])} for name in loaded.data_vars}
    loaded.to_zarr(target, encoding=encoding, zarr_format=3, consolidated=False)
    return target


@pytest.fixture(scope="module")
def oracle(era5_like: Era5Like) -> ModuleType:
    return era5_like(*MAPS)[1]


STAGES = ("reading", "writing")


@pytest.fixture(scope="module")
def series(maps: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LayoutDefinition, list[str]]:
    """A copy for time series, and what was said while it was written."""
    folder = tmp_path_factory.mktemp("time-series")
    said: list[str] = []
    report = write(opened_at(maps), folder, progress=lambda _, text: said.append(text))
    assert report.created
    assert not report.current
    return copy_in(folder, "time-series"), [text for text in said if text.startswith(STAGES)]


@pytest.fixture(scope="module")
def both(maps: Path, series: tuple[LayoutDefinition, list[str]]) -> OpenDatacube:
    """Maps, with a copy for time series beside them."""
    return opened_at(maps, series[0])


def check(coverage: Coverage, oracle: ModuleType) -> None:
    """Compare every value that is there with the one that the store was made from."""
    axes = {axis.key: axis.values for axis in coverage.axes}
    mesh = dict(zip(axes, np.meshgrid(*axes.values(), indexing="ij"), strict=True))
    for name, values in coverage.ranges.items():
        expected = oracle.expected(name, mesh["t"].astype("datetime64[us]"), mesh["y"], mesh["x"])
        there = ~np.isnan(values)
        assert there.any()
        assert (values[there] == expected[there]).all()


# --- the choice ---------------------------------------------------------------------------------------------------


def test_a_series_is_answered_by_the_one_and_a_map_by_the_other(both: OpenDatacube) -> None:
    assert chosen(both, "position", coords="POINT(7 51)") == "time-series"
    assert chosen(both, "cube", bbox="-180,-90,180,90", datetime="2020-01-03T06:00:00Z") == NATIVE
    assert chosen(both, "position", coords="POINT(7 51)", datetime="2020-01-03T06:00:00Z") == NATIVE


def test_what_answers_has_the_identity_of_the_dataset_and_the_cost_of_the_layout(both: OpenDatacube) -> None:
    query = parse_query("position", {"coords": "POINT(7 51)"}, both.cube)
    view, plan = choose(both, query)
    assert (view.cube.id, view.cube.snapshot, view.cube.title) == (both.cube.id, both.cube.snapshot, both.cube.title)
    assert plan.cube is view.cube
    assert plan.cost.chunks == 2
    alone = choose(opened_at(Path(both.cube.definition.href)), query)[1]
    assert alone.cost.chunks == 2 * HOURS


@pytest.mark.parametrize("capacity", [2**28, 0])
def test_random_queries_give_what_the_store_was_made_from(
    both: OpenDatacube, oracle: ModuleType, capacity: int
) -> None:
    random = np.random.default_rng(7)
    cache, used = ChunkCache(capacity), set()
    for _ in range(40):
        first, last = sorted(random.integers(0, HOURS, 2))
        times = f"{START + np.timedelta64(int(first), 'h')}:00Z/{START + np.timedelta64(int(last), 'h')}:00Z"
        x, y = float(random.uniform(-180, 180)), float(random.uniform(-85, 80))
        kind, raw = [
            ("position", {"coords": f"POINT({x} {y})"}),
            ("cube", {"bbox": f"{x},{y},{min(180, x + 40)},{y + 8}"}),
            ("radius", {"coords": f"POINT({x} {y})", "within": "900", "within-units": "km"}),
        ][int(random.integers(3))]
        names = str(random.choice(["t2m", "tp", "tp,t2m"]))
        used.add(chosen(both, kind, datetime=times, parameter_name=names, **raw))
        for coverage in answer(both, kind, cache, datetime=times, parameter_name=names, **raw):
            check(coverage, oracle)
    assert used == {NATIVE, "time-series"}


def test_on_ties_the_dataset_itself_answers_and_hopeless_layouts_are_not_planned(
    maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(maps, tmp_path / "store")
    opened = opened_at(maps, LayoutDefinition("same", str(tmp_path / "store")))
    assert [view.layout for view in usable(opened)] == ["same"]
    planned = []
    plan = layouts.plan
    monkeypatch.setattr(layouts, "plan", lambda cube, selection: planned.append(cube) or plan(cube, selection))
    assert chosen(opened, "position", coords="POINT(7 51)") == NATIVE
    assert len(planned) == 1
    assert chosen(opened, "cube", bbox="0,0,5,5", datetime="2020-01-03T06:00:00Z") == NATIVE
    assert len(planned) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ds: ds.assign_coords(longitude=ds.longitude + 1), "longitude"),
        (lambda ds: ds.isel(time=slice(0, 90)), "time"),
        (lambda ds: ds.astype("float64"), "type"),
        (lambda ds: ds.assign(t2m=ds.t2m.assign_attrs(units="degC"), tp=ds.tp.assign_attrs(units="mm")), "units"),
    ],
)
def test_a_store_of_other_data_never_answers(
    maps: Path, tmp_path: Path, change: Callable[[xr.Dataset], xr.Dataset], reason: str
) -> None:
    with xr.open_dataset(maps, engine="zarr", chunks=None, decode_times=False, consolidated=False) as source:
        other = change(source.load())
    for variable in other.variables.values():
        variable.encoding = {}
    sizes = {name: {"chunks": (other.sizes["time"], 4, 4)} for name in other.data_vars}
    other.to_zarr(tmp_path / "store", encoding=sizes, zarr_format=3, consolidated=False)
    layout = LayoutDefinition("foreign", str(tmp_path / "store"))
    opened = opened_at(maps, layout)
    assert chosen(opened, "position", coords="POINT(7 51)") == NATIVE
    problem = compare(opened, layout, open_datacube(opened.cube.definition.of_layout(layout))).problem
    assert problem is not None
    assert reason in problem


def foreign(maps: Path, target: Path, change: Callable[[xr.Dataset], None] = lambda _: None) -> LayoutDefinition:
    """Write a copy with the means of others: it says nothing of its origin."""
    with xr.open_dataset(maps, engine="zarr", chunks=None, decode_times=False, consolidated=False) as source:
        other = source.load()
    change(other)
    for variable in other.variables.values():
        variable.encoding = {}
    turned = other.transpose("latitude", "longitude", "time")
    sizes = {name: {"chunks": (4, 4, turned.sizes["time"])} for name in turned.data_vars}
    turned.to_zarr(target, encoding=sizes, zarr_format=3, consolidated=False)
    return LayoutDefinition("foreign", str(target))


def test_a_store_of_the_same_axes_in_another_order_of_dimensions_answers(
    maps: Path, tmp_path: Path, oracle: ModuleType
) -> None:
    opened = opened_at(maps, foreign(maps, tmp_path / "store"))
    assert chosen(opened, "position", coords="POINT(7 51)") == "foreign"
    for coverage in answer(opened, "position", coords="POINT(7 51)"):
        check(coverage, oracle)
    for coverage in answer(opened, "cube", bbox="0,40,12,52", parameter_name="tp"):
        check(coverage, oracle)
    assert not [finding for finding in examine(opened.cube.definition).findings if finding.code.startswith("layout-d")]


def test_the_doctor_finds_other_values_in_a_layout(maps: Path, tmp_path: Path) -> None:
    def change(dataset: xr.Dataset) -> None:
        dataset["tp"][:] += np.float32(1)

    opened = opened_at(maps, foreign(maps, tmp_path / "store", change))
    findings = [finding for finding in examine(opened.cube.definition).findings if finding.code == "layout-differs"]
    assert len(findings) == 1
    assert "tp" in findings[0].sentence
    assert "t2m" not in findings[0].sentence


def test_an_older_state_is_never_answered_by_a_store_that_says_nothing_of_its_origin(
    maps: Path, tmp_path: Path
) -> None:
    layout = foreign(maps, tmp_path / "store")
    opened = opened_at(maps, layout)
    assert list(usable(opened))
    older = replace(opened, source=replace(opened.source))
    assert not list(usable(older))


def test_a_layout_that_is_gone_is_not_missed(maps: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened = opened_at(maps, LayoutDefinition("gone", str(tmp_path / "nowhere")))
    assert chosen(opened, "position", coords="POINT(7 51)") == NATIVE
    assert "layout gone of dataset era5 cannot be opened" in caplog.text


def test_chunks_of_a_layout_that_was_replaced_are_never_taken_for_those_of_the_new_one(
    maps: Path, tmp_path: Path, oracle: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "CHECK_SECONDS", 0)
    cache = ChunkCache(2**28)
    for purpose in ("time=48,latitude=10,longitude=12", "time=50,latitude=10,longitude=12"):
        write(opened_at(maps), tmp_path, purpose)
        opened = opened_at(maps, copy_in(tmp_path))
        assert chosen(opened, "position", coords="POINT(7 51)") == "copy"
        for coverage in answer(opened, "position", cache, coords="POINT(7 51)"):
            check(coverage, oracle)


# --- writing ------------------------------------------------------------------------------------------------------


@st.composite
def arrays(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int, tuple[int, ...], int]:
    count = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 24)) for _ in range(count))
    source = tuple(draw(st.integers(1, 26)) for _ in range(count))
    target = tuple(draw(st.integers(1, 26)) for _ in range(count))
    start = tuple(draw(st.integers(0, (size - 1) // unit)) * unit for size, unit in zip(shape, target, strict=True))
    return shape, source, target, draw(st.integers(1, 40_000)), start, draw(st.sampled_from([0, 10**9]))


@settings(deadline=None, max_examples=150)
@given(arrays())
def test_every_value_is_written_once_from_pieces_that_were_read(made) -> None:  # type: ignore[no-untyped-def]
    shape, source, target, memory, start, disk = made
    plan = passes(shape, source, target, 4, memory, start, disk=disk)
    written = np.zeros(shape, int)
    read_chunks: dict[tuple[int, ...], int] = {}
    smallest = 4 * max(math.prod(map(min, shape, target)), math.prod(map(min, shape, source)))
    for slab in plan.slabs:
        for box in slab.reads:
            assert 4 * math.prod(s.stop - s.start for s in box) <= max(memory, smallest)
            touched = [range(s.start // c, (s.stop - 1) // c + 1) for s, c in zip(box, source, strict=True)]
            for chunk in np.ndindex(*(len(numbers) for numbers in touched)):
                key = tuple(numbers[i] for numbers, i in zip(touched, chunk, strict=True))
                read_chunks[key] = read_chunks.get(key, 0) + 1
        for box in slab.writes:
            assert 4 * math.prod(s.stop - s.start for s in box) <= max(memory, smallest)
            assert all(
                s.start % unit == 0 and (s.stop % unit == 0 or s.stop == size)
                for s, unit, size in zip(box, target, shape, strict=True)
            )
            parts = np.zeros(tuple(s.stop - s.start for s in box), int)
            for block in slab.reads:
                if (part := overlap(block, box)) is not None:
                    parts[inside(part, box)] += 1
            assert (parts == 1).all()
            written[box] += 1
    wanted = np.zeros(shape, int)
    wanted[tuple(slice(first, None) for first in start)] = 1
    assert (written == wanted).all()
    assert plan.amplification == pytest.approx(sum(read_chunks.values()) / len(read_chunks))
    if disk == 0:
        assert plan.scratch == 0


def test_from_maps_to_series_each_chunk_is_read_once() -> None:
    plan = passes((8760, 181, 360), (1, 181, 360), (8760, 5, 6), 4, 256 << 20, disk=1 << 40)
    assert plan.amplification == 1
    assert plan.scratch == 8760 * 181 * 360 * 4
    without = passes((8760, 181, 360), (1, 181, 360), (8760, 5, 6), 4, 256 << 20, disk=0)
    assert without.scratch == 0
    assert 9 <= without.amplification < 25


@pytest.mark.parametrize("memory", [MEMORY, 1 << 30])
@pytest.mark.parametrize("disk", [cutting.MOST_READ, math.inf])
def test_a_copy_holds_the_same_bits_and_the_same_words(
    maps: Path, tmp_path: Path, memory: int, disk: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "MOST_READ", disk)  # once over the disk, once directly
    write(opened_at(maps), tmp_path, memory=memory)
    wanted = zarr.open_group(maps, mode="r")
    got = group_of(tmp_path)
    assert sorted(got.array_keys()) == sorted(wanted.array_keys())
    for name, array in wanted.arrays():
        copied = got[name]
        assert copied.attrs.asdict() == array.attrs.asdict()
        assert copied.dtype == array.dtype
        assert copied.metadata.dimension_names == array.metadata.dimension_names
        assert copied[...].tobytes() == array[...].tobytes()
    assert {**got.attrs.asdict(), layouts.RECORD: None} == {**wanted.attrs.asdict(), layouts.RECORD: None}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["publish.lock", "store"]


def test_the_memory_is_bounded(maps: Path, tmp_path: Path) -> None:
    opened = opened_at(maps)
    whole = sum(4 * math.prod(parameter.shape) for parameter in opened.cube.parameters.values())
    chunks = "time=-1,latitude=3,longitude=24"
    peaks = []
    for memory in (4 * whole, 4 * whole, MEMORY):
        tracemalloc.start()
        try:
            write(opened, tmp_path / str(len(peaks)), chunks, memory=memory)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # The first run also counts what is loaded once.
    assert peaks[1] > whole // 2
    assert peaks[2] < MEMORY + (1 << 18)


def group_of(folder: Path) -> zarr.Group:
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / "store")))
    assert repository.list_branches() == {"main"}
    return zarr.open_group(repository.readonly_session("main").store, mode="r")


def test_packed_integers_stay_packed(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "co2_column_packed.nc"
    publish([source], DatasetDefinition(id="co2", href=""), tmp_path)
    opened = open_datacube(DatasetDefinition("co2", str(tmp_path / "datasets" / "co2" / "store"), published=True))
    write(opened, tmp_path / "copy")
    got = group_of(tmp_path / "copy")["tcco2"]
    with xr.open_dataset(source, engine="netcdf4", decode_cf=False) as wanted:
        assert got.dtype == np.int16
        np.testing.assert_array_equal(got[...], wanted["tcco2"].values)
        assert got.attrs["scale_factor"] == wanted["tcco2"].attrs["scale_factor"]
        assert got.attrs["_FillValue"] == wanted["tcco2"].attrs["_FillValue"]
    series = open_datacube(replace(opened.cube.definition, layouts=(copy_in(tmp_path / "copy"),)))
    assert chosen(series, "position", coords="POINT(7 51)") == "copy"
    (coverage,) = answer(series, "position", coords="POINT(7 51)")
    with xr.open_dataset(source, engine="netcdf4") as wanted:
        cell = wanted["tcco2"].sel(latitude=51, longitude=7, method="nearest")
        np.testing.assert_array_equal(coverage.ranges["tcco2"].ravel(), cell.values)


def test_the_fill_value_of_zarr_version_2_goes_along(tmp_path: Path) -> None:
    values = np.arange(2 * 40 * 3 * 4, dtype=np.int32).reshape(80, 3, 4)
    values[5, 0, 0] = -9
    dataset = xr.Dataset(
        {"n": (("time", "lat", "lon"), values, {"_FillValue": np.int32(-9), "units": "1"})},
        {
            "time": ("time", np.arange(80), {"units": "hours since 2020-01-01"}),
            "lat": ("lat", [0.0, 1.0, 2.0], {"units": "degrees_north"}),
            "lon": ("lon", [0.0, 1.0, 2.0, 3.0], {"units": "degrees_east"}),
        },
    )
    path = tmp_path / "two.zarr"
    dataset.to_zarr(path, zarr_format=2, encoding={"n": {"chunks": (1, 3, 4)}}, consolidated=False)
    write(opened_at(path), tmp_path / "copy", "time=-1")
    opened = opened_at(path, copy_in(tmp_path / "copy"))
    assert chosen(opened, "position", coords="POINT(0 0)") == "copy"
    (coverage,) = answer(opened, "position", coords="POINT(0 0)")
    found = coverage.ranges["n"].ravel()
    assert np.ma.getmaskarray(found).nonzero()[0].tolist() == [5]
    assert found.compressed().tolist() == np.delete(values[:, 0, 0], 5).tolist()


def test_absent_chunks_of_a_sparse_dataset_are_filled_and_lost_ones_of_its_copy_are_missed(
    maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(maps, tmp_path / "sparse.zarr")
    (tmp_path / "sparse.zarr" / "t2m" / "c" / "3" / "0" / "0").unlink()
    with pytest.raises(StorageError, match="missing"):
        write(opened_at(tmp_path / "sparse.zarr"), tmp_path / "strict")
    write(opened_at(tmp_path / "sparse.zarr", sparse=True), tmp_path / "copy")
    opened = opened_at(tmp_path / "sparse.zarr", copy_in(tmp_path / "copy"), sparse=True)
    (coverage,) = answer(opened, "position", coords="POINT(7 51)", parameter_name="t2m")
    assert np.isnan(coverage.ranges["t2m"].ravel()).nonzero()[0].tolist() == [3]
    # Nobody has written it: so it looks where a chunk was lost, and so it looks in a sparse dataset.
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "copy" / "store")))
    session = repository.writable_session("main")
    for key in [key for key in keys_of(session) if key.startswith("t2m/c/")]:
        sync(session.store.delete(key))
    session.commit("lost")
    monkeypatch.setattr(library, "CHECK_SECONDS", 0)
    with pytest.raises(StorageError, match="missing"):
        answer(opened, "position", ChunkCache(0), coords="POINT(7 51)", parameter_name="t2m")


def keys_of(session: icechunk.Session) -> list[str]:
    async def listed() -> list[str]:
        return [key async for key in session.store.list()]

    return sync(listed())


def test_small_chunks_are_gathered_in_shards(maps: Path, tmp_path: Path, oracle: ModuleType) -> None:
    assert shards_for((1, 37, 72), (8760, 37, 72), 4, 0) == (787, 37, 72)
    assert shards_for((1, 37, 72), (99, 37, 72), 4, 0) is None
    assert shards_for((1, 721, 1440), (8760, 721, 1440), 4, 0) is None
    chunks = "time=-1,latitude=3,longitude=3"
    write(opened_at(maps), tmp_path, chunks)
    assert group_of(tmp_path)["t2m"].shards == (HOURS, 39, 72)
    opened = opened_at(maps, copy_in(tmp_path))
    assert chosen(opened, "position", coords="POINT(7 51)") == "copy"
    for coverage in answer(opened, "position", coords="POINT(7 51)"):
        check(coverage, oracle)


def test_chunks_fit_their_purpose(maps: Path) -> None:
    cube = opened_at(maps).cube
    small = cube.parameters["t2m"]
    large = replace(small, shape=(8760, 721, 1440))
    assert chunks_for(Purpose.MAP, cube, small) == (1, 37, 72)
    assert chunks_for(Purpose.MAP, cube, large) == (1, 721, 1440)
    assert chunks_for(Purpose.MAP, cube, replace(small, shape=(100, 1801, 3600))) == (1, 601, 1200)
    times, rows, columns = chunks_for(Purpose.TIME_SERIES, cube, large)
    assert times == 8760
    assert 2**19 < 4 * times * rows * columns < 2**21
    times, rows, columns = chunks_for(Purpose.TIME_SERIES, cube, replace(small, shape=(700_000, 721, 1440)))
    assert times < 2**14
    assert 16 <= rows * columns <= 36


def test_what_is_taken_is_never_written_over(maps: Path, tmp_path: Path) -> None:
    write(opened_at(maps), tmp_path)
    other = open_datacube(DatasetDefinition("another", str(maps)))
    with pytest.raises(InvalidQueryError, match="taken by something else"):
        write(other, tmp_path)
    with pytest.raises(InvalidQueryError, match="has these chunks already"):
        write(opened_at(maps), tmp_path / "map", "map")


def test_chunks_must_be_those_of_dimensions(maps: Path) -> None:
    cube = opened_at(maps).cube
    assert read_sizes("time=-1, latitude=4", cube) == {"time": -1, "latitude": 4}
    parameter = cube.parameters["t2m"]
    assert named_chunks({"time": -1, "latitude": 4}, parameter) == (parameter.shape[0], 4, 72)
    for wrong in ("depth=3", "time", "time=0", "time=-2", "time=a", "time=1,time=2", ""):
        with pytest.raises(InvalidQueryError) as caught:
            read_sizes(wrong, cube)
        assert "latitude" in (caught.value.valid or "")


# --- interrupted, and damaged -------------------------------------------------------------------------------------

SCRIPT = """
import os, signal, sys
from pathlib import Path
from plugins.datacube.definition import DatasetDefinition, LayoutDefinition
from plugins.datacube.layout import copy
from plugins.datacube.layout.purpose import named_chunks, read_sizes
from plugins.datacube.layout.write import write_layout
from plugins.datacube.library import open_datacube
copy.SAVE_BYTES = 1
calls = 0
def progress(fraction, text):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
opened = open_datacube(DatasetDefinition("era5", sys.argv[1]))
folder = Path(sys.argv[2])
purpose = sys.argv[4]
sizes = read_sizes(purpose, opened.cube)
chunks = lambda parameter: named_chunks(sizes, parameter)
target = LayoutDefinition("copy", str(folder / "store"))
write_layout(opened, target, folder, purpose, chunks, progress, memory=1 << 18)
"""


@pytest.mark.parametrize("moment", [5, 21])
def test_kill_minus_nine_then_the_same_command(
    maps: Path, tmp_path: Path, moment: int, series: tuple[LayoutDefinition, list[str]]
) -> None:
    command = [sys.executable, "-c", SCRIPT, str(maps), str(tmp_path), str(moment), SERIES]
    died = subprocess.run(command, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    with pytest.raises(DatasetError):
        opened_at(tmp_path / "store")
    seen: list[str] = []
    report = write(opened_at(maps), tmp_path, progress=lambda _, text: seen.append(text))
    assert report.resumed
    # What was read, and what was written, is not read and written again.
    assert len([text for text in seen if text.startswith(STAGES)]) <= len(series[1]) - moment + 1
    wanted, got = zarr.open_group(maps, mode="r"), group_of(tmp_path)
    for name, array in wanted.arrays():
        assert got[name][...].tobytes() == array[...].tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["publish.lock", "store"]


class _Careless:
    """An array that forgets a bit of one block."""

    def __init__(self, array: zarr.Array) -> None:
        self.array = array

    def __setitem__(self, box: tuple[slice, ...], values: np.ndarray) -> None:
        values = values.copy()
        values.reshape(-1).view(np.uint8)[7] ^= 1
        self.array[box] = values


def test_a_block_that_was_written_wrong_is_found(maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writable = copying.writable_array
    calls = iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(
            copying,
            "writable_array",
            lambda group, name: (_Careless if next(calls) == 2 else lambda array: array)(writable(group, name)),
        )
        with pytest.raises(StorageError, match=r"the copy of \w+ is not what the source holds at time \d+ to \d+, lat"):
            write(opened_at(maps), tmp_path)
    with pytest.raises(DatasetError):
        opened_at(tmp_path / "store")
    assert not write(opened_at(maps), tmp_path).resumed
    assert group_of(tmp_path)["t2m"][...].tobytes() == zarr.open_group(maps, mode="r")["t2m"][...].tobytes()


def test_a_block_that_is_damaged_before_the_end_is_found(maps: Path, tmp_path: Path) -> None:
    def damage(_fraction: float, text: str) -> None:
        if text.startswith("comparing") and not damaged:
            for path in (tmp_path / "store" / "chunks").iterdir():
                data = bytearray(path.read_bytes())
                data[len(data) // 2] ^= 4
                path.write_bytes(data)
                damaged.append(path)

    damaged: list[Path] = []
    with pytest.raises(StorageError, match="is not what the source holds"):
        write(opened_at(maps), tmp_path, progress=damage)
    with pytest.raises(DatasetError):
        opened_at(tmp_path / "store")
    write(opened_at(maps), tmp_path)


# --- up to date ---------------------------------------------------------------------------------------------------


def months(shared_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "a.nc", tmp_path / "b.nc"
    with xr.open_dataset(shared_data / "co2_column_packed.nc", engine="netcdf4", decode_cf=False) as whole:
        whole.isel(time=slice(0, 20)).to_netcdf(first, engine="netcdf4")
        whole.isel(time=slice(20, None)).to_netcdf(second, engine="netcdf4")
    return first, second


def test_a_layout_is_stale_until_the_new_times_have_been_copied_too(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(library, "CHECK_SECONDS", 0)
    first, second = months(shared_data, tmp_path)
    publish([first], DatasetDefinition(id="co2", href=""), tmp_path)
    definition = DatasetDefinition(
        "co2", str(tmp_path / "datasets" / "co2" / "store"), layouts=(copy_in(tmp_path / "copy"),)
    )
    # Chunks of ten times: of three only the last is new.
    chunks = "time=10,latitude=81,longitude=80"
    written = write(open_datacube(definition), tmp_path / "copy", chunks)
    opened = open_datacube(definition)
    assert chosen(opened, "position", coords="POINT(7 51)") == "copy"

    publish([second], DatasetDefinition(id="co2", href=""), tmp_path)
    stale = open_datacube(definition)
    assert stale.cube.snapshot != opened.cube.snapshot
    assert chosen(stale, "position", coords="POINT(7 51)") == NATIVE
    # Who holds the state before is still answered by the copy, and rightly.
    assert chosen(opened, "position", coords="POINT(7 51)") == "copy"
    assert "is a copy of another state" in caplog.text
    codes = {finding.code for finding in examine(definition).findings}
    assert "layout-stale" in codes

    report = write(stale, tmp_path / "copy", chunks)
    assert (report.created, report.current) == (False, False)
    assert (written.bytes, report.bytes) == (20 * 161 * 320 * 2, 21 * 161 * 320 * 2)
    now = open_datacube(definition)
    assert chosen(now, "position", coords="POINT(7 51)") == "copy"
    (coverage,) = answer(now, "position", coords="POINT(7 51)")
    with xr.open_dataset(shared_data / "co2_column_packed.nc", engine="netcdf4") as wanted:
        cell = wanted["tcco2"].sel(latitude=51, longitude=7, method="nearest")
        np.testing.assert_array_equal(coverage.ranges["tcco2"].ravel(), cell.values)
    assert "layout-stale" not in {finding.code for finding in examine(definition).findings}
    assert write(now, tmp_path / "copy", chunks).current


def test_times_that_were_written_anew_are_copied_anew(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "CHECK_SECONDS", 0)
    publish([shared_data / "co2_column_packed.nc"], DatasetDefinition(id="co2", href=""), tmp_path)
    store = tmp_path / "datasets" / "co2" / "store"
    definition = DatasetDefinition("co2", str(store), layouts=(copy_in(tmp_path / "copy"),))
    chunks = "time=2,latitude=161,longitude=160"
    write(open_datacube(definition), tmp_path / "copy", chunks)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(store)))
    session = repository.writable_session("main")
    array = zarr.open_group(session.store, mode="r+")["tcco2"]
    length = array.chunks[0]
    array[length, 50, 60] = 12
    session.commit("corrected")
    opened = open_datacube(definition)
    report = write(opened, tmp_path / "copy", chunks)
    assert not report.created
    wanted = opened.arrays["tcco2"][...]
    assert wanted[length, 50, 60] == 12
    assert report.bytes == wanted[length // 2 * 2 :].nbytes
    np.testing.assert_array_equal(group_of(tmp_path / "copy")["tcco2"][...], wanted)


def test_a_plain_store_that_has_changed_is_copied_as_a_whole_and_old_copies_are_removed(
    maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "CHECK_SECONDS", 0)
    path = tmp_path / "plain.zarr"
    shutil.copytree(maps, path)
    sizes = []
    for number in range(3):
        document = json.loads((path / "zarr.json").read_text())
        document["attributes"]["version"] = number
        (path / "zarr.json").write_text(json.dumps(document))
        report = write(opened_at(path), tmp_path / "copy")
        assert report.created
        assert group_of(tmp_path / "copy").attrs["version"] == number
        sizes.append(sum(file.stat().st_size for file in (tmp_path / "copy" / "store" / "chunks").iterdir()))
    # The one that readers may still hold, and the new one.
    assert sizes[2] <= sizes[1] <= 2.1 * sizes[0]
