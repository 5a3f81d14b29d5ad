"""A published GRIB file holds what cfgrib reads; the oracle runs in a process of its own, as the decoder does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import grib
from plugins.datacube.ingest.grib_messages import find_damage
from plugins.datacube.ingest.publish import ingest_file, publish
from plugins.datacube.library import Library

type Oracles = dict[str, dict[str, np.ndarray]]
DEFINITION = DatasetDefinition(id="x", href="")
ORACLE = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from cfgrib.xarray_store import open_datasets
for source, target in zip(sys.argv[1::2], sys.argv[2::2]):
    arrays = {}
    # The index is read again for each kind of field.
    for ds in open_datasets(source, backend_kwargs={"indexpath": target + ".{short_hash}.idx"}):
        for name, variable in ds.variables.items():
            arrays[name] = variable.values
            arrays[name + "|dims"] = np.array(variable.dims, dtype="U32")
    np.savez(target, **arrays)
sys.stdout.flush()
os._exit(0)
"""
SURFACE = """
import os, sys
import eccodes
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
    while (handle := eccodes.codes_grib_new_from_file(source)) is not None:
        if eccodes.codes_get(handle, "paramId") == 129:
            eccodes.codes_write(handle, target)
            if eccodes.codes_get(handle, "level") == 850:
                copy = eccodes.codes_clone(handle)
                eccodes.codes_set(copy, "indicatorOfTypeOfLevel", "sfc")
                eccodes.codes_set(copy, "level", 0)
                eccodes.codes_set(copy, "paramId", int(sys.argv[3]))
                eccodes.codes_write(copy, target)
    target.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
def oracles(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Oracles:
    """Read all sample files by cfgrib, in one process."""
    folder = tmp_path_factory.mktemp("oracle")
    targets = {path.name: folder / f"{path.name}.npz" for path in shared_data.glob("*.grib*") if path.suffix != ".idx"}
    pairs = [str(path) for name, target in targets.items() for path in (shared_data / name, target)]
    subprocess.run([sys.executable, "-c", ORACLE, *pairs], check=True, capture_output=True)
    return {name: dict(np.load(target)) for name, target in targets.items()}


@pytest.mark.parametrize("name", ["era5_levels_members.grib", "era5_t2m_uk_hourly.grib", "ifs_levels_time_step.grib"])
def test_holds_what_cfgrib_reads(
    name: str, shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset], oracles: Oracles
) -> None:
    wanted = oracles[name]
    before = set(shared_data.iterdir())
    report = publish([shared_data / name], DEFINITION, tmp_path)
    got = published(tmp_path, "x")
    assert report.unsupported is None
    assert set(report.parameters) == {v for v in wanted if f"{v}|dims" in wanted and wanted[v].dtype == np.float32}
    for parameter in report.parameters:
        dims = tuple(wanted[f"{parameter}|dims"].tolist())
        assert got[parameter].dims == dims
        assert got[parameter].dtype == np.float32
        assert got[parameter].values.tobytes() == wanted[parameter].tobytes()
        for dim in dims:
            expected = wanted[dim]
            if expected.dtype.kind == "m":
                expected = expected / np.timedelta64(1, "h")
            np.testing.assert_array_equal(got[dim].values, expected)
    if "step" in got.dims:
        # A run with steps keeps both, and says when it is valid.
        hours = got["step"].values.astype("timedelta64[h]").astype("timedelta64[ns]")
        np.testing.assert_array_equal(got["valid_time"].values, got["time"].values[:, None] + hours[None, :])
        assert got["time"].attrs["standard_name"] == "forecast_reference_time"
    # Scalars that say nothing are left out, and nothing was written beside the file.
    assert not {"number", "surface", "step"} & {v for v in got.variables if not got[v].dims}
    assert set(shared_data.iterdir()) == before


@pytest.mark.parametrize("name", ["ifs_healpix_h8_ring.grib2", "ifs_reduced_gaussian_o32.grib2"])
def test_lists_of_cells_are_published(
    name: str, shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset], oracles: Oracles
) -> None:
    wanted = oracles[name]
    report = publish([shared_data / name], DEFINITION, tmp_path)
    assert report.unsupported is None
    got = published(tmp_path, "x")
    np.testing.assert_array_equal(np.squeeze(got["t"].values), wanted["t"])
    np.testing.assert_array_equal(got["latitude"].values, wanted["latitude"])
    assert Library([], tmp_path / "datasets").get("x").cube.unsupported == report.unsupported
    if "healpix" in name:
        mapping = got["healpix"].attrs
        assert (mapping["refinement_level"], mapping["indexing_scheme"]) == (3, "ring")


def test_days_appended_equal_the_month(
    shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset], oracles: Oracles
) -> None:
    source = shared_data / "era5_t2m_uk_hourly.grib"
    content = source.read_bytes()
    # Messages are all of one length in this file: it can be cut between any two.
    size = len(content) // 744
    first, second = tmp_path / "a.grib", tmp_path / "b.grib"
    first.write_bytes(content[: size * 100])
    second.write_bytes(content[size * 100 : size * 160])
    assert publish([first], DEFINITION, tmp_path).added_times == 100
    assert publish([second], DEFINITION, tmp_path).added_times == 60
    wanted = oracles[source.name]
    got = published(tmp_path, "x")
    np.testing.assert_array_equal(got["t2m"].values, wanted["t2m"][:160])
    np.testing.assert_array_equal(got["time"].values, wanted["time"][:160])


def test_levels_and_a_surface_field_stand_side_by_side(
    shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    mixed = tmp_path / "mixed.grib"
    source = shared_data / "era5_levels_members.grib"
    subprocess.run([sys.executable, "-c", SURFACE, str(source), str(mixed), "134"], check=True, capture_output=True)
    report = publish([mixed], DEFINITION, tmp_path)
    got = published(tmp_path, "x")
    assert got["z"].dims == ("number", "time", "isobaricInhPa", "latitude", "longitude")
    assert got["sp"].dims == ("number", "time", "latitude", "longitude")
    np.testing.assert_array_equal(got["sp"].values, got["z"].sel(isobaricInhPa=850).values)
    assert set(report.parameters) == {"z", "sp"}


def test_one_name_on_two_kinds_of_level_is_refused(shared_data: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.grib"
    source = shared_data / "era5_levels_members.grib"
    subprocess.run([sys.executable, "-c", SURFACE, str(source), str(mixed), "129"], check=True, capture_output=True)
    with pytest.raises(DatasetError, match=r"mixed\.grib holds z in two kinds of fields"):
        publish([mixed], DEFINITION, tmp_path)


def test_what_cannot_be_one_cube_is_refused(shared_data: Path, tmp_path: Path) -> None:
    hourly = (shared_data / "era5_t2m_uk_hourly.grib").read_bytes()
    levels = (shared_data / "era5_levels_members.grib").read_bytes()
    size = len(hourly) // 744
    cases = {
        "twice.grib": (hourly[: 3 * size] + hourly[2 * size : 4 * size], "holds some fields of t2m twice"),
        "grids.grib": (hourly[:size] + levels, "holds several grids"),
        "half.grib": (hourly[: 3 * size + 50], "cut short"),
    }
    for name, (content, sentence) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=f"^{name}.*{sentence}") as caught:
            publish([path], DEFINITION, tmp_path)
        assert "\n" not in caught.value.detail
        assert not (tmp_path / "datasets" / "x").exists()


def test_damage_that_the_decoder_passes_over_is_found(shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "era5_t2m_uk_hourly.grib").read_bytes()
    size = len(whole) // 744
    path = tmp_path / "x.grib"

    def damage(content: bytes, *offsets: int) -> str | None:
        path.write_bytes(content)
        return find_damage(path, offsets, lambda _offset: pytest.fail("not asked for"))

    assert damage(whole[: 3 * size], 0, size, 2 * size) is None
    # Messages are padded, so the end of the last one is looked for.
    assert "not complete" in str(damage(whole[: whole.rfind(b"7777", 0, 3 * size) + 2], 0, size, 2 * size))
    headless = whole[:size] + bytes(size // 2) + whole[size + size // 2 : 3 * size]
    assert "cannot be recognised" in str(damage(headless, 0, 2 * size))
    assert "cannot be recognised" in str(damage(whole[: 3 * size], 0, size))
    second_edition = (shared_data / "ifs_reduced_gaussian_o32.grib2").read_bytes()
    assert damage(second_edition, 0) is None
    assert "not complete" in str(damage(second_edition[: second_edition.rfind(b"7777") + 3], 0))


def test_fields_that_are_absent_are_missing_values_and_said(
    shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    levels = (shared_data / "era5_levels_members.grib").read_bytes()
    size = len(levels) // 160
    path = tmp_path / "holes.grib"
    path.write_bytes(levels[: 155 * size])
    report = publish([path], DEFINITION, tmp_path)
    assert sum("absent" in note for note in report.notes) >= 1
    got = published(tmp_path, "x")
    missing = sum(int(np.isnan(got[name].values).all(axis=(-2, -1)).sum()) for name in ("z", "t"))
    assert missing == 5


def test_a_decoder_that_crashes_is_one_sentence(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = tmp_path / "crashing_decoder.py"
    crash.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(grib, "CHILD", "crashing_decoder")
    with pytest.raises(DatasetError, match=r"the GRIB decoder stopped unexpectedly"):
        publish([shared_data / "era5_t2m_uk_hourly.grib"], DEFINITION, tmp_path)


def test_the_decoder_never_meets_the_other_copy_of_proj(shared_data: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    script = (
        "import sys, json, runpy; from plugins.datacube.ingest import grib_child;"
        f"status = grib_child.run([{str(shared_data / 'ifs_healpix_h8_ring.grib2')!r}, {str(target)!r}]);"
        "print(json.dumps(sorted(m for m in sys.modules if m.split('.')[0] in ('pyproj', 'rasterio', 'rioxarray'))));"
        "sys.stdout.flush(); import os; os._exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert not {"cfgrib", "eccodes"} & set(sys.modules)


def test_a_grib_file_is_served_without_publishing(shared_data: Path, tmp_path: Path) -> None:
    definition = ingest_file(shared_data / "era5_levels_members.grib", tmp_path)
    assert definition.id == "era5_levels_members"
    opened = Library([definition], None).get("era5_levels_members")
    assert set(opened.cube.parameters) == {"t", "z"}
