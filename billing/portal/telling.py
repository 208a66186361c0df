"""What the pages show and the API tells, fetched in one place for both. It does not know HTTP, nor who may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing import year_store, year_telling
from billing.capital.store import losses_to_meet, lot_changes
from billing.governance.store import choices
from billing.ledger import books
from billing.ledger.reports import Report
from billing.portal.desk import NotFound, Portal
from billing.portal.years import Years, years
from billing.register import store as register_store
from billing.register.operations import Holding
from billing.year_calendar import fiscal_year_of
from meter.cap_store import caps, stored_by
from meter.caps import NO_CAPS, Caps
from meter.ids import MemberId
from meter.live import OpenExchange, Waiting, open_exchanges, waiting
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import stream_places
from meter.usage import Usage
from meter.usage_store import usage_between
from meter.window import Month


@dataclass(frozen=True, slots=True)
class JustNow:
    """A member's running month up to this moment."""

    caps: Caps
    used: Usage
    """The sums."""
    waits: Waiting
    """What the journals of this machine hold beyond them."""
    running: list[OpenExchange]
    stored_bytes: int
    """By the sums."""


async def just_now(portal: Portal, connection: Connection, member: MemberId, *, now_us: int) -> JustNow:
    """Sums, what waits beyond them, and what still runs, of this member alone."""
    month = Month.of(now_us)
    # One view of the sums and of their places, so that no record is shown twice.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        used = await usage_between(connection, member, start_us=month.start_us, end_us=month.end_us)
        stored = (await stored_by(connection, [member]))[member]
        places = await stream_places(connection)
        own = (await caps(connection, member=member)).get(member, NO_CAPS)
    journal, records_max = portal.journal_directory, portal.settings.portal_live_records_max
    waits = await asyncio.to_thread(waiting, journal, places, member, month, records_max=records_max)
    found = await asyncio.to_thread(open_exchanges, journal)
    return JustNow(own, used, waits, [one for one in found if one.event.payer == member], stored)


async def years_of(connection: Connection, member: MemberId, *, now_us: int) -> Years:
    """Which fiscal years a member can look at."""
    return years(
        await choices(connection),
        await year_store.first_month(connection),
        closed=await year_store.closed_years(connection),
        own=await year_store.years_of(connection, member),
        now_us=now_us,
    )


async def year_of(
    portal: Portal, connection: Connection, member: MemberId, text: str | None, *, now_us: int
) -> tuple[Years, int, dict[str, Any]]:
    """(years, the one an address means, its statement). An open year is worked out from everybody's usage.

    Raises NotFound where there is none.
    """
    there = await years_of(connection, member, now_us=now_us)
    try:
        number = there.asked(text)
        directory = portal.settings.list_price_directory
        told = await year_telling.told(connection, member, number, now_us=now_us, price_directory=directory)
    except Refusal as refusal:
        raise NotFound(str(refusal)) from None
    return there, number, told


async def book_reports(connection: Connection, *, now_us: int) -> tuple[str, tuple[Report, ...]]:
    """(currency, reports) of the co-op's books up to now, members' own accounts summed by kind, of one instant."""
    month = Month.of(now_us)
    currency = await books.currency(connection)
    first = (await fiscal_year_of(connection, month)).first
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return currency, (
            await books.balance_sheet(connection, month),
            await books.income_statement(connection, first, month),
            await books.trial_balance(connection, month, by_member=False),
        )


@dataclass(frozen=True, slots=True)
class Capital:
    """What is a member's in the co-op, beside what they use."""

    currency: str
    kept_minor: int
    """Kept in their name."""
    first: Month
    """From when the accounts count: the first month of the fiscal year that runs."""
    accounts: list[dict[str, Any]]
    """By the year it was kept from."""
    losses: list[dict[str, Any]]
    """Their parts of losses that are still to be met, by the year of the loss."""
    holdings: Mapping[str, Holding]


async def capital_of(connection: Connection, member: MemberId, *, now_us: int) -> Capital:
    """A member's capital accounts and shares up to now, of one instant."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        currency = await books.currency(connection)
        first = (await fiscal_year_of(connection, Month.of(now_us))).first
        changes = await lot_changes(connection, member, until_entry=None)
        losses = year_telling.loss_rows(await losses_to_meet(connection, member))
        kept = await year_store.kept_minor(connection, member)
        held = (await register_store.holdings(connection, member=member)).get(member, {})
    return Capital(currency, kept, first, year_telling.capital_rows(changes, first), losses, held)
