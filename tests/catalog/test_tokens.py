from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import tokens
from plugins.datacube.errors import InvalidQueryError

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.tuples(INT64, INT64))
def test_a_token_gives_its_key_back(key: tuple[int, int]) -> None:
    assert tokens.read(tokens.write(key), ((int,), (int,))) == key


@given(st.text(max_size=60).filter(lambda text: text.encode("utf-8", "ignore").decode() == text))
def test_a_token_of_a_name(name: str) -> None:
    token = tokens.write((name,))
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert tokens.read(token, ((str,),)) == (name,)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    ["x", "é", "!!!!", "A" * 2000, *map(encoded, [1, {}, [1], [1, 2, 3], ["1", 2], [1, True], [1, 2**63], [1.0, 2]])],
)
def test_what_we_never_wrote_is_refused(token: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        tokens.read(token, ((int,), (int,)))
    assert caught.value.parameter == "token"


@given(st.text())
def test_no_text_does_more_than_be_refused(token: str) -> None:
    try:
        key = tokens.read(token, ((int,), (int,)))
    except InvalidQueryError:
        return
    assert all(isinstance(part, int) for part in key)
