"""The generated cube is what it says: deterministic, on its grid, with physics that nobody must believe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plugins.datacube import synthetic
from plugins.datacube.library import Library
from plugins.datacube.synthetic import DEFINITION, content, publish_synthetic, values

HOURS = np.arange(0, 24 * 20, 3)
LATS = np.linspace(90, -90, 37)
LONS = np.arange(0.0, 360.0, 10.0)


def test_values_are_plausible_and_finite() -> None:
    limits = {"t2m": (215, 325), "u10": (-25, 30), "v10": (-20, 20), "tp": (0, 0.005)}
    for name, (low, high) in limits.items():
        field = values(name, HOURS, LATS, LONS)
        assert field.dtype == np.float32
        assert field.shape == (HOURS.size, LATS.size, LONS.size)
        assert low <= field.min() < field.max() <= high
    temperature = values("t2m", HOURS, LATS, LONS).mean(axis=(0, 2))
    equator, poles = temperature[18], temperature[[0, -1]]
    assert equator > poles.max() + 20
    # Northern winter.
    assert poles[0] < poles[1]


def test_the_day_follows_the_sun() -> None:
    day = values("t2m", np.arange(24), np.array([0.0]), np.array([0.0, 90.0]))[:, 0]
    assert abs(int(day[:, 0].argmax()) - 14.5) <= 2
    assert (int(day[:, 0].argmax()) - int(day[:, 1].argmax())) % 24 == 6


def test_any_part_is_the_same_part_of_the_whole_in_either_longitude_convention() -> None:
    whole = values("u10", HOURS, LATS, LONS)
    np.testing.assert_array_equal(values("u10", HOURS[5:9], LATS[3:20], LONS[7:]), whole[5:9, 3:20, 7:])
    west = values("tp", HOURS, LATS, LONS - 360.0)
    np.testing.assert_allclose(west, values("tp", HOURS, LATS, LONS), atol=1e-5)


def test_the_published_cube_holds_these_values_and_names_itself_synthetic(tmp_path: Path) -> None:
    report = publish_synthetic(tmp_path, days=2)
    assert report.id == "era5-like"
    assert set(report.parameters) == {"t2m", "u10", "v10", "tp"}
    assert report.added_times == 48
    opened = Library([], tmp_path / "datasets").get("era5-like")
    assert "synthetic" in opened.cube.title.lower()
    assert opened.cube.integrity.value == "verified"
    for name, array in opened.arrays.items():
        wanted = values(name, np.arange(48), np.linspace(90, -90, 91), np.arange(0.0, 360.0, 2.0))
        np.testing.assert_array_equal(np.asarray(array[...]), wanted)


def test_the_demonstration_has_sixty_days_at_two_degrees() -> None:
    cube = content()
    assert dict(cube.dimensions) == {"time": 1440, "latitude": 91, "longitude": 180}
    assert cube.read("time")[0] == np.datetime64("2024-01-01T00", "h").astype(int)
    assert synthetic.DAYS == 60
    assert DEFINITION.licence == "CC0-1.0"
