"""Is the CoverageJSON of ECMWF written as its readers want it, and refused where they would read something else?

That covjsonkit decodes it to the stored numbers is the matter of tests/clients.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from covjson_pydantic.coverage import CoverageCollection as CollectionModel
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from plugins.datacube.axes import AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.formats import covjson_ecmwf
from plugins.formats.table import FORMATS

HOUR = 3_600_000_000
GRID = {"y": [52.0, 51.5], "x": [-0.5, 0.0, 0.5]}


def text(*coverages: Coverage) -> bytes:
    return b"".join(covjson_ecmwf.encode(coverages))


def document(*coverages: Coverage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(*coverages), parse_constant=pytest.fail)
    return found


def refused(*coverages: Coverage) -> InvalidQueryError:
    with pytest.raises(InvalidQueryError) as raised:
        text(*coverages)
    assert raised.value.parameter == "f"
    assert raised.value.valid
    return raised.value


def test_earthkit_knows_it_by_its_first_bytes_and_by_its_media_type(make: Any) -> None:
    assert text(make(t=[0])).startswith(b'{"type": "CoverageCollection"')
    assert FORMATS["CoverageJSON-ECMWF"].content_type == "application/prs.coverage+json"


def test_a_series_has_the_axes_of_ecmwf(make: Any) -> None:
    found = document(make(domain_type=DomainType.POINT_SERIES, t=[0, 24]))
    assert found["domainType"] == "PointSeries"
    (one,) = found["coverages"]
    assert one["domain"]["axes"] == {
        "latitude": {"values": [51.5]},
        "longitude": {"values": [-0.25]},
        "levelist": {"values": [0]},
        "t": {"values": ["1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z"]},
    }
    assert one["mars:metadata"] == {}
    assert (one["ranges"]["t2m"]["axisNames"], one["ranges"]["t2m"]["shape"]) == (["t"], [2])
    assert found["parameters"]["t2m"]["observedProperty"]["id"] == "t2m"
    assert found["parameters"]["t2m"]["unit"]["symbol"] == "K"
    named = [name for connection in found["referencing"] for name in connection["coordinates"]]
    assert named == ["latitude", "longitude", "levelist", "t"]


def test_a_profile_says_its_reference_time_and_step(make: Any) -> None:
    (one,) = document(make(domain_type=DomainType.VERTICAL_PROFILE, t=[3], z=[1000, 500]))["coverages"]
    assert one["mars:metadata"] == {"number": 0, "Forecast date": "1970-01-01T03:00:00Z", "step": 0}
    assert one["domain"]["axes"]["levelist"] == {"values": [1000, 500]}
    assert one["ranges"]["t2m"]["axisNames"] == ["levelist"]


@pytest.mark.parametrize(
    ("axes", "shape"),
    [({"t": [0, 1], "z": [850, 500]}, [2, 2, 2, 3]), ({"t": [0]}, [1, 1, 2, 3]), ({"z": [850, 500]}, [2, 2, 3])],
)
def test_a_grid_has_all_four_axes_in_the_order_that_is_read(make: Any, axes: Any, shape: list[int]) -> None:
    values = np.arange(np.prod(shape), dtype="f4").reshape([n for n in shape if n > 1] if "z" not in axes else shape)
    coverage = make(domain_type=DomainType.GRID, **axes, **GRID)
    coverage = replace(coverage, ranges={"t2m": values.reshape(coverage.shape)})
    found = document(coverage)
    (one,) = found["coverages"]
    block = one["ranges"]["t2m"]
    assert found["domainType"] == "Grid"
    assert block["axisNames"] == ["t", "levelist", "latitude", "longitude"][-len(shape) :]
    assert block["shape"] == shape
    assert block["values"] == list(range(int(np.prod(shape))))
    assert "mars:metadata" not in one


def test_members_are_told_apart(make: Any) -> None:
    coverage = make(custom=[("realization", [3, 7])], t=[0, 1], **GRID)
    found = document(coverage)["coverages"]
    assert [one["mars:metadata"] for one in found] == [
        {"number": number, "Forecast date": "1970-01-01T00:00:00Z"} for number in (3, 7)
    ]
    for number, one in enumerate(found):
        expected = coverage.ranges["t2m"][number].ravel()
        np.testing.assert_array_equal(np.array(one["ranges"]["t2m"]["values"], "f4"), expected)


@given(steps=st.lists(st.integers(0, 240), min_size=1, max_size=4, unique=True), start=st.integers(-99, 99))
def test_steps_are_times(make: Any, steps: list[int], start: int) -> None:
    steps = sorted(steps)
    coverage = make(custom=[("step", steps), ("number", [1, 2])], t=[start])
    found = document(coverage)["coverages"]
    valid = [f"{np.datetime64(start + step, 'h').astype('M8[s]')}Z" for step in steps]
    for number, one in enumerate(found):
        assert one["domain"]["axes"]["t"]["values"] == valid
        assert one["mars:metadata"]["Forecast date"] == f"{np.datetime64(start, 'h').astype('M8[s]')}Z"
        expected = coverage.ranges["t2m"][:, number].ravel()
        np.testing.assert_array_equal(np.array(one["ranges"]["t2m"]["values"], "f4"), expected)


def test_steps_of_a_grid_take_the_place_of_its_time(make: Any) -> None:
    coverage = make(custom=[("number", [5]), ("step", [0, 6, 12])], t=[0], z=[850, 500], **GRID)
    (one,) = document(coverage)["coverages"]
    assert one["ranges"]["t2m"]["shape"] == [3, 2, 2, 3]
    expected = coverage.ranges["t2m"].reshape(3, 2, 2, 3).ravel()
    np.testing.assert_array_equal(np.array(one["ranges"]["t2m"]["values"], "f4"), expected)


def test_a_step_in_days_and_one_of_a_profile(make: Any) -> None:
    coverage = make(domain_type=DomainType.VERTICAL_PROFILE, custom=[("step", [2.0])], t=[0], z=[850, 500])
    days = tuple(replace(axis, units="days") if axis.name == "step" else axis for axis in coverage.axes)
    (one,) = document(replace(coverage, axes=days))["coverages"]
    assert one["domain"]["axes"]["t"]["values"] == ["1970-01-03T00:00:00Z"]
    assert one["mars:metadata"] == {"number": 0, "Forecast date": "1970-01-01T00:00:00Z", "step": 48}


def test_cells_without_rows_are_a_multipoint_for_each_time_and_valid_coveragejson(cells: Any) -> None:
    coverage = cells(t=[0, 6], z=[850, 500], members=[1, 2])
    found = document(coverage)
    CollectionModel.model_validate_json(json.dumps(found))
    assert found["domainType"] == "MultiPoint"
    assert len(found["coverages"]) == 4
    places = [(50.0, -1.5), (50.0, 0.0), (51.5, 181.5)]
    for number, (member, time) in enumerate(itertools.product(range(2), range(2))):
        one = found["coverages"][number]
        assert one["domain"]["axes"]["composite"]["coordinates"] == ["y", "x", "z"]
        assert one["domain"]["axes"]["composite"]["values"] == [[*place, z] for z in (850, 500) for place in places]
        assert one["domain"]["axes"]["t"] == {"values": [f"1970-01-01T0{6 * time}:00:00Z"]}
        assert one["mars:metadata"]["number"] == member + 1
        values = [None if np.isnan(v) else v for v in coverage.ranges["t2m"][member, time].ravel().tolist()]
        assert one["ranges"]["t2m"]["values"] == values


def test_a_projected_grid_is_a_multipoint_in_degrees(make: Any, cube: Any) -> None:
    osgb = cube(geographic=False, wkt=CRS.from_epsg(27700).to_wkt(), crs="http://www.opengis.net/def/crs/EPSG/0/27700")
    found = document(make(cube=osgb, domain_type=DomainType.GRID, t=[0], y=[0.0, 200_000.0], x=[400_000.0, 500_000.0]))
    assert found["domainType"] == "MultiPoint"
    (one,) = found["coverages"]
    lat, lon, _ = one["domain"]["axes"]["composite"]["values"][0]
    # The National Grid has 49 N, 2 W at 400 km east, 100 km south; a degree of latitude is 111 km.
    assert (round(lat, 2), round(lon, 2)) == (49.9, -2.0)
    assert found["referencing"][0]["system"]["type"] == "GeographicCRS"


def test_a_path_is_valid_coveragejson(trajectory: Coverage) -> None:
    found = document(trajectory)
    CollectionModel.model_validate_json(json.dumps(found))
    assert [one["mars:metadata"]["number"] for one in found["coverages"]] == [3, 7]
    composite = found["coverages"][1]["domain"]["axes"]["composite"]
    assert composite["coordinates"] == ["t", "y", "x", "z"]
    assert composite["values"][3] == ["1970-01-01T03:00:00Z", 53.0, 182.0, 500.0]
    assert found["coverages"][1]["ranges"]["t2m"]["values"] == [4, 5, 6, 7]


def test_several_points_are_kept_apart_and_several_columns_refused(make: Any) -> None:
    series = {"domain_type": DomainType.POINT_SERIES, "t": [0, 1]}
    found = document(make(**series), make(x=[9.0], **series))
    assert [one["domain"]["axes"]["longitude"]["values"] for one in found["coverages"]] == [[-0.25], [9.0]]
    column = {"t": [0, 1], "z": [850, 500]}
    assert "several" in refused(make(**column), make(x=[9.0], **column)).detail


def test_several_paths_are_refused(trajectory: Coverage) -> None:
    short = trajectory.axes[-1].take(np.arange(2))
    other = replace(trajectory, axes=(trajectory.axes[0], short), ranges={"t2m": trajectory.ranges["t2m"][:, :2]})
    assert "several" in refused(trajectory, other).detail
    assert "several" in refused(trajectory, trajectory).detail


@pytest.mark.parametrize(
    ("name", "word"),
    [("strings", "expver"), ("members-steps", "reference time"), ("360-day", "Gregorian"), ("noleap", "Gregorian")],
)
def test_what_the_readers_would_mix_up_is_refused(any_coverage: Mapping[str, Coverage], name: str, word: str) -> None:
    assert word in refused(any_coverage[name]).detail


def test_other_refusals(make: Any, cells: Any) -> None:
    with pytest.raises(NoDataError):
        text()
    assert "has none" in refused(cells(t=None)).detail
    assert "have none" in refused(make(custom=[("number", [1, 2])], **GRID)).detail
    assert "no" in refused(make(t=[0], x=None)).detail
    assert "one reference time" in refused(make(custom=[("step", [0, 6])], t=[0, 24])).detail
    words = np.array(["a"], object)
    assert "is text" in refused(make({"word": words}, t=[0], y=[0.0], x=[0.0])).detail
    other = make({"u10": np.zeros(2, "f4").reshape(2, 1, 1)}, t=[0, 1])
    assert "several" in refused(make(t=[0, 1]), other).detail
    strange = make(custom=[("step", [0, 6])], t=[0])
    axes = tuple(replace(axis, units="furlong") if axis.name == "step" else axis for axis in strange.axes)
    assert "unit of time" in refused(replace(strange, axes=axes)).detail


def test_masked_and_missing_values_are_null(make: Any) -> None:
    masked = np.ma.masked_equal(np.arange(6, dtype="i2").reshape(1, 2, 3), 4)
    coverage = make({"mask": masked}, domain_type=DomainType.GRID, t=[0], **GRID)
    (one,) = document(coverage)["coverages"]
    assert one["ranges"]["mask"]["values"] == [0, 1, 2, 3, None, 5]
    assert one["ranges"]["mask"]["dataType"] == "integer"
    assert coverage.axes[-1].kind is AxisKind.X
