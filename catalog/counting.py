"""By which statement are items counted for each value of a property?"""

from __future__ import annotations

from catalog.filter_values import extraction
from catalog.repository import Interval

_SECONDS = "((dt - ((dt % 1000000) + 1000000) % 1000000) / 1000000)"
"""Whole seconds since 1970, cut towards the past."""
_FORMATS = {
    Interval.HOUR: "%Y-%m-%dT%H:00:00Z",
    Interval.DAY: "%Y-%m-%dT00:00:00Z",
    Interval.MONTH: "%Y-%m-01T00:00:00Z",
    Interval.YEAR: "%Y-01-01T00:00:00Z",
}


def counting(name: str, interval: Interval, matching: str) -> str:
    """Return the statement that yields (value, number of items).

    Parameters
    ----------
    name : str
        ``collection``, ``datetime`` or the name of a property.
    interval : Interval
        Of dates.
    matching : str
        WHERE with its conditions, or empty.

    Raises
    ------
    InvalidQueryError
        If the name is none of a property.
    """
    if name == "collection":
        return f"select collection, count(*) as n from items{matching} group by 1 order by 2 desc, 1"  # noqa: S608
    if name == "datetime":
        start = f"strftime('{_FORMATS[interval]}', {_SECONDS}, 'unixepoch')"
        return f"select {start}, count(*) as n from items{matching} group by 1 order by 1"  # noqa: S608
    kind, value = extraction(name)
    # A scalar is counted as an array of one; a member that an array holds twice counts once; true is no number.
    members = (
        f"case when {kind} in ('object', 'array') then {value}"
        f" when {kind} in ('true', 'false') then json_array({kind}) else json_array({value}) end"
    )
    each = (
        f"case when {kind} = 'object' then json_each.key when json_each.type in ('true', 'false') then json_each.type"
        " else json_each.value end"
    )
    return (
        f"select value, count(*) as n from (select distinct pk, {each} as value"  # noqa: S608
        f" from (select pk, props from items{matching}), json_each({members})"
        f" where {kind} = 'object' or json_each.type not in ('null', 'array', 'object')) group by 1 order by 2 desc, 1"
    )
