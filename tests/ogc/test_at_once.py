"""Is what is answered on the event loop the answer that a thread would give, and is nothing read or awaited for it?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube import chunks, library
from plugins.datacube.chunks import ChunkCache, shared_cache
from plugins.datacube.definition import DatasetDefinition, LayoutDefinition
from plugins.datacube.errors import InvalidQueryError, IsoplethError, NoDataError
from plugins.datacube.limits import ByteBudget, Limits
from plugins.datacube.stored import StoredArray
from server.ogc import at_once as module
from server.ogc.at_once import at_once
from server.ogc.messages import OgcResponse

DAY = "datetime=2020-01-01T00:00:00Z/2020-01-01T12:00:00Z"
POINT = "coords=POINT(1 4)&parameter-name=tas"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> ChunkCache:
    """An empty cache of its own for each test."""
    monkeypatch.setattr(chunks._SHARED, "cache", ChunkCache(1 << 20))
    return shared_cache()


@pytest.fixture
def short(site: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask a data query to be answered at once, on a dataset that has just been looked at; nothing may be read."""

    def ask(where: str, query: str = "", method: str = "GET", of: Any = None, **fields: Any) -> Any:
        identifier, kind = where.split("/")
        asked = of or site
        asked.service.library.get(identifier)
        request = asked.request(f"/ogc/collections/{identifier}/{kind}", query, method, **fields)

        def refuse(*_: object) -> None:
            raise AssertionError("storage was read on the event loop")

        with monkeypatch.context() as patched:
            patched.setattr(StoredArray, "read_box", refuse)
            return at_once(asked.service, request, identifier, kind)

    return ask


def outcome(answer: Any) -> Any:
    try:
        response = answer()
    except IsoplethError as error:
        return type(error), str(error)
    return response.status, dict(response.headers), response.content()


@given(data=st.data())
def test_it_answers_as_a_thread_does_or_leaves_the_work_to_it(site: Any, data: st.DataObject) -> None:
    collection = data.draw(st.sampled_from(["region", "globe"]))
    kind = data.draw(st.sampled_from(["position", "cube", "radius"]))
    number = st.integers(-40, 40).map(lambda n: n / 2)
    parts = {
        "position": lambda: f"coords=POINT({data.draw(number)} {data.draw(number)})",
        "cube": lambda: f"bbox={data.draw(number)},{data.draw(number)},{data.draw(number)},{data.draw(number)}",
        "radius": lambda: "coords=POINT(0 0)&within=900&within-units=km",
    }
    more = data.draw(
        st.lists(
            st.sampled_from(
                ["parameter-name=tas", "parameter-name=pr,tas", DAY, "datetime=2020-01-01T06:00:00Z", "datetime=2019",
                 "datetime=R2/2020-01-01T00:00:00Z/PT6H", "f=CSV", "f=GeoJSON", "f=NetCDF", "f=json", "z=850",
                 "number=1", "crs=EPSG:3857", "interpolation=linear", "nonsense=1", "resolution-x=2"]
            ), max_size=3, unique_by=lambda text: text.split("=")[0],
        )
    )  # fmt: skip
    query = "&".join([parts[kind](), *more])
    where = f"{collection}/{kind}"
    expected = outcome(lambda: site.edr(where, query))
    request = site.request(f"/ogc/collections/{where}", query)
    site.service.library.get(collection)

    def shortly() -> OgcResponse:
        found = at_once(site.service, request, collection, kind)
        return found() if callable(found) else found or site.edr(where, query)

    assert outcome(shortly) == expected


def test_a_warm_answer_is_the_cold_one_and_nothing_is_read_for_it(site: Any, short: Any, cache: ChunkCache) -> None:
    for where, query in (
        ("region/position", f"{POINT}&{DAY}"),
        ("region/cube", f"bbox=0,0,10,10&{DAY}"),
        ("globe/position", "coords=POINT(1 4)&parameter-name=ta&z=850&number=1"),
    ):
        cold = short(where, query)
        assert callable(cold), "no chunk is at hand: the rest of the work is handed back"
        expected = cold()
        misses = cache.statistics().misses
        warm = short(where, query)
        assert isinstance(warm, OgcResponse)
        assert (warm.status, warm.headers, warm.body) == (200, expected.headers, expected.content())
        assert warm.body == site.edr(where, query).content()
        assert cache.statistics().misses == misses


def test_a_chunk_that_is_dropped_meanwhile_is_left_to_a_thread(site: Any, short: Any, cache: ChunkCache) -> None:
    expected = site.edr("region/position", f"{POINT}&{DAY}").content()
    assert isinstance(short("region/position", f"{POINT}&{DAY}"), OgcResponse)
    cache.clear()
    rest = short("region/position", f"{POINT}&{DAY}")
    assert callable(rest)
    assert rest().content() == expected


def test_what_the_client_has_is_not_sent_again_and_not_even_read(site: Any, short: Any, monkeypatch: Any) -> None:
    for query in (POINT, f"{POINT}&f=NetCDF", f"{POINT}&f=CSV"):
        full = site.edr("region/position", query)
        headers = {"if-none-match": f'"other", {full.headers["ETag"]}'}
        expected = site.edr("region/position", query, headers=headers)
        with monkeypatch.context() as patched:
            patched.setattr(module, "parse_query", None)
            found = short("region/position", query, headers=headers)
        assert found == expected
        assert found.status == 304
    changed = short("region/position", f"{POINT}&{DAY}", headers=headers)
    assert not isinstance(changed, OgcResponse) or changed.status == 200


def test_an_asterisk_is_no_state(site: Any, short: Any) -> None:
    headers = {"if-none-match": "*"}
    with pytest.raises(NoDataError):
        short("region/position", "coords=POINT(100 70)", headers=headers)
    site.edr("region/position", POINT)
    assert short("region/position", POINT, headers=headers).status == 304


@pytest.mark.parametrize(
    ("where", "query", "fields"),
    [
        ("region/position", POINT, {"method": "HEAD"}),
        ("region/position", POINT, {"method": "POST"}),
        ("region/position", POINT, {"headers": {"prefer": "respond-async"}}),
        ("region/position", POINT, {"headers": {"range": "bytes=0-3"}}),
        ("region/position", f"{POINT}&f=CSV", {}),
        ("region/position", f"{POINT}&crs=EPSG:3857", {}),
        ("region/position", f"{POINT}&interpolation=linear", {}),
        ("region/position", f"{POINT}&datetime=R2/2020-01-01T00:00:00Z/PT6H", {}),
        ("region/position", f"{POINT}&datetime=" + ",".join(["2020-01-01"] * 60), {}),
        ("region/cube", "bbox=0,0,10,10&resolution-x=2", {}),
        ("region/radius", "coords=POINT(0 0)&within=900&within-units=km", {}),
        ("region/nonsense", POINT, {}),
    ],
)
def test_what_may_take_longer_is_left_alone(site: Any, short: Any, where: str, query: str, fields: Any) -> None:
    site.edr("region/position", POINT)
    assert short(where, query, **fields) is None


def test_many_values_are_left_to_a_thread(site: Any, short: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.edr("region/position", POINT)
    monkeypatch.setattr(module, "MOST_VALUES", 3)
    rest = short("region/position", POINT)
    assert rest().content() == site.edr("region/position", POINT).content()


def test_nothing_is_waited_for(
    site: Any, short: Any, stores: Any, site_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = DatasetDefinition("region", str(stores["region"]))
    busy = site_of([definition], budget=ByteBudget(1000))
    site.edr("region/position", POINT)
    busy.edr("region/position", POINT)
    take = ByteBudget._take
    waits: list[float] = []
    monkeypatch.setattr(
        ByteBudget, "_take", lambda self, amount, timeout: (waits.append(timeout), take(self, amount, timeout))
    )
    with busy.service.budget.hold(1000):
        waits.clear()
        assert callable(short("region/position", POINT, of=busy))
    assert isinstance(short("region/position", POINT, of=busy), OgcResponse)
    assert waits == [0.0, 0.0]


def test_what_is_too_large_is_refused_by_a_thread(short: Any, stores: Any, site_of: Any) -> None:
    strict = site_of([DatasetDefinition("region", str(stores["region"]))], limits=Limits(values=2))
    rest = short("region/position", POINT, of=strict)
    assert rest().status == 413


def test_a_dataset_that_is_due_to_be_looked_at_is_left_alone(site: Any, short: Any, monkeypatch: Any) -> None:
    site.edr("region/position", POINT)
    site.service.library.get("region")
    request = site.request("/ogc/collections/region/position", POINT)
    assert isinstance(at_once(site.service, request, "region", "position"), OgcResponse)
    later = library.monotonic() + library.CHECK_SECONDS
    monkeypatch.setattr(library, "monotonic", lambda: later)
    assert at_once(site.service, request, "region", "position") is None


def test_a_dataset_nobody_has_asked_for_yet_is_left_alone(stores: Any, site_of: Any) -> None:
    fresh = site_of([DatasetDefinition("elsewhere", str(stores["globe"]))])
    request = fresh.request("/ogc/collections/elsewhere/position", POINT)
    assert at_once(fresh.service, request, "elsewhere", "position") is None
    assert at_once(fresh.service, request, "unknown", "position") is None


def test_a_layout_answers_at_once_when_it_is_open(short: Any, stores: Any, site_of: Any) -> None:
    layout = LayoutDefinition("copy", str(stores["globe"]))
    both = site_of([DatasetDefinition("both", str(stores["globe"]), layouts=(layout,))])
    assert short("both/position", POINT, of=both) is None
    both.edr("both/position", POINT)
    assert isinstance(short("both/position", POINT, of=both), OgcResponse)


def test_a_wrong_parameter_is_said_at_once(short: Any) -> None:
    with pytest.raises(InvalidQueryError, match="nonsense"):
        short("region/position", f"{POINT}&nonsense=1")
