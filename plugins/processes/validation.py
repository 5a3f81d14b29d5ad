"""Are the inputs of an execute request what the process description says they are?

Inputs come as JSON (OGC 18-062r2, clause 7.11.2): plain values, qualified values (``{"value": …, "mediaType": …}``),
arrays for inputs that may occur more than once, bounding boxes. Inputs by reference (``{"href": …}``) are refused: the
server fetches nothing on behalf of a client.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from plugins.datacube.errors import InvalidQueryError

MAX_DEPTH: Final = 32
"""Most nested arrays and objects in the inputs."""
_QUALIFIERS: Final = frozenset({"value", "mediaType", "encoding", "schema", "format"})


def validate_inputs(
    inputs: object, descriptions: Mapping[str, Mapping[str, Any]], extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Check the inputs, and return them as plain values.

    Parameters
    ----------
    inputs : object
        The member ``inputs`` of the execute request, as parsed from JSON.
    descriptions : mapping of str to mapping
        Input descriptions by name: ``schema``, ``minOccurs`` (default 1), ``maxOccurs`` (default 1).
    extra : mapping, optional
        JSON schema of inputs that the description does not name (dimensions of the dataset); None refuses them.

    Returns
    -------
    dict
        Qualified values are unwrapped; an input that may occur more than once is a list.

    Raises
    ------
    InvalidQueryError
        With the input at fault and what would be valid.

    Examples
    --------
    >>> validate_inputs({"n": {"value": 3}}, {"n": {"schema": {"type": "integer"}}})
    {'n': 3}
    """
    if not isinstance(inputs, Mapping):
        raise InvalidQueryError("inputs", "the inputs must be an object with a member for each input", "a JSON object")
    check_json(inputs)
    valid = ", ".join(descriptions)
    checked: dict[str, Any] = {}
    for name, given in inputs.items():
        description = descriptions.get(name)
        if description is None and extra is None:
            raise InvalidQueryError(name, f"{name[:64]!r} is not an input of this process", valid)
        checked[name] = _input(name, given, description or {"schema": extra})
    for name, description in descriptions.items():
        if name not in checked and description.get("minOccurs", 1) > 0:
            raise InvalidQueryError(name, f"the input {name!r} is missing", describe(description["schema"]))
    return checked


def check_json(value: object) -> None:
    """Refuse what JSON cannot hold, and what is nested too deeply to be worked on safely.

    Raises
    ------
    InvalidQueryError
        For NaN, infinity, or more than `MAX_DEPTH` levels.
    """
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        following: list[object] = []
        for item in level:
            if isinstance(item, float) and not math.isfinite(item):
                raise InvalidQueryError("inputs", "the inputs hold NaN or infinity, which are not JSON", "numbers")
            if isinstance(item, Mapping):
                following.extend(item.values())
            elif isinstance(item, list | tuple):
                following.extend(item)
        if not following:
            return
        level = following
    raise InvalidQueryError("inputs", "the inputs are nested too deeply", f"at most {MAX_DEPTH} levels")


def describe(schema: Mapping[str, Any]) -> str:
    """Say in words what a schema allows.

    Examples
    --------
    >>> describe({"type": "integer", "minimum": 0, "maximum": 60})
    'integer, at least 0, at most 60'
    """
    if "enum" in schema:
        return "one of " + ", ".join(str(item) for item in schema["enum"])
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(describe(part) for part in schema[key]))
    kind = schema.get("type", "any value")
    parts = [" or ".join(kind) if isinstance(kind, list) else str(kind)]
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        parts[0] = f"array of {describe(schema['items'])}"
    if kind == "object" and schema.get("required"):
        parts[0] = f"object with {', '.join(schema['required'])}"
    for key, word in _BOUNDS.items():
        if key in schema:
            parts.append(word.format(schema[key]))
    return ", ".join(parts)


def _input(name: str, given: Any, description: Mapping[str, Any]) -> Any:
    schema = description["schema"]
    most = description.get("maxOccurs", 1)
    if most != 1 and isinstance(given, list):
        if most != "unbounded" and len(given) > most:
            raise InvalidQueryError(name, f"the input {name!r} is given {len(given)} times", f"at most {most} times")
        return [_value(name, item, schema) for item in given]
    value = _value(name, given, schema)
    return value if most == 1 else [value]


def _value(name: str, given: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(given, Mapping):
        if "href" in given and "value" not in given:
            raise InvalidQueryError(
                name, f"the input {name!r} is a reference, and this server fetches no inputs", describe(schema)
            )
        if "value" in given and _QUALIFIERS.issuperset(given):
            unwrapped = given["value"]
            # An object input may itself have a member called value.
            if _fault(unwrapped, schema) is None or _fault(given, schema) is not None:
                given = unwrapped
    fault = _fault(given, schema)
    if fault is not None:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}"[:64] for step in fault.absolute_path)
        raise InvalidQueryError(name, f"the input {(name + place)!r} {_reason(fault)}", describe(schema))
    return given


def _fault(value: Any, schema: Mapping[str, Any]) -> ValidationError | None:
    fault = best_match(Draft202012Validator(schema).iter_errors(value))
    return fault if isinstance(fault, ValidationError) else None


def _reason(fault: ValidationError) -> str:
    reason = _REASONS.get(str(fault.validator))
    return "is not valid" if reason is None else reason(fault.validator_value)


_BOUNDS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}
_REASONS: Final[dict[str, Callable[[Any], str]]] = {
    "type": lambda kind: f"is not of type {' or '.join(kind) if isinstance(kind, list) else kind}",
    "enum": lambda _: "is none of the possible values",
    "required": lambda names: f"lacks one of its members {', '.join(names)}",
    "minimum": lambda bound: f"is less than {bound}",
    "maximum": lambda bound: f"is greater than {bound}",
    "minItems": lambda bound: f"has fewer than {bound} items",
    "maxItems": lambda bound: f"has more than {bound} items",
    "minLength": lambda bound: f"has fewer than {bound} characters",
    "maxLength": lambda bound: f"has more than {bound} characters",
    "pattern": lambda _: "is not written as it should be",
    "oneOf": lambda _: "has none of its possible forms",
    "anyOf": lambda _: "has none of its possible forms",
    "additionalProperties": lambda _: "has a member that it cannot have",
}
