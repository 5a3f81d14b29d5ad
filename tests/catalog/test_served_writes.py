"""Writing to a running server that was given a key, and what the configuration refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog.embedded import EmbeddedRepository
from plugins.datacube.errors import InvalidQueryError
from server.settings import load_settings

KEY = "0123456789abcdef0123456789abcdef"
COLLECTION = {
    "type": "Collection", "stac_version": "1.1.0", "id": "own", "description": "Mine", "license": "other", "links": [],
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
}  # fmt: skip


def test_what_is_written_stays(serve_process: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(f"catalogue:\n  write_key: {KEY}\n  write_body: 10000\n  indexes: [member]\n")
    data = tmp_path / "data"
    served = serve_process(str(config), data=data)
    headers = {"authorization": f"Bearer {KEY}"}
    assert served.post("/stac/collections", json=COLLECTION).status_code == 401
    assert served.post("/stac/collections", json=COLLECTION, headers=headers).status_code == 201
    large = {**COLLECTION, "description": "x" * 20_000}
    assert served.post("/stac/collections", json=large, headers=headers).status_code == 413
    asked = {
        "origin": "https://x",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "if-match",
    }
    assert httpx.options(f"{served.url}/stac/collections/own", headers=asked).status_code == 200
    tag = served.get("/stac/collections/own").headers["etag"]
    put = httpx.put(
        f"{served.url}/stac/collections/own", json={**COLLECTION, "title": "x"}, headers={**headers, "if-match": tag}
    )
    assert (put.status_code, put.json()["title"]) == (200, "x")
    served.kill()
    kept = EmbeddedRepository(data / "catalog.sqlite")
    assert [(one.id, one.title) for one in kept.headings()] == [("own", "x")]
    kept.close()
    assert KEY not in served.log.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("catalogue:\n  write_key: short\n", "line 2: catalogue.write_key"),
        ("catalogue:\n  write_key: a key with spaces in it\n", "line 2: catalogue.write_key"),
        ('catalogue:\n  indexes: ["a\'b"]\n', "line 2: catalogue.indexes"),
        ("catalogue:\n  indexes: [geometry]\n", "line 2: catalogue.indexes"),
        ("catalogue:\n  key: x\n", "line 2: catalogue.key: unknown key"),
        ("datasets:\n  a:\n    href: a.zarr\n    items: week\n", "line 4: datasets.a.items"),
    ],
)
def test_the_configuration_is_strict(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "config.yml"
    config.write_text(text)
    with pytest.raises(InvalidQueryError) as caught:
        load_settings(config)
    assert said in caught.value.detail
    assert "spaces in it" not in caught.value.detail


def test_the_items_of_a_dataset_are_configured(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text("datasets:\n  a:\n    href: a.zarr\n    items: month\n")
    (definition,) = load_settings(config).definitions()
    assert definition.items == "month"
