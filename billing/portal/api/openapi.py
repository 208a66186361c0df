"""The OpenAPI 3.1 document, made from the table of routes that serves. Pure; nothing in it is kept by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from billing.portal.api import problem
from billing.portal.api.problem import Kind
from billing.portal.api.route import Parameter, Route, Schema
from billing.portal.tokens import SCOPE_WORDS
from billing.settings import BillingSettings
from meter import __version__

VERSION = "3.1.1"
BASE = "/api/v1"
TOKEN = "token"  # noqa: S105 - the name of a security scheme
DESCRIPTION = (
    "What the members' pages show, as JSON. Whose data is told comes from the token and from nowhere else. Bytes, "
    "requests and money are whole numbers: read them into a type that keeps them exact, because some are larger than "
    "2^53. Times are RFC 3339 in UTC. Fields may be added to an answer's named schemas in a later version; none goes or "
    "changes its meaning under /api/v1."
)
TAGS: Mapping[str, str] = {
    "about you": "Who you are to the co-op.",
    "usage": "What you use, counted.",
    "money": "What it costs, and what comes back.",
    "the co-op": "Where the money goes, and who does what.",
    "voting": "What is proposed and decided.",
    "keys": "What your programs sign in with at the gateway.",
    "the API": "This document.",
}


def document(
    routes: Iterable[Route], components: Mapping[str, Schema], settings: BillingSettings
) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in routes:
        paths.setdefault(one.path, {})[one.method.lower()] = operation(one)
    return {
        "openapi": VERSION,
        "info": {
            "title": "Weir: the members' API",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "servers": [{"url": f"{settings.portal_url.rstrip('/')}{BASE}"}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem.SCHEMA, **components},
            "securitySchemes": {
                TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "weir_<number>_<secret>",
                    "description": "Made on the portal's page Tokens. Its scopes: "
                    + "; ".join(f"`{scope.value}`: {words}" for scope, words in SCOPE_WORDS.items())
                    + ".",
                }
            },
            "responses": {one.label: _problem(one) for one in Kind},
        },
    }


def operation(route: Route) -> dict[str, Any]:
    """One route as the document has it."""
    found: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [_parameter(one) for one in route.parameters],
        "security": [] if route.is_public else [{TOKEN: [route.scope.value] if route.scope else []}],
        "responses": {
            str(route.status): _answer(route),
            **{str(status): {"$ref": f"#/components/responses/{label}"} for status, label in refusals(route)},
        },
    }
    if route.words:
        found["description"] = route.words
    if route.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": route.body.schema, "example": route.body.example}},
        }
    return found


def refusals(route: Route) -> list[tuple[int, str]]:
    """(status, label) of each way in which this route may be refused; 403 stands for both its kinds."""
    kinds = [Kind.BAD_REQUEST, Kind.FAULT, Kind.AWAY]
    if not route.is_public:
        kinds += [Kind.NO_TOKEN, Kind.TOO_MANY]
    if route.scope is not None:
        kinds.append(Kind.SCOPE_MISSING)
    if route.in_path:
        kinds.append(Kind.NOT_FOUND)
    if route.body is not None:
        kinds += [Kind.TOO_LARGE, Kind.NOT_JSON]
    if route.conflicts:
        kinds.append(Kind.CONFLICT)
    return sorted((one.status, one.label) for one in kinds)


def _answer(route: Route) -> dict[str, Any]:
    content = {one.media_type: {"schema": one.schema, "example": one.example} for one in route.told}
    return {"description": "Made." if route.status == 201 else "Here it is.", "content": content}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": "path" if one.in_path else "query",
        "required": one.in_path,
        "description": one.words,
        "schema": one.schema,
        "example": one.example,
    }


def _problem(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    example = {"type": kind.urn, "title": kind.title, "status": kind.status, "detail": f"{kind.title}."}
    found: dict[str, Any] = {
        "description": f"{kind.title}.",
        "content": {problem.MEDIA_TYPE: schema | {"example": example}},
    }
    headers = {
        Kind.NO_TOKEN: ("WWW-Authenticate", "string"),
        Kind.SCOPE_MISSING: ("WWW-Authenticate", "string"),
        Kind.TOO_MANY: ("Retry-After", "integer"),
    }
    if kind in headers:
        name, form = headers[kind]
        found["headers"] = {name: {"schema": {"type": form}}}
    return found
