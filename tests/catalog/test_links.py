from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.links import FrontUrls


def test_the_layout_of_the_fronts() -> None:
    urls = FrontUrls("https://host/prefix/")
    assert urls.ogc == "https://host/prefix/ogc"
    assert urls.stac == "https://host/prefix/stac"
    assert urls.collection("a") == "https://host/prefix/ogc/collections/a"
    assert urls.stac_collection("a") == "https://host/prefix/stac/collections/a"
    assert urls.stac_item("a", "b") == "https://host/prefix/stac/collections/a/items/b"
    assert urls.zarr("a") == "https://host/prefix/zarr/a"
    assert urls.process("subset") == "https://host/prefix/ogc/processes/subset"
    assert urls.job("1") == "https://host/prefix/ogc/jobs/1"
    assert urls.result("1") == "https://host/prefix/results/1"


@given(st.text(min_size=1).filter(lambda text: text.encode("utf-8", "ignore").decode() == text))
def test_an_identifier_is_one_path_segment(identifier: str) -> None:
    parts = urlsplit(FrontUrls("http://h").zarr(identifier))
    assert (parts.query, parts.fragment) == ("", "")
    assert [unquote(segment) for segment in parts.path.split("/")] == ["", "zarr", identifier]


@pytest.mark.parametrize("base", ["", "host", "ftp://host", "/stac"])
def test_a_base_that_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="http"):
        FrontUrls(base)
