"""Are stored values decoded as xarray decodes them, to the last bit?"""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.datacube import Parameter
from plugins.datacube.decode import Range, decode

STORED = np.array([-32768, -32767, -1, 0, 1, 77, 20000, 32767])


def make_parameter(stored: str, decoded: str, **more: object) -> Parameter:
    return Parameter("p", ("n",), (8,), decoded, (8,), None, stored, **more)


@given(
    st.sampled_from(["int8", "int16", "int32", "uint8", "uint16", ">i2", "float32", ">f4", "float64"]),
    st.none() | st.floats(1e-6, 1e3),
    st.none() | st.floats(-1e5, 1e5),
    st.lists(st.sampled_from([-32767, 0, 77]), max_size=1),
)
def test_packed_values_are_those_of_xarray(
    dtype: str, scale: float | None, offset: float | None, missing: list[int]
) -> None:
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.iinfo("int16")
    stored = np.clip(STORED, info.min, info.max).astype(dtype)
    missing = [value for value in missing if info.min <= value]
    attributes: dict[str, object] = {}
    if scale is not None:
        attributes["scale_factor"] = scale
    if offset is not None:
        attributes["add_offset"] = offset
    if missing:
        attributes["_FillValue"] = np.array(missing[0], dtype)[()]
    expected = xr.decode_cf(xr.Dataset({"p": ("n", stored.copy(), attributes)}))["p"].values
    parameter = make_parameter(
        dtype, str(expected.dtype), scale_factor=scale, add_offset=offset, missing=tuple(missing)
    )
    values, mask = decode(stored, parameter)
    if expected.dtype.kind == "f" and values.dtype.kind in "iu":
        # xarray turns integers with a fill value into floats; here they stay integers, under a mask.
        assert values.dtype == np.dtype(dtype).newbyteorder("=")
        assert mask is not None
        assert (mask == np.isnan(expected)).all()
        assert (values[~mask] == expected[~mask]).all()
    else:
        assert values.dtype == expected.dtype
        assert values.dtype.isnative
        assert mask is None
        assert values.tobytes() == expected.astype(expected.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize("missing", [1e20, np.float32(1e20), -9999.0, -9999])
def test_float_fill_values_are_compared_as_stored(missing: float) -> None:
    stored = np.array([1.5, missing, np.nan, 0.0], "float32")
    values, _ = decode(stored, make_parameter("float32", "float32", missing=(missing,)))
    assert np.isnan(values).tolist() == [False, True, True, False]
    assert stored[1] == np.float32(missing)  # the chunk itself, which others share, is unchanged


def test_several_missing_values_and_those_out_of_range() -> None:
    stored = np.array([0, 5, 255, 7], "uint8")
    values, mask = decode(stored, make_parameter("uint8", "uint8", missing=(255.0, 0, -9999, 1e20)))
    assert mask is not None
    assert mask.tolist() == [True, False, True, False]
    assert values.tolist() == [0, 5, 255, 7]


def test_64_bit_integers_are_compared_exactly() -> None:
    stored = np.array([2**62 + 1, 2**62], "int64")
    _, mask = decode(stored, make_parameter("int64", "int64", missing=(2**62,)))
    assert mask is not None
    assert mask.tolist() == [False, True]


def test_a_range_of_plain_integers_has_no_mask() -> None:
    part = Range((2,), make_parameter("int32", "int32"), partial=False)
    part.put((slice(0, 2),), np.array([1, 2], "int32"), None)
    values = part.finish()
    assert not isinstance(values, np.ma.MaskedArray)
    assert values.tolist() == [1, 2]


def test_integers_outside_an_area_are_masked() -> None:
    part = Range((1, 3), make_parameter("int32", "int32"), partial=True)
    part.put((slice(0, 1), slice(0, 2)), np.array([[1, 2]], "int32"), None)
    part.exclude(np.array([True, False, True]))
    values = part.finish()
    assert isinstance(values, np.ma.MaskedArray)
    assert values.tolist() == [[None, 2, None]]


def test_floats_outside_an_area_are_nan() -> None:
    part = Range((1, 3), make_parameter("float32", "float32"), partial=True)
    part.put((slice(0, 1), slice(0, 2)), np.array([[1, 2]], "float32"), None)
    part.exclude(np.array([True, False, True]))
    assert np.array_equal(part.finish(), [[np.nan, 2, np.nan]], equal_nan=True)
