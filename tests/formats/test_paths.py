"""Is an answer along a path written so that strict readers find every value at its place, in text and CF formats?"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from covjson_pydantic.coverage import Coverage as CoverageModel
from covjson_pydantic.coverage import CoverageCollection as CollectionModel
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.formats import covjson, csv_text, netcdf
from plugins.formats.netcdf import NETCDF_LOCK

HOUR = 3_600_000_000
X, Y, Z = [-1.5, 0.0, 1.5, 1.5], [50.0, 50.0, 51.5, 53.0], [1000.0, 850.0, 850.0, 500.0]
HOURS = [0, 1, 1, 3]


@pytest.fixture(scope="module")
def path(make: Any) -> Any:
    """Make a coverage along the path above: with heights or not, with times or not, over members or not."""

    def made(
        *, z: bool = False, t: bool = True, members: tuple[int, ...] = (), values: Any = None, size: int = 4
    ) -> Coverage:
        template = make(t=HOURS, z=Z, y=Y, x=X, custom=[("number", members)] if members else ())
        axes = {axis.kind: axis for axis in template.axes}
        kinds = [AxisKind.T] * t + [AxisKind.X, AxisKind.Y] + [AxisKind.Z] * z
        composite = Axis(
            AxisKind.COMPOSITE,
            "composite",
            np.arange(size),
            components=tuple(axes[kind].take(np.arange(size)) for kind in kinds),
        )
        leading = (axes[AxisKind.CUSTOM],) if members else ()
        shape = (*(axis.size for axis in leading), size)
        if values is None:
            values = np.arange(np.prod(shape), dtype="f4").reshape(shape) / 4
            values[..., 1:2] = np.nan
        kind = DomainType.TRAJECTORY if t else DomainType.MULTI_POINT
        parameters = {"t2m": template.parameters["t2m"]}
        return Coverage(
            template.cube, None if len(members) > 1 else kind, (*leading, composite), parameters, {"t2m": values}
        )

    return made


@pytest.fixture(scope="module")
def schema(shared_data: Path) -> Draft202012Validator:
    documents = [json.loads(each.read_text()) for each in (shared_data / "covjson-schemas").glob("*.json")]
    resources = [(each["$id"], DRAFT202012.create_resource(each)) for each in documents]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator({"$ref": "/schemas/coveragejson"}, registry=registry)


def document(*coverages: Coverage) -> dict[str, Any]:
    text = b"".join(covjson.encode(coverages))
    found: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    (CoverageModel if found["type"] == "Coverage" else CollectionModel).model_validate_json(text)
    return found


def test_a_trajectory_has_one_axis_of_tuples(path: Any) -> None:
    found = document(path(z=True))
    assert found["domain"]["domainType"] == "Trajectory"
    assert found["domain"]["axes"] == {
        "composite": {
            "dataType": "tuple",
            "coordinates": ["t", "x", "y", "z"],
            "values": [[f"1970-01-01T0{t}:00:00Z", x, y, z] for t, x, y, z in zip(HOURS, X, Y, Z, strict=True)],
        }
    }
    block = found["ranges"]["t2m"]
    assert (block["axisNames"], block["shape"], block["values"]) == (["composite"], [4], [0, None, 0.5, 0.75])
    named = [connection["coordinates"] for connection in found["domain"]["referencing"]]
    assert named == [["x", "y"], ["z"], ["t"]]


def test_a_path_in_data_without_times_is_a_multipoint(path: Any) -> None:
    found = document(path(t=False))
    assert found["domain"]["domainType"] == "MultiPoint"
    assert found["domain"]["axes"]["composite"]["coordinates"] == ["x", "y"]
    assert found["domain"]["axes"]["composite"]["values"] == [list(place) for place in zip(X, Y, strict=True)]


def test_members_and_lines_make_a_collection(path: Any) -> None:
    found = document(path(members=(3, 7)), path(size=2))
    assert found["domainType"] == "Trajectory"
    assert [one.get(covjson.DIMENSIONS) for one in found["coverages"]] == [{"number": 3}, {"number": 7}, None]
    assert [one["ranges"]["t2m"]["values"] for one in found["coverages"]] == [
        [0, None, 0.5, 0.75],
        [1, None, 1.5, 1.75],
        [0, None],
    ]


def test_the_schema_of_coveragejson(path: Any, schema: Draft202012Validator) -> None:
    for coverages in ([path()], [path(z=True)], [path(t=False)], [path(members=(0, 1))], [path(), path(size=1)]):
        schema.validate(json.loads(b"".join(covjson.encode(coverages))))


def test_csv_has_a_row_for_each_place(path: Any) -> None:
    text = b"".join(csv_text.encode([path(z=True), path(members=(5,))])).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["number", "datetime", "z", "latitude", "longitude", "t2m"]
    assert len(rows) == 8
    for number, row in enumerate(rows):
        at = number % 4
        assert row["datetime"] == f"1970-01-01T0{HOURS[at]}:00:00Z"
        assert (float(row["latitude"]), float(row["longitude"])) == (Y[at], X[at])
        assert row["z"] == (str(Z[at]) if number < 4 else "")
        assert row["number"] == ("" if number < 4 else "5")
        assert row["t2m"] == ("" if at == 1 else str(at / 4))


@contextmanager
def opened(*coverages: Coverage) -> Iterator[netCDF4.Dataset]:
    content = b"".join(netcdf.encode(coverages))  # takes the lock itself
    with NETCDF_LOCK, netCDF4.Dataset("memory", memory=content) as dataset:
        yield dataset


def test_netcdf_is_a_ragged_array_of_trajectories(path: Any) -> None:
    with opened(path(z=True, members=(3, 7)), path(z=True, members=(3, 7), size=2)) as dataset:
        assert dataset.featureType == "trajectory"
        assert dataset["trajectory"].cf_role == "trajectory_id"
        assert dataset["row_size"].sample_dimension == "obs"
        assert dataset["row_size"][:].tolist() == [4, 4, 2, 2]
        assert dataset["number"][:].tolist() == [3, 7, 3, 7]
        assert dataset["number"].dimensions == ("trajectory",)
        data = dataset["t2m"]
        assert data.dimensions == ("obs",)
        assert set(data.coordinates.split()) == {"time", "longitude", "latitude", "level"}
        assert data.grid_mapping == "crs"
        expected = [0, np.nan, 0.5, 0.75, 1, np.nan, 1.5, 1.75, 0, np.nan, 0.5, np.nan]
        np.testing.assert_array_equal(np.ma.filled(data[:], np.nan), expected)
        order = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0, 1]
        for name, values in (("longitude", X), ("latitude", Y), ("level", Z), ("time", HOURS)):
            assert dataset[name].dimensions == ("obs",)
            assert dataset[name][:].tolist() == [values[at] for at in order]
        assert dataset["time"].units.startswith("hours since 1970-01-01")


def test_paths_with_other_coordinates_stand_apart(path: Any) -> None:
    with opened(path(), path(z=True)) as dataset:
        assert dataset["t2m"].dimensions == ("obs",)
        assert dataset["t2m_2"].dimensions == ("obs_2",)
        assert "level" in dataset["t2m_2"].coordinates
        assert "level" not in dataset["t2m"].coordinates


def test_a_path_without_times_is_a_set_of_points(path: Any) -> None:
    with opened(path(t=False)) as dataset:
        assert dataset.featureType == "point"
        assert "time" not in dataset.variables


def test_missing_integers_stay_missing(path: Any) -> None:
    values = np.ma.masked_equal(np.array([1, 2, 3, 4], "i2"), 3)
    coverage = path(values=values)
    assert document(coverage)["ranges"]["t2m"]["values"] == [1, 2, None, 4]
    with opened(coverage, coverage) as dataset:
        assert np.ma.getmaskarray(dataset["t2m"][:]).tolist() == [False, False, True, False] * 2
