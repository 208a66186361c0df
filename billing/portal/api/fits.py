"""Whether a value is what a schema of ours says: the same schema that stands in the API's document. Pure.

It knows as much of JSON Schema as our parameters and bodies use; anything else is our bug.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from meter.refusal import Refusal

_WORDS = {
    "type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "items", "maxItems", "uniqueItems",
    "properties", "required", "additionalProperties", "description", "format", "default", "examples",
}  # fmt: skip
_TYPES: Mapping[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
_ARTICLES = {
    "integer": "a whole number",
    "object": "an object",
    "array": "a list",
    "boolean": "true or false",
    "string": "a text",
}
INTEGER_DIGITS_MAX = 18


class Misfit(Refusal):
    """A value that is not what the document says; `field` says which."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


def read_text(schema: Mapping[str, Any], text: str, *, field: str) -> str | int:
    """A parameter out of an address. Raises Misfit."""
    value: str | int = text
    if schema["type"] == "integer":
        if not (text.isascii() and text.isdecimal() and len(text) <= INTEGER_DIGITS_MAX):
            raise Misfit(field, "a whole number is wanted, in digits")
        value = int(text)
    check(schema, value, field=field)
    return value


def check(schema: Mapping[str, Any], value: object, *, field: str) -> None:
    """Raises Misfit for a value that does not fit."""
    assert set(schema) <= _WORDS, f"{set(schema) - _WORDS} is not known here"
    kind = schema["type"]
    # A bool is an int to Python, and none to JSON.
    if not isinstance(value, _TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        raise Misfit(field, f"{_ARTICLES[kind]} is wanted")
    if "enum" in schema and value not in schema["enum"]:
        raise Misfit(field, f"it is one of {', '.join(map(str, schema['enum']))}")
    if isinstance(value, str):
        _check_text(schema, value, field=field)
    elif isinstance(value, int):
        _check_number(schema, value, field=field)
    elif isinstance(value, list):
        _check_list(schema, value, field=field)
    elif isinstance(value, dict):
        _check_object(schema, value)


def _check_text(schema: Mapping[str, Any], value: str, *, field: str) -> None:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        raise Misfit(field, f"it has {schema.get('minLength', 0)} to {schema['maxLength']} characters")
    pattern = schema.get("pattern")
    # '$' would let an end of line pass, so both ends are asked for.
    if pattern is not None and re.fullmatch(pattern[1:-1], value, re.ASCII) is None:
        raise Misfit(field, f"it looks like {pattern}")


def _check_number(schema: Mapping[str, Any], value: int, *, field: str) -> None:
    least, most = schema.get("minimum", value), schema.get("maximum", value)
    if not least <= value <= most:
        raise Misfit(field, f"it is from {least} to {most}")


def _check_list(schema: Mapping[str, Any], value: Sequence[object], *, field: str) -> None:
    if len(value) > schema.get("maxItems", len(value)):
        raise Misfit(field, f"it has {schema['maxItems']} entries at most")
    for one in value:
        check(schema["items"], one, field=field)
    if schema.get("uniqueItems") and len(set(map(str, value))) != len(value):
        raise Misfit(field, "an entry stands there twice")


def _check_object(schema: Mapping[str, Any], value: Mapping[str, object]) -> None:
    properties = schema["properties"]
    for name in value:
        if name not in properties:
            raise Misfit(name[:40], "there is no such field")
    for name in schema.get("required", ()):
        if name not in value:
            raise Misfit(name, "it is missing")
    for name, inner in value.items():
        check(properties[name], inner, field=name)
