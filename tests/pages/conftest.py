"""A small site with answers made by hand from formulas, and a real browser to look at it with."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import decode, to_iso
from plugins.datacube.datacube import CRS84, Datacube, Extent, Grid, GridKind, Integrity, Parameter
from plugins.datacube.definition import DatasetDefinition
from server.pages.bundle import BUNDLE, BundleError, bundle
from server.pages.context import CollectionCard, CollectionPage, LandingPage
from server.pages.render import HEADERS, Pages, explorer_document

BASE = "/below"
"""The mock site lies below a path, so that an address which forgets it is found out."""


def axis(kind: AxisKind, name: str, values: Any, **more: Any) -> Axis:
    return Axis(kind, name, np.asarray(values), **more)


def cube_of(
    definition: DatasetDefinition, axes: list[Axis], parameters: dict[str, tuple[str, str]], **more: Any
) -> Datacube:
    """A datacube of global rectilinear axes whose parameters all lie on all of them."""
    dims = tuple(a.name for a in axes)
    shape = tuple(a.size for a in axes)
    t = next((a for a in axes if a.kind is AxisKind.T), None)
    texts = t.take(np.array([0, t.size - 1])).texts() if t else (None, None)
    return Datacube(
        definition=definition,
        title=definition.title or definition.id,
        description=definition.description or "",
        parameters={
            name: Parameter(name, dims, shape, "float32", shape, label=label, units=units)
            for name, (label, units) in parameters.items()
        },
        axes={a.name: a for a in axes},
        grid=Grid(GridKind.RECTILINEAR, CRS84, "", geographic=True),
        extent=Extent(-180.0, -90.0, 180.0, 90.0, *texts),
        snapshot="s1",
        integrity=Integrity.VERIFIED,
        **more,
    )


@dataclass(frozen=True)
class Waves:
    """A made-up field: every value can be computed from its coordinates."""

    cube: Datacube

    def value(self, name: str, t: Any, member: Any, y: Any, x: Any) -> Any:
        """Value at time index, member, latitude and longitude (0..360); missing south of 60 S; never the same twice."""
        wave = 280.0 + 10.0 * np.cos(np.radians(y)) + 3.0 * np.sin(np.radians(x)) + 0.01 * t + 0.5 * member
        wave = wave + (100.0 if name == "sst" else 0.0)
        return np.where(np.asarray(y) < -60, np.nan, wave)


@pytest.fixture(scope="session")
def waves() -> Waves:
    """Hourly, three members, longitudes from 0, latitudes from north to south, 6,000 times: too many to list."""
    hours = decode(np.arange(6000), "hours since 2020-02-28", "standard")
    axes = [
        axis(AxisKind.CUSTOM, "number", np.arange(3), long_name="ensemble member"),
        axis(AxisKind.T, "time", hours, calendar="standard", units="hours since 2020-02-28"),
        axis(AxisKind.Y, "lat", np.arange(87.5, -88, -5.0), units="degrees_north"),
        axis(AxisKind.X, "lon", np.arange(2.5, 360, 5.0), units="degrees_east", cyclic=True),
    ]
    definition = DatasetDefinition("waves", "nowhere", title="Waves & <b>more</b>", description="A field by a formula.")
    parameters = {"t2m": ("2 metre temperature", "K"), "sst": ("Sea surface temperature", "K")}
    return Waves(cube_of(definition, axes, parameters))


@pytest.fixture(scope="session")
def model() -> Waves:
    """Monthly means of the 360_day calendar: every month has a 30th day, February too."""
    days = decode(np.arange(24) * 30 + 29, "days since 1999-12-01", "360_day")
    axes = [
        axis(AxisKind.T, "time", days, calendar="360_day"),
        axis(AxisKind.Y, "lat", np.arange(-87.5, 88, 5.0), units="degrees_north"),
        axis(AxisKind.X, "lon", np.arange(-177.5, 180, 5.0), units="degrees_east"),
    ]
    return Waves(cube_of(DatasetDefinition("model", "nowhere", title="A model"), axes, {"t2m": ("Temperature", "K")}))


def ndarray(values: Any, names: list[str]) -> dict[str, Any]:
    flat = [None if np.isnan(v) else float(v) for v in np.asarray(values, float).ravel()]
    return {"type": "NdArray", "dataType": "float", "axisNames": names, "shape": list(values.shape), "values": flat}


class MockEdr:
    """Just enough of EDR for the page, with axes in an unusual order on purpose."""

    def __init__(self, datasets: dict[str, Waves]) -> None:
        self.datasets = datasets
        self.refuse: str | None = None
        """Sentence of a 413 to give to every cube query."""

    def answer(self, request: Request) -> Response:
        wanted = self.datasets[request.path_params["id"]]
        cube, given = wanted.cube, request.query_params
        name = given["parameter-name"]
        t = cube.axis(AxisKind.T)
        assert t is not None
        member = float(given["number"]) if "number" in cube.axes else 0.0
        texts = to_iso(t.values, t.calendar)
        if request.path_params["kind"] == "cube":
            if self.refuse:
                problem = {"type": "about:blank", "title": "Too large", "status": 413, "detail": self.refuse}
                return JSONResponse(problem, 413, media_type="application/problem+json")
            index = texts.index(given["datetime"])
            west, south, east, north = map(float, given["bbox"].split(","))
            assert (west, south, east, north) == (-180, -90, 180, 90)
            x, y = cube.axes["lon"].values, cube.axes["lat"].values
            values = wanted.value(name, index, member, y[None, :], x[:, None])[None]
            axes = {"t": {"values": [texts[index]]}, "x": {"values": x.tolist()}, "y": {"values": y.tolist()}}
            return self.coverage("Grid", name, axes, ndarray(values, ["t", "x", "y"]))
        px, py = map(float, given["coords"].removeprefix("POINT(").removesuffix(")").split())
        x, y = cube.axes["lon"].values, cube.axes["lat"].values
        at_x = int(np.abs((x - px + 180) % 360 - 180).argmin())
        at_y = int(np.abs(y - py).argmin())
        first, _, last = given.get("datetime", "../..").partition("/")
        start = 0 if first == ".." else texts.index(first)
        stop = t.size if last == ".." else texts.index(last) + 1
        index = np.arange(start, stop)
        values = np.asarray(wanted.value(name, index, member, y[at_y], x[at_x]))
        values = np.where(index == 3, np.nan, values)
        axes = {"t": {"values": texts[start:stop]}, "x": {"values": [x[at_x]]}, "y": {"values": [y[at_y]]}}
        return self.coverage("PointSeries", name, axes, ndarray(values, ["t"]))

    @staticmethod
    def coverage(kind: str, name: str, axes: dict[str, Any], values: dict[str, Any]) -> Response:
        domain = {"type": "Domain", "domainType": kind, "axes": axes, "referencing": []}
        document = {"type": "Coverage", "domain": domain, "parameters": {}, "ranges": {name: values}}
        return JSONResponse(document, media_type="application/vnd.cov+json")


@dataclass(frozen=True)
class Site:
    """Where the mock site is, and the means to make it misbehave."""

    url: str
    edr: MockEdr


@pytest.fixture(scope="session")
def bundle_dir() -> Path:
    """The bundle of the libraries, made where it is missing."""
    try:
        bundle()
    except BundleError as error:
        pytest.skip(f"the page libraries cannot be bundled here: {error.detail}")
    return BUNDLE


@contextlib.contextmanager
def served(application: Starlette) -> Iterator[str]:
    """Serve on a free port of the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(60)


@pytest.fixture
def serve() -> Callable[[Starlette], contextlib.AbstractContextManager[str]]:
    """Serve an application for the time of a ``with``, and give its address."""
    return served


@pytest.fixture(scope="session")
def running_site(waves: Waves, model: Waves, bundle_dir: Path) -> Iterator[Site]:
    pages = Pages(bundle_dir, BASE)
    edr = MockEdr({"waves": waves, "model": model})
    cards = {key: CollectionCard.of(w.cube.definition, w.cube) for key, w in edr.datasets.items()}
    broken = CollectionCard.of(DatasetDefinition("ocean", "nowhere", title="Ocean"), None, "its grid is curvilinear")
    landing_page = LandingPage("Isopleth", "A test.", (*cards.values(), broken))

    def landing(request: Request) -> Response:
        return HTMLResponse(pages.landing(landing_page), headers=HEADERS)

    def collection(request: Request) -> Response:
        return HTMLResponse(pages.collection(CollectionPage(cards[request.path_params["id"]])), headers=HEADERS)

    def axes(request: Request) -> Response:
        return JSONResponse(explorer_document(edr.datasets[request.path_params["id"]].cube))

    inner = Starlette(
        routes=[
            Route("/", landing),
            Route("/collections/{id}", collection),
            Route("/collections/{id}/axes.json", axes),
            Route("/ogc/collections/{id}/{kind}", edr.answer),
            *pages.static_routes(),
        ]
    )
    outer = Starlette()
    outer.mount(BASE, inner)
    with served(outer) as address:
        yield Site(address + BASE, edr)


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The mock site, well-behaved again after each test."""
    yield running_site
    running_site.edr.refuse = None


class CommandError(AssertionError):
    """The browser did not do what a command asked."""


@dataclass
class Page:
    """One page in a headless Chromium, driven by the DevTools protocol over a pipe."""

    send: Callable[..., dict[str, Any]]
    events: Callable[[], list[dict[str, Any]]]
    requests: list[str] = field(default_factory=list)
    """Every address that the page asked for."""
    complaints: list[str] = field(default_factory=list)
    """Console errors and warnings, exceptions, and violations of the content security policy."""

    def collect(self) -> None:
        for event in self.events():
            kind, given = event["method"], event["params"]
            if kind == "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])
            elif kind == "Runtime.exceptionThrown":
                self.complaints.append(str(given["exceptionDetails"]))
            elif kind == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(given["args"]))
            elif kind == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
                self.complaints.append(given["entry"]["text"])

    def evaluate(self, script: str) -> Any:
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def holds(self, script: str) -> bool:
        """Whether a script gives a true value; not while one page gives way to another."""
        try:
            return bool(self.evaluate(script))
        except CommandError:
            return False

    def wait(self, script: str, seconds: float = 120.0) -> None:
        """Wait until a script gives a true value."""
        end = time.monotonic() + seconds
        while not self.holds(script):
            self.collect()
            assert time.monotonic() < end, f"never true: {script}; {self.complaints}"
            time.sleep(0.05)
        self.collect()

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text="\r" if code == 13 else "",
            )

    def click(self, x: float, y: float) -> None:
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path, selector: str = "html", scale: float = 1.0) -> None:
        """Save a picture of one element, whole, whether it is in view or not."""
        rectangle = f"{self.element(selector)}.getBoundingClientRect()"
        box = f"(r => [r.left + scrollX, r.top + scrollY, r.width, r.height])({rectangle})"
        clip = dict(zip(("x", "y", "width", "height"), self.evaluate(box), strict=True)) | {"scale": scale}
        answer = self.send("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    @staticmethod
    def element(selector: str) -> str:
        return f"document.querySelector({selector!r})"


class Chromium:
    """A headless Chromium behind two pipes: commands and answers are JSON texts that end with a null byte."""

    def __init__(self, binary: str, profile: Path) -> None:
        # Descriptors above 9, so that none of them is in the way of 3 and 4, which Chromium listens on.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (*os.pipe(), *os.pipe())]
        to_read, self._write, self._read, to_write = ends
        nothing_else = ["background-networking", "component-update", "dev-shm-usage", "gpu", "quic", "sync"]
        flags = ["--headless=new", "--no-sandbox", "--no-first-run", "--no-proxy-server", "--remote-debugging-pipe"]
        flags += [f"--disable-{thing}" for thing in nothing_else]
        flags += ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
        # A small Python puts the pipes where Chromium expects them, and becomes Chromium.
        pipes = f"os.dup2({to_read}, 3); os.dup2({to_write}, 4)"
        become = f"import os, sys; {pipes}; os.execv(sys.argv[1], sys.argv[1:])"
        command = [sys.executable, "-c", become, binary, *flags, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [*command, "about:blank"],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._events: dict[str, list[dict[str, Any]]] = {}
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        rest = b""
        while piece := os.read(self._read, 1 << 20):
            *whole, rest = (rest + piece).split(b"\0")
            for text in whole:
                self._messages.put(json.loads(text))

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._messages.get(timeout=120)
            if answer.get("id") == number:
                if "error" in answer:
                    raise CommandError(answer)
                return dict(answer["result"])
            if "sessionId" in answer:
                self._events.setdefault(answer["sessionId"], []).append(answer)

    @contextlib.contextmanager
    def page(self, url: str, *, width: int = 1200, height: int = 900, dark: bool = False) -> Iterator[Page]:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

        def send(method: str, **parameters: Any) -> dict[str, Any]:
            return self.send(method, session, **parameters)

        for domain in ("Page", "Runtime", "Network", "Log"):
            send(f"{domain}.enable")
        send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        send("Emulation.setEmulatedMedia", features=[scheme])
        send("Page.navigate", url=url)
        page = Page(send, lambda: self._events.pop(session, []))
        # The blank page is complete too, and may be there a moment longer.
        page.wait("location.href !== 'about:blank' && document.readyState === 'complete'")
        try:
            yield page
        finally:
            page.collect()
            self.send("Target.closeTarget", targetId=target)

    def close(self) -> None:
        with contextlib.suppress(OSError, queue.Empty):
            self.send("Browser.close")
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser; tests that need one are skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    if binary is None:
        pytest.skip(f"no browser on this machine ({', '.join(names)})")
    browser = Chromium(binary, tmp_path_factory.mktemp("chromium"))
    try:
        yield browser
    finally:
        browser.close()
