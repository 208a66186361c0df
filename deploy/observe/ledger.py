"""The ledger exporter: what PostgreSQL knows of members, money and itself, asked for now and then, and kept.

It runs in a thread of the supervisor with an event loop of its own, so that neither a slow database nor the rating of
ten thousand members keeps anybody waiting; a scrape gets text that is there already.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from billing import run
from billing.month.closing import Closing
from billing.prices.listprices import ListCost, last_day, list_cost, quantities_of
from billing.prices.pricefile import in_force
from billing.prices.shelf import read_shelf
from billing.store import last_closing_us
from deploy.aggregate import Snapshot
from deploy.observe.exposition import render
from deploy.rooms import connected
from deploy.running import RoomsSettings
from deploy.store import ServerFacts, server_facts
from meter.metrics import series
from meter.overview_store import Shown, members_by_status, shown_members, use_of_all
from meter.postgres import AWAY, Connection
from meter.refusal import Refusal
from meter.usage import MemberStatus, Usage
from meter.window import MICROSECONDS, Month

OTHERS = "_other"
AWAY_OR_REFUSED = (asyncpg.PostgresError, *AWAY)


@dataclass(frozen=True, slots=True)
class Money:
    """The running month in money."""

    closing: Closing
    elsewhere: tuple[ListCost, ...]


class LedgerExporter:
    """Keeps the last answer. Invariant: at most `members_max` members and one line for the rest are ever named."""

    def __init__(self, dsn: str, settings: RoomsSettings, *, tell: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._settings = settings
        self._tell = tell
        self._page = b""
        self._asked_s: float | None = None
        self._took_s = 0.0
        self._is_up = False
        self._money: Snapshot = Snapshot()
        self._money_asked_s: float | None = None
        self._said: dict[str, str] = {}

    async def keep(self) -> None:
        """Ask again and again until cancelled."""
        while True:
            await asyncio.to_thread(self.ask)
            await asyncio.sleep(self._settings.deploy.metrics_ledger_every_s)

    def ask(self) -> None:
        """Ask once, in the caller's thread; what cannot be had now stays as it was."""
        began = time.monotonic()
        try:
            found = asyncio.run(self._asked())
        except AWAY_OR_REFUSED as error:
            self._is_up = False
            self._say("away", f"the ledger exporter keeps its last numbers: {error or type(error).__name__}")
            return
        self._page = render(found)
        self._is_up = True
        self._said.pop("away", None)
        self._asked_s, self._took_s = time.monotonic(), time.monotonic() - began

    @property
    def page(self) -> bytes:
        """The last answer, as a scrape wants it."""
        return self._page

    def state(self) -> Snapshot:
        """Whether PostgreSQL answered, and how old the answer is."""
        gauges = {"weir_postgres_up": float(self._is_up)}
        if self._asked_s is not None:
            gauges["weir_ledger_age_seconds"] = time.monotonic() - self._asked_s
            gauges["weir_ledger_seconds"] = self._took_s
        return Snapshot({}, gauges)

    async def _asked(self) -> Snapshot:
        now_us = time.time_ns() // 1000
        timeout_s = self._settings.meter.database_timeout_s
        month, limit = Month.of(now_us), self._settings.deploy.metrics_members_max
        async with connected(self._dsn, role=None, timeout_s=timeout_s) as connection:
            parts = [of_server(await server_facts(connection))]
        async with (
            connected(self._dsn, role="weir_billing", timeout_s=timeout_s) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            parts.append(of_members(await shown_members(connection, month, members_max=limit)))
            parts.append(of_register(await members_by_status(connection)))
            parts.append(await _of_closings(connection, now_us=now_us))
            await self._ask_money(connection, month, now_us=now_us)
        return _together([*parts, self._money])

    async def _ask_money(self, connection: Connection, month: Month, *, now_us: int) -> None:
        """Rarely: everybody's month is rated for it."""
        every_s = self._settings.deploy.metrics_money_every_s
        if self._money_asked_s is not None and time.monotonic() < self._money_asked_s + every_s:
            return
        try:
            self._money = of_money(await self._the_money(connection, month, now_us=now_us))
            self._said.pop("money", None)
        except Refusal as refusal:
            self._money = Snapshot()
            self._say("money", f"the ledger exporter has no amounts of {month}: {refusal}")
        self._money_asked_s = time.monotonic()

    async def _the_money(self, connection: Connection, month: Month, *, now_us: int) -> Money:
        closing = await run.as_it_stands(connection, month, now_us=now_us, each=lambda _: None)
        used = await use_of_all(connection, month, until_us=now_us)
        own = self._settings.billing.list_price_directory
        return Money(closing, await asyncio.to_thread(_elsewhere, month, used, Path(own) if own else None))

    def _say(self, subject: str, sentence: str) -> None:
        """Once, not every minute."""
        if self._said.get(subject) != sentence:
            self._said[subject] = sentence
            self._tell(sentence)


def _elsewhere(month: Month, used: Usage, own: Path | None) -> tuple[ListCost, ...]:
    return tuple(
        list_cost(prices, quantities_of(used)) for prices in in_force(read_shelf(own), last_day(month))
    )


async def _of_closings(connection: Connection, *, now_us: int) -> Snapshot:
    due, last_us = await run.due_month(connection), await last_closing_us(connection)
    open_us = 0 if due is None else max(0, now_us - due.end_us)
    return Snapshot(
        {},
        {
            "weir_billing_period_open_seconds": open_us / MICROSECONDS,
            "weir_billing_last_close_timestamp_seconds": (last_us or 0) / MICROSECONDS,
        },
    )


def of_members(shown: Iterable[Shown]) -> Snapshot:
    """Members' months as gauges."""
    gauges: dict[str, float] = {}
    for one in shown:
        name = OTHERS if one.member is None else str(one.member)
        gauges[series("weir_member_transfer_bytes", member=name, direction="ingress")] = one.bytes_in
        gauges[series("weir_member_transfer_bytes", member=name, direction="egress")] = one.bytes_out
        gauges[series("weir_member_stored_bytes", member=name)] = one.stored_bytes
    return Snapshot({}, gauges)


def of_register(found: dict[str, int]) -> Snapshot:
    """How many members there are, 0 of a status that none has."""
    return Snapshot(
        {}, {series("weir_member_count", status=one.value): found.get(one.value, 0) for one in MemberStatus}
    )


def of_money(money: Money) -> Snapshot:
    """Charges, costs and list prices as gauges, in minor units."""
    closing, gauges = money.closing, dict[str, float]()
    for service, amount in closing.by_service.items():
        gauges[series("weir_billing_charged_minor", currency=closing.currency, service=service.value)] = (
            amount
        )
    for pool, amount in closing.costs.items():
        gauges[series("weir_billing_cost_minor", currency=closing.currency, pool=pool)] = amount
    # A month in which nothing was used or booked yet has a sum too.
    if not closing.by_service:
        gauges[series("weir_billing_charged_minor", currency=closing.currency, service="none")] = 0
    if not closing.costs:
        gauges[series("weir_billing_cost_minor", currency=closing.currency, pool="none")] = 0
    for one in money.elsewhere:
        key = series("weir_billing_list_price_minor", currency=one.prices.currency, provider=one.prices.id)
        gauges[key] = one.amount_minor
    return Snapshot({}, gauges)


def of_server(facts: ServerFacts) -> Snapshot:
    """The database server."""
    ended = {"committed": facts.committed, "rolled_back": facts.rolled_back}
    counters = {
        series("weir_postgres_transactions_total", outcome=outcome): count for outcome, count in ended.items()
    }
    return Snapshot(
        {**counters, "weir_postgres_deadlocks_total": facts.deadlocks},
        {
            "weir_postgres_size_bytes": facts.size_bytes,
            "weir_postgres_connections": facts.connections,
            "weir_postgres_connections_max": facts.connections_max,
            "weir_postgres_oldest_transaction_seconds": facts.oldest_transaction_s,
            "weir_postgres_replicas": facts.replicas,
            "weir_postgres_replica_lag_seconds": facts.replica_lag_s,
        },
    )


def _together(parts: Iterable[Snapshot]) -> Snapshot:
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    for part in parts:
        counters |= part.counters
        gauges |= part.gauges
    return Snapshot(counters, gauges)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel it and wait; a question that is under way ends by itself, within the database's time."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
