"""Where things stand on a page, in a real Chromium: a word beside its figure."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from tests.integration.browser_kit import NARROW, WIDE, Seen, sign_in, window
from tests.integration.test_offices_browser import fill_invoice

PAIRS = """() => [...document.querySelectorAll('main dt')].filter(dt => {
  const word = dt.getBoundingClientRect(), figure = dt.nextElementSibling.getBoundingClientRect();
  const below = figure.top >= word.bottom - 1 && Math.abs(figure.left - word.left) < 1;
  const beside = figure.left >= word.right - 1 && Math.abs(figure.top - word.top) < 8;
  return !(below || beside);
}).map(dt => dt.textContent)"""
PATHS = (
    "/", "/years/2026", "/usage", "/usage?by=bucket", "/now", "/caps", "/keys", "/tokens", "/sessions", "/membership",
    "/membership/leave", "/co-op", "/books", "/acts", "/proposals", "/proposals/new", "/treasurer", "/treasurer/invoices",
    "/treasurer/pools", "/treasurer/payments", "/treasurer/years/2026", "/treasurer/months/2027-01", "/treasurer/tariff/new",
    "/operator", "/operator/members/1", "/board", "/board/register", "/board/resolutions",
)  # fmt: skip


@pytest.fixture
def seen(in_office: Seen) -> Seen:
    return in_office


async def set_a_key(page: Page, seen: Seen) -> None:
    """To the step before a pool's key is set."""
    await page.goto(f"{seen.address}/treasurer/pools")
    for name, text in (("pool", "rack"), ("key", "equal"), ("start", "2027-02"), ("memo", "the meeting")):
        await page.fill(f"main [name={name}]", text)
    await page.get_by_role("main").get_by_role("button").click()


async def enter_a_resolution(page: Page, seen: Seen) -> None:
    """To the step before it is entered."""
    await page.goto(f"{seen.address}/board/resolutions")
    await page.fill("main [name=decided]", "2027-01-03")
    await page.fill("main [name=text]", "We close the year as calculated.")
    await page.get_by_role("main").get_by_role("button").last.click()


@pytest.mark.parametrize("width", [NARROW, WIDE])
async def test_each_word_stands_beside_or_above_its_own_figure(
    chrome: Browser, seen: Seen, width: int
) -> None:
    wrong = []
    async with window(chrome, width=width) as context:
        page = await sign_in(seen, context, seen.members[1])
        for path in PATHS:
            answer = await page.goto(seen.address + path)
            assert (200, path) == (None if answer is None else answer.status, path)
            wrong += [f"{path}: {one}" for one in await page.evaluate(PAIRS)]
        for step in (fill_invoice, set_a_key, enter_a_resolution):
            await step(page, seen)
            assert 2 <= await page.locator("main dt").count(), step.__name__
            wrong += [f"{step.__name__}: {one}" for one in await page.evaluate(PAIRS)]
    assert [] == wrong
