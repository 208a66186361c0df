"""Building blocks of the API's schemas: amounts, bytes, times, objects, lists. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.portal.api.route import Parameter, Schema

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
WHOLE: Schema = {"type": "integer"}
BYTES: Schema = {"type": "integer", "minimum": 0, "description": "Bytes, exact."}
SIGNED_BYTES: Schema = {"type": "integer", "description": "Bytes, exact; below zero they were taken back."}
BYTE_TIME: Schema = {
    "type": "integer",
    "description": "Bytes × microseconds, the exact integral. It can be larger than 2^64.",
}
MINOR: Schema = {"type": "integer", "description": "Minor units of the currency beside it, such as cents."}
CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217."}
TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC, to the microsecond."}
DAY: Schema = {"type": "string", "format": "date"}
ASKED_DAY: Schema = {**DAY, "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
"""A day in an address, where an empty one would pass for one that was left out."""
MONTH: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256."}
CLASS: Schema = {"type": "string", "enum": ["user", "worker", "supporter", "customer"]}
CURSOR: Schema = {
    "type": ["string", "null"],
    "description": "Send it back as `cursor` for what comes next; null at the end.",
}
NOT_THERE: Schema = {"type": "null"}


def record(
    properties: Mapping[str, Schema], *, optional: tuple[str, ...] = (), words: str = ""
) -> dict[str, Any]:
    """An object with these fields and no others; all are there but the optional ones."""
    assert set(optional) <= set(properties)
    found: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
    return found | ({"description": words} if words else {})


def rows(schema: Schema, *, words: str = "") -> dict[str, Any]:
    """A list of them."""
    return {"type": "array", "items": schema} | ({"description": words} if words else {})


def or_null(schema: Schema, *, words: str = "") -> dict[str, Any]:
    """That, or null."""
    return {"anyOf": [schema, NOT_THERE]} | ({"description": words} if words else {})


def file_of(media_type: str, words: str) -> dict[str, Any]:
    """A file, byte for byte."""
    return {"type": "string", "contentMediaType": media_type, "description": words}


def by_name(schema: Schema, *, words: str = "") -> dict[str, Any]:
    """An object whose fields have any names and all the same kind of value."""
    return {"type": "object", "additionalProperties": schema} | ({"description": words} if words else {})


def ref(name: str) -> dict[str, Any]:
    """One of the document's named schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def limit_parameter(rows_max: int) -> Parameter:
    """How many rows one answer has."""
    schema = {"type": "integer", "minimum": 1, "maximum": rows_max, "default": rows_max}
    return Parameter("limit", schema, "Rows in this answer at most.", min(100, rows_max))


def cursor_parameter(pattern: str, example: str) -> Parameter:
    """Where the next answer begins."""
    schema = {"type": "string", "maxLength": 40, "pattern": pattern}
    return Parameter("cursor", schema, "The `next` of the answer before.", example)
