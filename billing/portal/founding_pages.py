"""The founders' checklist as a page: what the law of a rule set asks, what is to be done everywhere, who helps.

It holds nobody's data and is open to everybody.
"""

from __future__ import annotations

from aiohttp import web

from billing.governance import store as governance_store
from billing.governance.decisions import choice_at
from billing.pages import render
from billing.portal.desk import PORTAL, NotFound, html_page, maybe_visitor
from billing.rules.book import rule_set, rule_set_ids
from billing.rules.founding import WITHOUT_LAW_OF_ITS_OWN, founding_rules, helpers


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/how/start/checklist", _checklist)]


async def _checklist(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await maybe_visitor(request, connection)
        own = choice_at(await governance_store.choices(connection), portal.clock())
    # Of a co-op that chose none, or rules of its own making, the one that names no law.
    known = own.rule_set if own is not None and own.rule_set in rule_set_ids() else WITHOUT_LAW_OF_ITS_OWN
    asked = request.query.get("rules", known)
    if asked not in rule_set_ids():
        raise NotFound("there is no such rule set")
    return html_page(
        render(
            "founding_checklist.html", visitor=visitor, rules=rule_set(asked), founding=founding_rules(asked),
            others=[rule_set(one) for one in rule_set_ids() if one != asked], helpers=helpers(),
        )
    )  # fmt: skip
