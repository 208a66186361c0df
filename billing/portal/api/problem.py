"""What the API answers when it does not do what was asked: one table of problems, as RFC 9457 writes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

MEDIA_TYPE = "application/problem+json"


class Kind(Enum):
    """Every problem: its name, its status, its title."""

    BAD_REQUEST = ("bad-request", 400, "Something of what was asked cannot be understood")
    NO_TOKEN = ("no-token", 401, "A token is needed, and none came that works")
    SCOPE_MISSING = ("scope-missing", 403, "The token may not do this")
    NOT_A_MEMBER = ("not-a-member", 403, "This is for members")
    NOT_FOUND = ("not-found", 404, "There is no such thing for you")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "This address does not take that method")
    CONFLICT = ("conflict", 409, "It cannot be done as things stand")
    TOO_LARGE = ("too-large", 413, "The body is too large")
    NOT_JSON = ("not-json", 415, "The body has to be JSON")
    TOO_MANY = ("too-many-requests", 429, "Too many requests")
    FAULT = ("fault", 500, "Something went wrong on our side")
    AWAY = ("books-away", 503, "The co-op's books cannot be reached just now")

    def __init__(self, label: str, status: int, title: str) -> None:
        self.label = label
        self.status = status
        self.title = title

    @property
    def urn(self) -> str:
        """What a program tells problems apart by."""
        return f"urn:weir:problem:{self.label}"


BY_STATUS: Mapping[int, Kind] = {404: Kind.NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED, 413: Kind.TOO_LARGE}
"""Of what the server itself refuses."""


@dataclass(slots=True)
class Problem(Exception):
    """A request that is refused."""

    kind: Kind
    detail: str
    extra: Mapping[str, object] = field(default_factory=dict)
    """Members of the document beside those of the standard: field, scope, limit."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """As RFC 9457 writes it."""
        kind = self.kind
        return {
            "type": kind.urn,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            **self.extra,
        }


def limit(name: str, value: int) -> dict[str, object]:
    """A limit by the name of its setting."""
    return {"limit": {"name": name, "value": value}}


SCHEMA: Mapping[str, object] = {
    "type": "object",
    "description": "Why not, as RFC 9457 writes it.",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "enum": [one.urn for one in Kind],
            "description": "What a program tells problems apart by.",
        },
        "title": {"type": "string", "description": "The same in words, always the same for a type."},
        "status": {"type": "integer", "enum": sorted({one.status for one in Kind})},
        "detail": {"type": "string", "description": "What was wrong this time, in one sentence."},
        "field": {"type": "string", "description": "Which parameter or member of the body is meant."},
        "scope": {"type": "string", "description": "The scope that the token does not have."},
        "limit": {
            "type": "object",
            "description": "The limit that was reached, by the name of its setting.",
            "required": ["name", "value"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "value": {"type": "integer"}},
        },
    },
}
