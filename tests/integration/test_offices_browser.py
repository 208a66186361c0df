"""The pages of offices, and those about the co-op, in a real Chromium: a month closed, no script, a phone, the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.integration.browser_kit import FEBRUARY_US as FEBRUARY_US
from tests.integration.browser_kit import (
    NARROW,
    WIDE,
    Seen,
    complaints,
    name_of,
    picture,
    sign_in,
    walk,
    window,
)
from tests.integration.browser_kit import give as give
from tests.offices import acts

SCHEMES = ("light", "dark")
NEW = {
    "/treasurer", "/treasurer/invoices", "/treasurer/pools", "/operator", "/board", "/board/register", "/acts", "/co-op", "/how",
    "/how/co-op", "/how/surplus", "/how/kept", "/how/reserve", "/how/start",
}  # fmt: skip


@pytest.fixture
def seen(in_office: Seen) -> Seen:
    return in_office


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_on_any_new_page(
    chrome: Browser, seen: Seen, scheme: str, tmp_path: Path
) -> None:
    async with window(chrome, color_scheme=scheme) as context:
        page = await sign_in(seen, context, seen.members[1])
        found, paths = [], set()
        async for path in walk(page, seen.address):
            paths.add(path.partition("?")[0])
            if path in NEW or path.startswith(("/treasurer/", "/operator/")):
                found += await complaints(page)
                await picture(page, tmp_path, f"{scheme}-{name_of(path)}")
        for step in (fill_invoice, ask_to_close, ask_for_caps):
            await step(page, seen)
            found += await complaints(page)
            await picture(page, tmp_path, f"{scheme}-{step.__name__}")
    assert [] == found
    assert set() == NEW - paths
    assert any(path.startswith("/treasurer/months/") for path in paths)


async def fill_invoice(page: Page, seen: Seen) -> None:
    """To the step before it is booked."""
    await page.goto(f"{seen.address}/treasurer/invoices")
    await page.get_by_label("Month it belongs to").fill("2027-01")
    await page.get_by_label("Pool of costs").fill("rack")
    await page.get_by_label("Amount, like 412.00").fill("12.34")
    await page.get_by_label("Who sent it").fill("Rack Ltd")
    await page.get_by_role("button", name="Look at it before it is booked").click()


async def ask_to_close(page: Page, seen: Seen) -> None:
    """To the step before the month is closed."""
    await page.goto(f"{seen.address}/treasurer")
    await page.get_by_role("link", name="Try 2027-01").click()
    await page.get_by_role("button", name="Go on to close 2027-01").click()


async def ask_for_caps(page: Page, seen: Seen) -> None:
    """To the step before a member's caps are set."""
    await page.goto(f"{seen.address}/operator")
    await page.get_by_role("button", name="Find members").click()
    await page.get_by_role("main").get_by_role("listitem").first.get_by_role("link").click()
    await page.get_by_label("Refuse at").first.fill("5 TB")
    await page.get_by_role("button", name="Look at it before it is set").click()


async def test_without_javascript_a_treasurer_books_an_invoice_and_closes_the_month(
    chrome: Browser, seen: Seen
) -> None:
    async with window(chrome, java_script_enabled=False) as context:
        page = await sign_in(seen, context, seen.members[1])
        await page.get_by_role("link", name="Treasurer", exact=True).click()
        assert "2027-01 is over and waits to be closed" in await page.inner_text("main")
        await fill_invoice(page, seen)
        assert "Book 12.34 EUR in pool rack of 2027-01?" in await page.inner_text("h1")
        await page.get_by_role("button", name="Book it").click()
        assert "is in the books" in await page.inner_text("[role=status]")
        await ask_to_close(page, seen)
        # 2,345 cents of use less the invoice of 1,234.
        assert "11.11" in await page.inner_text("tfoot")
        await page.get_by_role("button", name="Close 2027-01 for good").click()
        assert "The month 2027-01 is closed" in await page.inner_text("[role=status]")
        # The button of a page from before: refused with a sentence, and logged.
        await fill_invoice(page, seen)
        await page.get_by_role("button", name="Book it").click()
        assert "2027-01 is closed; book the invoice in a month that is open" in await page.inner_text("main")
    owner = await seen.co_op.owner()
    assert 1 == await owner.fetchval("SELECT count(*) FROM billing.closing WHERE period = '2027-01-01'")
    assert [("cost add", True), ("bill close", True), ("cost add", False)] == [
        (one.kind, one.is_done) for one in await acts(seen.co_op)
    ]
    async with window(chrome, java_script_enabled=False) as context:
        page = await sign_in(seen, context, seen.members[0])
        await page.get_by_role("link", name="Who did what", exact=True).click()
        assert "close the month 2027-01: result 11.11 EUR" in await page.inner_text("main")


async def test_on_a_phone_no_new_page_is_wider_than_the_screen(
    chrome: Browser, seen: Seen, tmp_path: Path
) -> None:
    async with window(chrome, width=NARROW) as context:
        page = await sign_in(seen, context, seen.members[1])
        wide = []
        async for path in walk(page, seen.address):
            if path in NEW or path.startswith(("/treasurer/", "/operator/")):
                await picture(page, tmp_path, f"phone-{name_of(path)}")
            if await page.evaluate("document.scrollingElement.scrollWidth") > NARROW:
                wide.append(path)
    assert [] == wide


async def test_the_way_out_stands_on_the_first_line_and_groups_are_named(chrome: Browser, seen: Seen) -> None:
    async with window(chrome, width=WIDE) as context:
        page = await sign_in(seen, context, seen.members[1])
        out = await page.get_by_role("button", name="Sign out").bounding_box()
        mark = await page.locator(".mark").bounding_box()
        nav = await page.get_by_role("navigation").bounding_box()
        assert out is not None
        assert mark is not None
        assert nav is not None
        assert out["y"] < mark["y"] + mark["height"]
        assert out["y"] + out["height"] <= nav["y"]
        groups = page.get_by_role("navigation").get_by_role("list")
        assert ["Yours", "Ours"] == [
            await groups.nth(place).get_attribute("aria-label") for place in range(await groups.count())
        ]
        # A group fits one line: its first and last link stand at the same height.
        for place in range(2):
            links = groups.nth(place).get_by_role("link")
            first, last = await links.first.bounding_box(), await links.last.bounding_box()
            assert first is not None
            assert last is not None
            assert first["y"] == last["y"]
