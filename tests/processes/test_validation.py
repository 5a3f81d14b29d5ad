"""Inputs against their descriptions."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.errors import InvalidQueryError
from plugins.processes.validation import MAX_DEPTH, check_json, validate_inputs

INTEGER = {"schema": {"type": "integer", "minimum": 0, "maximum": 60}}
TEXT = {"schema": {"type": "string"}, "minOccurs": 0}
OBJECT = {"schema": {"type": "object"}, "minOccurs": 0}


def refused(inputs, descriptions, **more):
    with pytest.raises(InvalidQueryError) as caught:
        validate_inputs(inputs, descriptions, **more)
    assert "Traceback" not in caught.value.detail
    return caught.value


def test_qualified_values_are_unwrapped():
    given_ = {"n": {"value": 3, "mediaType": "application/json"}, "t": {"value": "a"}}
    assert validate_inputs(given_, {"n": INTEGER, "t": TEXT}) == {"n": 3, "t": "a"}


def test_an_object_may_have_a_member_called_value():
    assert validate_inputs({"o": {"value": "text"}}, {"o": OBJECT}) == {"o": {"value": "text"}}
    assert validate_inputs({"o": {"value": {"a": 1}}}, {"o": OBJECT}) == {"o": {"a": 1}}
    assert validate_inputs({"o": {"value": 1, "other": 2}}, {"o": OBJECT}) == {"o": {"value": 1, "other": 2}}


@pytest.mark.parametrize(
    ("value", "said", "valid"),
    [
        (61, "is greater than 60", "integer, at least 0, at most 60"),
        (-1, "is less than 0", "integer, at least 0, at most 60"),
        (1.5, "is not of type integer", "integer, at least 0, at most 60"),
        ("1", "is not of type integer", "integer, at least 0, at most 60"),
        (True, "is not of type integer", "integer, at least 0, at most 60"),
        (None, "is not of type integer", "integer, at least 0, at most 60"),
        ({"value": "x"}, "is not of type integer", "integer, at least 0, at most 60"),
        ({"href": "https://example.org/n"}, "fetches no inputs", "integer, at least 0, at most 60"),
    ],
)
def test_a_wrong_value_is_named_and_what_would_be_right_is_said(value, said, valid):
    error = refused({"n": value}, {"n": INTEGER})
    assert error.parameter == "n"
    assert said in error.detail
    assert error.valid == valid


def test_missing_and_unknown_inputs_are_named():
    assert refused({}, {"n": INTEGER, "t": TEXT}).parameter == "n"
    error = refused({"n": 1, "m": 2}, {"n": INTEGER, "t": TEXT})
    assert (error.parameter, error.valid) == ("m", "n, t")
    assert refused({"n": 1, "m": "x"}, {"n": INTEGER}, extra={"type": "number"}).parameter == "m"
    assert validate_inputs({"n": 1, "m": 2}, {"n": INTEGER}, {"type": "number"}) == {"n": 1, "m": 2}


def test_inputs_that_may_occur_more_than_once():
    many = {"schema": {"type": "integer"}, "maxOccurs": 3}
    assert validate_inputs({"n": [1, {"value": 2}]}, {"n": many}) == {"n": [1, 2]}
    assert validate_inputs({"n": 1}, {"n": many}) == {"n": [1]}
    assert "4 times" in refused({"n": [1, 2, 3, 4]}, {"n": many}).detail
    assert refused({"n": [1, {"href": "x"}]}, {"n": many}).parameter == "n"


@pytest.mark.parametrize("inputs", [[], "x", None, 3, [{"n": 1}]])
def test_only_an_object_has_inputs(inputs):
    assert refused(inputs, {"n": INTEGER}).parameter == "inputs"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_refused_at_any_depth(number):
    refused({"o": {"a": [1, {"b": number}]}}, {"o": OBJECT})
    refused(json.loads(json.dumps({"o": {"a": number}})), {"o": OBJECT})


def nested(levels):
    value = 1
    for n in range(levels):
        value = [value] if n % 2 else {"a": value}
    return value


def test_depth_has_a_limit():
    check_json(nested(MAX_DEPTH))
    with pytest.raises(InvalidQueryError, match="nested too deeply"):
        check_json(nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidQueryError, match="nested too deeply"):
        check_json(nested(100_000))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["n", "t", "o", "?"]), JSON))
def test_any_json_is_valid_or_refused_with_a_name(inputs):
    try:
        checked = validate_inputs(inputs, {"n": INTEGER, "t": TEXT, "o": OBJECT})
    except InvalidQueryError as error:
        if error.parameter not in {"inputs", "n", *inputs} or not error.valid:
            raise
    else:
        assert 0 <= checked["n"] <= 60
        assert isinstance(checked.get("t", ""), str)
        assert isinstance(checked.get("o", {}), dict)
