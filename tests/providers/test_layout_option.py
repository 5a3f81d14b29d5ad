"""A stock pygeoapi takes the cheapest layout too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pygeoapi.provider.base import ProviderConnectionError

from plugins.datacube import layouts
from plugins.providers import edr

DEFINITION = {"type": "edr", "name": "plugins.providers.edr.DatacubeEDRProvider"}


@pytest.fixture
def stores(tmp_path: Path) -> tuple[str, str]:
    """The same values as maps and as series."""
    values = np.arange(200 * 4 * 5, dtype=np.float32).reshape(200, 4, 5)
    dataset = xr.Dataset(
        {"t": (("time", "lat", "lon"), values, {"units": "K"})},
        {
            "time": ("time", np.arange(200), {"units": "hours since 2020-01-01"}),
            "lat": ("lat", np.arange(4.0), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(5.0), {"units": "degrees_east"}),
        },
    )
    hrefs = (str(tmp_path / "maps.zarr"), str(tmp_path / "series.zarr"))
    for href, chunks in zip(hrefs, [(1, 4, 5), (200, 2, 2)], strict=True):
        encoding = {"t": {"chunks": chunks, "_FillValue": np.float32("nan")}}
        dataset.to_zarr(href, zarr_format=3, encoding=encoding, consolidated=False)
    return hrefs


def test_the_option_layouts_is_used(stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    maps, series = stores
    options = {"layouts": [{"name": "series", "href": series}]}
    provider = edr.DatacubeEDRProvider({**DEFINITION, "data": maps, "options": options})
    used = []
    cheapest = layouts.cheapest

    def watched(*arguments: object) -> object:
        result = cheapest(*arguments)  # type: ignore[arg-type]
        used.append(result[0].layout)
        return result

    monkeypatch.setattr(layouts, "cheapest", watched)
    answer = provider.answer("cube", {"bbox": [0, 1, 1, 2], "format_": "json"})
    assert used == ["series"]
    expected = np.arange(200 * 4 * 5).reshape(200, 4, 5)[:, 1:3, 0:2]
    assert np.array_equal(np.reshape(answer["ranges"]["t"]["values"], answer["ranges"]["t"]["shape"]), expected)


@pytest.mark.parametrize("wrong", ["series", [{"name": "a"}], [{"name": "a", "href": "b", "chunks": 3}], [3]])
def test_a_wrong_option_is_said(stores: tuple[str, str], wrong: object) -> None:
    with pytest.raises(ProviderConnectionError) as caught:
        edr.DatacubeEDRProvider({**DEFINITION, "data": stores[0], "options": {"layouts": wrong}})
    assert "layouts" in caught.value.message
