from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.embedded import EmbeddedRepository
from catalog.repository import CollectionQuery, ItemQuery
from catalog.search import item_query
from plugins.datacube.errors import InvalidQueryError, StorageError, UnknownError

MICROSECONDS = 1_000_000


def make_collection(identifier: str, **fields: Any) -> dict[str, Any]:
    return {"type": "Collection", "id": identifier, "title": f"Title of {identifier}", "links": [], **fields}


def make_item(
    identifier: str,
    box: tuple[float, ...] = (0, 0, 1, 1),
    first: int = 0,
    last: int | None = None,
    collection: str = "c",
    geometry: dict[str, Any] | None = None,
) -> dict[str, Any]:
    west, south, east, north = box
    if geometry is None:
        boxes = [box] if west <= east else [(west, south, 180, north), (-180, south, east, north)]
        polygons = [shapely.box(*part) for part in boxes]
        geometry = shapely.geometry.mapping(polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons))
    start, end = (f"1970-01-01T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}Z" for s in (first, last or first))
    times = {"datetime": None, "start_datetime": start, "end_datetime": end} if last else {"datetime": start}
    return {
        "type": "Feature", "id": identifier, "collection": collection, "geometry": geometry, "bbox": list(box),
        "properties": times, "links": [], "assets": {},
    }  # fmt: skip


@contextmanager
def fresh() -> Iterator[EmbeddedRepository]:
    with TemporaryDirectory() as folder:
        made = EmbeddedRepository(Path(folder) / "catalog.sqlite")
        made.upsert_collection(make_collection("c"))
        try:
            yield made
        finally:
            made.close()


def all_pages(repository: EmbeddedRepository, query: ItemQuery) -> Iterator[list[str]]:
    while True:
        page = repository.search(query)
        yield [item["id"] for item in page.documents]
        if page.token is None:
            return
        query = replace(query, token=page.token)


def test_a_collection_is_kept_replaced_and_deleted(repository: EmbeddedRepository) -> None:
    assert repository.get_collection("a") is None
    repository.upsert_collection(make_collection("a", note=1))
    repository.upsert_collection(make_collection("a", note=2))
    assert repository.get_collection("a") == make_collection("a", note=2)
    assert [(heading.id, heading.title) for heading in repository.headings()] == [("a", "Title of a")]
    repository.upsert_items([make_item("i", collection="a")])
    assert repository.delete_collection("a")
    assert not repository.delete_collection("a")
    assert repository.get_collection("a") is None
    assert repository.get_item("a", "i") is None
    repository.upsert_collection(make_collection("a"))
    assert repository.search(ItemQuery()).documents == ()
    assert repository.search(item_query(bbox=(0, 0, 1, 1))).documents == ()


def test_an_item_is_kept_moved_and_deleted(repository: EmbeddedRepository) -> None:
    repository.upsert_collection(make_collection("c"))
    assert repository.upsert_items([make_item("i", (0, 0, 1, 1))]) == 1
    repository.upsert_items([make_item("i", (50, 50, 51, 51))])
    assert repository.get_item("c", "i") == json.loads(json.dumps(make_item("i", (50, 50, 51, 51))))
    assert repository.search(item_query(bbox=(0, 0, 1, 1))).documents == ()
    assert len(repository.search(item_query(bbox=(50, 50, 60, 60))).documents) == 1
    assert repository.delete_item("c", "i")
    assert not repository.delete_item("c", "i")
    assert repository.search(item_query(bbox=(50, 50, 60, 60))).documents == ()


def test_items_are_all_put_or_none(repository: EmbeddedRepository) -> None:
    repository.upsert_collection(make_collection("c"))
    with pytest.raises(UnknownError):
        repository.upsert_items([make_item("good"), make_item("bad", collection="nowhere")])
    with pytest.raises(InvalidQueryError):
        repository.upsert_items([make_item("good"), {**make_item("bad"), "properties": {}}])
    with pytest.raises(InvalidQueryError):
        repository.upsert_items([make_item("good"), make_item("bad", geometry={"type": "Nonsense"})])
    assert repository.search(ItemQuery()).documents == ()


def test_replace_keeps_exactly_the_items_given(repository: EmbeddedRepository) -> None:
    repository.replace(make_collection("c"), [make_item("a"), make_item("b")], "d1")
    repository.replace(make_collection("c", note=2), [make_item("b"), make_item("d")], "d2")
    assert repository.digests() == {"c": "d2"}
    assert {item["id"] for item in repository.search(ItemQuery()).documents} == {"b", "d"}
    with pytest.raises(InvalidQueryError):
        repository.replace(make_collection("c"), [{**make_item("x"), "properties": {}}], "d3")
    assert repository.digests() == {"c": "d2"}
    assert {item["id"] for item in repository.search(ItemQuery()).documents} == {"b", "d"}
    repository.upsert_collection(make_collection("own"))
    assert repository.digests() == {"c": "d2"}


EDGES = st.integers(-18, 18).map(lambda tens: tens * 10.0)
LATITUDES = st.tuples(st.integers(-9, 8), st.integers(1, 6)).map(lambda n: (n[0] * 10.0, min((n[0] + n[1]) * 10.0, 90)))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    west, east = draw(st.lists(EDGES, min_size=2, max_size=2, unique=True))
    south, north = draw(LATITUDES)
    return (west, south, east, north)


def on_earth(box: tuple[float, ...]) -> shapely.Geometry:
    """The box by an independent way: shifted copies on an unrolled Earth, cut to -180..180."""
    west, south, east, north = box
    unrolled = shapely.box(west, south, east if west <= east else east + 360, north)
    copies = [shapely.affinity.translate(unrolled, shift) for shift in (-360, 0, 360)]
    return shapely.intersection(shapely.union_all(copies), shapely.box(-180, -90, 180, 90))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(boxes(), st.integers(0, 20), st.integers(0, 5)), max_size=12),
    boxes(),
    st.integers(0, 20) | st.none(),
    st.integers(0, 20) | st.none(),
)
def test_search_equals_brute_force(
    made: list[tuple[tuple[float, ...], int, int]],
    asked: tuple[float, ...],
    start: int | None,
    end: int | None,
) -> None:
    found_items = [make_item(f"i{n}", box, first, first + more) for n, (box, first, more) in enumerate(made)]
    if start is not None and end is not None and start > end:
        start, end = end, start

    def within(first: int, more: int) -> bool:
        return (end is None or first <= end) and (start is None or first + more >= start)

    def meets(box: tuple[float, ...]) -> bool:
        # Touching at the antimeridian from the other side is not asked for: both sides are compared as planes.
        return bool(shapely.intersects(_flat(box), _flat(asked)))

    def _flat(box: tuple[float, ...]) -> shapely.Geometry:
        west, south, east, north = box
        if west <= east:
            return shapely.box(*box)
        return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))

    expected = {f"i{n}" for n, (box, first, more) in enumerate(made) if meets(box) and within(first, more)}
    interior = {
        f"i{n}"
        for n, (box, first, more) in enumerate(made)
        if shapely.area(shapely.intersection(on_earth(box), on_earth(asked))) > 0 and within(first, more)
    }
    with fresh() as repository:
        repository.upsert_items(found_items)
        moment = f"{_iso(start)}/{_iso(end)}" if (start, end) != (None, None) else None
        page = repository.search(item_query(bbox=asked, datetime=moment, limit=100))
    found = {item["id"] for item in page.documents}
    assert found == expected
    assert interior <= found
    assert page.matched == len(expected)


def _iso(second: int | None) -> str:
    return ".." if second is None else f"1970-01-01T00:00:{second:02d}Z"


@settings(max_examples=20, deadline=None)
@given(
    st.lists(boxes(), min_size=1, max_size=10),
    st.lists(st.tuples(st.floats(-170, 170), st.floats(-80, 80)), min_size=3, max_size=5),
)
def test_intersects_is_exact(made: list[tuple[float, ...]], corners: list[tuple[float, float]]) -> None:
    triangle = shapely.convex_hull(shapely.MultiPoint(corners))
    flat = [(n, box) for n, box in enumerate(made) if box[0] < box[2]]
    with fresh() as repository:
        repository.upsert_items([make_item(f"i{n}", box) for n, box in flat])
        query = item_query(intersects=shapely.geometry.mapping(triangle), limit=100)
        found = {item["id"] for item in repository.search(query).documents}
    assert found == {f"i{n}" for n, box in flat if shapely.box(*box).intersects(triangle)}


def test_a_footprint_that_is_no_box_is_searched_exactly(repository: EmbeddedRepository) -> None:
    repository.upsert_collection(make_collection("c"))
    corner = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]}
    repository.upsert_items([make_item("i", (0, 0, 10, 10), geometry=corner)])
    assert len(repository.search(item_query(bbox=(1, 1, 2, 2))).documents) == 1
    assert repository.search(item_query(bbox=(8, 8, 9, 9))).documents == ()


def test_a_footprint_is_exact_beyond_float32(repository: EmbeddedRepository) -> None:
    repository.upsert_collection(make_collection("c"))
    repository.upsert_items([make_item("i", (10.0, 10.0, 10.1, 10.1))])
    assert len(repository.search(item_query(bbox=(10.1, 10.1, 11, 11))).documents) == 1
    assert repository.search(item_query(bbox=(10.1 + 1e-9, 10, 11, 11))).documents == ()


def test_an_item_without_geometry_is_found_by_all_but_place(repository: EmbeddedRepository) -> None:
    repository.upsert_collection(make_collection("c"))
    repository.upsert_items([{**make_item("i"), "geometry": None, "bbox": None}])
    assert len(repository.search(ItemQuery()).documents) == 1
    assert repository.search(item_query(bbox=(-180, -90, 180, 90))).documents == ()
    assert repository.search(item_query(intersects={"type": "Point", "coordinates": [0, 0]})).documents == ()


def test_ids_and_collections(repository: EmbeddedRepository) -> None:
    for name in ("a", "b"):
        repository.upsert_collection(make_collection(name))
        repository.upsert_items(
            [make_item(identifier, collection=name) for identifier in ("1", "2'; drop table items")]
        )

    def asked(**query: Any) -> list[tuple[str, str]]:
        return sorted((i["collection"], i["id"]) for i in repository.search(item_query(**query)).documents)

    assert asked(ids=["1"]) == [("a", "1"), ("b", "1")]
    assert asked(ids=["1", "2'; drop table items"], collections=["b"]) == [("b", "1"), ("b", "2'; drop table items")]
    assert asked(collections=["nowhere"]) == []


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 9), max_size=30),
    st.integers(1, 7),
    st.lists(st.integers(0, 9), max_size=8),
)
def test_paging_gives_every_item_once_whatever_is_inserted(there: list[int], limit: int, later: list[int]) -> None:
    with fresh() as repository:
        repository.upsert_items([make_item(f"i{n}", first=second) for n, second in enumerate(there)])
        seen: list[str] = []
        more = iter(enumerate(later))
        for page in all_pages(repository, ItemQuery(limit=limit)):
            seen += page
            for number, second in more:
                repository.upsert_items([make_item(f"late{number}", first=second)])
                break
    assert len(seen) == len(set(seen))
    assert {name for name in seen if not name.startswith("late")} == {f"i{n}" for n in range(len(there))}


@settings(max_examples=20, deadline=None)
@given(st.sets(st.text("aé_", min_size=1, max_size=4), max_size=20), st.integers(1, 5))
def test_collections_page_completely(names: set[str], limit: int) -> None:
    with fresh() as repository:
        repository.delete_collection("c")
        for name in names:
            repository.upsert_collection(make_collection(name))
        seen: list[str] = []
        token = None
        while True:
            page = repository.list_collections(CollectionQuery(limit=limit, token=token))
            assert page.matched == len(names)
            seen += [document["id"] for document in page.documents]
            if (token := page.token) is None:
                break
            assert len(page.documents) == limit
    assert seen == sorted(names, key=lambda name: name.encode())


@pytest.mark.parametrize("token", ["x", "WyJhIl0", "bnVsbA", "A" * 5000])
def test_a_token_we_never_gave_is_refused(repository: EmbeddedRepository, token: str) -> None:
    with pytest.raises(InvalidQueryError):
        repository.search(ItemQuery(token=token))


def test_threads_read_and_write_together(repository: EmbeddedRepository) -> None:
    repository.upsert_collection(make_collection("c"))
    failures: list[Exception] = []

    def work(worker: int) -> None:
        try:
            for n in range(10):
                repository.upsert_items([make_item(f"{worker}-{n}")])
                repository.search(item_query(bbox=(0, 0, 2, 2), limit=100))
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert repository.search(ItemQuery(limit=100)).matched == 60


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from catalog.embedded import EmbeddedRepository

    print("ready", flush=True)
    sys.stdin.readline()
    repository = EmbeddedRepository(Path(sys.argv[1]))
    name = sys.argv[2]
    repository.upsert_collection({"id": name, "links": []})
    for n in range(15):
        repository.upsert_items([
            {"id": f"{name}-{n}", "collection": name, "geometry": {"type": "Point", "coordinates": [n, 0]},
             "bbox": [n, 0, n, 0], "properties": {"datetime": "2020-01-01T00:00:00Z"}}])
    repository.close()
""")


def start(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def said(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_make_and_fill_one_file_together(tmp_path: Path) -> None:
    path = tmp_path / "new" / "catalog.sqlite"
    writers = [start(WRITER, str(path), f"c{worker}") for worker in range(3)]
    assert [said(writer) for writer in writers] == [b"ready"] * 3
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=300)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    repository = EmbeddedRepository(path)
    assert repository.search(ItemQuery(limit=100)).matched == 45
    assert repository.search(item_query(bbox=(14, -1, 15, 1))).matched == 3
    repository.close()


FORKED = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from catalog.embedded import EmbeddedRepository

    repository = EmbeddedRepository(Path(sys.argv[1]))
    repository.upsert_collection({"id": "parent", "links": []})
    child = os.fork()
    if child == 0:
        repository.upsert_collection({"id": "child", "links": []})
        os._exit(0)
    print(os.waitpid(child, 0)[1], [heading.id for heading in repository.headings()], flush=True)
""")


def test_a_repository_lives_on_after_a_fork(tmp_path: Path) -> None:
    with start(FORKED, str(tmp_path / "catalog.sqlite")) as process:
        assert said(process) == b"0 ['child', 'parent']"


KILLED = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from catalog.embedded import EmbeddedRepository

    repository = EmbeddedRepository(Path(sys.argv[1]))
    repository.upsert_collection({"id": "c", "links": []})

    def item(n):
        return {"id": f"i{n}", "collection": "c", "geometry": {"type": "Point", "coordinates": [n % 90, 0]},
                "bbox": [n % 90, 0, n % 90, 0], "properties": {"datetime": "2020-01-01T00:00:00Z"}}

    repository.upsert_items([item(n) for n in range(10)])

    def endless():
        n = 10
        while True:
            yield item(n)
            n += 1
            if n == 3000:
                print("in the middle", flush=True)

    repository.upsert_items(endless())
""")


def test_a_writer_killed_in_the_middle_leaves_the_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with start(KILLED, str(path)) as writer:
        assert said(writer) == b"in the middle"
        writer.send_signal(signal.SIGKILL)
        writer.wait(120)
    repository = EmbeddedRepository(path)
    found = {item["id"] for item in repository.search(item_query(bbox=(0, 0, 90, 1), limit=1000)).documents}
    assert found == {f"i{n}" for n in range(10)}
    repository.upsert_items([make_item("after")])
    repository.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("select count(*) from footprints").fetchone() == (11,)
    connection.close()


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageError) as caught:
        EmbeddedRepository(path)
    assert str(path) not in caught.value.detail


def test_a_later_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    EmbeddedRepository(path).close()
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="later version"):
        EmbeddedRepository(path)


def test_a_closed_repository_says_so(repository: EmbeddedRepository) -> None:
    repository.close()
    with pytest.raises(StorageError):
        repository.headings()
