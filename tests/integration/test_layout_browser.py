"""Where things stand on a page, in a real Chromium: a word beside its figure, air between parts, room for what is typed."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from tests.coop import CENT
from tests.integration.browser_kit import NARROW, WIDE, Seen, complaints, sign_in, window
from tests.integration.test_offices_browser import fill_invoice
from tests.reference_year import JANUARY

AIR_MIN = 6
"""Pixels between a form, a table or a list and what follows it."""
PAIRS = """() => [...document.querySelectorAll('main dt')].filter(dt => {
  const word = dt.getBoundingClientRect(), figure = dt.nextElementSibling.getBoundingClientRect();
  const below = figure.top >= word.bottom - 1 && Math.abs(figure.left - word.left) < 1;
  const beside = figure.left >= word.right - 1 && Math.abs(figure.top - word.top) < 8;
  return !(below || beside);
}).map(dt => dt.textContent)"""
CLOSE = """least => [...document.querySelectorAll('main, main section')].flatMap(part => {
  const parts = [...part.children].filter(one => one.getBoundingClientRect().height > 0);
  return parts.slice(1).map((one, place) => [parts[place], one]).filter(([before, one]) =>
    before.matches('form, dl, .boxes, table, .scroll, .statement, section, figure')
    && one.getBoundingClientRect().top - before.getBoundingClientRect().bottom < least
  ).map(([before, one]) => `${before.tagName} and '${one.textContent.trim().slice(0, 40)}'`);
})"""
SPLIT = """() => [...document.querySelectorAll('main td, main th')].filter(one => {
  const all = document.createRange();
  all.selectNodeContents(one);
  return /^\\d{4}-\\d\\d(-\\d\\d)?$/.test(one.textContent.trim())
    && new Set([...all.getClientRects()].map(box => Math.round(box.top))).size > 1;
}).map(one => `${one.textContent.trim()} in two lines`)"""
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
async def test_each_word_stands_by_its_own_figure_nothing_touches_what_follows_and_no_day_is_broken(
    chrome: Browser, seen: Seen, width: int
) -> None:
    wrong = []
    async with window(chrome, width=width) as context:
        page = await sign_in(seen, context, seen.members[1])
        for path in PATHS:
            answer = await page.goto(seen.address + path)
            assert (200, path) == (None if answer is None else answer.status, path)
            wrong += [f"{path}: {one}" for one in await page.evaluate(PAIRS)]
            wrong += [f"{path}: {one}" for one in await page.evaluate(CLOSE, AIR_MIN)]
            wrong += [f"{path}: {one}" for one in await page.evaluate(SPLIT)]
        for step in (fill_invoice, set_a_key, enter_a_resolution):
            await step(page, seen)
            assert 2 <= await page.locator("main dt").count(), step.__name__
            wrong += [f"{step.__name__}: {one}" for one in await page.evaluate(PAIRS)]
            wrong += [f"{step.__name__}: {one}" for one in await page.evaluate(CLOSE, AIR_MIN)]
    assert [] == wrong


async def test_a_field_for_a_long_text_is_long_and_one_that_is_wrong_looks_so(
    chrome: Browser, seen: Seen
) -> None:
    async with window(chrome, width=WIDE) as context:
        page = await sign_in(seen, context, seen.members[1])
        short = []
        for path in ("/membership", "/membership/leave", "/tokens"):
            await page.goto(seen.address + path)
            for field in await page.locator("main input.long").all():
                box = await field.bounding_box()
                assert box is not None
                if box["width"] < 400:
                    short.append((path, await field.get_attribute("name"), box["width"]))
        assert [] == short
        await page.goto(f"{seen.address}/caps")
        await page.fill("[name=egress_hard]", "much")
        await page.get_by_role("button", name="Save my caps").click()
        edges = {
            name: await page.eval_on_selector(f"[name={name}]", "one => getComputedStyle(one).borderWidth")
            for name in ("egress_hard", "storage_hard")
        }
        assert {"egress_hard": "2px", "storage_hard": "1px"} == edges


async def test_headings_are_smaller_the_deeper_they_are_and_a_file_is_typed_in_even_letters(
    chrome: Browser, seen: Seen
) -> None:
    sizes = """() => ['h1', 'h2', 'h3'].map(one =>
      Math.max(...[...document.querySelectorAll('main ' + one)].map(h => parseFloat(getComputedStyle(h).fontSize))))"""
    async with window(chrome, width=NARROW) as context:
        page = await sign_in(seen, context, seen.members[1])
        await page.goto(f"{seen.address}/years/2026")
        first, second, third = await page.evaluate(sizes)
        assert first > second > third
        await page.goto(f"{seen.address}/treasurer/tariff/new")
        family = await page.eval_on_selector("#text", "one => getComputedStyle(one).fontFamily")
        assert "monospace" in family


async def test_on_a_phone_the_amount_of_a_past_month_is_in_one_line(chrome: Browser, seen: Seen) -> None:
    async with window(chrome, width=NARROW) as context:
        page = await sign_in(seen, context, seen.members[0])
        broken = await page.evaluate(
            "() => [...document.querySelectorAll('.past td.n')].filter(one => {"
            " const all = document.createRange(); all.selectNodeContents(one); return all.getClientRects().length > 1; }).length"
        )
        assert (True, 0) == (await page.locator(".past td.n").count() > 3, broken)


async def test_on_paper_a_sum_stands_once_and_nothing_is_printed_that_is_to_be_pressed(
    chrome: Browser, seen: Seen
) -> None:
    """A browser repeats a table's foot on every page, so the whole sum would stand below a part of its rows."""
    async with window(chrome, width=WIDE) as context:
        page = await sign_in(seen, context, seen.members[0])
        await page.emulate_media(media="print")
        for path in ("/", "/usage"):
            await page.goto(seen.address + path)
            foot = await page.eval_on_selector("tfoot", "one => getComputedStyle(one).display")
            assert ("table-row-group", 0) == (
                foot, await page.locator("main :is(button, select, input)").filter(visible=True).count(),
            ), path  # fmt: skip
        await page.goto(f"{seen.address}/")
        assert (False, True) == (
            await page.get_by_role("link", name="December 2026 as CSV").is_visible(),
            await page.locator(".past").is_visible(),
        )


@pytest.mark.parametrize(
    "path", ["/usage?from=2027-01-01&to=2027-01-31", "/usage?by=hour&from=2027-01-01&to=2027-01-01"]
)
async def test_a_day_in_a_table_is_not_broken(chrome: Browser, seen: Seen, path: str) -> None:
    async with window(chrome, width=NARROW) as context:
        page = await sign_in(seen, context, seen.members[0])
        await page.goto(seen.address + path)
        lines = await page.eval_on_selector_all(
            "tbody th a", "all => all.map(one => one.getClientRects().length)"
        )
        assert lines
        assert {1} == set(lines)


@pytest.mark.parametrize("path", ["/", "/statements/2027-01"])
async def test_on_a_phone_what_a_line_costs_and_the_sum_stand_in_sight(
    chrome: Browser, seen: Seen, path: str
) -> None:
    async with window(chrome, width=NARROW) as context:
        page = await sign_in(seen, context, seen.members[0])
        await page.goto(seen.address + path)
        # A quantity with many digits: 123,456.901234567 GB.
        await page.eval_on_selector_all(
            ".charges tbody td:nth-child(2)",
            "all => all.forEach(one => one.textContent = '123,456.901234567 GB')",
        )
        ends = await page.eval_on_selector_all(
            ".charges tr > :last-child", "all => all.map(one => one.getBoundingClientRect().right)"
        )
        assert (True, True) == (len(ends) >= 7, max(ends) <= NARROW)
        assert 0 == await page.locator(".charges").evaluate(
            "one => one.parentElement.scrollWidth - one.parentElement.clientWidth"
        )
        rows = (
            page.get_by_role("table")
            .filter(has=page.locator(".charges tfoot, tfoot"))
            .first.get_by_role("row")
        )
        assert 7 <= await rows.count()
        assert [] == await complaints(page)


async def test_a_large_figure_is_in_one_line_with_its_unit_however_long_it_is(
    chrome: Browser, seen: Seen
) -> None:
    await seen.co_op.use(seen.members[0], JANUARY, 1_234_567_890 * CENT, day=2)
    broken = """() => [...document.querySelectorAll('.big')].flatMap(one => {
      const text = one.firstChild, number = one.textContent.search(/\\d/), part = document.createRange();
      if (number < 0) return [];
      part.setStart(text, number); part.setEnd(text, text.length);
      return new Set([...part.getClientRects()].map(box => Math.round(box.top))).size > 1 ? [one.textContent] : [];
    })"""
    async with window(chrome, width=WIDE) as context:
        page = await sign_in(seen, context, seen.members[0])
        await page.goto(f"{seen.address}/statements/2027-01")
        told = await page.locator(".big").all_inner_texts()
        assert "12,345,702.35\N{NO-BREAK SPACE}EUR" in told
        assert "about 12.3\N{NO-BREAK SPACE}PB" in told
        for path in ("/statements/2027-01", "/years/2027"):
            for width in (WIDE, 768, NARROW):
                await page.goto(seen.address + path)
                await page.set_viewport_size({"width": width, "height": 900})
                assert ([], path, width) == (await page.evaluate(broken), path, width)
