"""The page of what runs just now in a real Chromium: renewed in place, by reloading without script, and honest when it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.coop import Coop
from tests.integration.browser_kit import Seen, complaints, portal, sign_in, window
from tests.reference_year import JANUARY

BEFORE, AFTER = "23,450,000,000 bytes", "28,450,000,000 bytes"
"""What the kit's January holds, and five billion more."""


@pytest_asyncio.fixture
async def watched(co_op: Coop, tmp_path: Path) -> AsyncIterator[Seen]:
    """A portal whose page looks again every two seconds."""
    named = {"portal_refresh_s": 2}
    async with portal(co_op, tmp_path / "journal", shipped=True, named=named) as one:
        yield one


async def opened(seen: Seen, page: Page) -> None:
    await page.goto(f"{seen.address}/now?watch=on")
    assert await page.get_by_text(BEFORE).is_visible()


async def test_numbers_are_renewed_in_place_and_whoever_reads_stays_where_they_are(
    chrome: Browser, watched: Seen
) -> None:
    async with window(chrome) as context:
        page = await sign_in(watched, context, watched.members[0])
        said = list[str]()
        page.on("console", lambda one: said.append(one.text))
        page.on("pageerror", lambda one: said.append(str(one)))
        await opened(watched, page)
        await page.evaluate("window.opened = 'once'")
        await page.locator("#watch").focus()
        await watched.co_op.use(watched.members[0], JANUARY, 5 * 10**9, day=2)
        await page.get_by_text(AFTER).wait_for()
        assert ["once", "watch"] == [
            await page.evaluate("window.opened"), await page.evaluate("document.activeElement.id"),
        ]  # fmt: skip
        assert [] == await complaints(page)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{watched.address}/now?")
        assert 0 == await page.locator("[hx-get], script").count()
        assert [] == said


async def test_who_is_signed_out_meanwhile_is_taken_to_the_door(chrome: Browser, watched: Seen) -> None:
    async with window(chrome) as context:
        page = await sign_in(watched, context, watched.members[0])
        await opened(watched, page)
        await (await watched.co_op.owner()).execute("DELETE FROM billing.session")
        await page.wait_for_url(f"{watched.address}/login")
        assert 0 == await page.locator("#live").count()


async def test_what_goes_wrong_is_said_where_the_numbers_stood(chrome: Browser, watched: Seen) -> None:
    async with window(chrome) as context:
        page = await sign_in(watched, context, watched.members[0])
        await opened(watched, page)
        await (await watched.co_op.owner()).execute("ALTER TABLE meter.member_cap RENAME TO elsewhere")
        await page.get_by_text("Something went wrong on our side.").wait_for()
        assert 0 == await page.get_by_text(BEFORE).count()
        assert 1 == await page.get_by_role("navigation").count()


async def test_while_the_portal_is_away_the_numbers_are_said_to_be_old(
    chrome: Browser, watched: Seen
) -> None:
    async with window(chrome) as context:
        page = await sign_in(watched, context, watched.members[0])
        await opened(watched, page)
        assert 0 == await page.get_by_role("alert").count()
        await context.set_offline(True)
        await page.get_by_text("The portal cannot be reached. These numbers are from").wait_for()
        assert await page.get_by_text(BEFORE).is_visible()
        await context.set_offline(False)
        await page.get_by_text("The portal cannot be reached.").wait_for(state="hidden")
        assert [] == await complaints(page)


async def test_without_script_the_page_loads_itself_again(chrome: Browser, watched: Seen) -> None:
    async with window(chrome, java_script_enabled=False) as context:
        page = await sign_in(watched, context, watched.members[0])
        await opened(watched, page)
        await watched.co_op.use(watched.members[0], JANUARY, 5 * 10**9, day=2)
        await page.get_by_text(AFTER).wait_for()
        assert 0 == await page.get_by_text(BEFORE).count()
