"""Pictures in a real Chromium: on a phone as on a wide screen, every bar is in sight and every word can be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from billing.governance.decisions import ResolutionKind
from billing.voting import run
from billing.voting.proposal import wording
from meter.ids import MemberId
from meter.store import part_name
from meter.usage import MemberClass
from meter.window import DAY_US
from tests.coop import Coop
from tests.integration.browser_kit import (
    NARROW,
    WIDE,
    Seen,
    chromium,
    complaints,
    name_of,
    picture,
    portal,
    sign_in,
    window,
)
from tests.reference_year import JANUARY, MONTHS
from tests.voting_kit import SETTINGS, join

DAYS, BUCKETS = 26, 20
"""Of a month of 31 days, with more buckets than a picture shows."""
NOW_US = JANUARY.start_us + (DAYS - 1) * DAY_US + DAY_US // 2
POOLS = {"transit": "61.00", "disks": "44.00", "power": "35.00", "work": "12.00", "bank": "1.50"}
WIDTHS = (NARROW, 768, WIDE)
BY_DAY, BY_HOUR, BY_BUCKET = "/usage", "/usage?by=hour", "/usage?by=bucket"
LONG_AGO = "/usage?by=hour&from=2026-12-26&to=2027-01-25"
"""744 hours, in some of which nothing moved."""
LONG = (BY_HOUR, LONG_AGO)
YEAR, MONTH, VOTE = "/years/2026", "/statements/2026-12", "/proposals/1"
PATHS = (
    "/", BY_DAY, "/usage?from=2027-01-01&to=2027-01-01", "/usage?from=2027-01-01&to=2027-01-03", BY_HOUR,
    "/usage?by=hour&from=2027-01-02&to=2027-01-02", LONG_AGO,
    BY_BUCKET, "/usage?by=operation", "/co-op", YEAR, MONTH, VOTE,
)  # fmt: skip
LETTERS_MIN = 10
"""Pixels."""
_READINGS = (
    "INSERT INTO {part} SELECT $1::date, $2, hour, bucket, 7::smallint, 2::smallint, 0::smallint, 9, 0, 0,"
    " received, sent, received, sent, false FROM (SELECT hour, bucket,"
    " 1000000 * (1 + (extract(epoch FROM hour)::bigint / 3600 * 7919 + bucket * 31) % 997) AS sent,"
    " 400000 * ((extract(epoch FROM hour)::bigint / 3600 * 104729 + bucket) % 499) AS received"
    " FROM generate_series($1::timestamp AT TIME ZONE 'UTC',"
    " $1::timestamp AT TIME ZONE 'UTC' + make_interval(hours => $3 * 24 - 1), interval '1 h') AS hour,"
    " generate_series(2::bigint, $4::bigint) AS bucket) AS used"
)
LOOK = """least => {
  const wrong = [], seen = [];
  for (const figure of document.querySelectorAll('main figure')) {
    const frame = figure.getBoundingClientRect();
    if (figure.scrollWidth > figure.clientWidth) wrong.push('a figure that scrolls sideways');
    let bars = 0;
    for (const bar of figure.querySelectorAll('svg rect, svg path')) {
      if (bar.closest('defs')) continue;
      const box = bar.getBoundingClientRect();
      bars += 1;
      if (box.left < frame.left || box.right > Math.min(frame.right, innerWidth)) wrong.push(`a bar at ${box.left} to ${box.right}`);
      if (box.width * box.height === 0) wrong.push('a bar without a size');
    }
    for (const words of figure.querySelectorAll('text, figcaption, p.line, li')) {
      if (getComputedStyle(words).display === 'none') continue;
      const box = words.getBoundingClientRect();
      const scale = words.getScreenCTM ? Math.min(words.getScreenCTM().a, words.getScreenCTM().d) : 1;
      const high = parseFloat(getComputedStyle(words).fontSize) * scale;
      if (high < least) wrong.push(`'${words.textContent.trim()}' ${high} px high`);
      if (box.left < frame.left || box.right > frame.right) wrong.push(`'${words.textContent.trim()}' is cut off`);
    }
    seen.push(bars);
  }
  return [wrong, seen];
}"""


@pytest_asyncio.fixture
async def pictured(co_op: Coop, tmp_path: Path) -> AsyncIterator[Seen]:
    """A co-op with costs of six kinds and a vote that is over; its first member used every hour of 26 days."""
    chromium()
    async with portal(co_op, tmp_path / "journal", now_us=NOW_US, shipped=True, more_costs=POOLS) as one:
        await _use(co_op, one.members[0])
        await _vote(co_op)
        yield one


async def _use(co_op: Coop, member: MemberId) -> None:
    owner = await co_op.owner()
    await owner.execute(
        "INSERT INTO gateway.bucket (name, owner, created_at)"
        " SELECT CASE n % 3 WHEN 0 THEN 'backup-' || n WHEN 1 THEN rpad('films-of-the-' || n || '-', 63, 'x')"
        " ELSE 'b' || n || '.example' END, $1, now() FROM generate_series(2, $2) AS n",
        member, BUCKETS,
    )  # fmt: skip
    first = date(JANUARY.year, JANUARY.number, 1)
    await owner.execute("SELECT meter.ensure_month($1)", first)
    await owner.execute(_READINGS.format(part=part_name("reading", first)), first, member, DAYS, BUCKETS)


async def _vote(co_op: Coop) -> None:
    """Three for it, one against, one abstains, and others do not vote."""
    books = await co_op.books()
    voters = [await join(co_op, f"voter-{n}", MemberClass.USER, now_us=MONTHS[0].start_us) for n in range(5)]
    began = JANUARY.start_us + 5 * DAY_US
    said = wording(title="A second disk", body="We buy one.", calc_hash=None, who="test", recorded_us=began)
    number = await run.propose(books, ResolutionKind.OTHER, said, member=None, settings=SETTINGS)
    asked = run.Asked(is_secret=True, record_us=began, opens_us=began, closes_us=began + 3 * DAY_US)
    await run.open_poll(books, number, asked, who="test", now_us=began)
    for voter, vote in zip(voters, ("for", "for", "for", "against", "abstain"), strict=True):
        await run.cast(books, number, voter, vote, now_us=began + DAY_US)


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "de"), ("light", "es")])
async def test_every_bar_is_in_sight_and_every_word_of_a_picture_can_be_read(
    chrome: Browser, pictured: Seen, scheme: str, language: str, tmp_path: Path
) -> None:
    wrong: list[str] = []
    bars: dict[str, list[int]] = {}
    async with window(chrome, color_scheme=scheme) as context:
        page = await sign_in(pictured, context, pictured.members[0])
        await context.set_extra_http_headers({"Accept-Language": language})
        for place, path in enumerate(PATHS):
            await page.goto(pictured.address + path)
            for width in WIDTHS:
                await page.set_viewport_size({"width": width, "height": 900})
                found, bars[path] = await page.evaluate(LOOK, LETTERS_MIN)
                wrong += [f"{path} at {width}: {one}" for one in found]
                name = f"{scheme}-{language}-{width}-figure-{place:02d}-{name_of(path)}"
                await picture(page, tmp_path, name, of="main figure")
            if path not in LONG:
                await page.set_viewport_size({"width": NARROW, "height": 900})
                wrong += await complaints(page)
    assert [] == wrong
    # Two bars a day; two outlines of all hours; two bars for each of 15 lines; each of three sides of a vote.
    expected = {"/": 52, BY_DAY: 52, BY_HOUR: 2, LONG_AGO: 2, BY_BUCKET: 30, VOTE: 3}
    assert {path: [count] for path, count in expected.items()} == {path: bars[path] for path in expected}


async def test_a_part_of_one_euro_has_its_own_number_where_there_is_room_for_it(
    chrome: Browser, pictured: Seen
) -> None:
    """Of the year's 3,520.00, on 640: bank 1, disks 32, power 25, rack 418, transit 44, work 9; of the 110 that are left a
    quarter and what others brought is everyone's, so less than 40, and the rest is shared."""
    async with window(chrome) as context:
        page = await sign_in(pictured, context, pictured.members[0])
        await page.goto(f"{pictured.address}/co-op")
        for width, numbers in ((WIDE, ["2", "3", "4", "5", "7", "8"]), (NARROW, ["4", "5", "7"])):
            await page.set_viewport_size({"width": width, "height": 900})
            found = await page.locator("svg.whole text").filter(visible=True).all_text_contents()
            assert numbers == found
        rows = await page.locator("main tbody").first.locator("th").all_inner_texts()
    assert ["1. cost: bank", "4. cost: rack", "7. shared among the members"] == [
        " ".join(rows[place].split()) for place in (0, 3, 6)
    ]


@pytest.mark.parametrize(
    ("path", "slot", "slots"), [("/", 25, 31), (BY_DAY, 25, 26), (BY_HOUR, 623, 624), (LONG_AGO, 743, 744)]
)
async def test_on_a_phone_the_last_bar_ends_where_its_day_or_hour_does(
    chrome: Browser, pictured: Seen, path: str, slot: int, slots: int
) -> None:
    async with window(chrome, width=NARROW) as context:
        page = await sign_in(pictured, context, pictured.members[0])
        await page.goto(pictured.address + path)
        left, right, end = await page.evaluate(
            "() => { const all = document.querySelector('svg.upright'), frame = all.getBoundingClientRect();"
            " const ends = [...all.querySelectorAll('rect, path')].map(one => one.getBoundingClientRect().right);"
            " return [frame.left, frame.right, Math.max(...ends)]; }"
        )
    # The line around a bar may reach half a pixel further.
    assert slot * (right - left) <= (end - left) * slots <= (slot + 1) * (right - left) + slots


async def test_on_paper_the_pictures_are_whole(chrome: Browser, pictured: Seen, tmp_path: Path) -> None:
    wrong = []
    async with window(chrome, width=718) as context:
        page = await sign_in(pictured, context, pictured.members[0])
        await page.emulate_media(media="print")
        for place, path in enumerate(("/", YEAR, MONTH, "/co-op", VOTE)):
            await page.goto(pictured.address + path)
            wrong += [f"{path}: {one}" for one in (await page.evaluate(LOOK, LETTERS_MIN))[0]]
            await picture(page, tmp_path, f"print-figure-{place}-{name_of(path)}", of="main figure")
    assert [] == wrong
