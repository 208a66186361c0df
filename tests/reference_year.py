"""The reference's full closing (G18) as a co-op in a real database: four months of usage, hours, costs and income."""

from __future__ import annotations

from datetime import date

import asyncpg

from billing.costs.costing import add_cost
from billing.governance import store as governance_store
from billing.governance.decisions import Body, Choice, Hours, Resolution, ResolutionKind
from billing.ledger.entry import Account, Entry, EntryKind, postings
from billing.rules.book import rule_set_text
from billing.run import close
from billing.store import post
from meter.ids import MemberId
from meter.store import add_member
from meter.usage import MemberClass
from meter.window import Month
from tests.coop import CENT, Coop

MONTHS = (Month(2026, 9), Month(2026, 10), Month(2026, 11), Month(2026, 12))
JANUARY = Month(2027, 1)
NOW = JANUARY.start_us + 86_400 * 10**6
CHOICES = """
cash_share = "0.30"
[class_weights]
user = 80
worker = 20
"""


async def g18(co_op: Coop, *, closed: bool = True) -> tuple[asyncpg.Connection, list[MemberId]]:
    """The reference's full closing but for its share interest: users A, B, C; a customer; workers W1, W2.

    The charges of A, B and C come over four months; costs 2,300.00, interest income 20.00.
    """
    users = await co_op.found("a", "b", "c")
    owner = await co_op.owner()
    others = [
        (await add_member(owner, name=name, member_class=one, email="", now_us=MONTHS[0].start_us)).id
        for name, one in (("n", MemberClass.CUSTOMER), ("w1", MemberClass.WORKER), ("w2", MemberClass.WORKER))
    ]
    books = await co_op.books()
    await governance_store.insert_choice(
        books,
        Choice(0, "us-selc", 2026, 1, None, rule_set_text("us-selc"), CHOICES, "test", MONTHS[0].start_us),
    )
    for place, month in enumerate(MONTHS):
        for member, cents in zip((*users, others[0]), (151237, 90311, 58452, 50000), strict=True):
            part = cents // 4 + (cents % 4 if place == 0 else 0)
            await co_op.use(member, month, part * CENT)
        await add_cost(books, month=month, pool="rack", amount="575.00", memo="", now_us=month.end_us)
    for member, worked in ((others[1], 1200), (others[2], 700)):
        for month in MONTHS:
            await governance_store.insert_hours(
                books, Hours(0, member, month, worked * 250, 1000, None, "", "test", NOW)
            )
    sides = postings([(Account("bank:main"), 2000), (Account("income:interest"), -2000)])
    await post(books, Entry(MONTHS[3], EntryKind.MANUAL, "interest", sides, "income:1"), now_us=NOW)
    if closed:
        for month in MONTHS:
            await close(books, month, now_us=NOW)
    return books, [*users, *others]


async def decided(
    books: asyncpg.Connection, kind: ResolutionKind = ResolutionKind.ALLOCATION, calc_hash: str | None = None
) -> str:
    return await governance_store.insert_resolution(
        books,
        Resolution(
            "", Body.BOARD, kind, date(2027, 1, 1), "as drafted", None, None, None, calc_hash, "test", NOW
        ),
    )
