"""What does a browser get for a data query: a page about the answer, with the way to it in every format?

The page names the question and the formats, and its script asks the same query once more, as CoverageJSON. So the page
costs no reading, and shows what every client gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlencode, urlsplit

from plugins.datacube.query import QUERY_TYPES
from plugins.formats.table import FORMATS, formats_for
from server.ogc.messages import OgcRequest, OgcResponse
from server.pages.context import AnswerPage
from server.pages.render import Pages

DEFAULT = "CoverageJSON"


def answer_page(pages: Pages, server_title: str, request: OgcRequest, response: OgcResponse) -> str:
    """Return the page about an answer.

    Parameters
    ----------
    pages : Pages
        The templates.
    server_title : str
        Title of the server, for the head of the page.
    request : OgcRequest
        The query, without ``f``.
    response : OgcResponse
        What it would be answered with: only its headers count.
    """
    del response
    steps = request.path.strip("/").split("/")
    kind = unquote(steps[-1])
    below = urlsplit(request.base.base).path.rstrip("/")
    path = f"{below}{request.path}"
    up = [(server_title, f"{below}/")]
    up += [(unquote(step), f"{below}/{'/'.join(steps[: n + 1])}?f=html") for n, step in enumerate(steps[:-1])]
    gridded = tuple(key for key, known in FORMATS.items() if not known.grids_only)
    keys = formats_for(kind) if kind in QUERY_TYPES else gridded
    page = AnswerPage(
        title=f"{kind[:1].upper()}{kind[1:]} of {unquote(collection_of(steps))}",
        query_type=kind,
        question=tuple((name, value) for name, values in request.query.items() if name != "f" for value in values),
        formats=tuple((key, address(path, request.query, key)) for key in keys),
        data_url=address(path, request.query, DEFAULT),
        up=tuple(up),
    )
    return pages.answer(page, server_title)


def collection_of(steps: Sequence[str]) -> str:
    """Return the identifier of the collection in the steps of a path."""
    return steps[steps.index("collections") + 1] if "collections" in steps[:-1] else steps[0]


def address(path: str, query: Mapping[str, Sequence[str]], key: str) -> str:
    """Return the address of the answer in a format, without host."""
    pairs = [(name, value) for name, values in query.items() if name != "f" for value in values]
    return f"{path}?{urlencode([*pairs, ('f', key)])}"
