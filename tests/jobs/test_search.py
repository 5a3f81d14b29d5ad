"""The query string of the job list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.errors import InvalidQueryError
from plugins.jobs.job import State
from plugins.jobs.search import MAX_LIMIT, JobFilter, parse_filter


def test_everything_at_once():
    raw = {
        "type": "process", "processID": "a,b", "status": "failed, successful", "datetime": "1970-01-01/1970-01-02",
        "minDuration": "1", "maxDuration": "5", "limit": "7", "offset": "2", "f": "json",
    }  # fmt: skip
    assert parse_filter(raw, "ada") == JobFilter(
        owner="ada", process_ids=frozenset("ab"), states=frozenset({State.FAILED, State.SUCCESSFUL}),
        created=(0, 2 * 86_400_000_000 - 1), min_duration=1, max_duration=5, limit=7, offset=2,
    )  # fmt: skip


def test_nothing():
    assert parse_filter({}, None) == JobFilter()
    assert parse_filter({"status": "", "limit": "", "datetime": ""}, None) == JobFilter()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", (1_000_000, 1_999_999)),
        ("../1970-01-01T00:00:01Z", (None, 1_999_999)),
        ("1970-01-01T00:00:01Z/", (1_000_000, None)),
        ("../..", (None, None)),
        ("1970-01", (0, 31 * 86_400_000_000 - 1)),
    ],
)
def test_datetime(text, expected):
    assert parse_filter({"datetime": text}, None).created == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "service"), ("status", "done"), ("status", "RUNNING"),
        ("datetime", "yesterday"), ("datetime", "a/b/c"),
        ("datetime", "2021-01-01/2020-01-01"), ("minDuration", "-1"), ("minDuration", "1e3"), ("maxDuration", "x"),
        ("limit", "0"), ("limit", "١٠"), ("limit", "1_0"), ("offset", "-1"), ("limit", "9" * 40), ("sort", "id"),
        ("..", ""),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(name, value):
    with pytest.raises(InvalidQueryError) as caught:
        parse_filter({name: value}, None)
    assert caught.value.parameter == name
    assert caught.value.valid


def test_a_large_limit_is_cut():
    assert parse_filter({"limit": "1000000"}, None).limit == MAX_LIMIT


@given(
    st.dictionaries(
        st.sampled_from(
            ["type", "processID", "status", "datetime", "minDuration", "maxDuration", "limit", "offset", "token"]
        ),
        st.text(max_size=20),
    )
)
def test_any_text_is_understood_or_refused(raw):
    try:
        parse_filter(raw, "")
    except InvalidQueryError as error:
        if error.parameter not in raw:
            raise
