"""The portal in German and Spanish in a real Chromium: every page, wide and on a phone, for eyes and for screen readers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from billing.tongue import LANGUAGES, SOURCE, read_catalogue
from tests.integration.browser_kit import (
    NARROW,
    WIDE,
    Seen,
    complaints,
    give,
    name_of,
    picture,
    sign_in,
    walk,
    window,
)

OTHERS = [one for one in LANGUAGES if one != SOURCE]
OFFICES = {
    "/treasurer", "/treasurer/invoices", "/treasurer/pools", "/operator", "/board", "/board/register", "/acts",
    "/tokens", "/co-op", "/how", "/how/co-op", "/how/surplus", "/how/kept", "/how/reserve", "/how/start",
}  # fmt: skip
SEEN = """() => {
  // An act that no catalogue knows, a provider's region, a law that is cited: told as they are kept, and say so.
  const told = one => !one.closest(':is(th, td, .detail, small, li > a) > span[lang="en"]');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [document.title.replace(' · Weir', '')];
  while (walker.nextNode())
    if (told(walker.currentNode.parentElement)) found.push(walker.currentNode.textContent.trim().replace(/\\s+/g, ' '));
  for (const one of document.querySelectorAll('[aria-label]')) if (told(one)) found.push(one.getAttribute('aria-label'));
  for (const one of document.querySelectorAll('main, main [lang]'))
    if (one.lang && told(one)) found.push(`!a part in another language: ${one.tagName}`);
  for (const one of document.querySelectorAll('main p, main li'))
    if (/\\p{L}\\.[\\p{Lu}¿]/u.test(one.textContent)) found.push(`!no blank between sentences: ${one.textContent}`);
  return found;
}"""


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
    said = await page.evaluate(SEEN)
    assert said, path
    found += [f"{path}: says {one!r}" for one in said if one in source or one.startswith("!")]
    await page.set_viewport_size({"width": NARROW, "height": 900})
    width = await page.evaluate("document.scrollingElement.scrollWidth")
    if width > NARROW:
        found.append(f"{path}: {width} wide on a phone")
    return found


def kind_of(path: str) -> str:
    """A page, whichever number or month is in its address."""
    return re.sub(r"\d+", "0", path.partition("?")[0])


@pytest.mark.parametrize("language", OTHERS)
async def test_every_page_speaks_the_language_is_accessible_and_fits_a_phone(
    chrome: Browser, seen: Seen, language: str, tmp_path: Path
) -> None:
    await give(seen, seen.members[0])
    source, found = of_the_source(language), []
    async with window(chrome, color_scheme="dark" if language == "es" else "light") as context:
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
    assert set() == OFFICES - {kind_of(path) for path in paths}
    assert "/treasurer/months/0-0" in {kind_of(path) for path in paths}


@pytest.mark.parametrize("language", OTHERS)
async def test_each_last_step_of_an_office_speaks_the_language_and_an_amount_is_read_as_it_is_written_in_it(
    chrome: Browser, in_office: Seen, language: str, tmp_path: Path
) -> None:
    seen, source, found = in_office, of_the_source(language), []
    async with window(chrome) as context:
        page = await context.new_page()
        await page.goto(f"{seen.address}/login")
        await switch(page, language)
        await page.goto(await seen.link(seen.members[1]))
        await page.get_by_role("main").get_by_role("button").click()
        await page.wait_for_url(f"{seen.address}/")
        for step in (to_an_invoice, to_the_closing, to_a_member, to_caps, to_a_refusal):
            await step(page, seen.address)
            await picture(page, tmp_path, f"{language}-wide-{step.__name__}")
            found += await what_is_wrong(page, language, step.__name__, source)
            await picture(page, tmp_path, f"{language}-phone-{step.__name__}")
            await page.set_viewport_size({"width": WIDE, "height": 900})
            if step is to_an_invoice:
                assert "1234,56" in (await page.inner_text("h1")).replace(".", "")
                await press(page)
                assert f"{seen.address}/treasurer?booked=" in page.url
    assert [] == found
    owner = await seen.co_op.owner()
    # As it was typed, in cents; and as it is kept, in the one language of what is kept.
    told = await owner.fetchval("SELECT what FROM billing.act WHERE kind = 'cost add'")
    assert ": 1,234.56 EUR in pool rack of 2027-01" in told


async def press(page: Page) -> None:
    """The button of the page's last form."""
    await page.get_by_role("main").get_by_role("button").last.click()


async def to_an_invoice(page: Page, address: str) -> None:
    await page.goto(f"{address}/treasurer/invoices")
    for name, text in (
        ("period", "2027-01"),
        ("pool", "rack"),
        ("amount", "1234,56"),
        ("supplier", "Rack Ltd"),
    ):
        await page.fill(f"[name={name}]", text)
    await press(page)


async def to_the_closing(page: Page, address: str) -> None:
    await page.goto(f"{address}/treasurer/months/2027-01")
    await press(page)


async def to_a_member(page: Page, address: str) -> None:
    await page.goto(f"{address}/operator/members")
    await page.get_by_role("main").get_by_role("listitem").first.get_by_role("link").click()
    await page.wait_for_selector("[name=egress_hard]")


async def to_caps(page: Page, address: str) -> None:
    await to_a_member(page, address)
    await page.fill("[name=egress_hard]", "5 TB")
    await page.fill("[name=storage_soft]", "2 TB")
    await press(page)


async def to_a_refusal(page: Page, address: str) -> None:
    """What is refused is told in the language too: here an amount that two readers read as two."""
    await page.goto(f"{address}/treasurer/invoices")
    for name, text in (("period", "2027-01"), ("pool", "rack"), ("amount", "1.234")):
        await page.fill(f"[name={name}]", text)
    await press(page)
    assert "1.234" in await page.inner_text("main")


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
