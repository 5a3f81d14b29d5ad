"""Does a wrong configuration say where it is wrong, and do the shipped ones load?"""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.datacube.errors import InvalidQueryError
from server.settings import Settings, load_settings

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.parametrize("name", ["demo.yml", "production.yml"])
def test_the_shipped_configurations_are_valid(name: str) -> None:
    settings = load_settings(CONFIG / name)
    assert settings.server.title


def test_production_shows_every_setting() -> None:
    shown = load_settings(CONFIG / "production.yml")

    def missing(section: object, prefix: str = "") -> list[str]:
        names = type(section).model_fields  # type: ignore[attr-defined]
        found = [f"{prefix}{name}" for name in names if name not in section.model_fields_set]  # type: ignore[attr-defined]
        for name in names:
            value = getattr(section, name)
            if hasattr(value, "model_fields_set"):
                found += missing(value, f"{prefix}{name}.")
        return found

    assert missing(shown) == []
    assert missing(shown.datasets["era5-single-levels"]) == ["crs"]


def test_the_defaults_that_production_shows_are_the_defaults() -> None:
    shown, default = load_settings(CONFIG / "production.yml"), Settings()
    assert shown.limits == default.limits
    assert shown.jobs == default.jobs


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("server:\n  prot: 8000\n", "line 2: server.prot: unknown key"),
        ("server:\n  port: 99999\n", "line 2: server.port: input should be less than or equal to 65535"),
        ("datasets:\n  a:\n    href: x.zarr\n    titel: A\n", "line 4: datasets.a.titel: unknown key"),
        ("datasets:\n  a:\n    title: A\n", "line 2: datasets.a.href: field required"),
        ("server:\n  port: 1\n  port: 2\n", "line 3: the key 'port' is written twice"),
        ("server: [1\n", "line 2: not valid YAML"),
        ("- a\n", "the configuration must be a mapping of settings"),
        ("server:\n  url: example.org\n", "line 2: server.url: must start with http:// or https://"),
        ("datasets:\n  'a/b':\n    href: x\n", "line 1: datasets: 'a/b' cannot be a collection id"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "wrong.yml"
    file.write_text(text)
    with pytest.raises(InvalidQueryError) as caught:
        load_settings(file)
    assert sentence in caught.value.detail


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError, match="No such file"):
        load_settings(tmp_path / "none.yml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text(
        "data: here\ndatasets:\n  a: {href: a.zarr}\n  b: {href: 's3://bucket/b'}\n  c: {href: /abs/c.zarr}\n"
    )
    settings = load_settings(file)
    assert settings.data == tmp_path / "here"
    assert {k: d.href for k, d in settings.datasets.items()} == {
        "a": str(tmp_path / "a.zarr"), "b": "s3://bucket/b", "c": "/abs/c.zarr",
    }  # fmt: skip


def test_named_places_are_relative_to_the_file_wherever_the_store_is(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text(
        "datasets:\n  a: {href: 's3://bucket/a', locations: a.geojson}\n  b: {href: b, locations: /b.json}\n"
    )
    found = {one.id: one.locations for one in load_settings(file).definitions()}
    assert found == {"a": str(tmp_path / "a.geojson"), "b": "/b.json"}
