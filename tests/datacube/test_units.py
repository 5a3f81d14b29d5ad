"""Units of real files become UCUM codes; what is not known becomes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.units import EXACT, SYMBOLS, WHOLE, to_ucum

# Left: as producers spell it. Right: the code of the UCUM specification (https://ucum.org/ucum), case sensitive.
EXPECTED = {
    "K": "K", "kelvin": "K", "degC": "Cel", "Deg C": "Cel", "DEG C": "Cel", "celsius": "Cel", "Celsius": "Cel",
    "degrees_celsius": "Cel", "°C": "Cel", "C": "Cel", "degF": "[degF]",
    "m s-1": "m.s-1", "m s**-1": "m.s-1", "m/s": "m.s-1", "M/S": "m.s-1", "m s^-1": "m.s-1", "m.s-1": "m.s-1",
    "km h-1": "km.h-1", "knots": "[kn_i]", "kt": "[kn_i]",
    "Pa": "Pa", "hPa": "hPa", "mbar": "mbar", "millibars": "mbar", "mb": "mbar", "Pa s-1": "Pa.s-1",
    "kg m-2": "kg.m-2", "kg m**-2": "kg.m-2", "kg m-2 s-1": "kg.m-2.s-1", "kg m**-2 s**-1": "kg.m-2.s-1",
    "kg/m2/s": "kg.m-2.s-1", "kg/(m2 s)": "kg.m-2.s-1", "kg kg-1": "kg.kg-1", "kg kg**-1": "kg.kg-1",
    "g/kg": "g.kg-1", "kg m-3": "kg.m-3", "ug/m3": "ug.m-3", "µg m-3": "ug.m-3", "mol mol-1": "mol.mol-1",
    "W m-2": "W.m-2", "W m**-2": "W.m-2", "W/m^2": "W.m-2", "J m-2": "J.m-2", "J m**-2": "J.m-2",
    "m2 s-2": "m2.s-2", "m**2 s**-2": "m2.s-2", "m2/s2": "m2.s-2", "s-1": "s-1", "s**-1": "s-1", "1/s": "s-1",
    "K m2 kg-1 s-1": "K.m2.kg-1.s-1", "K m**2 kg**-1 s**-1": "K.m2.kg-1.s-1", "m3 s-1": "m3.s-1",
    "mm": "mm", "mm/day": "mm.d-1", "mm day-1": "mm.d-1", "mm h-1": "mm.h-1", "mm/hr": "mm.h-1",
    "m of water equivalent": "m", "gpm": "m", "m": "m", "metres": "m", "cm": "cm", "m**3 m**-3": "m3.m-3",
    "%": "%", "percent": "%", "1": "1", "(0 - 1)": "1", "fraction": "1", "dimensionless": "1", "0-1": "1",
    "1e-3": "10*-3", "10^-6": "10*-6", "10**-6 s-1": "10*-6.s-1", "psu": "{psu}",
    "degrees": "deg", "degree": "deg", "degrees_north": "deg", "degrees_east": "deg", "degree_true": "deg",
    "days": "d", "hours": "h", "s": "s", "seconds": "s", "ppm": "[ppm]",
}  # fmt: skip


@pytest.mark.parametrize("text", EXPECTED)
def test_known(text: str) -> None:
    assert to_ucum(text) == EXPECTED[text]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "foo",
        "m s-",
        "m//",
        "m/",
        "m//s",
        "m . . s",
        "()",
        "(m",
        "m)",
        "hours since 1900-01-01",
        "K!",
        "1e20 furlongs",
        "m" * 1000,
        "Code table 4.2",
    ],
)
def test_unknown(text: str | None) -> None:
    assert to_ucum(text) is None


@given(st.text(max_size=120))
def test_any_text_is_read_without_an_error(text: str) -> None:
    code = to_ucum(text)
    assert code is None or (code.isascii() and " " not in code)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(EXACT - {"%"})), st.integers(-4, 4).filter(bool)), min_size=1, max_size=4)
)
def test_all_spellings_of_a_product_agree(factors: list[tuple[str, int]]) -> None:
    cf = " ".join(symbol if power == 1 else f"{symbol}{power}" for symbol, power in factors)
    stars = " ".join(symbol if power == 1 else f"{symbol}**{power}" for symbol, power in factors)
    expected = ".".join(symbol if power == 1 else f"{symbol}{power}" for symbol, power in factors)
    if cf.lower() in WHOLE:
        return
    assert to_ucum(cf) == to_ucum(stars) == expected


def test_tables_do_not_contradict_each_other() -> None:
    assert not {symbol for symbol in SYMBOLS if symbol != symbol.lower()}
    assert not {text for text in WHOLE if text != text.lower()}
    assert {code for code in SYMBOLS.values() if "[" not in code and code != "1"} <= EXACT | {"dbar"}
