"""All that a member is told of a year, from a real database: as of its closing, and the same ever after."""

from __future__ import annotations

import asyncpg

from billing import year_run, year_telling
from billing.canon import canonical
from billing.capital.lots import Kind, LotId
from billing.ledger.entry import BANK, EntryKind, payable
from billing.run import close
from billing.statements.pdf import paper_pdf
from billing.statements.year_paper import year_paper
from billing.year_store import kept_minor
from meter.ids import MemberId
from tests.capital import move
from tests.coop import Coop
from tests.reference_year import JANUARY, MONTHS, NOW, decided, g18


async def three_years(co_op: Coop) -> tuple[asyncpg.Connection, list[MemberId]]:
    """The reference year closed; 412.50 of 2024 and 123.45 of 2025 were kept in A's name before it."""
    books, members = await g18(co_op, closed=False)
    a = members[0]
    lots = [
        (LotId(2024, a, Kind.PLAIN).account, -41_250), (LotId(2025, a, Kind.NONQUALIFIED).account, -12_000),
        (LotId(2025, a, Kind.PLAIN).account, -345), (BANK, 53_595),
    ]  # fmt: skip
    await move(books, lots, key="before", month=MONTHS[0], now_us=MONTHS[0].start_us)
    for month in MONTHS:
        await close(books, month, now_us=NOW)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    return books, members


async def pay_back_2024(books: asyncpg.Connection, member: MemberId) -> None:
    sides = [(LotId(2024, member, Kind.PLAIN).account, 41_250), (payable(member), -41_250)]
    await move(books, sides, key="back", kind=EntryKind.RETIREMENT, month=JANUARY, now_us=NOW)


async def test_the_capital_account_is_that_of_the_closing_by_years(co_op: Coop) -> None:
    """369.02 of which 110.71 in cash: 258.31 are kept; with 412.50 and 123.45 from before they are 794.26."""
    books, (a, *_) = await three_years(co_op)
    told = await year_telling.told(books, a, 2026, now_us=NOW)
    assert [("2024", 41_250, 41_250), ("2025", 12_345, 12_345), ("2026", 25_831, 25_831)] == [
        (one["words"], one["added_minor"], one["closing_minor"]) for one in told["capital"]
    ]
    assert 79_426 == sum(one["closing_minor"] for one in told["capital"]) == await kept_minor(books, a)


async def test_what_is_paid_back_later_changes_no_statement_that_was_told(co_op: Coop) -> None:
    """At the very instant of the closing, even: the order of the books decides, not the clock."""
    books, (a, *_) = await three_years(co_op)
    before = await year_telling.told(books, a, 2026, now_us=NOW)
    file = paper_pdf(year_paper(before, is_over=True))
    await pay_back_2024(books, a)
    after = await year_telling.told(books, a, 2026, now_us=NOW)
    assert canonical(before) == canonical(after)
    assert file == paper_pdf(year_paper(after, is_over=True))
    assert 79_426 - 41_250 == await kept_minor(books, a)


async def test_nobody_is_told_another_member_s_capital_or_use(co_op: Coop) -> None:
    books, (_, b, *_) = await three_years(co_op)
    told = await year_telling.told(books, b, 2026, now_us=NOW)
    # B's own: 220.36 less 66.11 in cash.
    assert [("2026", 15_425)] == [(one["words"], one["closing_minor"]) for one in told["capital"]]
    # 903.11 at 1.00 a GB.
    assert (903_110_000_000, 4) == (told["used"]["bytes_out"], told["used"]["months"])
    # A member whose number begins with another's has an account of their own: 1 is not 11.
    stranger = MemberId(int(f"{b}1"))
    sides = [(LotId(2026, stranger, Kind.PLAIN).account, -999), (BANK, 999)]
    await move(books, sides, key="stranger", month=JANUARY, now_us=NOW)
    assert 15_425 == await kept_minor(books, b)


async def test_the_decision_and_list_prices_of_the_year_are_told_beside_it(co_op: Coop) -> None:
    books, (a, *_) = await three_years(co_op)
    told = await year_telling.told(books, a, 2026, now_us=NOW)
    assert ("board", "2027-01-01", "as drafted", None) == tuple(
        told["decision"][key] for key in ("body", "decided_on", "text", "votes")
    )
    by_provider = {one["id"]: one for one in told["compared"]["providers"]}
    assert "cloudflare-r2" in by_provider
    # 1,512.37 GB sent over four months are free there; nothing was stored, and a million reads cost 0.36 USD.
    assert ("USD", 0) == (
        by_provider["cloudflare-r2"]["currency"],
        by_provider["cloudflare-r2"]["amount_minor"],
    )


async def test_an_open_year_is_told_too_and_a_customer_has_no_capital(co_op: Coop) -> None:
    books, members = await g18(co_op)
    told = await year_telling.told(books, members[0], 2026, now_us=NOW)
    assert ("trial", [], False) == (told["kind"], told["capital"], "decision" in told)
    customer = await year_telling.told(books, members[3], 2026, now_us=NOW)
    assert ("capital" in customer, customer["used"]["bytes_out"]) == (False, 500_000_000_000)
    paper = year_paper(customer, is_over=True)
    assert ["You used", "It cost all of us", "You were charged"] == [box.words for box in paper.boxes]


async def test_the_capital_account_is_read_by_its_index(co_op: Coop) -> None:
    """Among 20,000 postings of charges, a member's lots are not looked for one by one."""
    owner = await co_op.owner()
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(
        "INSERT INTO billing.posting SELECT 1, n, 'receivable:member:' || n, 1 FROM generate_series(1, 20000) AS n"
    )
    await owner.execute("ANALYZE billing.posting")
    plan = await owner.fetch(
        "EXPLAIN SELECT account FROM billing.posting WHERE account LIKE 'capital:member:7:%'"
        " AND account LIKE 'capital:member:%'"
    )
    assert "posting_of_lots" in "\n".join(row[0] for row in plan)
