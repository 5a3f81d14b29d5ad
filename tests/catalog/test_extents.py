from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from catalog.extents import WORLD, box_of, extent_of, gregorian, interval_of, rfc3339
from plugins.datacube.calendar import to_iso
from plugins.datacube.datacube import Datacube, Extent, Grid, GridKind

MakeCube = Callable[..., Datacube]


@given(st.datetimes(datetime.fromisoformat("1583-01-01"), datetime.fromisoformat("9999-12-30")))
def test_a_gregorian_date_is_itself(moment: datetime) -> None:
    number = int(np.datetime64(moment, "us").astype(np.int64))
    assert gregorian(to_iso([number], "proleptic_gregorian")[0]) == moment.replace(tzinfo=UTC)


@given(st.integers(1, 9999), st.integers(1, 12), st.integers(1, 30), st.integers(0, 23))
def test_a_360_day_date_keeps_its_fields_where_they_exist(year: int, month: int, day: int, hour: int) -> None:
    found = gregorian(f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:00:00Z")
    assert found is not None
    assert (found.year, found.month, found.hour) == (year, month, hour)
    assert found.day == min(day, calendar.monthrange(year, month)[1])


@pytest.mark.parametrize("text", [None, "-0044-03-15T00:00:00Z", "0000-01-01T00:00:00Z", "12020-01-01T00:00:00Z"])
def test_a_year_that_stac_cannot_write_is_open(text: str | None) -> None:
    assert gregorian(text) is None


@given(st.datetimes())
def test_rfc3339_reads_back(moment: datetime) -> None:
    text = rfc3339(moment.replace(tzinfo=UTC))
    assert len(text.split("-")[0]) == 4
    assert datetime.fromisoformat(text) == moment.replace(tzinfo=UTC)


def test_a_cube_without_time_is_open_at_both_ends(make_cube: MakeCube) -> None:
    cube = make_cube(extent=Extent(0, 0, 1, 1))
    assert interval_of(cube) == (None, None)
    assert extent_of(cube).to_dict()["temporal"] == {"interval": [[None, None]]}


def test_a_projected_box_covers_the_corners_and_edges(make_cube: MakeCube) -> None:
    crs = CRS.from_epsg(27700)
    grid = Grid(GridKind.PROJECTED, "http://www.opengis.net/def/crs/EPSG/0/27700", crs.to_wkt(), False)
    west, south, east, north = box_of(make_cube(grid=grid, extent=Extent(0, 0, 700_000, 1_300_000)))
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    fractions = np.linspace(0, 1, 50)
    x, y = np.meshgrid(fractions * 700_000, fractions * 1_300_000)
    lon, lat = to_degrees.transform(x, y)
    assert west == pytest.approx(lon.min(), abs=0.02)
    assert east == pytest.approx(lon.max(), abs=0.02)
    assert south == pytest.approx(lat.min(), abs=0.02)
    assert north == pytest.approx(lat.max(), abs=0.02)


def test_what_cannot_be_placed_is_everywhere(make_cube: MakeCube) -> None:
    nowhere = float("nan")
    assert box_of(make_cube(extent=Extent(nowhere, 0, 1, 1))) == WORLD
    assert box_of(make_cube(grid=Grid(GridKind.PROJECTED, "", "", False))) == WORLD


def test_no_box_leaves_the_earth(make_cube: MakeCube) -> None:
    cube = make_cube()
    assert box_of(replace(cube, extent=Extent(0.0, -91.0, 360.0, 90.5))) == WORLD
