"""Is the bundle made once, whole, from a lock file that names no registry, and are failures one sentence?"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from server.pages import bundle as bundling
from server.pages.bundle import FILES, STAMP, BundleError, Node, NodeMissingError, bundle, bundled_stamp, stamp

PAGES = Path(bundling.__file__).parent


def test_lock_names_no_registry_and_checks_everything() -> None:
    lock = json.loads((PAGES / "package-lock.json").read_text())
    installed = {key: value for key, value in lock["packages"].items() if key}
    assert {"node_modules/leaflet", "node_modules/uplot", "node_modules/world-atlas"} <= installed.keys()
    assert all(
        "resolved" not in package and package["integrity"].startswith("sha512-") for package in installed.values()
    )
    assert any(key.startswith("node_modules/@esbuild/linux-arm64") for key in installed), (
        "other platforms can bundle too"
    )


def test_bundle_is_complete_and_fresh(bundle_dir: Path) -> None:
    assert bundled_stamp(bundle_dir) == stamp()
    again = bundle()
    assert not again.built
    assert again.node is None
    licences = (bundle_dir / "THIRD_PARTY_LICENSES.txt").read_text()
    for name in ("leaflet 1.9.4", "uplot", "topojson-client", "world-atlas", "Natural Earth"):
        assert name in licences
    script = (bundle_dir / "explorer.js").read_text()
    assert "eval(" not in script


def test_land_does_not_cross_the_antimeridian_as_a_streak(bundle_dir: Path) -> None:
    """No edge of a ring of the small world map is longer than 180 degrees, but Antarctica's along the pole."""
    path = (bundle_dir / "world.svg").read_text().partition(' d="')[2].partition('"')[0]
    rings = [[tuple(map(float, p.split())) for p in ring.rstrip("Z").split("L")] for ring in path.split("M") if ring]
    assert len(rings) > 100
    jumps = [(a, b) for ring in rings for a, b in pairwise(ring) if abs(a[0] - b[0]) > 180]
    assert all(a[1] >= 84 for a, _ in jumps), jumps


def test_half_a_bundle_is_none(tmp_path: Path) -> None:
    assert bundled_stamp(tmp_path / "absent") is None
    for name in (STAMP, *FILES[1:]):
        (tmp_path / name).write_text("x")
    assert bundled_stamp(tmp_path) is None


def test_no_node_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundling.shutil, "which", lambda name: None)
    monkeypatch.setattr(bundling.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NodeMissingError, match=r"Node\.js 18 or later with npm was not found"):
        bundle(tmp_path / "bundle")
    assert bundling.main(["--target", str(tmp_path / "bundle")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


def fake_node(tmp_path: Path, text: str) -> Node:
    """A Node.js whose npm says something and fails."""
    code = f"import sys; sys.stderr.write({text!r}); sys.exit(1)"
    return Node("20.0.0", "machine", (sys.executable,), (sys.executable, "-c", code), tmp_path)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("npm error code ENOTFOUND\nnpm error network request failed", "registry cannot be reached"),
        ("npm error code EINTEGRITY\nnpm error sha512 differs", "failed: npm error code EINTEGRITY"),
    ],
)
def test_failures_leave_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, sentence: str
) -> None:
    old = tmp_path / "bundle"
    old.mkdir()
    (old / "explorer.js").write_text("old")
    monkeypatch.setattr(bundling, "find_node", lambda: fake_node(tmp_path, message))
    with pytest.raises(BundleError, match=sentence):
        bundle(old)
    assert (old / "explorer.js").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_module_runs_by_itself(bundle_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server.pages.bundle"], capture_output=True, text=True, cwd=PAGES.parents[1]
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
