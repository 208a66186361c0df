"""A one-time link's button pressed twice: the browser that pressed it is signed in, and nobody else is by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest_asyncio
from aiohttp import ClientSession, DummyCookieJar

from billing.portal.login import PRESSED_AGAIN_US
from billing.settings import BillingSettings
from meter.ids import MemberId
from tests.coop import Coop
from tests.portal import Site, running_site

ANNA = MemberId(1)


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        await co_op.found("anna", "ben")
        yield one


@pytest_asyncio.fixture
async def hand(site: Site) -> AsyncIterator[ClientSession]:
    """Sends what it is told to and keeps no cookie: a second press goes out before the first answer is there."""
    async with ClientSession(headers={"Origin": site.origin}, cookie_jar=DummyCookieJar()) as session:
        yield session


async def looked(site: Site, hand: ClientSession, link: str) -> dict[str, str]:
    """Open the link's page; the cookie it leaves."""
    async with hand.get(site.origin + link) as reply:
        assert 200 == reply.status
        said: SimpleCookie = reply.cookies
        cookie = said["weir_link"]
    assert (True, "Strict", link) == (cookie["httponly"], cookie["samesite"], cookie["path"])
    return {"weir_link": cookie.value}


async def press(site: Site, hand: ClientSession, link: str, cookies: dict[str, str]) -> tuple[int, str]:
    """(status, the session's token or nothing)."""
    async with hand.post(site.origin + link, cookies=cookies, allow_redirects=False) as reply:
        return reply.status, reply.cookies["weir_session"].value if "weir_session" in reply.cookies else ""


async def is_in(site: Site, hand: ClientSession, session: str) -> bool:
    async with hand.get(
        f"{site.origin}/usage", cookies={"weir_session": session}, allow_redirects=False
    ) as reply:
        return 200 == reply.status


async def test_whoever_presses_twice_is_signed_in_by_the_answer_that_their_browser_shows(
    site: Site, hand: ClientSession
) -> None:
    link = await site.link(ANNA)
    cookies = await looked(site, hand, link)
    first, second = await asyncio.gather(*(press(site, hand, link, cookies) for _ in range(2)))
    third = await press(site, hand, link, cookies)
    assert [303, 303, 303] == [status for status, _ in (first, second, third)]
    # One session, the one of the last answer, and one line in the member's record.
    assert [False, False, True] == [await is_in(site, hand, one) for _, one in (first, second, third)]
    owner = await site.co_op.owner()
    assert 1 == await owner.fetchval("SELECT count(*) FROM billing.session")
    assert 1 == await owner.fetchval("SELECT count(*) FROM billing.entry_record WHERE what = 'in by link'")


async def test_a_used_link_opens_nothing_without_the_cookie_of_its_page_or_with_another(
    site: Site, hand: ClientSession
) -> None:
    link, other = await site.link(ANNA), await site.link(ANNA)
    cookies, others = await looked(site, hand, link), await looked(site, hand, other)
    status, session = await press(site, hand, link, cookies)
    assert 303 == status
    for wrong in ({}, {"weir_link": ""}, others, {"weir_link": "x" * 43}, {"weir_link": "x" * 500}):
        assert (410, "") == await press(site, hand, link, wrong)
    assert await is_in(site, hand, session)


async def test_a_link_used_without_its_page_is_used_once(site: Site, hand: ClientSession) -> None:
    link = await site.link(ANNA)
    assert 303 == (await press(site, hand, link, {}))[0]
    for cookies in ({}, {"weir_link": "x" * 43}):
        assert (410, "") == await press(site, hand, link, cookies)


async def test_a_second_press_comes_within_seconds_and_never_after_signing_out(
    site: Site, hand: ClientSession
) -> None:
    late, out = await site.link(ANNA), await site.link(ANNA)
    cookies = await looked(site, hand, late)
    assert 303 == (await press(site, hand, late, cookies))[0]
    site.now_us += PRESSED_AGAIN_US
    assert (410, "") == await press(site, hand, late, cookies)
    cookies = await looked(site, hand, out)
    _, session = await press(site, hand, out, cookies)
    owner = await site.co_op.owner()
    # What was noted of the late one is gone.
    assert 1 == await owner.fetchval("SELECT count(*) FROM billing.link_used")
    async with hand.post(
        f"{site.origin}/logout", cookies={"weir_session": session}, allow_redirects=False
    ) as reply:
        assert 303 == reply.status
    assert (410, "") == await press(site, hand, out, cookies)
    assert not await is_in(site, hand, session)
