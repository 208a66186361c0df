"""A co-op whose years do not begin in January: which months a year has, and what is told of the year that runs."""

from __future__ import annotations

import pytest

from billing import year_run
from billing.governance import store as governance_store
from billing.governance.decisions import Choice
from billing.rules.book import rule_set_text
from billing.run import close
from meter.postgres import Connection
from meter.window import Month
from tests.coop import CENT, NOW, SEPTEMBER, Coop
from tests.reference_year import decided


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
