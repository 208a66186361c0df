"""The portal in a real Chromium: read with and without JavaScript, on a phone, by keyboard, in the dark, on paper."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.integration.browser_kit import (
    NARROW,
    Seen,
    browser,
    complaints,
    name_of,
    picture,
    sign_in,
    walk,
    window,
)

SCHEMES = ("light", "dark")
LONG_NAME = "w" * 63
"""As long as a member's name can be, and nowhere to break it."""


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_on_any_page(
    chrome: Browser, seen: Seen, scheme: str, tmp_path: Path
) -> None:
    async with window(chrome, color_scheme=scheme) as context:
        page = await context.new_page()
        found = []
        for path in ("/login", "/how-it-works", "/nowhere"):
            await page.goto(seen.address + path)
            found += await complaints(page)
            await picture(page, tmp_path, f"{scheme}-{name_of(path)}")
        page = await sign_in(seen, context, seen.members[0])
        paths = []
        async for path in walk(page, seen.address):
            paths.append(path)
            found += await complaints(page)
            await picture(page, tmp_path, f"{scheme}-{name_of(path)}")
    assert [] == found
    # The walk is one over the portal, and not over its first page.
    assert {"/", "/years", "/now", "/caps", "/books", "/how-it-works"} <= set(paths)
    assert [True, True, True] == [
        any(path.startswith(start) for path in paths) for start in ("/statements/", "/requests/", "/years/")
    ]


async def test_axe_would_find_something() -> None:
    async with browser() as started, window(started) as context:
        page = await context.new_page()
        await page.set_content("<title>x</title><img src='data:,'><p style='color:#aaa'>pale</p>")
        assert {"image-alt", "color-contrast", "html-has-lang"} <= {
            one.split()[1] for one in await complaints(page)
        }


async def test_on_a_phone_no_page_is_wider_than_the_screen(
    chrome: Browser, seen: Seen, tmp_path: Path
) -> None:
    owner = await seen.co_op.owner()
    await owner.execute("UPDATE meter.member SET name = $2 WHERE id = $1", seen.members[0], LONG_NAME)
    async with window(chrome, width=NARROW) as context:
        page = await sign_in(seen, context, seen.members[0])
        wide, named = [], set()
        async for path in walk(page, seen.address):
            await picture(page, tmp_path, f"phone-{name_of(path)}")
            if await page.evaluate("document.scrollingElement.scrollWidth") > NARROW:
                wide.append(path)
            if LONG_NAME in await page.inner_text("main"):
                named.add(path.split("/")[1])
    assert [] == wide
    # Not in its foot alone: these pages say it in their own words.
    assert {"statements", "years", "membership"} <= named


async def test_without_javascript_a_member_signs_in_reads_drills_down_and_downloads(
    chrome: Browser, seen: Seen
) -> None:
    async with window(chrome, java_script_enabled=False) as context:
        page = await sign_in(seen, context, seen.members[0])
        assert "You used about 23.5\N{NO-BREAK SPACE}GB of transfer this month" in await page.inner_text("h1")
        await page.get_by_text("The same numbers as a table").click()
        await page.get_by_role("link", name="Requests of day 1", exact=True).click()
        assert "1,000,002" in await page.inner_text("main")
        await page.get_by_role("link", name="The year", exact=True).click()
        await page.get_by_role("link", name="2026", exact=True).click()
        assert "369.02 EUR" in await page.inner_text("main")
        told = json.loads(await kept(page, "JSON"))
        assert ("final", 36902) == (told["kind"], told["amount_minor"])
        rows = list(csv.reader(io.StringIO(await kept(page, "CSV"))))
        assert ["allocated to you", "", "36902", "EUR"] in [row[1:5] for row in rows]
        await page.get_by_role("button", name="Sign out").click()
        assert page.url.endswith("/login")


async def kept(page: Page, form: str) -> str:
    """A file as the browser saves it."""
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name=form, exact=True).click()
    download = await waiting.value
    return (await download.path()).read_text("utf-8-sig")


async def test_by_keyboard_alone_a_member_skips_to_the_page_and_sees_where_they_are(
    chrome: Browser, seen: Seen
) -> None:
    async with window(chrome) as context:
        page = await context.new_page()
        await page.goto(await seen.link(seen.members[0]))
        await focus_on(page, "Sign in")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{seen.address}/")
        await page.keyboard.press("Tab")
        assert ("Skip to the page", True) == await focused(page)
        box = await page.locator(":focus").bounding_box()
        assert box is not None
        assert (True, True) == (box["x"] >= 0, box["y"] >= 0)
        await page.keyboard.press("Enter")
        assert page.url.endswith("#main")
        # From here on, everything that can be reached shows that it is.
        before = await page.evaluate(
            "document.querySelectorAll('main a[href], main button, main summary').length"
        )
        reached = []
        for _ in range(before):
            await page.keyboard.press("Tab")
            reached.append(await focused(page))
        assert [] == [words for words, is_visible in reached if not is_visible]
        assert "The same numbers as a table" in [words for words, _ in reached]
        await page.goto(f"{seen.address}/caps")
        await page.get_by_label("Warn me at").first.focus()
        await page.keyboard.type("5 GB")
        await page.keyboard.press("Enter")
        assert "Saved." in await page.inner_text("[role=status]")


async def focus_on(page: Page, words: str) -> None:
    """Press Tab until it is there."""
    for _ in range(20):
        await page.keyboard.press("Tab")
        if (await focused(page))[0] == words:
            return
    pytest.fail(f"the keyboard never reaches '{words}'")


async def focused(page: Page) -> tuple[str, bool]:
    """What has the focus, and whether a line around it shows that."""
    words, style, width = await page.evaluate(
        "() => { const one = document.activeElement, style = getComputedStyle(one);"
        " return [one.innerText.trim(), style.outlineStyle, parseFloat(style.outlineWidth)]; }"
    )
    return words, style != "none" and width >= 2


async def test_on_paper_there_is_the_statement_and_no_buttons(
    chrome: Browser, seen: Seen, tmp_path: Path
) -> None:
    async with window(chrome) as context:
        page = await sign_in(seen, context, seen.members[0])
        await page.goto(f"{seen.address}/years/2026")
        await page.emulate_media(media="print")
        await picture(page, tmp_path, "print-years-2026")
        assert (True, False, False) == (
            await page.locator(".statement").is_visible(),
            await page.locator("nav").first.is_visible(),
            await page.locator(".copies").is_visible(),
        )
        ink, paper = await page.evaluate(
            "() => [getComputedStyle(document.body).color, getComputedStyle(document.documentElement).backgroundColor]"
        )
        assert ("rgb(0, 0, 0)", "rgb(255, 255, 255)") == (ink, paper)
