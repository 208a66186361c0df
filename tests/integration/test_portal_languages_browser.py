"""The portal in German and Spanish in a real Chromium: every page, wide and on a phone, for eyes and for screen readers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from billing.tongue import LANGUAGES, SOURCE, read_catalogue
from tests.coop import Coop
from tests.integration.browser_kit import (
    NARROW,
    WIDE,
    Seen,
    browser,
    chromium,
    complaints,
    picture,
    portal,
    sign_in,
    walk,
    window,
)
from tests.integration.test_portal_browser import name_of

OTHERS = [one for one in LANGUAGES if one != SOURCE]
STILL_ENGLISH = {
    "/co-op",
    "/acts",
    "/acts?mine",
    "/tokens",
    "/how",
    "/how/co-op",
    "/how/surplus",
    "/how/kept",
    "/how/reserve",
    "/how/start",
}
"""Pages whose main part says that it is in English (tests/catalogues.py lists their templates)."""
SEEN = """() => {
  const told = one => !one.closest('main[lang="en"]');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = document.querySelector('main[lang="en"]') ? [] : [document.title.replace(' · Weir', '')];
  while (walker.nextNode())
    if (told(walker.currentNode.parentElement)) found.push(walker.currentNode.textContent.trim().replace(/\\s+/g, ' '));
  for (const one of document.querySelectorAll('[aria-label]')) if (told(one)) found.push(one.getAttribute('aria-label'));
  return found;
}"""


@pytest_asyncio.fixture
async def chrome() -> AsyncIterator[Browser]:
    chromium()
    async with browser() as started:
        yield started


@pytest_asyncio.fixture
async def seen(co_op: Coop, tmp_path: Path) -> AsyncIterator[Seen]:
    chromium()
    async with portal(co_op, tmp_path / "journal") as one:
        yield one


def of_the_source(language: str) -> set[str]:
    """What a page in this language never says."""
    return {
        one.id.replace("%%", "%")
        for one in read_catalogue(language)
        if isinstance(one.id, str) and one.id and one.string != one.id
    } - {one.string for one in read_catalogue(language) if isinstance(one.string, str)}


async def what_is_wrong(page: Page, language: str, path: str, source: set[str]) -> list[str]:
    """Complaints about one page at both widths; it is wide again afterwards."""
    found = await complaints(page)
    if await page.get_attribute("html", "lang") != language:
        found.append(f"{path}: lang is not {language}")
    found += [f"{path}: says {one!r}" for one in await page.evaluate(SEEN) if one in source]
    is_english = await page.locator('main[lang="en"]').count() > 0
    if is_english != (path in STILL_ENGLISH):
        found.append(f"{path}: its main part is {'' if is_english else 'not '}in English")
    await page.set_viewport_size({"width": NARROW, "height": 900})
    width = await page.evaluate("document.scrollingElement.scrollWidth")
    if width > NARROW:
        found.append(f"{path}: {width} wide on a phone")
    return found


@pytest.mark.parametrize("language", OTHERS)
async def test_every_page_speaks_the_language_is_accessible_and_fits_a_phone(
    chrome: Browser, seen: Seen, language: str, tmp_path: Path
) -> None:
    source, found = of_the_source(language), []
    async with window(chrome) as context:
        context.set_default_timeout(60_000)  # One test looks at everything, on a machine that does much else.
        page = await context.new_page()
        await page.goto(f"{seen.address}/login")
        await switch(page, language)
        for path in ("/login", "/how-it-works", "/nowhere"):
            await page.goto(seen.address + path)
            found += await what_is_wrong(page, language, path, source)
            await page.set_viewport_size({"width": WIDE, "height": 900})
        await page.goto(await seen.link(seen.members[0]))
        await page.get_by_role("main").get_by_role("button").click()
        await page.wait_for_url(f"{seen.address}/")
        paths = []
        async for path in walk(page, seen.address):
            paths.append(path)
            await picture(page, tmp_path, f"{language}-wide-{name_of(path)}")
            found += await what_is_wrong(page, language, path, source)
            await picture(page, tmp_path, f"{language}-phone-{name_of(path)}")
            await page.set_viewport_size({"width": WIDE, "height": 900})
    assert [] == found
    assert {"/", "/years", "/now", "/caps", "/books", "/keys", "/membership", "/proposals", "/usage"} <= set(
        paths
    )


async def test_the_language_is_chosen_without_javascript_and_stays_a_members_own(
    chrome: Browser, seen: Seen
) -> None:
    async with window(chrome, java_script_enabled=False, locale="es-MX") as context:
        page = await sign_in_anywhere(seen, await context.new_page())
        assert ("es", "Este mes") == await told(page)
        await page.goto(f"{seen.address}/usage?by=bucket")
        await switch(page, "de")
        assert page.url == f"{seen.address}/usage?by=bucket"
        assert ("de", "Dieser Monat") == await told(page)
    async with window(chrome, java_script_enabled=False, locale="es-MX") as context:
        # Another browser of the same member: what they chose goes before what it asks for.
        page = await sign_in_anywhere(seen, await context.new_page())
        assert ("de", "Dieser Monat") == await told(page)


async def test_one_that_asks_for_no_language_of_ours_reads_the_source(chrome: Browser, seen: Seen) -> None:
    async with window(chrome, locale="fi-FI") as context:
        page = await sign_in(seen, context, seen.members[0])
        assert ("en", "This month") == await told(page)


async def switch(page: Page, language: str) -> None:
    """Press the button at the foot, and wait until the page is there again."""
    await page.get_by_role("button", name=LANGUAGES[language]).click()
    await page.wait_for_selector(f'html[lang="{language}"]', state="attached")


async def sign_in_anywhere(seen: Seen, page: Page) -> Page:
    """By a link, in whatever language the button is in."""
    await page.goto(await seen.link(seen.members[0]))
    await page.get_by_role("main").get_by_role("button").click()
    await page.wait_for_url(f"{seen.address}/")
    return page


async def told(page: Page) -> tuple[str | None, str]:
    """The page's language, and the first word of its menu."""
    return await page.get_attribute("html", "lang"), await page.inner_text("nav a >> nth=0")
