"""How does a page remember where it ended?

A token is the sort key of the last document of a page, as base64url of JSON. To a client it is opaque; to us it is
input like any other, and anything that we could not have written is refused.
"""

from __future__ import annotations

import base64
import binascii

import orjson

from plugins.datacube.errors import InvalidQueryError

TOKEN_LIMIT = 12_000
_INT64 = 1 << 63

type Part = str | int | float | None
type Key = tuple[Part, ...]


def write(key: Key) -> str:
    """Return the token of a sort key."""
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).rstrip(b"=").decode("ascii")


def read(token: str, kinds: tuple[tuple[type, ...], ...]) -> Key:
    """Return the sort key of a token.

    Parameters
    ----------
    token : str
        From a client.
    kinds : tuple of tuple of type
        The types that each part of the key may have.

    Raises
    ------
    InvalidQueryError
        If it is not a token of such a key.

    Examples
    --------
    >>> read(write((5, "a")), ((int,), (str, int)))
    (5, 'a')
    """
    wrong = InvalidQueryError("token", "the token is not one of this server", "the token of a 'next' link, unchanged")
    if len(token) > TOKEN_LIMIT or not token.isascii():
        raise wrong
    try:
        key = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise wrong from error
    if not isinstance(key, list) or len(key) != len(kinds):
        raise wrong
    if any(type(part) not in allowed for part, allowed in zip(key, kinds, strict=True)):
        raise wrong
    if any(isinstance(part, int) and not -_INT64 <= part < _INT64 for part in key):
        raise wrong
    return tuple(key)
