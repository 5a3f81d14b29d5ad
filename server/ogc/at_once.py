"""Which data queries are answered where they arrive, on the event loop, because to hand them on would take longer?

- What the client has already: the state of the data, the question and the format make the entity tag, so that a 304 is
  told without reading the query (RFC 9110, clause 13.1.2).
- Points and boxes of few values whose chunks are all in the cache, decoded: well under a millisecond of arithmetic.

Nothing here reads storage, or waits. Whatever is not certain to be short is left to a thread, which then does the same
work by the same functions; so the answers are the same, byte for byte, whoever gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from plugins.datacube.calendar import Moment
from plugins.datacube.chunks import AbsentError, HeldChunks, shared_cache
from plugins.datacube.errors import BusyError, TooLargeError
from plugins.datacube.layouts import all_at_hand, cheapest
from plugins.datacube.limits import admit
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query
from plugins.datacube.query import Cube, Interpolation, NumberInterval, Position, Query, TimeInterval
from plugins.datacube.read import CACHED_SHARE
from plugins.formats.table import formats_for, negotiate
from server.ogc.arguments import query_arguments
from server.ogc.data_queries import query_types
from server.ogc.documents import not_modified
from server.ogc.edr import not_modified_response, planned, query_etag
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService

KINDS: Final = frozenset({"position", "cube"})
MOST_TEXT: Final = 512
"""Characters of all parameters."""
MOST_POINTS: Final = 4
MOST_CHUNKS: Final = 4
MOST_VALUES: Final = 2_000

type Work = Callable[[], OgcResponse]


def at_once(service: OgcService, request: OgcRequest, collection_id: str, query_type: str) -> OgcResponse | Work | None:
    """Answer a data query of a collection, if that is a matter of microseconds.

    Returns
    -------
    OgcResponse
        The whole answer.
    callable
        What remains to be done, in a thread: the query is planned, and takes longer.
    None
        Nothing was done: the query is for `server.ogc.edr.edr_query`.

    Raises
    ------
    InvalidQueryError, NotAcceptableError, NoDataError
        As `edr_query` does.
    """
    if request.method != "GET" or "prefer" in request.headers or "range" in request.headers:
        return None
    opened = service.library.at_hand(collection_id)
    if opened is None or query_type not in query_types(opened.cube) or _length(request) > MOST_TEXT:
        return None
    cube = opened.cube
    arguments = query_arguments(request)
    form = negotiate(arguments.pop("f", None), request.accept, formats_for(query_type))
    held = request.headers.get("if-none-match")
    # An asterisk means any answer, and whether there is one is not known yet.
    if held is not None and "*" not in held:
        etag = query_etag(cube, query_type, arguments, form)
        if not_modified(request, etag):
            return not_modified_response(etag)
    cache = shared_cache()
    if query_type not in KINDS or form.key != "CoverageJSON" or not cache.capacity or cube.mesh is not None:
        return None
    query = parse_query(query_type, arguments, cube)
    if not _is_short(query) or not all_at_hand(opened):
        return None
    chosen, todo = cheapest(opened, plan_query(cube, query))
    rest = partial(planned, service, request, cube, chosen, todo, query_type, arguments, form)
    cost = todo.cost
    if cost.values > MOST_VALUES or cost.chunks > MOST_CHUNKS or cost.bytes_decoded > cache.capacity // CACHED_SHARE:
        return rest
    try:
        admit(cost, service.limits)
        return rest(held=HeldChunks(cache))
    except (AbsentError, BusyError, TooLargeError):
        return rest


def _length(request: OgcRequest) -> int:
    return sum(len(name) + sum(map(len, values)) for name, values in request.query.items())


def _is_short(query: Query) -> bool:
    """Whether it takes next to no time to lay a query over the axes."""
    match query:
        case Position(points=points):
            few = len(points) <= MOST_POINTS
        case Cube(columns=None, rows=None, levels=None):
            few = True
        case _:
            few = False
    return (
        few
        and query.crs is None
        and query.interpolation is Interpolation.NEAREST
        and isinstance(query.datetime, Moment | TimeInterval | None)
        and isinstance(query.z, float | NumberInterval | None)
    )
