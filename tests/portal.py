"""A running portal for tests: the real pages over a real socket, a co-op, and a clock the test moves."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from billing.portal.app import make_app
from billing.portal.bundles import Bundles
from billing.portal.login import create_login_link
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.postgres import pool
from tests.coop import NOW, Coop


class Site:
    """A running portal, its co-op, and a clock the test moves."""

    def __init__(self, co_op: Coop, journal: Path) -> None:
        self.co_op = co_op
        self.journal = journal
        self.now_us = NOW
        self.client: TestClient
        self.server: TestServer

    @property
    def origin(self) -> str:
        """What a browser would say it comes from."""
        return f"http://{self.server.host}:{self.server.port}"

    async def link(self, member: MemberId) -> str:
        """A one-time link, as the command makes it."""
        return await create_login_link(
            await self.co_op.books(), member, portal_url="", now_us=self.now_us, ttl_minutes=60
        )

    async def sign_in(self, member: MemberId) -> None:
        """Be this member from here on."""
        reply = await self.client.post(await self.link(member), allow_redirects=False)
        assert 303 == reply.status

    async def get(self, path: str) -> ClientResponse:
        """Ask for a page and follow nothing."""
        return await self.client.get(path, allow_redirects=False)

    async def post(self, path: str, **form: str) -> ClientResponse:
        """Send a form from our own page and follow nothing."""
        return await self.client.post(path, data=form, allow_redirects=False)

    async def sure_form(self, path: str, **form: str) -> dict[str, str]:
        """Take the first step of two; what the form of the second holds for whoever presses its button."""
        return _held(await (await self.post(path, **form)).text(), path)

    async def held(self, page: str, path: str) -> dict[str, str]:
        """What the form on a page that is sent to a path holds unseen."""
        return _held(await self.text(page), path)

    async def text(self, path: str) -> str:
        """A page that is there."""
        reply = await self.get(path)
        assert 200 == reply.status, (path, reply.status, await reply.text())
        return await reply.text()


def _held(page: str, path: str) -> dict[str, str]:
    mine = re.search(rf'<form method="post" action="{re.escape(path)}".*?</form>', page, re.DOTALL)
    assert mine, page
    held = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', mine[0])
    return {name: html.unescape(value) for name, value in held}


SomeSite = TypeVar("SomeSite", bound=Site)


@asynccontextmanager
async def running_site(
    co_op: Coop,
    journal: Path,
    settings: BillingSettings,
    *,
    origin: str = "",
    kind: type[SomeSite] = Site,  # type: ignore[assignment]
    bundles: Bundles | None = None,
) -> AsyncIterator[SomeSite]:
    """A portal for the time of the block; its client says where it comes from, as browsers do."""
    one = kind(co_op, journal)
    connections = await pool(co_op.dsn, role="weir_billing", size_max=2)
    office = await pool(co_op.dsn, role="weir_office", size_max=1)
    app = make_app(
        connections, settings, office=office, journal_directory=journal, clock=lambda: one.now_us, bundles=bundles
    )  # fmt: skip
    one.server = TestServer(app)
    await one.server.start_server()
    async with TestClient(one.server, headers={"Origin": origin or one.origin}) as client:
        one.client = client
        yield one
    await connections.close()
    await office.close()
