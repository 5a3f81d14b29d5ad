"""The library opens each dataset once, notices what is written, and lets no broken dataset stop the others."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr

from plugins.datacube import library as library_module
from plugins.datacube.definition import DatasetDefinition, Provider
from plugins.datacube.errors import DatasetError, UnknownError
from plugins.datacube.instances import find_instance, states_of
from plugins.datacube.library import Library, OpenDatacube, datacube_at, open_datacube
from plugins.datacube.published import read_dataset_json, write_dataset_json
from plugins.datacube.sources import open_source, open_state


def fill(group: zarr.Group, times: int = 2, value: float = 1.0) -> None:
    """Write `times` fields of one value."""
    for name, dims, values, marks in (
        ("time", ["time"], np.arange(times) * 6, {"units": "hours since 2020-01-01"}),
        ("lat", ["lat"], np.array([50.0, 40.0, 30.0]), {"units": "degrees_north"}),
        ("lon", ["lon"], np.array([10.0, 20.0]), {"units": "degrees_east"}),
        ("t2m", ["time", "lat", "lon"], np.full((times, 3, 2), value, "f4"), {"units": "K"}),
    ):
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=dims, attributes=marks, chunks=values.shape
        )
        array[...] = values


def plain(path: Path, **options: Any) -> Path:
    fill(zarr.create_group(path, overwrite=True), **options)
    return path


def repository(path: Path) -> icechunk.Repository:
    storage = icechunk.local_filesystem_storage(str(path))
    return icechunk.Repository.open_or_create(storage)


def commit(path: Path, **options: Any) -> str:
    session = repository(path).writable_session("main")
    fill(zarr.create_group(session.store, overwrite=True), **options)
    return session.commit("written")


def publish(folder: Path, name: str, **fields: Any) -> DatasetDefinition:
    definition = DatasetDefinition(id=name, href=str(folder / name / "store"), published=True, **fields)
    commit(folder / name / "store")
    write_dataset_json(folder / name, definition)
    return definition


def define(path: Path, name: str = "test", **more: Any) -> DatasetDefinition:
    return DatasetDefinition(id=name, href=str(path), **more)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass at once, for the intervals between looks at a store."""
    now = [1000.0]
    monkeypatch.setattr(library_module, "monotonic", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


class TestOpen:
    def test_opens_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        definition = define(plain(tmp_path / "a.zarr"))
        opened: list[DatasetDefinition] = []
        together = threading.Barrier(8)

        def counted(wanted: DatasetDefinition) -> Any:
            opened.append(wanted)
            return open_source(wanted)

        def ask(_: int) -> Any:
            together.wait(120)
            return open_datacube(definition)

        monkeypatch.setattr(library_module, "open_source", counted)
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(ask, range(8)))
        assert len(opened) == 1
        assert all(result is results[0] for result in results)

    def test_is_looked_at_again_only_after_a_while(self, tmp_path: Path, clock: Callable[[float], None]) -> None:
        path = tmp_path / "store"
        commit(path)
        first = open_datacube(define(path))
        newest = commit(path, times=3)
        assert open_datacube(define(path)) is first
        clock(library_module.CHECK_SECONDS)
        second = open_datacube(define(path))
        assert second.cube.snapshot == newest
        assert second.cube.axes["time"].size == 3

    def test_old_readers_are_not_disturbed(self, tmp_path: Path, clock: Callable[[float], None]) -> None:
        path = tmp_path / "store"
        commit(path, value=1.0)
        first = open_datacube(define(path))
        commit(path, times=3, value=2.0)
        clock(library_module.CHECK_SECONDS)
        second = open_datacube(define(path))
        np.testing.assert_array_equal(first.arrays["t2m"][...], np.ones((2, 3, 2), "f4"))
        np.testing.assert_array_equal(second.arrays["t2m"][...], np.full((3, 3, 2), 2, "f4"))

    def test_plain_zarr_that_grows(self, tmp_path: Path, clock: Callable[[float], None]) -> None:
        path = plain(tmp_path / "a.zarr")
        first = open_datacube(define(path))
        group = zarr.open_group(path)
        group["time"].append(np.array([12]))  # type: ignore[union-attr]
        group["t2m"].append(np.ones((1, 3, 2), "f4"))  # type: ignore[union-attr]
        clock(library_module.CHECK_SECONDS)
        second = open_datacube(define(path))
        assert second.cube.axes["time"].texts()[-1] == "2020-01-01T12:00:00Z"
        assert second.cube.snapshot != first.cube.snapshot

    def test_half_written_store_is_served_as_it_was(self, tmp_path: Path, clock: Callable[[float], None]) -> None:
        path = plain(tmp_path / "a.zarr")
        first = open_datacube(define(path))
        document = path / "t2m" / "zarr.json"
        whole = document.read_text()
        document.write_text(whole[:50])
        clock(library_module.CHECK_SECONDS)
        assert open_datacube(define(path)) is first
        document.write_text(whole.replace('"K"', '"degC"'))
        clock(library_module.CHECK_SECONDS)
        assert open_datacube(define(path)).cube.parameters["t2m"].ucum == "Cel"

    def test_store_that_is_taken_away(self, tmp_path: Path, clock: Callable[[float], None]) -> None:
        path = plain(tmp_path / "a.zarr")
        open_datacube(define(path))
        shutil.rmtree(path)
        clock(library_module.CHECK_SECONDS)
        with pytest.raises(DatasetError, match=r"^a\.zarr does not exist"):
            open_datacube(define(path))
        plain(path)
        clock(library_module.RETRY_SECONDS)
        assert open_datacube(define(path)).cube.parameters.keys() == {"t2m"}

    def test_a_slow_network_is_not_waited_for(
        self, tmp_path: Path, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(library_module, "local_path", lambda _href: None)  # as if it lay elsewhere
        path = tmp_path / "store"
        commit(path)
        first = open_datacube(define(path))
        answer = threading.Event()
        probe = first.source.probe

        def slow() -> str:
            answer.wait(120)
            return probe()

        object.__setattr__(first.source, "probe", slow)
        newest = commit(path, times=3)
        clock(library_module.CHECK_SECONDS)
        assert [open_datacube(define(path)) for _ in range(3)] == [first] * 3
        (renewing,) = [thread for thread in threading.enumerate() if thread.name == "renew test"]
        answer.set()
        renewing.join(120)
        assert open_datacube(define(path)).cube.snapshot == newest

    def test_errors_do_not_gather_the_tracebacks_of_others(self, tmp_path: Path) -> None:
        errors = []
        for _ in range(2):
            with pytest.raises(DatasetError) as caught:
                open_datacube(define(tmp_path / "none"))
            errors.append(caught.value)
        assert errors[0] is not errors[1]

    def test_revision_of_the_description(self, tmp_path: Path) -> None:
        path = plain(tmp_path / "a.zarr")
        assert open_datacube(define(path, title="One")).cube.title == "One"
        assert open_datacube(define(path, title="Two")).cube.title == "Two"


class TestLibrary:
    def test_order_and_access(self, tmp_path: Path) -> None:
        data = tmp_path / "datasets"
        for name in ("b", "a"):
            publish(data, name)
        configured = [define(plain(tmp_path / "z.zarr"), "z"), define(plain(tmp_path / "m.zarr"), "m")]
        library = Library(configured, data)
        assert library.ids() == ("z", "m", "a", "b")
        assert library.get("m").cube.id == "m"
        assert library.get("a").cube.definition.published
        assert [entry.definition.id for entry in library.entries()] == ["z", "m", "a", "b"]
        assert all(entry.problem is None and entry.opened is not None for entry in library.entries())

    def test_unknown(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownError, match="no collection 'x'"):
            Library([], tmp_path / "datasets").get("x")

    def test_one_id_twice(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="two datasets have the id test"):
            Library([define(tmp_path / "a"), define(tmp_path / "b")])

    def test_a_broken_dataset_stops_no_other(self, tmp_path: Path) -> None:
        good, missing = define(plain(tmp_path / "a.zarr"), "good"), define(tmp_path / "none.zarr", "missing")
        (tmp_path / "c.zarr").mkdir()
        (tmp_path / "c.zarr" / "zarr.json").write_text('{"zarr_form')
        truncated = define(tmp_path / "c.zarr", "truncated")
        library = Library([missing, good, truncated])
        problems = {entry.definition.id: entry.problem for entry in library.entries()}
        assert problems == {
            "missing": "none.zarr does not exist",
            "good": None,
            "truncated": "the metadata of c.zarr is truncated or damaged: it is not JSON",
        }
        assert library.get("good").cube.id == "good"
        with pytest.raises(DatasetError, match="does not exist"):
            library.get("missing")

    def test_unsupported_datasets_are_given(self, tmp_path: Path) -> None:
        plain(tmp_path / "a.zarr")
        zarr.open_group(tmp_path / "a.zarr")["lat"][...] = np.array([50.0, 30.0, 40.0])  # type: ignore[index]
        library = Library([define(tmp_path / "a.zarr", "ocean")])
        assert library.get("ocean").cube.unsupported is not None
        assert library.entries()[0].problem is None

    def test_published_while_running(self, tmp_path: Path, clock: Callable[[float], None]) -> None:
        data = tmp_path / "datasets"
        library = Library([], data)
        assert library.ids() == ()
        publish(data, "new")
        assert library.get("new").cube.id == "new", "an unknown id is looked for at once"
        publish(data, "newer")
        clock(library_module.CHECK_SECONDS)
        assert library.ids() == ("new", "newer")
        shutil.rmtree(data / "new")
        library.refresh()
        assert library.ids() == ("newer",)

    def test_refresh_looks_at_once(self, tmp_path: Path) -> None:
        data = tmp_path / "datasets"
        publish(data, "a")
        library = Library([], data)
        library.get("a")
        newest = commit(data / "a" / "store", times=5)
        library.refresh()
        assert library.get("a").cube.snapshot == newest

    def test_changed_description(self, tmp_path: Path, clock: Callable[[float], None]) -> None:
        data = tmp_path / "datasets"
        publish(data, "a", title="Before")
        library = Library([], data)
        assert library.get("a").cube.title == "Before"
        publish(data, "a", title="After")
        clock(library_module.CHECK_SECONDS)
        assert library.get("a").cube.title == "After"

    def test_configured_wins_over_published(self, tmp_path: Path) -> None:
        data = tmp_path / "datasets"
        publish(data, "a")
        library = Library([define(plain(tmp_path / "a.zarr"), "a")], data)
        assert library.ids() == ("a",)
        assert library.get("a").source.layout == "zarr3"

    def test_broken_document(self, tmp_path: Path) -> None:
        data = tmp_path / "datasets"
        for name in ("a", "b"):
            publish(data, name)
        (data / "b" / "dataset.json").write_text("{")
        library = Library([], data)
        assert {entry.definition.id: entry.problem for entry in library.entries()} == {
            "a": None,
            "b": "dataset.json of b is truncated or damaged: it is not JSON",
        }
        with pytest.raises(DatasetError, match=r"dataset\.json of b"):
            library.get("b")

    def test_unfinished_and_foreign_folders_are_no_datasets(self, tmp_path: Path) -> None:
        (tmp_path / "unfinished" / "store").mkdir(parents=True)
        (tmp_path / ".hidden").mkdir()
        (tmp_path / "notes.txt").write_text("hello")
        assert Library([], tmp_path).ids() == ()


class TestDocument:
    def test_round_trip(self, tmp_path: Path) -> None:
        definition = DatasetDefinition(
            id="é-nope".replace("é", "e"),
            href=str(tmp_path / "e-nope" / "store"),
            title="Sea surface temperature – monthly",
            description="Text\nof two lines",
            licence="OGL-UK-3.0",
            licence_url="https://example.org/licence",
            attribution="Met Office",
            keywords=("sea", "sst"),
            providers=(Provider("Met Office", ("licensor", "producer"), "https://example.org"), Provider("Other")),
            sparse=True,
            crs="EPSG:4326",
            published=True,
        )
        write_dataset_json(tmp_path / "e-nope", definition)
        assert read_dataset_json(tmp_path / "e-nope") == definition
        assert [path.name for path in (tmp_path / "e-nope").iterdir()] == ["dataset.json"], "no temporary file stays"

    def test_least(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "dataset.json").write_text("{}")
        expected = DatasetDefinition(id="a", href=str(tmp_path / "a" / "store"), published=True)
        assert read_dataset_json(tmp_path / "a") == expected

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            ("[]", "is not a JSON object"),
            ({"titel": "A"}, "unknown field 'titel'"),
            ({"href": "s3://elsewhere"}, "unknown field 'href'"),
            ({"title": 1}, "title must be a text"),
            ({"sparse": "yes"}, "sparse must be true or false"),
            ({"keywords": "a"}, "keywords must be a list"),
            ({"keywords": [1]}, "keywords must be a list of texts"),
            ({"providers": [{}]}, "each of providers must be an object with a name"),
            ({"id": "b"}, "has the id 'b' of another folder"),
            ({"id": "../b"}, "'../b' cannot be a collection id"),
        ],
    )
    def test_refused(self, tmp_path: Path, document: Any, words: str) -> None:
        (tmp_path / "a").mkdir()
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "a" / "dataset.json").write_text(text)
        with pytest.raises(DatasetError) as caught:
            read_dataset_json(tmp_path / "a")
        assert words in caught.value.detail
        assert str(tmp_path) not in caught.value.detail


class TestStates:
    def history(self, path: Path) -> tuple[OpenDatacube, list[str]]:
        """Three states of one store, whose values are 1, 2 and 3, and their snapshots."""
        snapshots = [commit(path, times=number + 1, value=float(number)) for number in (1, 2, 3)]
        return open_datacube(define(path)), snapshots

    def test_an_old_state_is_read_as_it_was(self, tmp_path: Path) -> None:
        opened, snapshots = self.history(tmp_path / "store")
        for number, snapshot in enumerate(snapshots, start=1):
            old = find_instance(opened, snapshot)
            assert (old.id, old.opened.cube.snapshot) == (snapshot, snapshot)
            np.testing.assert_array_equal(old.opened.arrays["t2m"][...], np.full((number + 1, 3, 2), number, "f4"))
        assert find_instance(opened, "latest").opened is opened

    def test_the_newest_comes_first_and_the_empty_one_not_at_all(self, tmp_path: Path) -> None:
        opened, snapshots = self.history(tmp_path / "store")
        states = states_of(opened)
        assert [state.id for state in states] == snapshots[::-1]
        assert [state.previous for state in states] == [*snapshots[-2::-1], None]
        assert {state.message for state in states} == {"written"}
        assert all(abs((state.written - datetime.now(UTC)).total_seconds()) < 60 for state in states)

    def test_a_tag_names_a_state(self, tmp_path: Path) -> None:
        opened, snapshots = self.history(tmp_path / "store")
        repository(tmp_path / "store").create_tag("first", snapshots[0])
        repository(tmp_path / "store").create_tag("no/path", snapshots[1])
        found = find_instance(opened, "first")
        assert found.state is not None
        assert (found.state.tagged, found.opened.cube.snapshot) == (True, snapshots[0])
        assert [state.id for state in states_of(opened)] == ["first", *snapshots[::-1]]

    @pytest.mark.parametrize("name", ["none", "AAAAAAAAAAAAAAAAAAAA", "1CECHNKREP0F1RSTCMT0", "main", "", "x" * 500])
    def test_what_is_no_state_is_unknown(self, tmp_path: Path, name: str) -> None:
        opened, _ = self.history(tmp_path / "store")
        with pytest.raises(UnknownError, match="'latest', the tags and the snapshots") as caught:
            find_instance(opened, name)
        assert len(caught.value.detail) < 300

    def test_unfinished_work_is_nobodys_business(self, tmp_path: Path) -> None:
        opened, snapshots = self.history(tmp_path / "store")
        store = repository(tmp_path / "store")
        store.create_branch("publish", snapshots[-1])
        session = store.writable_session("publish")
        fill(zarr.create_group(session.store, overwrite=True), value=9.0)
        half = session.commit("publication in progress")
        with pytest.raises(UnknownError):
            find_instance(opened, half)

    def test_a_new_state_is_found_at_once(self, tmp_path: Path) -> None:
        opened, _ = self.history(tmp_path / "store")
        states_of(opened)
        newest = commit(tmp_path / "store", value=4.0)
        assert find_instance(opened, newest).opened.cube.snapshot == newest
        assert opened.cube.snapshot != newest

    def test_a_state_is_opened_once_by_however_many(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened, snapshots = self.history(tmp_path / "store")
        count: list[str] = []

        def counted(source: Any, snapshot: str) -> Any:
            count.append(snapshot)
            return open_state(source, snapshot)

        monkeypatch.setattr(library_module, "open_state", counted)
        together = threading.Barrier(8)

        def ask(_: int) -> OpenDatacube:
            together.wait(120)
            return datacube_at(opened, snapshots[0])

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(ask, range(8)))
        assert count == [snapshots[0]]
        assert all(result is results[0] for result in results)

    def test_only_the_last_few_states_are_kept_open(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(library_module, "STATES_KEPT", 1)
        opened, snapshots = self.history(tmp_path / "store")
        first = datacube_at(opened, snapshots[0])
        assert datacube_at(opened, snapshots[0]) is first
        datacube_at(opened, snapshots[1])
        assert datacube_at(opened, snapshots[0]) is not first
        np.testing.assert_array_equal(first.arrays["t2m"][...], np.ones((2, 3, 2), "f4"))

    def test_a_state_that_holds_nothing_servable_says_why(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        session = repository(path).writable_session("main")
        zarr.create_group(session.store, overwrite=True)
        empty = session.commit("a group without arrays")
        commit(path)
        with pytest.raises(DatasetError, match="holds no arrays"):
            find_instance(open_datacube(define(path)), empty)

    def test_a_job_reads_what_it_was_estimated_on(self, tmp_path: Path) -> None:
        other = define(plain(tmp_path / "b.zarr"), "b")
        _, snapshots = self.history(tmp_path / "store")
        mine = define(tmp_path / "store", "a")
        assert Library([mine, other], at=snapshots[0]).get("a").cube.snapshot == snapshots[0]
        # What has no such state is read as it is.
        assert Library([mine, other], at=snapshots[0]).get("b") is open_datacube(other)
        assert Library([mine], at="AAAAAAAAAAAAAAAAAAAA").get("a").cube.snapshot == snapshots[-1]
