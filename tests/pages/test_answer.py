"""Does a browser get a page about the answer of a data query that shows the stored numbers, and where else they are?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.links import FrontUrls
from server.ogc.messages import OgcRequest, OgcResponse
from server.pages.answer import answer_page
from server.pages.render import Pages

READY = "document.querySelector('#answer')?.dataset.answer === 'ready'"
TEXT = "document.querySelector({!r}).textContent"
ROWS = "[...document.querySelectorAll('#series-rows tr')].map(r => [...r.children].map(c => c.textContent))"
HOURS = np.arange("2020-01-02T00", "2020-01-02T06", dtype="M8[h]")
DATETIME = "datetime=2020-01-02T00:00:00Z/2020-01-02T05:00:00Z"


def page_of(path: str, **query: str) -> str:
    request = OgcRequest("GET", path, {name: [value] for name, value in query.items()}, FrontUrls("http://h/below"))
    return answer_page(Pages(Path("/nowhere"), "/below"), "A server", request, OgcResponse(200))


def test_the_page_needs_no_script_to_lead_to_every_format() -> None:
    text = page_of("/ogc/collections/a%2Fb/cube", bbox="0,1,2,3", f="html", datetime="<b>")
    links = dict(re.findall(r'<a href="(/below/ogc/[^"]*)">([A-Za-z-]+)</a> ', text))
    assert "NetCDF" in links.values()
    assert "GeoTIFF" in links.values()
    for href, name in links.items():
        if "?bbox" in href:
            assert href == f"/below/ogc/collections/a%2Fb/cube?bbox=0%2C1%2C2%2C3&amp;datetime=%3Cb%3E&amp;f={name}"
    assert "<h1>Cube of a/b</h1>" in text
    assert "<b>" not in text
    assert "http://h" not in text
    assert "<code>html</code>" not in text


def test_a_location_has_the_formats_of_every_answer() -> None:
    text = page_of("/ogc/collections/a/locations/kew", datetime="2020")
    assert "<h1>Kew of a</h1>" in text
    assert ">NetCDF</a>" in text
    assert ">GeoTIFF</a>" not in text


@pytest.fixture(scope="module")
def served(era5_like: Any, serve_process: Any, bundle_dir: Path) -> tuple[str, Any]:
    """A store of rows and columns, and one of HEALPix cells, and what knows their values."""
    grid, module = era5_like("--years", "0.02", "--resolution", "10", "--variables", "t2m,msl")
    cells, _ = era5_like("--years", "0.02", "--healpix", "4", "--variables", "t2m", "--levels", "850,500")
    return serve_process(str(grid), str(cells)).url, (grid.stem, cells.stem, module)


def test_a_grid_is_a_map_at_a_chosen_time(chromium: Any, served: Any) -> None:
    url, (grid, _, module) = served
    query = f"{url}/ogc/collections/{grid}/cube?bbox=-20,30,40,70&{DATETIME}&f=html"
    with chromium.page(query) as page:
        page.wait(READY)
        assert page.evaluate("document.querySelector('#answer').dataset.kind") == "grid"
        choose = "(s => {{ s.value = {!r}; s.dispatchEvent(new Event('change')) }})(document.querySelector({!r}))"
        page.evaluate(choose.format("t2m", "#parameter"))
        page.evaluate(choose.format("2020-01-02T03:00:00Z", "#time"))
        lats, lons = np.arange(70.0, 29, -10), np.arange(-20.0, 41, 10)
        values = module.expected("t2m", HOURS[3], lats[:, None], lons).ravel()
        rows = page.evaluate(ROWS)
        assert [place for place, _ in rows[:3]] == ["20°W, 70°N", "10°W, 70°N", "0°, 70°N"]
        np.testing.assert_allclose([float(value) for _, value in rows], values, rtol=1e-6)
        painted = (
            "(c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size)"
            "(document.querySelector('canvas.field'))"
        )
        assert page.evaluate(painted) > 15
        assert "2 metre temperature (K)" in page.evaluate(TEXT.format("#legend-title"))
    assert all(each.startswith(url) for each in page.requests), page.requests
    assert page.complaints == []


def test_a_series_is_a_plot_and_a_table_at_each_point(chromium: Any, served: Any) -> None:
    url, (grid, _, module) = served
    query = f"position?coords=MULTIPOINT((0%2050),(170%20-30))&parameter-name=t2m&{DATETIME}&f=html"
    with chromium.page(f"{url}/ogc/collections/{grid}/{query}") as page:
        page.wait(READY)
        for number, (lon, lat) in enumerate(((0, 50), (170, -30))):
            page.evaluate(
                f"(s => {{ s.value = {number}; s.dispatchEvent(new Event('change')) }})"
                "(document.querySelector('#coverage'))"
            )
            rows = page.evaluate(ROWS)
            assert [text for text, _ in rows] == [f"2020-01-02T0{hour}:00:00Z" for hour in range(6)]
            np.testing.assert_allclose([float(v) for _, v in rows], module.expected("t2m", HOURS, lat, lon), rtol=1e-6)
        assert page.evaluate("document.querySelectorAll('#plot canvas').length") == 1
        assert page.evaluate("document.querySelector('#time').closest('label').hidden")
    assert page.complaints == []


def test_cells_without_rows_are_dots(chromium: Any, served: Any) -> None:
    url, (_, cells, module) = served
    query = f"cube?bbox=-60,-60,60,60&parameter-name=t&{DATETIME}&f=html"
    with chromium.page(f"{url}/ogc/collections/{cells}/{query}") as page:
        page.wait(READY)
        parts = page.evaluate("[...document.querySelector('#coverage').options].map(o => o.text)")
        assert parts == ["level 850", "level 500"]
        assert page.evaluate("document.querySelector('#answer').dataset.kind") == "places"
        rows = page.evaluate(ROWS)
        assert len(rows) > 20
        document = page.evaluate("fetch(document.querySelector('#answer').dataset.query).then(r => r.json())")
        places = np.array(document["coverages"][0]["domain"]["axes"]["composite"]["values"])
        # The noise of the oracle hangs on the last digit of a coordinate: its own are taken.
        lats, lons = module.healpix_centres(4)
        turn = (places[:, 0, None] - lons + 180) % 360 - 180
        nearest = (turn**2 + (places[:, 1, None] - lats) ** 2).argmin(axis=1)
        values = module.expected("t", HOURS[0], lats[nearest], lons[nearest], level=850)
        np.testing.assert_allclose([float(value) for _, value in rows], values, rtol=1e-6)
    assert page.complaints == []


def test_a_path_is_dots_and_a_plot(chromium: Any, served: Any) -> None:
    url, (grid, _, _) = served
    query = "trajectory?coords=LINESTRINGM(-60%2040%201577923200,20%2060%201577934000)&parameter-name=t2m&f=html"
    with chromium.page(f"{url}/ogc/collections/{grid}/{query}") as page:
        page.wait(READY)
        assert len(page.evaluate(ROWS)) > 8
        assert "Along the path" in page.evaluate(TEXT.format("#series-title"))
    assert page.complaints == []


def test_what_is_wrong_is_said_on_a_page(chromium: Any, served: Any) -> None:
    url, (grid, _, _) = served
    with chromium.page(f"{url}/ogc/collections/{grid}/position?coords=POINT(0%2095)&f=html") as page:
        assert "latitude 95" in page.evaluate(TEXT.format(".notice"))
