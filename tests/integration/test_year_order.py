"""Fiscal years beside one another: the one before the books begin, one still open before another, a leaving between."""

from __future__ import annotations

import pytest

from billing import year_run
from billing.costs.costing import add_cost
from billing.costs.run import post_trueup
from billing.governance import store as governance_store
from billing.governance.decisions import Choice
from billing.notices.file import read_year
from billing.rules.book import rule_set_text
from billing.run import close
from billing.year_allocations import allocations
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month
from tests.coop import CENT, SEPTEMBER, Coop, balances
from tests.reference_year import JANUARY, MONTHS, NOW, decided, g18

AFTER = Month(2027, 2).start_us


async def test_a_co_op_founded_before_its_first_fiscal_year_begins_closes_years(co_op: Coop) -> None:
    """Founded in September, books from October on: September is the last month of the fiscal year 2025."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await governance_store.insert_choice(
        books, Choice(0, "de-eg", 2026, 10, None, rule_set_text("de-eg"), "", "test", SEPTEMBER.start_us)
    )
    await co_op.use(anna, SEPTEMBER, 1000 * CENT)
    after = Month(2027, 10).start_us
    month = SEPTEMBER
    while month < Month(2027, 10):
        await close(books, month, now_us=after)
        month = month.next()
    first = await year_run.trial(books, 2025, now_us=after)
    assert ("de-eg", "2025-10", "2026-09", "10.00") == tuple(
        first.page[name] for name in ("rule_set", "first_month", "last_month", "result")
    )
    for number in (2025, 2026):
        done = await year_run.close(books, number, resolution=await decided(books), now_us=after)
        assert ("final", "de-eg", str(number)) == (
            done.kind, done.page["rule_set"], str(done.page["fiscal_year"])
        )  # fmt: skip


async def with_2026_open(co_op: Coop, *, used_minor: int, cost: str) -> Connection:
    """Months of 2026 closed with one's use and another's cost, the year not; 100.00 used in January 2027, closed."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await co_op.use(anna, MONTHS[0], used_minor * CENT)
    await add_cost(books, month=MONTHS[1], pool="rack", amount=cost, memo="", now_us=NOW)
    for month in MONTHS:
        await close(books, month, now_us=AFTER)
    await co_op.use(anna, JANUARY, 10_000 * CENT)
    await close(books, JANUARY, now_us=AFTER)
    return books


async def test_a_year_is_tried_as_if_the_open_one_before_were_closed(co_op: Coop) -> None:
    """2026: a gain of 720.00 and a loss of 400.00, not closed. The 100.00 of January 2027 meet no loss."""
    books = await with_2026_open(co_op, used_minor=72_000, cost="400.00")
    before = await year_run.trial(books, 2027, now_us=AFTER)
    assert ("100.00", "2026") == (before.page["pool"], str(before.open_before[0]))
    assert ["The fiscal year 2026 is still open"] == [text.split(":")[0] for text in before.warnings()]
    await year_run.close(books, 2026, resolution=await decided(books), now_us=AFTER)
    closed = await year_run.trial(books, 2027, now_us=AFTER)
    assert (before.page["digest"], []) == (closed.page["digest"], closed.warnings())


async def test_a_loss_of_the_open_year_before_is_met_net(co_op: Coop) -> None:
    """2026: a gain of 100.00 and a loss of 160.00, together 60.00 carried; of the 100.00 of January 40.00 are left."""
    books = await with_2026_open(co_op, used_minor=10_000, cost="160.00")
    assert "40.00" == (await year_run.trial(books, 2027, now_us=AFTER)).page["pool"]
    await year_run.close(books, 2026, resolution=await decided(books), now_us=AFTER)
    assert "40.00" == (await year_run.trial(books, 2027, now_us=AFTER)).page["pool"]


async def test_who_leaves_between_the_meeting_and_the_closing_leaves_the_digest_as_approved(
    co_op: Coop,
) -> None:
    anna, _ben = await co_op.found("anna", "ben")
    books = await co_op.books()
    await co_op.use(anna, MONTHS[0], 1000 * CENT)
    for month in MONTHS:
        await close(books, month, now_us=NOW)
    approved = (await year_run.trial(books, 2026, now_us=NOW)).page["digest"]
    owner = await co_op.owner()
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = '2027-01-02' WHERE id = $1", anna)
    done = await year_run.close(books, 2026, resolution=await decided(books, calc_hash=approved), now_us=NOW)
    assert approved == done.page["digest"]


async def test_a_true_up_comes_before_the_year_is_closed_and_months_without_one_are_named(
    co_op: Coop,
) -> None:
    """September and October are charged 10.00 and cost nothing; only September is adjusted before the closing."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    for month in MONTHS[:2]:
        await co_op.use(anna, month, 1000 * CENT)
    for month in MONTHS:
        await close(books, month, now_us=NOW)
    assert [] == (await year_run.trial(books, 2026, now_us=NOW)).warnings()
    assert JANUARY == (await post_trueup(books, MONTHS[0], now_us=NOW))[0]
    (warned,) = (await year_run.trial(books, 2026, now_us=NOW)).warnings()
    assert "no true-up is booked of: 2026-10, 2026-11, 2026-12." in warned
    done = await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    assert [warned] == done.warnings()
    before = await balances(books)
    with pytest.raises(Refusal, match="2026-10 lies in the fiscal year 2026, which is closed"):
        await post_trueup(books, MONTHS[1], now_us=NOW)
    assert before == await balances(books)


async def test_notices_are_made_from_the_shares_that_a_closed_year_kept(co_op: Coop) -> None:
    """The reference year: A is allocated 369.02 of charges of 1,512.37; W1 115.58 of 1,200 hours."""
    books, _ = await g18(co_op)
    done = await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    shares = await allocations(books, 2026, "EUR")
    texts = dict.fromkeys(("comes_back", "tax", "see_more", "object", "decided_by"), "as the board says")
    year = read_year({**done.page, "year": 2026, "allocations": shares, **texts})
    assert (91_500, 73_200) == (year.terms.total_minor, year.class_pools["user"])
    (first,) = year.shares["a"]
    (worked,) = year.shares["w1"]
    assert (36_902, 11_071, 1_512_370) == (first.amount_minor, first.cash_minor, first.base)
    assert (11_558, 1_200_000) == (worked.amount_minor, worked.base)
