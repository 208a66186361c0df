"""Pages about the co-op itself: where the money goes and who decided what; and how all of it works, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from billing import run, year_store
from billing.acts.act import OFFICE_WORDS
from billing.capital.store import losses_to_meet
from billing.costs import store as cost_store
from billing.governance import store as governance_store
from billing.governance.decisions import choice_at
from billing.pages import render
from billing.portal import membership_store, our_coop
from billing.portal.coop_told import closed_months, co_op_of, held_now
from billing.portal.desk import PORTAL, NotFound, Portal, html_page, maybe_visitor, visitor_of
from billing.portal.login import Visitor
from billing.portal.proposals import KINDS
from billing.prices.comparison import NOT_COMPARED
from billing.rules.book import rule_set
from billing.store import book_currency
from billing.tongue import _
from meter.postgres import Connection

INVOICES_SHOWN = 40
DECISIONS_SHOWN = 20
TOPICS: Mapping[str, str] = {
    "co-op": "What a co-op is",
    "surplus": "How a surplus comes about",
    "kept": "Why some of it is kept",
    "reserve": "What a reserve is",
    "start": "How to start your own",
}


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/co-op", _our_coop),
        web.get("/how", _how),
        web.get("/how/{topic}", _topic),
    ]


async def _our_coop(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    # Sums over everybody's usage and the whole ledger, so one at a time.
    async with portal.searching, portal.database() as connection:
        visitor = await visitor_of(request, connection)
        told = await co_op_of(portal, connection, now_us=now)
        invoices = await cost_store.newest_invoices(connection, count_max=INVOICES_SHOWN)
        decided = await governance_store.newest_resolutions(connection, count_max=DECISIONS_SHOWN)
        held = await held_now(connection, now_us=now)
    context = {
        "year": told.year, "found": told.since, "picture": told.picture, "currency": told.currency, "kept": told.kept,
        "compared": told.compared, "invoices": invoices, "decided": decided, "kinds": KINDS, "held": held,
        "words": OFFICE_WORDS, "not_compared": _(NOT_COMPARED),
    }  # fmt: skip
    return html_page(render("our_co_op.html", visitor=visitor, **context))


async def _how(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await maybe_visitor(request, connection)
    return html_page(render("how.html", visitor=visitor, topics=_topics()))


def _topics() -> dict[str, str]:
    return {name: _(title) for name, title in TOPICS.items()}


async def _topic(request: web.Request) -> web.Response:
    topic = request.match_info["topic"]
    if topic not in TOPICS:
        raise NotFound("there is no such page")
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await maybe_visitor(request, connection)
        # Whoever is not signed in reads the same words without anybody's numbers.
        own = None if visitor is None else await _numbers(portal, connection, visitor)
    names, topics = list(TOPICS), _topics()
    place = names.index(topic)
    context = {
        "topic": topic, "title": topics[topic], "own": own, "topics": topics,
        "following": names[place + 1] if place + 1 < len(names) else None,
    }  # fmt: skip
    return html_page(render(f"how_{topic.replace('-', '_')}.html", visitor=visitor, **context))


async def _numbers(portal: Portal, connection: Connection, visitor: Visitor) -> dict[str, Any]:
    """The co-op's closed months, and this member's own part of the last one."""
    found = await closed_months(connection)
    mine = await run.past_statements(connection, visitor.member, count_max=1)
    chosen = choice_at(await governance_store.choices(connection), portal.clock())
    return {
        "found": found,
        "thousand": None if found is None else our_coop.of_a_thousand(found),
        "mine": mine[0] if mine else None,
        "kept_minor": await year_store.kept_minor(connection, visitor.member),
        "loss_minor": sum((await losses_to_meet(connection, visitor.member)).values()),
        "currency": await book_currency(connection),
        "rules": None if chosen is None else rule_set(chosen.rule_set).name,
        "is_customer": await membership_store.is_customer(connection, visitor.member, now_us=portal.clock()),
    }
