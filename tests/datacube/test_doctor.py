"""The doctor finds what was put wrong on purpose, and nothing in a store that was published well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.doctor import Severity, examine, render
from plugins.datacube.ingest.publish import publish

SHAPE = (48, 90, 180)


def make(path: Path, *, chunks: tuple[int, ...] = (48, 30, 60), holes: bool = False, **changes: Any) -> Path:
    """Write a store that is good but for the changes: attributes of the data variable, None to leave one out."""
    group = zarr.create_group(
        path, zarr_format=3, attributes={"Conventions": "CF-1.8", "title": "T", "license": "CC0-1.0"}
    )
    axes = {
        "time": (np.arange(48.0), {"units": "hours since 2000-01-01", "standard_name": "time"}),
        "lat": (np.linspace(-89, 89, 90), {"units": "degrees_north"}),
        "lon": (np.arange(0.0, 360.0, 2.0), {"units": "degrees_east"}),
    }
    for name, (values, attributes) in axes.items():
        array = group.create_array(
            name, data=values, dimension_names=(name,), attributes=attributes, compressors=[Crc32cCodec()]
        )
        assert array.shape == values.shape
    attributes = {"units": "K", "standard_name": "air_temperature", "long_name": "Temperature", **changes}
    codecs = attributes.pop("codecs", [ZstdCodec(), Crc32cCodec()])
    data = group.create_array(
        "t2m",
        shape=SHAPE,
        chunks=chunks,
        dtype="f4",
        fill_value=np.nan,
        dimension_names=("time", "lat", "lon"),
        attributes={key: value for key, value in attributes.items() if value is not None},
        compressors=codecs,
    )
    data[: 24 if holes else 48] = 280.0
    zarr.consolidate_metadata(path)
    return path


def codes(report: Any, *severities: Severity) -> set[str]:
    return {finding.code for finding in report.findings if not severities or finding.severity in severities}


pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")


def test_a_well_published_dataset_has_nothing_above_advice(shared_data: Path, tmp_path: Path) -> None:
    definition = DatasetDefinition(id="air", href="", title="Air", licence="OGL-UK-3.0")
    publish([shared_data / "hadcm3_a1b_360_day.nc"], definition, tmp_path)
    folder = tmp_path / "datasets" / "air"
    for target in (str(folder), str(folder / "store")):
        report = examine(target)
        assert report.id == "air"
        assert report.findings == ()
        assert report.exit_code == 0
        assert render(report).startswith("air: can be served, nothing to remark")


def test_a_good_store_of_somebody_else_is_served(tmp_path: Path) -> None:
    report = examine(str(make(tmp_path / "good.zarr")))
    assert report.id == "good"
    assert codes(report) == {"no-snapshots"}
    assert report.servable


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ({"units": "furlongs per fortnight"}, "unknown-units", Severity.WARNING),
        ({"units": None}, "no-units", Severity.WARNING),
        ({"standard_name": None}, "no-standard-name", Severity.ADVICE),
        ({"standard_name": None, "long_name": None}, "no-standard-name", Severity.WARNING),
        ({"cell_methods": "time: mean"}, "no-time-bounds", Severity.WARNING),
        ({"codecs": [ZstdCodec()]}, "no-checksums", Severity.WARNING),
        ({"chunks": (1, 15, 45)}, "chunks-small", Severity.ADVICE),
        ({"holes": True, "chunks": (12, 30, 60)}, "missing-chunks", Severity.ERROR),
    ],
)
def test_each_fault_is_found_and_only_it(
    changes: dict[str, Any], code: str, severity: Severity, tmp_path: Path
) -> None:
    report = examine(str(make(tmp_path / "bad.zarr", **changes)))
    found = [finding for finding in report.findings if finding.code == code]
    assert [finding.severity for finding in found] == [severity]
    assert codes(report) - {"layout-unbalanced"} == {code, "no-snapshots"}
    assert report.exit_code == (1 if severity is Severity.ERROR else 0)
    assert found[0].sentence in render(report)
    assert report.findings[0].severity is min(
        (finding.severity for finding in report.findings), key=list(Severity).index
    )


def test_missing_chunks_are_counted_and_fine_where_the_dataset_is_sparse(tmp_path: Path) -> None:
    path = make(tmp_path / "holes.zarr", holes=True, chunks=(12, 30, 60))
    finding = next(f for f in examine(str(path)).findings if f.code == "missing-chunks")
    # Half of 4 x 3 x 3 chunks.
    assert finding.sentence.startswith("18 of its 36 chunks are absent")
    sparse = examine(DatasetDefinition(id="holes", href=str(path), sparse=True))
    assert "missing-chunks" not in codes(sparse)


def test_the_costs_are_those_of_counting_by_hand(tmp_path: Path) -> None:
    report = examine(str(make(tmp_path / "maps.zarr", chunks=(1, 90, 180))))
    cost = report.costs[0]
    assert (cost.series_chunks, cost.series_bytes) == (48, 48 * 90 * 180 * 4)
    assert (cost.map_chunks, cost.map_bytes) == (1, 90 * 180 * 4)
    assert cost.better_series_bytes < cost.series_bytes
    document = json.loads(json.dumps(report.to_json()))
    assert document["layout"][0]["point_series"] == {"chunks": 48, "bytes_decoded": 48 * 90 * 180 * 4}


def test_a_series_beyond_the_limits_is_a_warning_from_metadata_alone(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "year.zarr", zarr_format=3)
    for name, values, units in (
        ("time", np.arange(8760.0), "hours since 2000-01-01"),
        ("lat", np.linspace(90, -90, 181), "degrees_north"),
        ("lon", np.arange(0.0, 360.0), "degrees_east"),
    ):
        group.create_array(name, data=values, dimension_names=(name,), attributes={"units": units})
    group.create_array(
        "v", shape=(8760, 181, 360), chunks=(1, 181, 360), dtype="f4", dimension_names=("time", "lat", "lon")
    )
    report = examine(DatasetDefinition(id="year", href=str(tmp_path / "year.zarr"), sparse=True))
    finding = next(f for f in report.findings if f.code == "layout-beyond-limits")
    assert "2.1 GiB" in finding.sentence
    assert finding.subject == "v"
    assert "not-consolidated" in codes(report)


@pytest.mark.parametrize("target", ["absent.zarr", "file.nc", "empty"])
def test_what_cannot_be_opened_is_one_finding(target: str, tmp_path: Path) -> None:
    (tmp_path / "file.nc").write_bytes(b"CDF\x01")
    (tmp_path / "empty").mkdir()
    report = examine(str(tmp_path / target))
    assert codes(report) == {"not-servable"}
    assert report.exit_code == 1
    assert str(tmp_path) not in render(report)


def test_a_grid_that_cannot_be_queried_is_an_error_with_the_reason(shared_data: Path, tmp_path: Path) -> None:
    publish([shared_data / "osgb_tmean_1910.nc"], DatasetDefinition(id="uk", href=""), tmp_path)
    assert "not-queryable" not in codes(examine(str(tmp_path / "datasets" / "uk" / "store")), Severity.ERROR)
    group = zarr.create_group(tmp_path / "radians.zarr")
    for name in ("latitude", "longitude"):
        attributes = {"units": "radians", "standard_name": name}
        array = group.create_array(name, shape=(2,), dtype="f8", dimension_names=[name], attributes=attributes)
        array[...] = [0.1, 0.2]
    group.create_array("v", shape=(2, 2), dtype="f8", dimension_names=["latitude", "longitude"])[...] = 1.0
    report = examine(str(tmp_path / "radians.zarr"))
    assert "not-queryable" in codes(report, Severity.ERROR)
    assert "radians" in render(report)


def test_sharded_arrays_are_counted_by_shard(tmp_path: Path) -> None:
    path = make(tmp_path / "sharded.zarr")
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    shards = group.create_array(
        "s", shape=SHAPE, chunks=(12, 30, 60), shards=(24, 90, 180), dtype="f4", dimension_names=("time", "lat", "lon"),
        attributes={"units": "K", "standard_name": "air_temperature"}, compressors=[Crc32cCodec()], fill_value=np.nan,
    )  # fmt: skip
    shards[:24] = 1.0
    zarr.consolidate_metadata(path)
    finding = next(f for f in examine(str(path)).findings if f.code == "missing-chunks")
    assert finding.subject == "s"
    assert finding.sentence.startswith("1 of its 2 chunks")
