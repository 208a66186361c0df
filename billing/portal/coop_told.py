"""What the page of our co-op shows and the API tells of it, fetched in one place for both. It does not know HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing import run, year_store
from billing.acts import store as acts_store
from billing.acts.act import Held
from billing.costs.run import together
from billing.ledger import books
from billing.portal import our_coop
from billing.portal.desk import Portal
from billing.prices.listprices import last_day, list_cost, quantities_of
from billing.prices.pricefile import Standing, in_force, site_of
from billing.prices.shelf import kept_shelf
from billing.store import book_currency
from billing.tongue import _
from meter.postgres import Connection
from meter.usage_store import period_usage
from meter.window import Month

STANDING: Mapping[Standing, str] = {
    Standing.VENDOR: "all by the provider’s own pages",
    Standing.SECONDARY: "some of it as others copied it",
    Standing.UNCHECKED: "some of it unchecked",
}
"""How good the weakest number of a price list is, in words."""


@dataclass(frozen=True, slots=True)
class CoOp:
    """Where the money goes and what is kept, as of now; what there is none of yet is None."""

    closed: our_coop.Closed | None
    year: dict[str, Any] | None
    """The newest fiscal year that is closed, as our_coop.of_year() has it."""
    since: our_coop.Closed | None
    """Closed months that no closed year holds."""
    currency: str | None
    kept: dict[str, list[tuple[str, int]]] | None
    compared: dict[str, Any] | None
    """What all members used in the last closed month, by others' list prices."""

    @property
    def picture(self) -> dict[str, Any] | None:
        """Of one euro: of the closed year, else of the months that are closed."""
        if self.year is not None:
            found: dict[str, Any] = self.year["picture"]
            return found
        return None if self.since is None else our_coop.one_unit(self.since)


async def co_op_of(portal: Portal, connection: Connection, *, now_us: int) -> CoOp:
    """Sums over everybody's usage and the whole ledger: the caller lets one be made at a time."""
    documents = await _documents(connection)
    found, year = our_coop.closed(documents), await _closed_year(connection)
    since = our_coop.closed(documents, after=None if year is None else year["last"])
    currency = await book_currency(connection)
    balance = None if currency is None else await books.balance_sheet(connection, Month.of(now_us))
    compared = None if found is None else await _compared(portal, connection, found.last)
    return CoOp(found, year, since, currency, None if balance is None else our_coop.kept(balance), compared)


async def closed_months(connection: Connection) -> our_coop.Closed | None:
    """The last closed months added up; None while none is closed."""
    return our_coop.closed(await _documents(connection))


async def _documents(connection: Connection) -> list[dict[str, Any]]:
    """The stored pages of closed months, in order."""
    return [json.loads(text) for _month, text in await year_store.closing_texts(connection)]


async def _closed_year(connection: Connection) -> dict[str, Any] | None:
    """The newest closed year; None while none is closed."""
    numbers = await year_store.closed_years(connection)
    stored = await year_store.year_text(connection, numbers[-1]) if numbers else None
    return None if stored is None else our_coop.of_year(json.loads(stored[0]))


async def held_now(connection: Connection, *, now_us: int) -> list[Held]:
    """Offices that somebody holds now, in the order they were granted."""
    return [one for one in await acts_store.held(connection) if one.is_held(now_us)]


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
