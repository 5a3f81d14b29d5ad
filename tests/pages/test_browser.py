"""What does a person see in a real browser, on a machine without the internet?"""

from __future__ import annotations

import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

READY = "document.querySelector('#explorer')?.dataset.map === 'ready'"
SERIES = "document.querySelector('#explorer')?.dataset.series === 'ready'"
ROWS = "[...document.querySelectorAll('#series-rows tr')].map(r => [...r.children].map(c => c.textContent))"


def number(text: str) -> float:
    return math.nan if text == "missing" else float(text)


def at_grid_point(page: Any) -> tuple[float, float]:
    title = page.evaluate("document.querySelector('#series-title').textContent")
    found = re.search(r"grid point ([\d.]+)°([EW]?), ([\d.]+)°([NS]?)", title)
    assert found, title
    return float(found[1]) * (-1 if found[2] == "W" else 1), float(found[3]) * (-1 if found[4] == "S" else 1)


def read_png(path: Path) -> np.ndarray:
    """Decode an 8-bit RGB or RGBA PNG: shape (height, width, channels)."""
    data, at, packed = path.read_bytes(), 8, b""
    width = height = channels = 0
    while at < len(data):
        (size,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", body[:10])
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, width * channels + 1)
    out = np.zeros((height, width * channels), np.int32)
    for row in range(height):
        filtered, line = raw[row, 0], raw[row, 1:].astype(np.int32)
        above = out[row - 1] if row else np.zeros(width * channels, np.int32)
        if filtered in (0, 2):
            out[row] = (line + (above if filtered == 2 else 0)) & 255
            continue
        for i in range(width * channels):
            left = out[row, i - channels] if i >= channels else 0
            corner = above[i - channels] if i >= channels else 0
            if filtered == 1:
                guess = left
            elif filtered == 3:
                guess = (left + above[i]) // 2
            else:
                p = left + above[i] - corner
                distances = (abs(p - left), abs(p - above[i]), abs(p - corner))
                guess = (left, above[i], corner)[int(np.argmin(distances))]
            out[row, i] = (line[i] + guess) & 255
    return out.reshape(height, width, channels)


def test_landing_page_is_whole_without_the_internet(chromium: Any, site: Any) -> None:
    with chromium.page(site.url + "/") as page:
        assert page.evaluate("document.querySelectorAll('.cards > .card').length") == 3
        assert page.evaluate("document.querySelector('#collection-waves h3').textContent") == "Waves & <b>more</b>"
        assert "its grid is curvilinear" in page.evaluate("document.querySelector('#collection-ocean').textContent")
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        hrefs = page.evaluate("[...document.querySelectorAll('.fronts a')].map(a => a.getAttribute('href'))")
        assert {f"/below/{path}" for path in ("ogc", "stac", "ogc/processes", "ogc/openapi", "health/ready")} <= set(
            hrefs
        )
    assert page.requests
    assert all(url.startswith(site.url) for url in page.requests), page.requests
    assert page.complaints == []


def test_map_and_series_at_a_deep_link(chromium: Any, site: Any, waves: Any, tmp_path: Path) -> None:
    with chromium.page(f"{site.url}/collections/waves?parameter=sst&number=2&point=-31,1") as page:
        page.wait(f"{READY} && {SERIES}")
        x, y = at_grid_point(page)
        assert (x, y) == (-32.5, 2.5)
        rows = page.evaluate(ROWS)
        assert len(rows) == 500
        expected = np.asarray(waves.value("sst", np.arange(500), 2, y, x))
        expected[3] = math.nan
        np.testing.assert_allclose([number(value) for _, value in rows], expected, rtol=1e-6)
        assert [rows[0][0], rows[24][0], rows[48][0]] == [
            f"2020-{day}T00:00:00Z" for day in ("02-28", "02-29", "03-01")
        ]
        assert "6000 values" in page.evaluate("document.querySelector('#series-status').textContent")
        assert "1 missing" in page.evaluate("document.querySelector('#series-status').textContent")
        legend = page.evaluate("document.querySelector('#plot .u-legend').textContent")
        assert "Sea surface temperature (K)" in legend
        page.screenshot(tmp_path / "map.png", "#map", 0.25)
    assert all(url.startswith(site.url) for url in page.requests), page.requests
    assert page.complaints == []
    picture = read_png(tmp_path / "map.png")[..., :3]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50, "the map is blank"


def test_painted_cells_lie_where_their_values_do(chromium: Any, site: Any, waves: Any) -> None:
    """The read-out under the pointer is the value of the formula there, on both sides of Greenwich and the equator."""
    with chromium.page(f"{site.url}/collections/waves") as page:
        page.wait(READY)
        box = page.evaluate(
            "(r => [r.left, r.top, r.width, r.height])(document.querySelector('#map').getBoundingClientRect())"
        )
        for across, down in ((0.3, 0.3), (0.7, 0.3), (0.4, 0.6), (0.6, 0.7)):
            page.send(
                "Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + across * box[2], y=box[1] + down * box[3]
            )
            page.wait("document.querySelector('#readout').textContent.includes('·')")
            text = page.evaluate("document.querySelector('#readout').textContent")
            found = re.fullmatch(r"(-?[\d.]+)°, (-?[\d.]+)° · (\S+)(?: K)?", text.strip())
            assert found, text
            x, y = float(found[1]) % 360, float(found[2])
            centre_x, centre_y = 5 * math.floor(x / 5) + 2.5, 5 * math.floor(y / 5) + 2.5
            expected = float(waves.value("t2m", 0, 0, centre_y, centre_x))
            np.testing.assert_allclose(number(found[3]), expected, rtol=1e-6, err_msg=text)
    assert page.complaints == []


def test_colours_of_the_pixels(chromium: Any, site: Any) -> None:
    """The warmest cell (90 E, equator) has the last colour of the scale, 90 W has not, and missing cells have none."""
    pixel = """(() => {
        const canvas = document.querySelector('#map canvas.field'), frame = canvas.getBoundingClientRect();
        const box = document.querySelector('#map .leaflet-coast-pane path').getBoundingClientRect();
        const at = (lon, lat) => [box.left - frame.left + (lon + 180) / 360 * box.width,
                                  box.top - frame.top + (90 - lat) / 180 * box.height].map(Math.round);
        return [[90, 0], [-90, 0], [0, -75], [0, 75]].map(place =>
            [...canvas.getContext('2d').getImageData(...at(...place), 1, 1).data]);
    })()"""
    with chromium.page(f"{site.url}/collections/waves") as page:
        page.wait(READY)
        warm, cool, missing, cold = page.evaluate(pixel)
    assert warm == [138, 18, 8, 255]
    assert cool[3] == 255
    assert cool != warm
    assert missing[3] == 0
    assert cold[3] == 255
    assert cold[2] > cold[0], "the cold end of the scale is blue"


def test_click_steps_and_keyboard(chromium: Any, site: Any, waves: Any) -> None:
    with chromium.page(f"{site.url}/collections/waves") as page:
        page.wait(READY)
        box = page.evaluate(
            "(r => [r.left, r.top, r.width, r.height])(document.querySelector('#map').getBoundingClientRect())"
        )
        page.click(box[0] + box[2] * 0.25, box[1] + box[3] * 0.4)
        page.wait(SERIES)
        x, y = at_grid_point(page)
        assert number(page.evaluate(ROWS)[0][1]) == pytest.approx(float(waves.value("t2m", 0, 0, y, x)), rel=1e-6)
        page.evaluate("document.querySelector('#time-next').click()")
        page.wait(READY)
        assert page.evaluate("document.querySelector('#time').value") == "2020-02-28T01:00:00Z"
        page.evaluate("document.querySelector('#time-last').focus()")
        page.press("Enter", 13)
        page.wait(READY)
        assert page.evaluate("document.querySelector('#time').value") == "2020-11-03T23:00:00Z"
        assert page.evaluate("document.querySelector('#time-last').disabled")
        page.evaluate("document.querySelector('#time').value = '2020-03-01T11:40'")
        page.evaluate("document.querySelector('#time').dispatchEvent(new Event('change'))")
        page.wait(READY)
        assert page.evaluate("document.querySelector('#time').value") == "2020-03-01T12:00:00Z"
        assert "time=2020-03-01T12%3A00%3A00Z" in page.evaluate("location.search")
        # The form is the way to a point without a mouse.
        page.evaluate(
            "document.querySelector('#longitude').value = 191; document.querySelector('#latitude').value = -42"
        )
        page.evaluate("document.querySelector('#point-form').requestSubmit()")
        page.wait(f"{SERIES} && document.querySelector('#series-title').textContent.includes('167.5°W, 42.5°S')")
        page.evaluate("document.querySelector('#period-from').value = '2020-03-01T00:00:00Z'")
        page.evaluate("document.querySelector('#period-form').requestSubmit()")
        page.wait(f"{SERIES} && {ROWS}[0][0] === '2020-03-01T00:00:00Z'")
        links = page.evaluate("[...document.querySelectorAll('#series-downloads a')].map(a => a.href)")
        assert [link.rpartition("f=")[2] for link in links] == ["CoverageJSON", "NetCDF", "CSV"]
        assert all("datetime=2020-03-01T00%3A00%3A00Z%2F2020-11-03T23%3A00%3A00Z" in link for link in links)
        unlabelled = (
            "[...document.querySelectorAll('main input, main select')].filter(e => !e.labels.length && !e.ariaLabel)"
        )
        assert page.evaluate(f"{unlabelled}.length") == 0
    assert page.complaints == []


def test_calendar_of_360_days(chromium: Any, site: Any, model: Any) -> None:
    with chromium.page(f"{site.url}/collections/model?point=10,50&time=2000-02-30") as page:
        page.wait(f"{READY} && {SERIES}")
        assert page.evaluate("document.querySelector('#time').value") == "2000-02-30T00:00:00Z"
        x, y = at_grid_point(page)
        rows = page.evaluate(ROWS)
        assert [time for time, _ in rows[1:4]] == [f"2000-{month}-30T00:00:00Z" for month in ("01", "02", "03")]
        expected = np.asarray(model.value("t2m", np.arange(24), 0, y, x))
        expected[3] = math.nan
        np.testing.assert_allclose([number(value) for _, value in rows], expected, rtol=1e-6)
    assert page.complaints == []


def test_refusals_are_sentences(chromium: Any, site: Any) -> None:
    site.edr.refuse = "this query would decode 9.1 GB, and 256 MiB are allowed"
    with chromium.page(f"{site.url}/collections/waves?point=0,0") as page:
        page.wait(f"document.querySelector('#explorer').dataset.map === 'error' && {SERIES}")
        text = page.evaluate("document.querySelector('#map-status').textContent")
        assert (
            text
            == "The server refused this query as too large. This query would decode 9.1 GB, and 256 MiB are allowed."
        )
        assert page.evaluate("document.querySelector('#legend').hidden")
        assert page.evaluate(ROWS), "the plot does not depend on the map"


def test_narrow_and_dark(chromium: Any, site: Any) -> None:
    with chromium.page(f"{site.url}/collections/waves?point=0,0", width=380, height=800, dark=True) as page:
        page.wait(f"{READY} && {SERIES}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 22, 28)"
    assert page.complaints == []
