"""The one table of the API's routes. What serves, the OpenAPI document and the members' page are all made from it."""

from __future__ import annotations

from collections.abc import Mapping

from billing.canon import canonical
from billing.portal.api import access_keys, belonging, co_op, money, openapi, records, usage, voting
from billing.portal.api.route import Answer, Asking, Exactly, Route, Schema, Told
from billing.portal.api.statement_shapes import MONTH_STATEMENT, OLDER_STATEMENT, YEAR_STATEMENT
from billing.settings import BillingSettings

COMPONENTS: Mapping[str, Schema] = {
    "MonthStatement": MONTH_STATEMENT,
    "OlderStatement": OLDER_STATEMENT,
    "YearStatement": YEAR_STATEMENT,
    "VoteResult": voting.RESULT,
}
_DOCUMENT: Schema = {
    "type": "object",
    "description": "An OpenAPI 3.1 document.",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "openapi": {"type": "string", "const": openapi.VERSION},
        "info": {"type": "object"},
        "paths": {"type": "object"},
    },
}


def table(settings: BillingSettings) -> tuple[Route, ...]:
    """Every route, in the order of the document."""

    async def document(_: Asking) -> Answer:
        return Exactly(text)

    example = {"openapi": openapi.VERSION, "info": {}, "paths": {}}
    found = (
        *belonging.routes(),
        *usage.routes(settings),
        *money.routes(settings),
        *co_op.routes(settings),
        *voting.routes(settings),
        *records.routes(settings),
        *access_keys.routes(),
        Route(
            "GET", "/openapi.json", "getDocument", "the API", "This document", document,
            (Told(_DOCUMENT, example),), is_public=True,
        ),
    )  # fmt: skip
    text = canonical(openapi.document(found, COMPONENTS, settings)) + "\n"
    return found
