"""A co-op with a past in a running portal, and a real Chromium that looks at it.

Skipped where no chromium is installed, required where WEIR_TEST_ENGINES says so. Pictures of what was looked at go to
WEIR_SCREENSHOTS, or into pytest's own directory. Its fixtures are known to every integration test.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from billing import year_run
from billing.acts import run as acts_run
from billing.acts.act import Office
from billing.capital.lots import Kind, LotId
from billing.costs.costing import add_cost
from billing.ledger.entry import BANK
from billing.portal.app import make_app
from billing.portal.login import create_login_link
from billing.run import close
from billing.settings import BillingSettings
from meter.event import Mark
from meter.ids import BucketId, MemberId
from meter.journal import Journal
from meter.postgres import pool
from meter.window import DAY_US
from tests.capital import move
from tests.coop import CENT, Coop
from tests.engines.place import need
from tests.events import PLAIN
from tests.reference_year import JANUARY, MONTHS, decided, g18
from tests.reference_year import NOW as JANUARY_NOW

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
NARROW, WIDE = 320, 1280
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
FEBRUARY_US = JANUARY.end_us + 2 * DAY_US
PAGES_MAX = 80
"""How many pages a walk looks at; a portal with more has links that never end."""


@dataclass(frozen=True)
class Seen:
    """A portal that runs, and whose link is whose."""

    co_op: Coop
    address: str
    members: Sequence[MemberId]
    now_us: int

    async def link(self, member: MemberId) -> str:
        """A fresh one-time link, as the command line prints it."""
        path = await create_login_link(
            await self.co_op.books(), member, portal_url="", now_us=self.now_us, ttl_minutes=60
        )
        return self.address + path


def chromium() -> str:
    """The system's own; the test is skipped, or fails, where there is none."""
    need("chromium")
    found = shutil.which("chromium")
    assert found is not None, "it was just found"
    return found


@asynccontextmanager
async def portal(
    co_op: Coop,
    journal: Path,
    *,
    now_us: int = JANUARY.start_us + 2 * DAY_US,
    shipped: bool = False,
    named: Mapping[str, Any] | None = None,
    more_costs: Mapping[str, str] | None = None,
) -> AsyncIterator[Seen]:
    """The reference year closed, two earlier ones in the members' names, and some use of the month after it.

    Of that month a few records wait in the journal, or with `shipped` none does. `named`: the portal knows its address
    and has a host name, as passkeys need one, and these settings. more_costs: what other pools cost in each month.
    """
    books, members = await g18(co_op, closed=False)
    anna = members[0]
    kept = {(2024, anna): 41_250, (2025, anna): 12_345, (2025, members[1]): 777}
    lots = [(LotId(year, member, Kind.PLAIN).account, -amount) for (year, member), amount in kept.items()]
    await move(
        books, [*lots, (BANK, sum(kept.values()))], key="earlier", month=MONTHS[0], now_us=MONTHS[0].start_us
    )
    for month in MONTHS:
        for pool_name, amount in (more_costs or {}).items():
            await add_cost(books, month=month, pool=pool_name, amount=amount, memo="", now_us=month.end_us)
        await close(books, month, now_us=JANUARY_NOW)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=JANUARY_NOW)
    await _january(co_op, journal, anna, shipped=shipped)
    connections = await pool(co_op.dsn, role="weir_billing", size_max=2)
    office = await pool(co_op.dsn, role="weir_office", size_max=1)
    listening = socket.create_server(("127.0.0.1", 0))
    host = "127.0.0.1" if named is None else "localhost"
    address = f"http://{host}:{listening.getsockname()[1]}"
    settings = BillingSettings() if named is None else BillingSettings(portal_url=address, **named)
    app = make_app(connections, settings, office=office, journal_directory=journal, clock=lambda: now_us)
    server = TestServer(app, socket_factory=lambda *_where: listening)
    await server.start_server()
    try:
        yield Seen(co_op, address, members, now_us)
    finally:
        await server.close()
        await connections.close()
        await office.close()


async def _january(co_op: Coop, directory: Path, member: MemberId, *, shipped: bool) -> None:
    owner = await co_op.owner()
    await owner.execute("INSERT INTO gateway.operation VALUES (7, 'GetObject')")
    await owner.execute(
        "INSERT INTO gateway.bucket (name, owner, created_at) VALUES ('films', $1, now())", member
    )
    await co_op.use(member, JANUARY, 2_345 * CENT)
    if shipped:
        return
    journal = Journal(
        directory / "worker-0", segment_bytes_max=2**16, segment_age_max_s=3600, now_us=JANUARY.start_us
    )
    for number in range(3):
        journal.append(
            PLAIN._replace(
                payer=member, requester=member, bucket=BucketId(1), operation=7, bytes_out=1_000_000 + number,
                ended_us=JANUARY.start_us + 3600 * 10**6 + number, request_id=bytes([number]) * 16, marks=Mark.NONE,
            )
        )  # fmt: skip
    journal.close()


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A fresh headless Chromium."""
    program = chromium()
    async with async_playwright() as playwright:
        # As root, as in a container, Chromium has no sandbox of its own.
        started = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield started
        finally:
            await started.close()


@pytest_asyncio.fixture
async def chrome() -> AsyncIterator[Browser]:
    """A Chromium of a test's own."""
    async with browser() as started:
        yield started


@pytest_asyncio.fixture
async def seen(co_op: Coop, tmp_path: Path) -> AsyncIterator[Seen]:
    """portal() as it is without more said."""
    chromium()
    async with portal(co_op, tmp_path / "journal") as one:
        yield one


@pytest_asyncio.fixture
async def in_office(co_op: Coop, tmp_path: Path) -> AsyncIterator[Seen]:
    """The reference year closed, January over and February begun; its second member holds every office."""
    chromium()
    async with portal(co_op, tmp_path / "journal", now_us=FEBRUARY_US, shipped=True) as one:
        await give(one, one.members[1])
        yield one


async def give(seen: Seen, member: MemberId) -> None:
    """Every office, from January on."""
    owner = await seen.co_op.owner()
    for office in Office:
        await acts_run.grant(
            owner, member, office, from_us=JANUARY.start_us, until_us=None, resolution=None, who="test",
            now_us=JANUARY.start_us,
        )  # fmt: skip


@asynccontextmanager
async def window(browser: Browser, *, width: int = WIDE, **more: Any) -> AsyncIterator[BrowserContext]:
    """A window of its own, with its own cookies, as `more` says."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, **more)
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        await context.close()


async def sign_in(seen: Seen, context: BrowserContext, member: MemberId) -> Page:
    """By a link, as a person does: open it, press the button."""
    page = await context.new_page()
    await page.goto(await seen.link(member))
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{seen.address}/")
    return page


async def walk(page: Page, address: str) -> AsyncIterator[str]:
    """Every page that links lead to, one of each kind: numbers and dates in an address make no other kind."""
    waiting, known = ["/"], {"/"}
    looked_at = 0
    while waiting:
        path = waiting.pop(0)
        looked_at += 1
        assert looked_at <= PAGES_MAX, f"links never end: {path}"
        answer = await page.goto(address + path)
        assert answer is not None
        assert 200 == answer.status, path
        yield path
        found: list[str] = await page.eval_on_selector_all(
            "a[href]",
            "links => links.filter(one => !one.hasAttribute('download')).map(one => one.getAttribute('href'))",
        )
        for link in found:
            kind = re.sub(r"\d+", "0", link.partition("#")[0])
            if link.startswith("/") and "format=" not in link and kind not in known:
                known.add(kind)
                waiting.append(link)


async def complaints(page: Page) -> list[str]:
    """What axe-core says of the page that is open: rule, element, why; nothing when it finds nothing."""
    await page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = await page.evaluate(
        "tags => axe.run({runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", list(TAGS)
    )
    assert found["passes"], "axe has looked"
    return [
        f"{page.url} {one['id']} at {node['target']}: {one['help']}: {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def name_of(path: str) -> str:
    """A file's name for a page."""
    return path.strip("/").replace("/", "-").partition("?")[0] or "month"


async def picture(page: Page, directory: Path, name: str, *, of: str = "") -> None:
    """Keep what the page looks like, whole, or the first `of` it, a selector."""
    kept = Path(os.environ.get("WEIR_SCREENSHOTS", directory))
    kept.mkdir(parents=True, exist_ok=True)
    if of:
        await page.locator(of).first.screenshot(path=kept / f"{name}.png")
    else:
        await page.screenshot(path=kept / f"{name}.png", full_page=True)
