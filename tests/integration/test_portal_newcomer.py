"""The first days of a co-op on its members' pages: before prices are set, and before a month is closed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from billing.settings import BillingSettings
from meter.store import add_member
from meter.usage import MemberClass
from tests.coop import NOVEMBER, Coop
from tests.portal import Site, running_site


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    """Anna, who has used something, in a co-op that has no tariff and so no currency."""
    anna = await add_member(
        await co_op.owner(), name="anna", member_class=MemberClass.USER, email="", now_us=NOVEMBER.start_us
    )
    await co_op.use(anna.id, NOVEMBER, 2_500_000_000)
    async with running_site(co_op, tmp_path, BillingSettings()) as one:
        await one.sign_in(anna.id)
        yield one


async def test_before_the_first_prices_the_month_shows_what_was_used(site: Site) -> None:
    page = await site.text("/")
    assert (
        "You used 2.50\N{NO-BREAK SPACE}GB of transfer this month; no prices are set for this month yet."
        in page
    )
    assert "sent to readers, 0 bytes received from you, 1 request" in page
    assert '<a href="/usage">' in page


async def test_before_the_first_prices_a_member_can_leave_and_no_money_is_named(site: Site) -> None:
    page = await site.text("/membership/leave")
    assert (True, False) == ("Give notice" in page, "In your name now" in page)


async def test_before_the_first_prices_the_books_are_empty_and_say_so(site: Site) -> None:
    page = await site.text("/books")
    assert (True, False) == ("The books are empty: nothing is booked before" in page, "<table" in page)


async def test_a_newcomer_reads_of_no_statement_of_theirs_and_not_that_no_month_was_closed(
    site: Site,
) -> None:
    await site.co_op.found("ben")
    page = await site.text("/")
    assert "You have no statement of a closed month yet." in page
    assert "No month has been closed" not in page


async def test_before_the_first_prices_the_menu_leads_to_no_page_that_did_not_work(site: Site) -> None:
    """A member sets no prices, so no page of theirs tells them to."""
    page = await site.text("/")
    for path in re.findall(r'<li><a href="(/[^"]*)"', page.partition("</nav>")[0]):
        told = await site.text(path)
        assert ("That did not work" in told, "weir tariff set" in told) == (False, False), path
    assert "no prices are set for this month yet" in await site.text("/years")
