"""A member's part of a loss is told wherever their capital account is, until it is met: statements, pages, the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest_asyncio

from billing import year_run, year_telling
from billing.capital.store import losses_to_meet
from billing.costs.costing import add_cost
from billing.ledger.entry import UNDISTRIBUTED, Account
from billing.portal.telling import capital_of
from billing.run import close
from billing.settings import BillingSettings
from billing.year_store import last_entry
from meter.ids import MemberId
from tests.capital import move
from tests.coop import Coop
from tests.portal import Site, running_site
from tests.reference_year import JANUARY, MONTHS, NOW, decided, g18


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        one.now_us = NOW
        yield one


async def a_loss(co_op: Coop) -> tuple[asyncpg.Connection, list[MemberId]]:
    """The reference year in a fourth year of SELC, with 5,000.00 more of costs: the service is 3,800.00 short.

    Members' 3,000.00 of 3,500.00 in charges bear 3,257.14, of it members themselves 75 %, 2,442.85; users 80 %, 1,954.28.
    A was charged 1,512.37 of 3,000.00 and bears 985.198…, B 903.11 and 588.31.
    """
    books, members = await g18(co_op, closed=False)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE meter.member DISABLE TRIGGER ALL")
    await owner.execute("UPDATE meter.member SET joined_at = '2023-06-01' WHERE id = $1", members[0])
    await add_cost(books, month=MONTHS[3], pool="rack", amount="5000.00", memo="", now_us=NOW)
    for month in MONTHS:
        await close(books, month, now_us=NOW)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    return books, members


async def meet_500(books: asyncpg.Connection, member: MemberId) -> None:
    """500.00 of the loss are met, as the closing of a good year books it."""
    sides = [(UNDISTRIBUTED, 50_000), (Account(f"loss:member:{member}:2026"), -50_000)]
    await move(books, sides, key="met", month=JANUARY, now_us=NOW)


async def test_what_is_to_be_met_is_told_in_the_year_after_and_on_the_page_to_leave(site: Site) -> None:
    _, (a, b, *_) = await a_loss(site.co_op)
    await site.sign_in(a)
    for path in ("/years/2026", "/years/2027"):
        text = await site.text(path)
        assert "Nothing is kept in your name." in text, path
        assert "Your part of the loss of 2026 that is still to be met: <b>985.20 EUR</b>" in text, path
        assert "588.31" not in text, path
    assert "still to be met: 985.20 EUR. When you leave, it is taken" in await site.text("/membership/leave")
    assert "Your part of earlier losses that is still to be met: 985.20 EUR." in await site.text("/")
    assert "Your part of earlier losses that is still to be met: 985.20 EUR." in await site.text("/how/kept")
    file = await (await site.get("/years/2027?format=text")).text()
    assert f"Your part of losses, still to be met\n{'─' * 80}\n  of 2026{'985.20':>71}\n" in file
    sheet = await (await site.get("/years/2027?format=csv")).text()
    assert "loss still to be met,your part of 2026,,98520,EUR,985.20\r\n" in sheet
    # Each is told their own.
    await site.sign_in(b)
    text = await site.text("/years/2027")
    assert ("588.31 EUR" in text, "985.20" in text) == (True, False)


async def test_what_was_met_is_told_no_more_and_a_closed_statement_stays(site: Site) -> None:
    books, (a, *_) = await a_loss(site.co_op)
    before = await year_telling.told(books, a, 2026, now_us=NOW)
    await meet_500(books, a)
    assert [{"words": "2026", "unmet_minor": 98_520}] == before["losses"]
    assert before == await year_telling.told(books, a, 2026, now_us=NOW)
    now = [{"words": "2026", "unmet_minor": 48_520}]
    assert now == (await year_telling.told(books, a, 2027, now_us=NOW))["losses"]
    assert now == (await capital_of(books, a, now_us=NOW)).losses
    sides = [(UNDISTRIBUTED, 48_520), (Account(f"loss:member:{a}:2026"), -48_520)]
    await move(books, sides, key="rest", month=JANUARY, now_us=NOW)
    assert [] == (await year_telling.told(books, a, 2027, now_us=NOW))["losses"]
    await site.sign_in(a)
    for path in ("/", "/how/kept", "/membership/leave", "/years/2027"):
        assert "still to be met" not in await site.text(path), path


async def test_who_left_reads_that_no_coming_year_meets_their_part(site: Site) -> None:
    _, (a, *_) = await a_loss(site.co_op)
    owner = await site.co_op.owner()
    words = "what is said here of coming years is not for you"
    await site.sign_in(a)
    assert words not in await site.text("/years/2026")
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now() WHERE id = $1", a)
    assert words in await site.text("/years/2026")
    # The statement itself stays as it was closed.
    assert words not in await (await site.get("/years/2026?format=text")).text()


async def test_who_bore_no_loss_reads_of_none(site: Site) -> None:
    _, (a, *_) = await g18(site.co_op)
    await site.sign_in(a)
    for path in ("/", "/membership/leave", "/years/2026"):
        assert "still to be met" not in await site.text(path), path


async def test_a_member_whose_number_begins_with_another_s_has_losses_of_their_own(co_op: Coop) -> None:
    books, (a, *_) = await a_loss(co_op)
    until = await last_entry(books, 2026)
    stranger = Account(f"loss:member:{a}1:2026")
    await move(books, [(stranger, 700), (UNDISTRIBUTED, -700)], key="stranger", month=JANUARY, now_us=NOW)
    assert {"2026": 98_520} == await losses_to_meet(books, a)
    assert {"2026": 98_520} == await losses_to_meet(books, a, until_entry=until)
    assert {} == await losses_to_meet(books, a, until_entry=until - 2)


async def test_losses_are_read_by_their_index(co_op: Coop) -> None:
    """Among 20,000 postings of charges, a member's losses are not looked for one by one."""
    owner = await co_op.owner()
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(
        "INSERT INTO billing.posting SELECT 1, n, 'receivable:member:' || n, 1 FROM generate_series(1, 20000) AS n"
    )
    await owner.execute("ANALYZE billing.posting")
    plan = await owner.fetch(
        "EXPLAIN SELECT account FROM billing.posting WHERE account LIKE 'loss:member:7:%'"
        " AND account LIKE 'loss:member:%'"
    )
    assert "posting_of_losses" in "\n".join(row[0] for row in plan)
