"""Pages that decide in a real Chromium: an election from its proposal to its recounted result, a year closed, a phone, axe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from billing import year_store
from billing.acts.act import Office
from billing.payments.run import set_account
from billing.settings import BillingSettings
from billing.voting.document import recount
from billing.voting.election import Elected
from deploy.commands.pay import MasterSeal
from gateway.vault import Vault
from meter.ids import MemberId
from meter.window import DAY_US
from tests.coop import Coop
from tests.integration.browser_kit import (
    NARROW,
    WIDE,
    browser,
    chromium,
    complaints,
    picture,
    window,
)
from tests.integration.test_payments import ANNA, BEN, OWN
from tests.offices import acts, holds
from tests.portal import Site, running_site
from tests.reference_year import NOW as JANUARY
from tests.reference_year import decided, g18

AMY, TOM, CARLA, SHOP, WALT, WILMA = (MemberId(n) for n in range(1, 7))
"""Of the reference year: three users, a customer, two workers. Tom holds every office."""


@pytest_asyncio.fixture
async def chrome() -> AsyncIterator[Browser]:
    chromium()
    async with browser() as started:
        yield started


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    """The reference year, its months closed and the year not; it is January."""
    chromium()
    books, _ = await g18(co_op)
    await holds(co_op, TOM, *Office)
    seal = MasterSeal(Vault(b"\x07" * 32))
    for member, iban in ((None, OWN), (AMY, ANNA), (TOM, BEN)):
        await set_account(books, member, name="A B", iban=iban, seal=seal, now_us=JANUARY)
    settings = BillingSettings(session_idle_minutes=43_200, session_absolute_hours=8760)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        one.now_us = JANUARY
        yield one


async def sign_in(site: Site, context: BrowserContext, member: MemberId) -> Page:
    """By a link, as a person does: open it, press the button."""
    page = await context.new_page()
    await page.goto(site.origin + await site.link(member))
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{site.origin}/")
    return page


async def propose_election(page: Page, site: Site) -> None:
    """Amy's: two seats, three who stand."""
    await page.goto(f"{site.origin}/proposals")
    await page.get_by_role("link", name="Propose an election").click()
    await page.get_by_label("Title, one line").fill("Who is on the board?")
    await page.get_by_label("Who or what can be chosen").fill("Ada\nBo\nCy")
    await page.get_by_label("How many are elected").fill("2")
    await page.get_by_label("What is proposed, and why").fill("For two years.")
    await page.get_by_role("button", name="Propose it").click()
    assert "Who is on the board?" in await page.inner_text("h1")


async def open_vote(page: Page, site: Site) -> None:
    """By the board, to the step before."""
    await page.goto(f"{site.origin}/proposals/1")
    await page.get_by_role("link", name="Put it to the vote").click()
    await page.get_by_label("For how many days the vote is open").fill("3")
    await page.get_by_role("button", name="Look at it before it is opened").click()


async def test_without_script_an_election_goes_from_its_proposal_to_a_result_that_is_counted_again(
    chrome: Browser, site: Site, tmp_path: Path
) -> None:
    async with window(chrome, java_script_enabled=False) as context:
        await propose_election(await sign_in(site, context, AMY), site)
    async with window(chrome, java_script_enabled=False) as context:
        page = await sign_in(site, context, TOM)
        await open_vote(page, site)
        assert "5, by the register of" in await page.inner_text("main")
        await page.get_by_role("button", name="Open the vote").click()
        assert "Seats: 2" in await page.inner_text("main")
    # Ada 3, Bo 2, Cy 1; one abstains.
    for member, names in (
        (AMY, ["Ada", "Bo"]),
        (TOM, ["Ada", "Bo"]),
        (CARLA, ["Ada", "Cy"]),
        (WALT, ["I abstain"]),
    ):
        async with window(chrome, java_script_enabled=False) as context:
            page = await sign_in(site, context, member)
            await page.goto(f"{site.origin}/proposals/1")
            for name in names:
                await page.get_by_label(name, exact=True).check()
            await page.get_by_role("button", name="Cast my vote").click()
            assert "is in the box" in await page.inner_text("main")
            await picture(page, tmp_path, "election-voted")
    site.now_us += 3 * DAY_US
    async with window(chrome, java_script_enabled=False) as context:
        page = await sign_in(site, context, TOM)
        await page.goto(f"{site.origin}/proposals/1")
        assert "Elected: Ada, Bo." in await page.inner_text("main")
        await picture(page, tmp_path, "election-result")
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Take the result with every ballot").click()
        again = recount((await (await waiting.value).path()).read_text("utf-8"))
        found = again.outcome
        assert isinstance(found, Elected)
        assert ((), ["Ada", "Bo"], 4, 1) == (
            again.problems,
            found.names(found.elected),
            found.cast,
            found.abstained,
        )
        assert again.digest in await page.inner_text("main")
        await page.goto(f"{site.origin}/board/resolutions")
        await page.get_by_role("button", name="Enter proposal 1 as a resolution").click()
        assert "in the books as resolution 2027-1" in await page.inner_text("[role=status]")
    kept = await (await site.co_op.owner()).fetchval(
        "SELECT text FROM billing.resolution WHERE id = '2027-1'"
    )
    assert "Elected: Ada, Bo." in kept
    assert ["proposal open", "resolution adopt"] == [one.kind for one in await acts(site.co_op)]


async def test_without_script_a_treasurer_closes_the_year(
    chrome: Browser, site: Site, tmp_path: Path
) -> None:
    books = await site.co_op.books()
    resolution = await decided(books)
    async with window(chrome, java_script_enabled=False) as context:
        page = await sign_in(site, context, TOM)
        await page.get_by_role("link", name="Treasurer", exact=True).click()
        await page.get_by_role("link", name="The fiscal year 2026").click()
        assert "The fiscal year 2026 if it were closed now" in await page.inner_text("h1")
        await picture(page, tmp_path, "year-trial")
        await page.get_by_label("The resolution by which it is closed").select_option(resolution)
        await page.get_by_role("button", name="Go on to close 2026").click()
        assert f"By resolution {resolution}." in await page.inner_text("main")
        assert [] == await year_store.closed_years(books)
        await page.get_by_role("button", name="Close 2026 for good").click()
        assert "The fiscal year 2026 is closed" in await page.inner_text("[role=status]")
        assert [2026] == await year_store.closed_years(books)
        # What is owed from it is ordered at the bank, account numbers unopened.
        await page.goto(f"{site.origin}/treasurer/payments")
        await page.get_by_role("button", name="Look at the batch before it is ordered").click()
        await page.get_by_role("button", name="Order them").click()
        assert "Batch 1 is ordered" in await page.inner_text("[role=status]")
    # The page before the order names who has no account, and is a look as well.
    kinds = ["year close", "pay list", "pay list", "pay export", "pay list"]
    assert kinds == [one.kind for one in await acts(site.co_op)]


async def every_page(page: Page, site: Site) -> AsyncIterator[str]:
    """Each new page and each step before an act, one after the other; the name of what is open."""
    at = site.origin
    for path in (
        "/proposals/new?election", "/board/resolutions", "/treasurer/tariff/new", "/treasurer/years/2026",
        "/treasurer/payments",
    ):  # fmt: skip
        await page.goto(at + path)
        yield path.strip("/").replace("/", "-").replace("?", "-")
    await page.goto(f"{at}/treasurer/tariff/new")
    await page.get_by_role("button", name="Try it on this month").click()
    yield "tariff-sure"
    await page.goto(f"{at}/treasurer/years/2026")
    await page.get_by_role("button", name="Go on to close 2026").click()
    yield "year-sure"
    await page.goto(f"{at}/board/resolutions")
    await page.get_by_label("The day it was decided").fill("2027-01-01")
    await page.get_by_label("What was decided, in its own words").fill("We buy a second disk.")
    await page.get_by_role("button", name="Look at it before it is entered").click()
    yield "resolution-sure"
    await propose_election(page, site)
    yield "election-proposed"
    await page.get_by_role("link", name="Take it back").click()
    yield "withdraw"
    await open_vote(page, site)
    yield "open-vote-sure"
    await page.get_by_role("button", name="Open the vote").click()
    yield "election-open"
    await page.get_by_label("Ada").check()
    await page.get_by_role("button", name="Cast my vote").click()
    site.now_us += 3 * DAY_US
    await page.goto(f"{at}/proposals/1")
    yield "election-counted"
    await page.goto(f"{at}/proposals/new")
    yield "proposal-new"


@pytest.mark.parametrize(("scheme", "width"), [("light", WIDE), ("dark", NARROW)])
async def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(
    chrome: Browser, site: Site, scheme: str, width: int, tmp_path: Path
) -> None:
    await decided(await site.co_op.books())
    async with window(chrome, width=width, color_scheme=scheme) as context:
        page = await sign_in(site, context, TOM)
        found, wide, looked = [], [], 0
        async for name in every_page(page, site):
            looked += 1
            found += await complaints(page)
            await picture(page, tmp_path, f"{scheme}-{width}-{name}")
            if await page.evaluate("document.scrollingElement.scrollWidth") > width:
                wide.append(name)
    assert ([], [], 14) == (found, wide, looked)
