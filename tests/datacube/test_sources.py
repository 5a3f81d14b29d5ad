"""Stores are opened wherever they lie, and what cannot be opened is refused with one clear sentence."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import icechunk
import numpy as np
import pytest
import zarr

from plugins.datacube import remote
from plugins.datacube.contents import read_contents
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError
from plugins.datacube.library import open_datacube
from plugins.datacube.sources import open_source

LATITUDES = np.array([60.0, 30.0, 0.0, -30.0])
LONGITUDES = np.array([0.0, 90.0, 180.0, 270.0])
FIELD = np.arange(16, dtype="f4").reshape(4, 4) + 1


def fill(group: zarr.Group, *, version: int = 3, **options: Any) -> None:
    """Write a field on latitude and longitude into a group."""
    for name, dims, values, attributes in (
        ("latitude", ["latitude"], LATITUDES, {"units": "degrees_north"}),
        ("longitude", ["longitude"], LONGITUDES, {"units": "degrees_east"}),
        ("t2m", ["latitude", "longitude"], FIELD, {"units": "K"}),
    ):
        more = options if name == "t2m" else {}
        if version == 3:
            array = group.create_array(
                name, shape=values.shape, dtype=values.dtype, dimension_names=dims, attributes=attributes, **more
            )
        else:
            marked = attributes | {"_ARRAY_DIMENSIONS": dims}
            array = group.create_array(name, shape=values.shape, dtype=values.dtype, attributes=marked, **more)
        array[...] = values


def write(path: Path, *, version: int = 3, consolidated: bool = False, **options: Any) -> Path:
    fill(zarr.create_group(path, zarr_format=version, overwrite=True), version=version, **options)
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(path)
    return path


def write_icechunk(path: Path) -> Path:
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)))
    session = repository.writable_session("main")
    fill(zarr.create_group(session.store, zarr_format=3), chunks=(2, 2))
    session.commit("written")
    return path


def define(path: Path | str, **more: Any) -> DatasetDefinition:
    return DatasetDefinition(id="test", href=str(path), **more)


def refusal(path: Path | str, **more: Any) -> str:
    """Return the sentence with which a store is refused."""
    with pytest.raises(DatasetError) as caught:
        open_datacube(define(path, **more))
    sentence = caught.value.detail
    assert "\n" not in sentence
    assert str(Path(path).parent) not in sentence or "://" in str(path), "paths of the server are not shown"
    assert not any(word in sentence for word in ("Traceback", "Error(", "object at", "zarr.", "NoneType"))
    return sentence


@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize(
    ("version", "options"),
    [(2, {"chunks": (2, 2)}), (3, {"chunks": (2, 2)}), (3, {"chunks": (2, 2), "shards": (4, 4)})],
    ids=["zarr2", "zarr3", "zarr3-sharded"],
)
def test_local_zarr(tmp_path: Path, version: int, options: dict[str, Any], consolidated: bool) -> None:
    path = write(tmp_path / "a.zarr", version=version, consolidated=consolidated, **options)
    opened = open_datacube(define(path))
    assert opened.source.layout == f"zarr{version}"
    assert opened.source.store.read_only
    parameter = opened.cube.parameters["t2m"]
    assert parameter.chunks == (2, 2)
    assert parameter.shards == options.get("shards")
    np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD)
    assert (opened.source.group.metadata.consolidated_metadata is not None) == consolidated


def test_icechunk_is_recognised_by_its_contents(tmp_path: Path) -> None:
    path = write_icechunk(tmp_path / "any-name")
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path)))
    opened = open_datacube(define(path))
    assert opened.source.layout == "icechunk"
    assert opened.cube.snapshot == repository.lookup_branch("main")
    np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD)


def test_probe_tells_of_a_commit(tmp_path: Path) -> None:
    path = write_icechunk(tmp_path / "store")
    source = open_source(define(path))
    assert source.probe() == source.snapshot
    session = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path))).writable_session("main")
    zarr.open_group(session.store)["t2m"][...] = FIELD + 1  # type: ignore[index]
    newest = session.commit("rewritten")
    assert source.probe() == newest != source.snapshot
    np.testing.assert_array_equal(source.group["t2m"][...], FIELD)  # type: ignore[index]


@pytest.mark.parametrize("consolidated", [False, True])
def test_probe_tells_of_a_resized_array(tmp_path: Path, consolidated: bool) -> None:
    path = write(tmp_path / "a.zarr", consolidated=consolidated)
    source = open_source(define(path))
    assert source.probe() == source.snapshot
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    group["t2m"].resize((5, 4))  # type: ignore[union-attr]
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(path)
    assert source.probe() != source.snapshot


class TestMissingChunks:
    @pytest.mark.parametrize("version", [2, 3])
    def test_is_an_error(self, tmp_path: Path, version: int) -> None:
        path = write(tmp_path / "a.zarr", version=version, chunks=(2, 2), fill_value=-1)
        (path / ("t2m/c/0/1" if version == 3 else "t2m/0.1")).unlink()
        array = open_datacube(define(path)).arrays["t2m"]
        np.testing.assert_array_equal(array[2:], FIELD[2:])
        with pytest.raises(zarr.errors.ChunkNotFoundError):
            array[...]

    @pytest.mark.parametrize("version", [2, 3])
    def test_is_the_fill_value_where_sparse(self, tmp_path: Path, version: int) -> None:
        path = write(tmp_path / "a.zarr", version=version, chunks=(2, 2), fill_value=-1)
        (path / ("t2m/c/0/1" if version == 3 else "t2m/0.1")).unlink()
        expected = FIELD.copy()
        expected[:2, 2:] = -1
        np.testing.assert_array_equal(open_datacube(define(path, sparse=True)).arrays["t2m"][...], expected)

    def test_of_a_coordinate_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zarr"
        group = zarr.create_group(path)
        fill(group)
        del group["latitude"]
        array = group.create_array(
            "latitude", shape=(4,), dtype="f8", chunks=(1,), dimension_names=["latitude"],
            attributes={"units": "degrees_north"},
        )  # fmt: skip
        array[...] = LATITUDES
        (path / "latitude/c/1").unlink()
        assert open_datacube(define(path)).cube.unsupported == (
            "the values of the y (latitude) axis latitude neither rise nor fall throughout"
        )

    def test_of_a_coordinate_that_is_all_fill_value_is_none(self, tmp_path: Path) -> None:
        """Zarr does not write a chunk of nothing but the fill value: a single member 0 has no chunk."""
        path = tmp_path / "a.zarr"
        group = zarr.create_group(path)
        fill(group)
        group.create_array("number", shape=(1,), dtype="i8", dimension_names=["number"])[...] = [0]
        array = group.create_array(
            "u", shape=(1, 4, 4), dtype="f4", dimension_names=["number", "latitude", "longitude"]
        )
        array[...] = FIELD[None]
        assert not (path / "number/c").exists()
        assert open_datacube(define(path)).cube.axes["number"].values.tolist() == [0]


class TestRefused:
    def test_absent(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "nothing.zarr") == "nothing.zarr does not exist"

    def test_not_readable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(tmp_path / "a.zarr")
        monkeypatch.setattr(os, "access", lambda *_args, **_options: False)  # tests may run as root
        assert refusal(path) == "a.zarr cannot be read: permission denied"

    @pytest.mark.parametrize(
        ("start", "kind"),
        [
            (b"\x89HDF\r\n\x1a\n", "a NetCDF-4 or HDF5 file"),
            (b"CDF\x01", "a NetCDF file"),
            (b"CDF\x05", "a NetCDF file"),
            (b"GRIB\x00", "a GRIB file"),
        ],
    )
    def test_file_to_publish(self, tmp_path: Path, start: bytes, kind: str) -> None:
        (tmp_path / "data").write_bytes(start + bytes(100))
        assert refusal(tmp_path / "data") == f"data is {kind}; publish it first (isopleth publish)"

    def test_zip(self, tmp_path: Path) -> None:
        archive = shutil.make_archive(str(tmp_path / "b"), "zip", write(tmp_path / "a.zarr"))
        assert "unpack it" in refusal(archive)

    def test_unknown_file(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("hello")
        assert "unknown format" in refusal(tmp_path / "notes.txt")

    def test_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a.zarr").mkdir()
        assert refusal(tmp_path / "a.zarr") == "a.zarr is an empty folder"

    def test_other_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a.zarr").mkdir()
        (tmp_path / "a.zarr" / "notes.txt").write_text("hello")
        assert refusal(tmp_path / "a.zarr") == "a.zarr does not exist, or is no Zarr or Icechunk store"

    @pytest.mark.parametrize("version", [2, 3])
    def test_empty_group(self, tmp_path: Path, version: int) -> None:
        zarr.create_group(tmp_path / "a.zarr", zarr_format=version)
        assert refusal(tmp_path / "a.zarr") == "a.zarr is an empty group: it holds no arrays"

    @pytest.mark.parametrize("version", [2, 3])
    def test_single_array(self, tmp_path: Path, version: int) -> None:
        zarr.create_array(tmp_path / "a.zarr", shape=(2, 2), dtype="f4", zarr_format=version)
        assert refusal(tmp_path / "a.zarr").startswith("a.zarr is a single Zarr array")

    @pytest.mark.parametrize(
        ("version", "consolidated", "document"),
        [
            (3, True, "zarr.json"),
            (3, False, "zarr.json"),
            (3, False, "t2m/zarr.json"),
            (2, True, ".zmetadata"),
            (2, False, ".zgroup"),
            (2, False, "t2m/.zarray"),
        ],
    )
    def test_truncated_metadata(self, tmp_path: Path, version: int, consolidated: bool, document: str) -> None:
        path = write(tmp_path / "a.zarr", version=version, consolidated=consolidated)
        text = (path / document).read_bytes()
        (path / document).write_bytes(text[: len(text) // 2])
        sentence = refusal(path)
        assert "truncated or damaged" in sentence
        assert "a.zarr" in sentence

    def test_nested_groups(self, tmp_path: Path) -> None:
        group = zarr.create_group(tmp_path / "a.zarr")
        fill(group.create_group("atmosphere").create_group("hourly"))
        sentence = refusal(tmp_path / "a.zarr")
        assert sentence.endswith("they are in its group atmosphere/hourly: serve a.zarr/atmosphere/hourly")
        assert open_datacube(define(tmp_path / "a.zarr" / "atmosphere" / "hourly")).cube.parameters.keys() == {"t2m"}

    def test_damaged_icechunk(self, tmp_path: Path) -> None:
        path = write_icechunk(tmp_path / "store")
        (path / "repo").write_bytes(b"nothing")
        assert refusal(path).startswith("the Icechunk repository store cannot be opened")

    def test_empty_icechunk(self, tmp_path: Path) -> None:
        icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "store")))
        assert refusal(tmp_path / "store") == "the Icechunk repository store is empty"

    def test_unknown_scheme(self) -> None:
        assert "starts with none of s3://" in refusal("ftp://example.org/a.zarr")


@pytest.mark.parametrize("consolidated", [False, True])
def test_array_of_an_unknown_type_is_left_out_alone(tmp_path: Path, consolidated: bool) -> None:
    path = write(tmp_path / "a.zarr", consolidated=consolidated)
    zarr.open_group(path).create_array("odd", shape=(4, 4), dtype="f4", dimension_names=["latitude", "longitude"])
    document = json.loads((path / "odd/zarr.json").read_text()) | {"data_type": "posit8"}
    (path / "odd/zarr.json").write_text(json.dumps(document))
    if consolidated:
        root = json.loads((path / "zarr.json").read_text())
        root["consolidated_metadata"]["metadata"]["odd"] = document
        (path / "zarr.json").write_text(json.dumps(root))
    opened = open_datacube(define(path))
    assert opened.cube.parameters.keys() == {"t2m"}
    assert opened.cube.skipped == {"odd": "its type or its codecs are not known"}


def test_python_objects_are_never_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", version=2)
    (path / "odd").mkdir()
    metadata = {
        "zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": "|O", "fill_value": None, "order": "C",
        "compressor": None, "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (path / "odd/.zarray").write_text(json.dumps(metadata))
    (path / "odd/.zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["latitude", "longitude"]}))
    assert "odd" in open_datacube(define(path)).cube.skipped


def test_array_without_dimension_names_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr")
    zarr.open_group(path).create_array("odd", shape=(4, 4), dtype="f4")
    assert read_contents(open_source(define(path))).skipped == {"odd": "its dimensions have no names"}


class Handler(BaseHTTPRequestHandler):
    """A web server and a path-style S3 server for reading: GET and HEAD with ranges, and faults to order."""

    protocol_version = "HTTP/1.1"
    root: ClassVar[Path]
    faults: ClassVar[list[int]]
    """Status codes of the next answers."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_PROPFIND(self) -> None:
        self.send(405, b"")

    def answer(self, *, body: bool) -> None:
        if self.faults:
            self.send(self.faults.pop(0), b"")
            return
        path = self.root / self.path.split("?")[0].strip("/")
        if not path.is_file():
            self.send(404, b"")
            return
        data, status, headers = path.read_bytes(), 200, {}
        if (span := self.headers.get("Range")) is not None:
            first, _, last = span.removeprefix("bytes=").partition("-")
            size = len(data)
            start = int(first) if first else size - int(last)
            end = int(last) if first and last else size - 1
            headers["Content-Range"] = f"bytes {start}-{min(end, size - 1)}/{size}"
            data, status = data[start : end + 1], 206
        status_of_file = path.stat()
        headers["ETag"] = f'"{status_of_file.st_mtime_ns}"'
        headers["Last-Modified"] = self.date_time_string(int(status_of_file.st_mtime))
        self.send(status, data, headers, body=body)

    def send(self, status: int, data: bytes, headers: dict[str, str] | None = None, *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_arguments: Any) -> None:
        """Keep quiet."""


type Serve = Callable[[Path], tuple[str, list[int]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a folder on a free port; returns the address and the list of faults to come."""
    servers: list[ThreadingHTTPServer] = []

    def start(root: Path) -> tuple[str, list[int]]:
        faults: list[int] = []
        handler = type("Bound", (Handler,), {"root": root, "faults": faults})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}", faults

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestRemote:
    def test_web_server(self, tmp_path: Path, serve: Serve) -> None:
        write(tmp_path / "a.zarr", consolidated=True, chunks=(2, 2), shards=(4, 4))
        address, faults = serve(tmp_path)
        opened = open_datacube(define(f"{address}/a.zarr"))
        np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD)
        assert opened.source.probe() == opened.source.snapshot
        faults += [503, 503]
        np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD, err_msg="two faults are retried")

    def test_version_2(self, tmp_path: Path, serve: Serve) -> None:
        write(tmp_path / "a.zarr", version=2, consolidated=True)
        address, _ = serve(tmp_path)
        opened = open_datacube(define(f"{address}/a.zarr/"))
        assert opened.source.layout == "zarr2"
        np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD)

    def test_changed_metadata_is_noticed(self, tmp_path: Path, serve: Serve) -> None:
        path = write(tmp_path / "a.zarr", consolidated=True)
        address, _ = serve(tmp_path)
        source = open_source(define(f"{address}/a.zarr"))
        os.utime(path / "zarr.json", ns=(1, 1))
        assert source.probe() != source.snapshot

    def test_web_server_cannot_list(self, tmp_path: Path, serve: Serve) -> None:
        write(tmp_path / "a.zarr")
        address, _ = serve(tmp_path)
        assert refusal(f"{address}/a.zarr") == "a.zarr cannot be listed; consolidate its metadata"

    def test_absent(self, tmp_path: Path, serve: Serve) -> None:
        address, _ = serve(tmp_path)
        assert refusal(f"{address}/a.zarr") == "a.zarr does not exist, or is no Zarr or Icechunk store"

    def test_missing_chunk(self, tmp_path: Path, serve: Serve) -> None:
        path = write(tmp_path / "a.zarr", consolidated=True, chunks=(2, 2))
        (path / "t2m/c/0/1").unlink()
        address, _ = serve(tmp_path)
        with pytest.raises(zarr.errors.ChunkNotFoundError):
            open_datacube(define(f"{address}/a.zarr")).arrays["t2m"][...]

    def test_icechunk(self, tmp_path: Path, serve: Serve) -> None:
        write_icechunk(tmp_path / "store")
        address, _ = serve(tmp_path)
        opened = open_datacube(define(f"{address}/store"))
        assert opened.source.layout == "icechunk"
        np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD)
        assert opened.source.probe() == opened.cube.snapshot

    @pytest.mark.parametrize("options", [{"endpoint": None, "anonymous": True}, {"endpoint_url": None, "anon": True}])
    def test_s3(self, tmp_path: Path, serve: Serve, options: dict[str, Any]) -> None:
        write(tmp_path / "bucket" / "a.zarr", consolidated=True, chunks=(2, 2))
        address, _ = serve(tmp_path)
        options = {name: address if value is None else value for name, value in options.items()}
        storage = {**options, "region": "eu-west-1", "path_style": True}
        opened = open_datacube(define("s3://bucket/a.zarr", storage_options=storage))
        np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD)

    def test_s3_that_refuses(self, tmp_path: Path, serve: Serve) -> None:
        address, faults = serve(tmp_path)
        faults += [403] * 5
        options = {"endpoint": address, "anonymous": True, "region": "eu-west-1"}
        assert refusal("s3://bucket/a.zarr", storage_options=options) == "a.zarr cannot be read: permission denied"

    def test_s3_without_the_right_to_list(self, tmp_path: Path, serve: Serve) -> None:
        """There, an absent object answers 403: the other documents are still looked for."""
        write(tmp_path / "bucket" / "a.zarr", version=2, consolidated=True)
        address, faults = serve(tmp_path)
        faults += [403]
        options = {"endpoint": address, "anonymous": True, "region": "eu-west-1"}
        opened = open_datacube(define("s3://bucket/a.zarr", storage_options=options))
        assert opened.source.layout == "zarr2"

    def test_icechunk_on_s3(self, tmp_path: Path, serve: Serve) -> None:
        write_icechunk(tmp_path / "bucket" / "store")
        address, _ = serve(tmp_path)
        options = {"endpoint": address, "anonymous": True, "region": "eu-west-1", "path_style": True}
        opened = open_datacube(define("s3://bucket/store", storage_options=options))
        assert opened.source.layout == "icechunk"
        np.testing.assert_array_equal(opened.arrays["t2m"][...], FIELD)

    def test_unknown_option(self) -> None:
        sentence = refusal("s3://bucket/a.zarr", storage_options={"regoin": "eu-west-1"})
        assert sentence == "the address or a storage option of a.zarr is not valid for its object store"

    def test_server_that_is_down_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(remote, "MAX_RETRIES", 1)
        assert refusal("http://127.0.0.1:9/a.zarr") == "the storage of a.zarr does not answer"

    def test_patience_is_bounded(self, tmp_path: Path, serve: Serve) -> None:
        address, faults = serve(tmp_path)
        faults += [503] * 100
        before = time.monotonic()
        refusal(f"{address}/a.zarr")
        assert len(faults) == 100 - remote.MAX_RETRIES - 1
        assert time.monotonic() - before < remote.RETRY_TIMEOUT.total_seconds() + 60
