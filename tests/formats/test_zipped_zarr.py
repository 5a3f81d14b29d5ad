from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import ZipStore

from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import NoDataError
from plugins.formats import netcdf, zipped_zarr

Opened = Callable[..., xr.Dataset]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Encode coverages and read the archive back by xarray."""

    def open_back(coverages: Sequence[Coverage], **options: Any) -> xr.Dataset:
        path = tmp_path / "answer.zarr.zip"
        path.write_bytes(b"".join(zipped_zarr.encode(coverages)))
        store = ZipStore(path, mode="r")
        try:
            dataset: xr.Dataset = xr.open_zarr(store, chunks=None, consolidated=True, **options).load()
            return dataset
        finally:
            store.close()

    return open_back


def test_values_are_equal_bit_for_bit(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    for coverage in any_coverage.values():
        dataset = opened([coverage], decode_cf=False)
        for name, right in coverage.ranges.items():
            read = dataset[name].values.reshape(right.shape)
            assert read.dtype == right.dtype
            mask = np.ma.getmaskarray(right)
            assert read[~mask].tobytes() == np.asarray(right)[~mask].tobytes()
            if mask.any():
                assert (read[mask] == dataset[name].attrs["_FillValue"]).all()


def test_the_same_dataset_as_netcdf(any_coverage: Mapping[str, Coverage], opened: Opened, tmp_path: Path) -> None:
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    for coverage in any_coverage.values():
        path = tmp_path / "answer.nc"
        path.write_bytes(b"".join(netcdf.encode([coverage])))
        with xr.open_dataset(path, engine="netcdf4", decode_times=coder) as other:
            xr.testing.assert_identical(opened([coverage], decode_times=coder), other.load())


def test_masked_integers_decode_to_missing(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    right: Any = any_coverage["masked-integers"].ranges["mask"]
    read = opened([any_coverage["masked-integers"]])["mask"].values
    np.testing.assert_array_equal(read, right.astype("f4").filled(np.nan))


def test_strings_on_a_custom_axis(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    assert opened([any_coverage["strings"]])["expver"].values.tolist() == ["0001", "0005, é"]


def test_every_chunk_is_checked(make: Callable[..., Coverage], tmp_path: Path) -> None:
    coverage = make(domain_type=DomainType.POINT_SERIES, t=range(1000))
    content = b"".join(zipped_zarr.encode([coverage]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    arrays = [name for name in members if name.endswith("/zarr.json")]
    assert len(arrays) == 5
    for name in arrays:
        assert json.loads(members[name])["codecs"][-1]["name"] == "crc32c"
    chunk = bytearray(members["t2m/c/0"])
    chunk[len(chunk) // 2] ^= 1
    folder = tmp_path / "store.zarr"
    for name, body in {**members, "t2m/c/0": bytes(chunk)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    array = zarr.open_group(folder, mode="r")["t2m"]
    assert isinstance(array, zarr.Array)
    with pytest.raises(ValueError, match="checksum"):
        array[...]


def test_metadata_come_first_and_are_consolidated(any_coverage: Mapping[str, Coverage]) -> None:
    content = b"".join(zipped_zarr.encode([any_coverage["grid-bounds"]]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert names[0].endswith("zarr.json")
        root = json.loads(archive.read("zarr.json"))
        documents = root["consolidated_metadata"]["metadata"]
        assert {f"{name}/zarr.json" for name in documents} == {name for name in names if name.endswith("/zarr.json")}
        for name, document in documents.items():
            assert document == json.loads(archive.read(f"{name}/zarr.json"))


def test_chunks_of_missing_values_are_stored_too(make: Callable[..., Coverage]) -> None:
    coverage = make({"t2m": np.full((2, 1, 1), np.nan, "f4")}, domain_type=DomainType.POINT_SERIES, t=[0, 1])
    with zipfile.ZipFile(io.BytesIO(b"".join(zipped_zarr.encode([coverage])))) as archive:
        assert "t2m/c/0" in archive.namelist()


@given(
    shape=st.lists(st.integers(1, 10**6), max_size=5),
    itemsize=st.sampled_from([1, 2, 4, 8]),
    limit=st.integers(1, 10**8),
)
def test_chunk_shapes(shape: list[int], itemsize: int, limit: int) -> None:
    chunks = zipped_zarr.chunk_shape(tuple(shape), itemsize, limit)
    assert len(chunks) == len(shape)
    assert all(1 <= chunk <= size for chunk, size in zip(chunks, shape, strict=True))
    size = math.prod(chunks) * itemsize
    assert size <= max(limit, itemsize)
    if list(chunks) != shape:
        first = next(i for i, chunk in enumerate(chunks) if chunk > 1) if size > itemsize else None
        if first is not None and chunks[first] < shape[first]:
            assert size // chunks[first] * (chunks[first] + 1) > limit


def test_several_chunks(make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.random.default_rng(0).standard_normal((5, 600, 500)).astype("f4")
    coverage = make({"t2m": values}, domain_type=DomainType.GRID, t=range(5), y=np.linspace(80, -80, 600), x=range(500))
    parts = list(zipped_zarr.encode([coverage]))
    assert max(map(len, parts)) < 4.5 * 2**20
    np.testing.assert_array_equal(opened([coverage])["t2m"].values, values)


def test_equal_answers_give_equal_bytes(any_coverage: Mapping[str, Coverage]) -> None:
    for name in ("grid-bounds", "strings", "members-grid"):
        coverage = any_coverage[name]
        assert b"".join(zipped_zarr.encode([coverage])) == b"".join(zipped_zarr.encode([coverage]))


def test_nothing_found_is_not_an_empty_store() -> None:
    with pytest.raises(NoDataError):
        list(zipped_zarr.encode([]))
