"""Pages about the co-op itself: where the money goes and who decided what; and how all of it works, in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from billing import run, year_store
from billing.acts import store as acts_store
from billing.acts.act import OFFICE_WORDS
from billing.costs.costing import list_costs
from billing.costs.run import together
from billing.governance import store as governance_store
from billing.governance.decisions import choice_at
from billing.ledger import books
from billing.pages import render
from billing.portal import membership_store, our_coop
from billing.portal.desk import PORTAL, NotFound, Portal, html_page, maybe_visitor, visitor_of
from billing.portal.login import Visitor
from billing.portal.proposals import KINDS
from billing.prices.comparison import NOT_COMPARED
from billing.prices.listprices import last_day, list_cost, quantities_of
from billing.prices.pricefile import Standing, in_force, site_of
from billing.prices.shelf import kept_shelf
from billing.rules.book import rule_set
from billing.store import book_currency
from billing.tongue import _
from meter.postgres import Connection
from meter.usage_store import period_usage
from meter.window import Month

INVOICES_SHOWN = 40
DECISIONS_SHOWN = 20
STANDING: Mapping[Standing, str] = {
    Standing.VENDOR: "all by the provider’s own pages",
    Standing.SECONDARY: "some of it as others copied it",
    Standing.UNCHECKED: "some of it unchecked",
}
"""How good the weakest number of a price list is, in words."""
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
        documents = await _documents(connection)
        year = await _closed_year(connection)
        currency = await book_currency(connection)
        balance = None if currency is None else await books.balance_sheet(connection, Month.of(now))
        invoices = await list_costs(connection, None)
        decided = await governance_store.resolutions(connection)
        held = [one for one in await acts_store.held(connection) if one.is_held(now)]
        last = Month.parse(documents[-1]["month"]) if documents else None
        compared = None if last is None else await _compared(portal, connection, last)
    found = our_coop.closed(documents, after=None if year is None else year["last"])
    context = {
        "year": year, "found": found, "currency": currency,
        "picture": year["picture"] if year is not None else None if found is None else our_coop.one_unit(found),
        "invoices": invoices[::-1][:INVOICES_SHOWN], "kept": None if balance is None else our_coop.kept(balance),
        "decided": decided[::-1][:DECISIONS_SHOWN], "kinds": KINDS, "held": held, "words": OFFICE_WORDS,
        "compared": compared, "not_compared": _(NOT_COMPARED),
    }  # fmt: skip
    return html_page(render("our_co_op.html", visitor=visitor, **context))


async def _documents(connection: Connection) -> list[dict[str, Any]]:
    """The stored pages of closed months, in order."""
    return [json.loads(text) for _, text in await year_store.closing_texts(connection)]


async def _closed_year(connection: Connection) -> dict[str, Any] | None:
    """The newest closed year; None while none is closed."""
    numbers = await year_store.closed_years(connection)
    stored = await year_store.year_text(connection, numbers[-1]) if numbers else None
    return None if stored is None else our_coop.of_year(json.loads(stored[0]))


async def _compared(portal: Portal, connection: Connection, month: Month) -> dict[str, Any]:
    """What all members used in a closed month, by others' list prices of its last day, beside what it cost us."""
    usage = together(await period_usage(connection, month, until_us=month.end_us), month)
    directory = portal.settings.list_price_directory
    shelf = kept_shelf(Path(directory) if directory else None)
    costs = [list_cost(one, quantities_of(usage)) for one in in_force(shelf, last_day(month))]
    stored = await run.closing_document(connection, month)
    assert stored is not None, "it is closed"
    return {
        "month": month, "charges_minor": stored["charges_minor"], "costs_minor": sum(stored["costs"].values()),
        "providers": [
            {"provider": one.prices.provider, "region": one.prices.region, "dated": one.prices.dated,
             "currency": one.prices.currency, "amount_minor": one.amount_minor, "is_whole": not one.missing,
             "link": one.prices.link, "site": site_of(one.prices.link), "standing": _(STANDING[one.prices.standing])}
            for one in costs
        ],
    }  # fmt: skip


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
    found = our_coop.closed(await _documents(connection))
    mine = await run.past_statements(connection, visitor.member, count_max=1)
    chosen = choice_at(await governance_store.choices(connection), portal.clock())
    return {
        "found": found,
        "thousand": None if found is None else our_coop.of_a_thousand(found),
        "mine": mine[0] if mine else None,
        "kept_minor": await year_store.kept_minor(connection, visitor.member),
        "currency": await book_currency(connection),
        "rules": None if chosen is None else rule_set(chosen.rule_set).name,
        "is_customer": await membership_store.is_customer(connection, visitor.member, now_us=portal.clock()),
    }
