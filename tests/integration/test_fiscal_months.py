"""A co-op whose years do not begin in January: which months a year has, and what is told of the year that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from billing import year_run
from billing.acts.act import Office
from billing.governance import store as governance_store
from billing.governance.decisions import Choice
from billing.portal.telling import book_reports
from billing.rules.book import rule_set_text
from billing.run import close
from billing.settings import BillingSettings
from meter.postgres import Connection
from meter.window import Month
from tests.coop import CENT, NOW, OCTOBER, SEPTEMBER, Coop
from tests.integration.conftest import Command
from tests.offices import holds
from tests.portal import Site, running_site
from tests.reference_year import decided


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        yield one


async def choose(books: Connection, from_year: int, first_month: int) -> None:
    chosen = Choice(0, "plain", from_year, first_month, None, rule_set_text("plain"), "", "test", NOW)
    await governance_store.insert_choice(books, chosen)


@pytest.mark.parametrize(("months", "years"), [((7, 1), (2026, 2027)), ((1, 7), (2026, 2027))])
async def test_every_month_lies_in_one_year_whatever_the_choices_before_said(
    co_op: Coop, months: tuple[int, int], years: tuple[int, int]
) -> None:
    """10.00 in March 2027, which by each choice's own month would be in two years, or in none."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    for year, first_month in zip(years, months, strict=True):
        await choose(books, year, first_month)
    month, after = SEPTEMBER, Month(2028, 7).start_us
    while month < Month(2028, 7):
        if month == Month(2027, 3):
            await co_op.use(anna, month, 1000 * CENT)
        await close(books, month, now_us=after)
        month = month.next()
    pages = [
        (await year_run.close(books, number, resolution=await decided(books), now_us=after)).page
        for number in years
    ]
    assert 1 == sum("2027-03" in page["months"] for page in pages)
    assert {"0.00", "10.00"} == {page["result"] for page in pages}
    assert months[1] == Month.parse(pages[0]["first_month"]).number


async def test_the_books_tell_of_the_fiscal_year_that_runs(site: Site) -> None:
    """October and November 2026, of a year that began in October; September belongs to the one before."""
    anna, tom = await site.co_op.found("anna", "tom")
    await holds(site.co_op, tom, Office.TREASURER)
    books = await site.co_op.books()
    await choose(books, 2025, 10)
    await site.co_op.use(anna, SEPTEMBER, 700 * CENT)
    await site.co_op.use(anna, OCTOBER, 100 * CENT)
    for month in (SEPTEMBER, OCTOBER):
        await close(books, month, now_us=NOW)
    _, (_, income, _) = await book_reports(books, now_us=NOW)
    assert (OCTOBER, 100) == (income.first, income.result_minor)
    await site.sign_in(tom)
    assert "October 2026 to November 2026" in await site.text("/books")
    sheet = await site.text("/treasurer/reports/income-statement")
    assert ("700" in sheet, "100" in sheet) == (False, True)


async def test_commands_add_up_from_where_the_fiscal_year_began(co_op: Coop, typed: Command) -> None:
    await co_op.found("anna")

    async def told(*words: str) -> str:
        return await asyncio.to_thread(typed, *words)

    chosen = await told("ruleset", "choose", "plain", "--from-year", "2025", "--first-month", "10")
    assert "every fiscal year begins with month 10" in chosen
    assert "Income statement, 2026-10 to 2027-02" in await told(
        "ledger", "income-statement", "--to", "2027-02"
    )
    assert "Cash flow, 2025-10 to 2026-09" in await told("ledger", "cash-flow", "--to", "2026-09")
    assert "the fiscal year 2025, 2025-10 to 2026-09, trial" in await told("year", "trial", "2025")
