"""A month's charges into the ledger: hashed, sent and checked, beside an INSERT … SELECT of the same rows.

The base writes into tables with the same columns, checks and indexes, and without a trigger or a chain. Two shapes: an
entry a member, and an entry for some thousands of members, which is how many members are best written.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from billing.ledger.entry import Account, Entry, EntryKind, Posting, receivable
from billing.ledger.store import post_many
from meter.ids import MemberId
from meter.postgres import Connection, connect
from meter.window import Month
from tests.bench.table import show

MEMBERS = 100_000
AN_ENTRY = 4_096
ROUNDS = 3
MONTH = Month(2026, 10)
GOAL = 4
_BASE = (
    "DROP TABLE IF EXISTS public.plain_entry, public.plain_posting",
    "CREATE TABLE public.plain_entry (LIKE billing.entry INCLUDING ALL)",
    "CREATE TABLE public.plain_posting (LIKE billing.posting INCLUDING ALL)",
)


def bench_ledger(database: str) -> None:
    """Both shapes, in turn."""
    asyncio.run(_bench(database))


def _an_entry_a_member(turn: int) -> Iterator[Entry]:
    for number in range(1, MEMBERS + 1):
        sides = (
            Posting(receivable(MemberId(number)), 30),
            Posting(Account("revenue:gb_out"), -20),
            Posting(Account("revenue:gb_month"), -10),
        )
        yield Entry(MONTH, EntryKind.CHARGE, f"use of member {number}", sides, f"single:{turn}:{number}")


def _an_entry_for_many(turn: int) -> Iterator[Entry]:
    for first in range(1, MEMBERS + 1, AN_ENTRY):
        members = range(first, min(first + AN_ENTRY, MEMBERS + 1))
        sides = (
            *(Posting(receivable(MemberId(number)), 30) for number in members),
            Posting(Account("revenue:gb_out"), -20 * len(members)),
            Posting(Account("revenue:gb_month"), -10 * len(members)),
        )
        yield Entry(MONTH, EntryKind.CHARGE, f"use of members from {first}", sides, f"many:{turn}:{first}")


async def _bench(database: str) -> None:
    books, owner = (
        await connect(database, role="weir_office", timeout_s=3600),
        await connect(database, timeout_s=3600),
    )
    try:
        await _shape(books, owner, "ledger, an entry a member", _an_entry_a_member)
        await _shape(books, owner, f"ledger, an entry for {AN_ENTRY:,} members", _an_entry_for_many)
    finally:
        await books.close()
        await owner.close()


async def _shape(
    books: Connection, owner: Connection, name: str, made: Callable[[int], Iterator[Entry]]
) -> None:
    pairs = []
    for turn in range(ROUNDS):
        before = await owner.fetchval("SELECT posted FROM billing.ledger_head")
        took_s = await _seconds(partial(post_many, books, made(turn), now_us=MONTH.end_us))
        pairs.append((took_s, await _plain(owner, before)))
    took = statistics.median(one for one, _ in pairs)
    plain = statistics.median(one for _, one in pairs)
    ratio = statistics.median(one / base for one, base in pairs)
    show(
        name,
        f"{MEMBERS / took:,.0f} members/s",
        f"INSERT … SELECT {MEMBERS / plain:,.0f}/s",
        ratio,
        f"≤ {GOAL}",
    )


async def _plain(owner: Connection, before: int) -> float:
    """The rows after an entry, copied by one statement a table."""
    for line in _BASE:
        await owner.execute(line)

    async def copied() -> None:
        async with owner.transaction():
            await owner.execute(
                "INSERT INTO public.plain_entry SELECT * FROM billing.entry WHERE number > $1", before
            )
            await owner.execute(
                "INSERT INTO public.plain_posting SELECT * FROM billing.posting WHERE entry > $1", before
            )

    return await _seconds(copied)


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began
