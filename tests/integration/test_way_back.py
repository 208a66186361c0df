"""Where somebody comes to after signing in, and what keeps a session: a page they asked for, never a file or a page's own look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import pytest_asyncio

from billing.settings import BillingSettings
from tests.coop import Coop
from tests.portal import Site, running_site

MINUTE = 60 * 10**6
ITSELF = {"HX-Request": "true"}


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    settings = BillingSettings(session_idle_minutes=30, session_absolute_hours=12)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        await co_op.found("anna")
        yield one


async def led_to(site: Site) -> str:
    """Where signing in leads with the cookies this browser has."""
    (anna,) = await (await site.co_op.owner()).fetchrow("SELECT id FROM meter.member WHERE name = 'anna'")
    reply = await site.client.post(await site.link(anna), allow_redirects=False)
    return reply.headers["Location"]


@pytest.mark.parametrize(
    ("asked", "page"),
    [
        ("/statements/2026-10?format=pdf", "/statements/2026-10"),
        ("/statements/2026-10/bundle", "/statements/2026-10"),
        ("/years/2026?format=csv", "/years/2026"),
        ("/years/2026/bundle", "/years/2026"),
        ("/usage?from=2026-11-01&format=json&by=day", "/usage?from=2026-11-01&by=day"),
        ("/board/register?format=csv", "/board/register"),
        ("/treasurer/ledger?format=csv", "/treasurer"),
        ("/treasurer/payments/3", "/treasurer/payments"),
        ("/proposals/3/attachments/1", "/proposals/3"),
        ("/caps", "/caps"),
    ],
)
async def test_who_asked_for_a_file_comes_to_its_page(site: Site, asked: str, page: str) -> None:
    reply = await site.get(asked)
    assert (303, "/login") == (reply.status, reply.headers["Location"])
    assert page == await led_to(site)


async def test_who_watched_comes_back_to_the_page_they_watched(site: Site) -> None:
    reply = await site.client.get("/now?watch=on", headers=ITSELF, allow_redirects=False)
    assert (200, "/login") == (reply.status, reply.headers["HX-Redirect"])
    kept = SimpleCookie(reply.headers["Set-Cookie"])
    assert "/now?watch=on" == kept["weir_onward"].value
    assert "/now?watch=on" == await led_to(site)


@pytest.mark.parametrize(("path", "headers"), [("/now?watch=on", ITSELF), ("/now?watch=again", {})])
async def test_a_page_that_looks_again_by_itself_keeps_no_session(
    site: Site, path: str, headers: dict[str, str]
) -> None:
    await led_to(site)
    for _ in range(2):
        site.now_us += 14 * MINUTE
        assert 200 == (await site.client.get(path, headers=headers, allow_redirects=False)).status
    site.now_us += 2 * MINUTE
    assert 303 == (await site.get("/now")).status


async def test_a_page_that_somebody_asks_for_keeps_the_session(site: Site) -> None:
    await led_to(site)
    for _ in range(4):
        site.now_us += 14 * MINUTE
        assert 200 == (await site.get("/now?watch=on")).status


async def test_a_link_that_is_used_up_leads_to_the_door_and_not_back_to_its_form(site: Site) -> None:
    (anna,) = await (await site.co_op.owner()).fetchrow("SELECT id FROM meter.member WHERE name = 'anna'")
    link = await site.link(anna)
    await site.client.post(link, allow_redirects=False)
    came = {"Referer": f"{site.origin}{link}"}
    inside = await (await site.client.post(link, headers=came)).text()
    assert (False, True) == (link in inside, '<p><a href="/">' in inside)
    site.client.session.cookie_jar.clear()
    outside = await (await site.client.post(link, headers=came)).text()
    assert (False, True) == (link in outside, '<p><a href="/login">' in outside)


async def test_a_method_that_a_page_has_not_is_refused_with_those_it_has(site: Site) -> None:
    reply = await site.client.put("/caps")
    assert (405, "GET,HEAD,POST") == (reply.status, reply.headers["Allow"])
