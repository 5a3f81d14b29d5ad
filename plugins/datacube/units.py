"""How does a unit that CF data spells become a code of UCUM, which clients understand?

Units of weather and climate data are products of powers ("kg m-2 s-1", "W m**-2", "m/s"); they are read as such, and
each symbol is looked up. What is not known gives None: the text of the store is then shown as it stands.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

WHOLE: Final = {
    "(0 - 1)": "1", "0-1": "1", "fraction": "1", "dimensionless": "1", "proportion": "1", "~": "1", "-": "1",
    "unitless": "1", "none": "1", "percent": "%",
    "deg c": "Cel", "deg_c": "Cel", "degrees c": "Cel", "degree c": "Cel", "degrees celsius": "Cel",
    "degree celsius": "Cel", "deg f": "[degF]", "deg_f": "[degF]", "degree fahrenheit": "[degF]",
    "degrees fahrenheit": "[degF]", "deg k": "K", "deg_k": "K", "degrees k": "K", "degree k": "K",
    "m of water equivalent": "m", "m/s": "m.s-1", "psu": "{psu}", "practical salinity unit": "{psu}", "c": "Cel",
    "code table": "1",
    "degrees north": "deg", "degrees east": "deg", "degree true": "deg", "degrees true": "deg",
}  # fmt: skip
"""Whole texts, in lower case, that are no product of symbols."""
SYMBOLS: Final = {
    # Names and plurals, in lower case; symbols whose case matters stand in EXACT.
    "kelvin": "K", "celsius": "Cel", "degc": "Cel", "°c": "Cel", "degree_celsius": "Cel", "degrees_celsius": "Cel",
    "degree_c": "Cel", "degrees_c": "Cel", "degf": "[degF]", "degree_fahrenheit": "[degF]", "fahrenheit": "[degF]",
    "degk": "K", "degree_kelvin": "K", "degrees_kelvin": "K",
    "metre": "m", "metres": "m", "meter": "m", "meters": "m", "kilometre": "km", "kilometres": "km", "kilometer": "km",
    "kilometers": "km", "millimetre": "mm", "millimetres": "mm", "millimeter": "mm", "millimeters": "mm",
    "centimetre": "cm", "centimeter": "cm", "inch": "[in_i]", "inches": "[in_i]", "foot": "[ft_i]", "feet": "[ft_i]",
    "gpm": "m", "gpdam": "dam", "micron": "um", "microns": "um", "μm": "um", "µm": "um",
    "second": "s", "seconds": "s", "sec": "s", "secs": "s", "minute": "min", "minutes": "min", "hour": "h",
    "hours": "h", "hr": "h", "hrs": "h", "day": "d", "days": "d", "week": "wk", "weeks": "wk",
    "month": "mo", "months": "mo", "year": "a", "years": "a", "yr": "a", "yrs": "a",
    "gram": "g", "grams": "g", "kilogram": "kg", "kilograms": "kg", "microgram": "ug", "μg": "ug", "µg": "ug",
    "tonne": "t", "tonnes": "t",
    "pascal": "Pa", "pascals": "Pa", "hectopascal": "hPa", "hectopascals": "hPa", "mb": "mbar", "millibar": "mbar",
    "millibars": "mbar", "atmosphere": "atm", "decibar": "dbar", "dbar": "dbar",
    "watt": "W", "watts": "W", "joule": "J", "joules": "J", "newton": "N", "newtons": "N", "volt": "V", "volts": "V",
    "hertz": "Hz", "mole": "mol", "moles": "mol", "molecule": "1", "molecules": "1", "litre": "L", "liter": "L",
    "degree": "deg", "degrees": "deg", "°": "deg", "radian": "rad", "radians": "rad", "steradian": "sr", "sr": "sr",
    "degree_north": "deg", "degrees_north": "deg", "degree_n": "deg", "degrees_n": "deg",
    "degree_east": "deg", "degrees_east": "deg", "degree_e": "deg", "degrees_e": "deg",
    "degree_true": "deg", "degrees_true": "deg",
    "knot": "[kn_i]", "knots": "[kn_i]", "kt": "[kn_i]", "kts": "[kn_i]", "kn": "[kn_i]",
    "ppm": "[ppm]", "ppmv": "[ppm]", "ppb": "[ppb]", "ppbv": "[ppb]",
    "count": "1", "counts": "1",
}  # fmt: skip
EXACT: Final = frozenset(
    [
        "K",
        "Cel",
        "m",
        "s",
        "g",
        "kg",
        "mg",
        "ug",
        "ng",
        "t",
        "km",
        "cm",
        "mm",
        "um",
        "nm",
        "dam",
        "dm",
        "h",
        "min",
        "d",
        "a",
        "wk",
        "mo",
        "W",
        "kW",
        "MW",
        "GW",
        "J",
        "kJ",
        "MJ",
        "GJ",
        "N",
        "Pa",
        "hPa",
        "kPa",
        "MPa",
        "bar",
        "mbar",
        "V",
        "mV",
        "Hz",
        "kHz",
        "MHz",
        "GHz",
        "mol",
        "mmol",
        "umol",
        "nmol",
        "kmol",
        "L",
        "l",
        "ml",
        "mL",
        "rad",
        "sr",
        "deg",
        "atm",
        "eV",
        "lx",
        "cd",
        "S",
        "%",
    ]
)
"""Symbols that UCUM spells in the same way."""
_TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<slash>/)|(?P<dot>[.*·](?!\*))|"
    r"(?P<power>10(?:\*{1,2}|\^)[+-]?\d+|1[eE][+-]?\d+)|(?P<number>\d+(?:\.\d+)?)|"
    r"(?P<symbol>%|[^\W\d]+|°[A-Za-z]?)(?:(?:\*\*|\^)?\(?(?P<exponent>[+-]?\d+)\)?)?)"
)
MAX_LENGTH: Final = 100


@lru_cache(maxsize=1024)
def to_ucum(units: str | None) -> str | None:
    """Return the UCUM code of a unit as CF or udunits spells it, or None where it is not known.

    Examples
    --------
    >>> to_ucum("kg m**-2 s**-1"), to_ucum("m/s"), to_ucum("Deg C"), to_ucum("hours since 1900-01-01")
    ('kg.m-2.s-1', 'm.s-1', 'Cel', None)
    """
    if units is None or len(units) > MAX_LENGTH:
        return None
    text = " ".join(units.split())
    if text.lower() in WHOLE:
        return WHOLE[text.lower()]
    factors = _factors(text)
    if not factors:
        return None
    terms = [code if power == 1 else f"{code}{power}" for code, power in factors]
    ones = [term for term in terms if term != "1"]
    return ".".join(ones) if ones else "1"


def _factors(text: str) -> list[tuple[str, int]] | None:
    """Read a product of powers; None where a symbol or the form is not known."""
    factors: list[tuple[str, int]] = []
    signs = [1]
    sign = 1
    at = 0
    expected = True  # a factor must follow an operator
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            return None
        at = match.end()
        kind = match.lastgroup
        if kind in ("slash", "dot", "close") and expected:
            return None
        if kind == "slash":
            sign = -signs[-1]
        elif kind == "open":
            signs.append(sign)
        elif kind == "close":
            if len(signs) == 1:
                return None
            signs.pop()
            sign = signs[-1]
        elif kind != "dot":
            factor = _factor(match, sign)
            if factor is None:
                return None
            factors.append(factor)
            sign = signs[-1]
        expected = kind in ("slash", "dot", "open")
    return factors if len(signs) == 1 and not expected else None


def _factor(match: re.Match[str], sign: int) -> tuple[str, int] | None:
    if (power := match["power"]) is not None:
        exponent = int(re.split(r"[eE]|\*{1,2}|\^", power)[1])
        return "10*", exponent * sign
    if (number := match["number"]) is not None:
        if number == "1":
            return "1", 1
        return (number, sign) if "." not in number else None
    symbol = match["symbol"]
    code = symbol if symbol in EXACT else SYMBOLS.get(symbol.lower())
    if code is None:
        return None
    exponent = int(match["exponent"] or 1) * sign
    return ("1", 1) if code == "1" else (code, exponent)
