"""The reference on the members' page of the API, made from the table of routes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from billing.portal.api.openapi import BASE, TAGS
from billing.portal.api.problem import Kind
from billing.portal.api.route import Parameter, Route
from billing.portal.tokens import SCOPE_WORDS

BEGINNING = "## Scopes\n"


def reference(routes: Iterable[Route]) -> str:
    """Scopes, every route by its tag, and every problem; ends with a newline."""
    return "\n".join(_lines(list(routes))) + "\n"


def _lines(routes: list[Route]) -> Iterator[str]:
    yield BEGINNING
    yield from ("| scope | opens |", "|---|---|")
    yield from (f"| `{scope.value}` | {words} |" for scope, words in SCOPE_WORDS.items())
    yield from ("", "## Everything you can ask for", "", f"Addresses begin with `{BASE}`.")
    for tag, words in TAGS.items():
        yield from ("", f"### {tag[:1].upper()}{tag[1:]}", "", words)
        for route in routes:
            if route.tag == tag:
                yield from _route(route)
    yield from ("", "## Problems", "", "| type | status | what it means |", "|---|---|---|")
    yield from (f"| `{one.urn}` | {one.status} | {one.title} |" for one in Kind)


def _route(route: Route) -> Iterator[str]:
    needs = (
        "no token" if route.is_public else "any token" if route.scope is None else f"`{route.scope.value}`"
    )
    yield from (
        "",
        f"`{route.method} {route.path}` ({needs}): {_small(route.summary)}. {route.words}".rstrip(),
    )
    fields = [("the path" if one.in_path else "the query", one) for one in route.parameters]
    if route.body is not None:
        fields += [("the body", _field(name, one)) for name, one in route.body.schema["properties"].items()]
    if fields:
        yield from ("", "| name | in | | what it is |", "|---|---|---|---|")
        yield from (f"| `{one.name}` | {place} | {_form(one)} | {one.words} |" for place, one in fields)


def _field(name: str, schema: Mapping[str, Any]) -> Parameter:
    return Parameter(name, schema, schema["description"], schema.get("default", "WEIR0123456789ABCDEF"))


def _form(one: Parameter) -> str:
    """What it looks like, in a few words."""
    schema = one.schema
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "integer":
        return f"a whole number, {schema['minimum']:,} to {schema['maximum']:,}"
    if schema["type"] == "boolean":
        return "`true` or `false`"
    if schema["type"] == "array":
        return f"a list of {schema['maxItems']:,} names at most"
    return f"a text like `{one.example}`"


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
