"""What was used and charged held against what it cost: shares of pools, variance, suggested prices, true-ups.

Each function gathers, asks the pure code, and writes down at most one entry. The connection acts as weir_office.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import asyncpg

from billing import store
from billing.charges.rating import Line, charge
from billing.charges.tariff import CLASSES, Tariff
from billing.costs import store as cost_store
from billing.costs.costing import tariff_in_force
from billing.costs.entries import trueup_entry
from billing.costs.invoices import by_pool as pool_costs
from billing.costs.percentile import Percentile, percentile, samples_in
from billing.costs.pools import (
    PERCENTILES,
    Driver,
    Key,
    Measure,
    Use,
    measures,
    parse_key,
    share_pools,
    unused,
)
from billing.costs.variance import MonthFigures, Suggestion, suggested_tariff, suggestions
from billing.register.run import members_in
from billing.statements.statement import was_member
from meter import sample_store
from meter.engine_usage_store import engine_usage, usage_on
from meter.event import Zone
from meter.ids import NOBODY, MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import is_closed
from meter.usage import Member, Usage
from meter.usage_store import period_usage
from meter.window import Month

QUARTERS_LOOKED_BACK_MAX = 8
CUSTOMER = CLASSES[-1]
_QUARTER = re.compile(r"(\d{4})-Q([1-4])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shared:
    """A month's pools shared out."""

    month: Month
    currency: str
    costs: Mapping[str, int]
    keys: Mapping[str, Key]
    parts: Mapping[str, Mapping[MemberId, int]]
    """Pool → who bears how much, in minor units."""
    lines: Mapping[Measure, Percentile]
    """The 95th percentiles that keys asked for."""
    names: Mapping[MemberId, str]
    equally: Mapping[str, list[Measure]]
    """Pool → what its key counts and nobody used in a month that is closed: that part is shared equally."""


@dataclass(frozen=True, slots=True)
class Trueup:
    """One member's month: charged, cost, and what is adjusted."""

    member: MemberId
    name: str
    charged_minor: int
    cost_minor: int

    @property
    def difference_minor(self) -> int:
        """Above zero the member gets it back."""
        return self.charged_minor - self.cost_minor


async def keyless_pools(connection: Connection, month: Month, costs: Mapping[str, int]) -> list[str]:
    """Pools of a month that cost something and have no key, by name: nobody can say yet who bears them."""
    keys = await cost_store.pool_keys(connection, month)
    return sorted(pool for pool, cost in costs.items() if cost and pool not in keys)


async def keys_in_force(connection: Connection, month: Month, *, currency: str) -> dict[str, Key]:
    """Every pool's key in a month."""
    found = await cost_store.pool_keys(connection, month)
    return {name: parse_key(text, currency=currency) for name, text in found.items()}


async def shared(connection: Connection, month: Month, *, now_us: int) -> Shared:
    """The month's pools shared out by their keys, as it stands. Raises Refusal naming pool and rule."""
    _refuse_future(month, now_us)
    async with connection.transaction(isolation="repeatable_read"):
        return await _shared(connection, month, now_us=now_us)


async def _shared(connection: Connection, month: Month, *, now_us: int) -> Shared:
    tariff = await tariff_in_force(connection, month)
    costs = pool_costs(await cost_store.invoices(connection, month))
    keys = await keys_in_force(connection, month, currency=tariff.currency)
    register = await members_in(connection, month)
    asked = [keys[one] for one in costs if one in keys]
    use, lines = await _use(connection, month, asked, register, now_us=now_us)
    parts = share_pools(costs, keys, use, currency=tariff.currency)
    names = {one.id: one.name for one in register}
    equally = {pool: found for pool in parts if (found := unused(costs[pool], keys[pool], use))}
    return Shared(month, tariff.currency, costs, keys, parts, lines, names, equally)


def _refuse_future(month: Month, now_us: int) -> None:
    if now_us < month.start_us:
        raise Refusal(f"{month} has not begun yet")


async def _use(
    connection: Connection, month: Month, keys: list[Key], register: list[Member], *, now_us: int
) -> tuple[Use, dict[Measure, Percentile]]:
    until_us = min(now_us, month.end_us)
    peaks: dict[Measure, dict[MemberId, int]] = {}
    lines: dict[Measure, Percentile] = {}
    for measure in {one for key in keys for one in measures(key) if one.driver in PERCENTILES}:
        lines[measure], peaks[measure] = await _peaks(connection, month, measure, until_us=until_us)
    own = {
        one.id: one.member_class.value
        for one in register
        if was_member(one, month) and one.member_class.value != CUSTOMER
    }
    usage = await period_usage(connection, month, until_us=until_us)
    on_engines = {
        name: await engine_usage(connection, month, name, until_us=until_us)
        for name in sorted({one.engine for key in keys for one in measures(key) if one.engine})
    }
    return Use(month, own, usage, peaks, on_engines, await is_closed(connection, month)), lines


async def _peaks(
    connection: Connection, month: Month, measure: Measure, *, until_us: int
) -> tuple[Percentile, dict[MemberId, int]]:
    """The 95th percentile of a line, and what each payer moved in the samples that make it.

    Of a line that is billed by the greater direction, the greater one counts for everybody.
    """
    if not await sample_store.has_samples(connection, month):
        raise Refusal(
            f"there are no 5-minute samples of {month}: it was before they were taken, or they were let go after "
            "samples_keep_months"
        )
    zones = list(Zone) if measure.zone is None else [measure.zone]
    totals = await sample_store.slot_totals(connection, month, zones)
    samples = samples_in(month.start_us, until_us)
    ways = {Driver.P95_IN: (0,), Driver.P95_OUT: (1,), Driver.P95: (0, 1)}[measure.driver]
    found = {
        way: percentile(
            {slot: moved[way] for slot, moved in totals.items() if moved[way] and slot < until_us}, samples
        )
        for way in ways
    }
    way = max(found, key=lambda one: (found[one].billed_bytes, one))
    moved = await sample_store.payer_totals(connection, month, zones, found[way].band)
    return found[way], {payer: both[way] for payer, both in moved.items()}


async def figures(connection: Connection, month: Month, *, now_us: int) -> MonthFigures:
    """Charges and costs of a month side by side, as it stands."""
    _refuse_future(month, now_us)
    async with connection.transaction(isolation="repeatable_read"):
        tariff = await tariff_in_force(connection, month)
        costs = pool_costs(await cost_store.invoices(connection, month))
        keys = await keys_in_force(connection, month, currency=tariff.currency)
        usage = await period_usage(connection, month, until_us=min(now_us, month.end_us))
        classes = {one.id: one.member_class.value for one in await members_in(connection, month)}
        earlier = await earlier_tariffs(connection, usage, tariff)
        names = tariff.engine_names.union(*(one.engine_names for one in earlier.values()))
        engines = await usage_on(connection, month, names, until_us=min(now_us, month.end_us))
        usage = {member: replace(one, engines=engines.get(member, ())) for member, one in usage.items()}
        given = await cost_store.credits_of(connection, month)
    lines: list[Line] = []
    for member in sorted({*usage, *(one.member for one in given)}):
        own = usage.get(member) or Usage(member, month.start_us, month.end_us)
        lines += charge(
            own, tariff, month, member_class=classes.get(member, ""), earlier=earlier,
            credited=[one for one in given if one.member == member],
        ).lines  # fmt: skip
    return MonthFigures(month, tariff, costs, keys, together(usage, month), lines)


def together(usage: Mapping[MemberId, Usage], month: Month) -> Usage:
    """Everybody's usage of a month as one, nobody's own."""
    names = (
        "bytes_in", "bytes_out", "requests_a", "requests_b", "byte_us", "version_byte_us", "part_byte_us",
        "bytes_out_peering", "bytes_out_own",
    )  # fmt: skip
    sums = {name: sum(getattr(one, name) for one in usage.values()) for name in names}
    return replace(Usage(NOBODY, month.start_us, month.end_us), **sums)


async def earlier_tariffs(
    connection: Connection, usage: Mapping[MemberId, Usage], tariff: Tariff
) -> dict[Month, Tariff]:
    """Tariffs of the months of which there is late usage; of one that had none, the one given."""
    months = {late.month for one in usage.values() for late in one.late}
    return {month: await store.tariff_at(connection, month) or tariff for month in sorted(months)}


def parse_quarter(text: str) -> Month:
    """The first month of '2027-Q1'. Raises Refusal."""
    match = _QUARTER.fullmatch(text)
    if match is None:
        raise Refusal(f"quarter: '{text[:20]}' is no quarter; write it like 2027-Q1")
    return Month.parse(f"{match[1]}-{int(match[2]) * 3 - 2:02d}")


async def suggest(
    connection: Connection, begin: Month, *, quarters: int, reserve: Fraction, now_us: int
) -> tuple[list[MonthFigures], list[Suggestion], Tariff]:
    """Prices for a quarter from costs and use of the months before it: those of so many quarters that are over.

    Raises Refusal when there are none, or no costs are booked in them.
    """
    if not 1 <= quarters <= QUARTERS_LOOKED_BACK_MAX:
        raise Refusal(f"quarters: it looks back over 1 to {QUARTERS_LOOKED_BACK_MAX} quarters")
    present = await tariff_in_force(connection, begin)
    month, looked = min(begin, Month.of(now_us)), []
    for _ in range(3 * quarters):
        month = month.previous()
        found = await figures(connection, month, now_us=now_us)
        if found.costs:
            looked.append(found)
    if not looked:
        raise Refusal(f"no costs are booked in the months before {begin}; a price at cost needs some")
    suggested = suggestions(looked, present, reserve)
    return looked[::-1], suggested, suggested_tariff(suggested, present, begin)


async def trueups(connection: Connection, month: Month, *, now_us: int) -> list[Trueup]:
    """Charged and cost of each member of a closed month, customers left out. Raises Refusal."""
    if not await is_closed(connection, month):
        raise Refusal(f"{month} is open; prices are adjusted to cost once its charges are final")
    done = await _shared(connection, month, now_us=now_us)
    charged = await cost_store.charged(connection, month)
    register = {one.id: one for one in await members_in(connection, month)}
    found = []
    for member in sorted({*charged, *(one for parts in done.parts.values() for one in parts)}):
        if register[member].member_class.value != CUSTOMER:
            cost = sum(parts.get(member, 0) for parts in done.parts.values())
            found.append(Trueup(member, done.names[member], charged.get(member, 0), cost))
    return found


async def post_trueup(connection: Connection, month: Month, *, now_us: int) -> tuple[Month, list[Trueup]]:
    """Book the adjustment of a closed month into the first open one, once; that month. Raises Refusal."""
    try:
        async with connection.transaction():
            await store.lock_books(connection)
            if await cost_store.was_trued_up(connection, month):
                raise Refusal(f"the prices of {month} were adjusted already")
            year = await cost_store.closed_year(connection, month)
            if year is not None:
                raise Refusal(
                    f"{month} lies in the fiscal year {year}, which is closed: what was charged above cost was shared "
                    "out with its surplus, and cannot be given back twice"
                )
            found = await trueups(connection, month, now_us=now_us)
            last = await store.last_closed(connection)
            assert last is not None, "a month is closed"
            entry = trueup_entry(month, last.next(), {one.member: one.difference_minor for one in found})
            if entry is None:
                raise Refusal(
                    f"everybody was charged exactly what they cost in {month}; there is nothing to adjust"
                )
            await store.post(connection, entry, now_us=now_us)
    except asyncpg.UniqueViolationError:
        raise Refusal(f"the prices of {month} were adjusted already") from None
    return last.next(), found
