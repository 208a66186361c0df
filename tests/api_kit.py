"""A running portal asked through its API, and a co-op in which everything the API tells of is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import asyncpg
from aiohttp import ClientResponse

from billing import year_run
from billing.acts.act import Actor, Doing, Office
from billing.acts.run import note
from billing.document import Document
from billing.governance import store as governance_store
from billing.governance.decisions import Consent, Delivery
from billing.portal.bearer import make_token
from billing.portal.tokens import Scope, WantedToken
from billing.register.operations import Operation, OperationKind
from billing.register.run import add_share_kind, enter_shares
from billing.settings import BillingSettings
from billing.voting import run as voting
from billing.voting import store as voting_store
from gateway.keys import create_key, publish_letterbox
from gateway.scope import KeyScope
from gateway.vault import Vault
from meter.cap_store import set_caps
from meter.caps import Cap, Caps
from meter.daily import make_due_heads
from meter.ids import BucketId, MemberId
from meter.recorder import Recorder
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.signing import ensure_key
from tests.coop import NOW as NOVEMBER_NOW
from tests.events import PLAIN, stored
from tests.integration import journals
from tests.offices import holds
from tests.portal import Site
from tests.reference_year import JANUARY, decided, g18
from tests.reference_year import NOW as JANUARY_NOW
from tests.voting_kit import DURING, opened, proposed

DAY = 24 * 3600 * 10**6
GENEROUS = {
    "api_requests_per_minute_max": 1_000_000, "api_searches_per_minute_max": 1_000_000,
    "api_refused_per_minute_max": 1_000_000, "login_attempts_per_minute_max": 100_000,
}  # fmt: skip
"""Limits that no test reaches by looking at everything."""


class Api(Site):
    """A portal that is asked with tokens."""

    settings = BillingSettings()

    async def token(
        self,
        member: MemberId,
        *scopes: Scope,
        days: int = 30,
        name: str = "a test",
        settings: BillingSettings | None = None,
    ) -> str:
        """A token as the page makes it; without scopes it has every one."""
        wanted = WantedToken(name, scopes or tuple(Scope), self.now_us + days * DAY)
        books = await self.co_op.books()
        return await make_token(books, member, wanted, settings or self.settings, now_us=self.now_us)

    async def ask(
        self,
        path: str,
        token: str = "",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> ClientResponse:
        """Ask below /api/v1 and follow nothing."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.client.request(
            method, f"/api/v1{path}", headers={**given, **(headers or {})}, allow_redirects=False, **more
        )

    async def told(self, path: str, token: str) -> dict[str, Any]:
        """An answer that is there."""
        reply = await self.ask(path, token)
        text = await reply.text()
        assert (200, "application/json") == (reply.status, reply.content_type), (path, text)
        found: dict[str, Any] = json.loads(text)
        return found

    async def problem(self, path: str, token: str = "", **more: Any) -> dict[str, Any]:
        """A refusal, which is a problem as RFC 9457 writes it and names its own status."""
        reply = await self.ask(path, token, **more)
        text = await reply.text()
        assert (reply.status >= 400, "application/problem+json") == (True, reply.content_type), (path, text)
        found: dict[str, Any] = json.loads(text)
        assert reply.status == found["status"]
        return found


@asynccontextmanager
async def a_full_co_op(site: Api) -> AsyncIterator[tuple[MemberId, MemberId]]:
    """(a, b) of the reference's year, closed; of a there is one of everything, a transfer that runs too."""
    books, (a, b, *_) = await g18(site.co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=JANUARY_NOW)
    site.now_us = JANUARY_NOW
    await _registered(books, a)
    await _voted(books, (a, b))
    await set_caps(books, a, Caps(Cap(500, 1000), Cap(None, 10**12)), now_us=JANUARY_NOW)
    owner = await site.co_op.owner()
    await owner.execute(
        "INSERT INTO gateway.bucket (id, name, owner, created_at) OVERRIDING SYSTEM VALUE VALUES (1, 'films', $1, now())",
        a,
    )
    gateway = await site.co_op.connection("weir_gateway")
    vault = Vault.open(site.journal.parent / "secret.key", create=True)
    await publish_letterbox(gateway, vault)
    await create_key(gateway, a, vault=vault, now_us=JANUARY_NOW)
    bound = KeyScope(read_only=True, buckets=frozenset(["films"]), expires_us=JANUARY_NOW + DAY)
    await create_key(gateway, a, vault=vault, now_us=JANUARY_NOW, scope=bound)
    await _acted(site, treasurer=b, about=a)
    meter = MeterSettings(data=site.journal.parent)
    ensure_key(meter.data)
    await make_due_heads(await site.co_op.connection("weir_meter"), meter, now_us=JANUARY_NOW)
    at = JANUARY.start_us + 3600 * 10**6
    record = PLAIN._replace(payer=a, bucket=BucketId(1), bytes_in=77_777, ended_us=at)
    other = record._replace(requester=b, bytes_in=0, bytes_out=1000, ended_us=at + 1)
    journals.write(meter, record, other, stored(77_777, at, member=a, bucket=1))
    assert 0 == await ship_everything(meter, site.co_op.dsn)
    recorder = Recorder(site.journal / "worker-1", meter, slots_max=4)
    try:
        recorder.record(record._replace(ended_us=at + 2, bytes_out=5))
        slot = recorder.open(PLAIN._replace(payer=a, request_id=b"\xab" * 16, began_us=JANUARY_NOW))
        slot.moved(bytes_in=12_000, bytes_out=345, now_us=JANUARY_NOW)
        yield a, b
    finally:
        recorder.close()


async def _acted(site: Api, *, treasurer: MemberId, about: MemberId) -> None:
    """The treasurer's office held, and two acts in it: one that concerns everybody, one about a member."""
    await holds(site.co_op, treasurer, Office.TREASURER)
    books, who = await site.co_op.books(), Actor(treasurer, "b")
    for doing in (
        Doing(Office.TREASURER, "bill close", "close the month 2026-12"),
        Doing(Office.TREASURER, "credit add", "enter a credit of a member", subject=about, detail="3.00 for a lost hour"),
    ):  # fmt: skip
        await note(books, who, doing, is_done=True, now_us=JANUARY_NOW)


async def _registered(books: asyncpg.Connection, member: MemberId) -> None:
    """Two shares, a consent, a name and an address."""
    await add_share_kind(
        books, name="member", par="64.00", currency=None, held_by=["user"], is_investment=False, interest_max=None,
        who="test", now_us=JANUARY_NOW,
    )  # fmt: skip
    for kind, more in (
        (OperationKind.SUBSCRIPTION, {"quantity": 2}), (OperationKind.PAYMENT, {"amount_minor": 6400}),
    ):  # fmt: skip
        asked = Operation(0, kind, member, JANUARY_NOW, JANUARY_NOW, "test", share_kind="member", **more)
        await enter_shares(books, asked)
    await governance_store.insert_consent(
        books,
        Consent(
            0,
            member,
            "2026-1",
            date(2026, 9, 1),
            Delivery.HAND,
            Document("0" * 64, "receipt.txt"),
            date(2026, 9, 1),
            None,
            "test",
            NOVEMBER_NOW,
        ),
    )
    await books.execute(
        "SELECT billing.change_own_particulars($1, 'A Example', '1 Weir Lane', 'a@example.org', '', now())",
        member,
    )


async def _voted(books: asyncpg.Connection, members: tuple[MemberId, MemberId]) -> None:
    """Three proposals: one decided in secret, one in the open, one discussed."""
    settings = BillingSettings()
    for is_secret in (True, False):
        number = await proposed(books, member=members[0])
        if is_secret:
            await voting.attach(
                books, number, name="offer.txt", content=b"120 EUR", member=members[0], who="a", settings=settings,
                now_us=NOVEMBER_NOW,
            )  # fmt: skip
        await opened(books, number, is_secret=is_secret)
        for member, vote in zip(members, ("for", "against"), strict=True):
            await voting.cast(books, number, member, vote, now_us=DURING)
    number = await proposed(books)
    await voting.comment(books, number, members[1], "Why not two?", settings=settings, now_us=JANUARY_NOW)
    assert [3, 2, 1] == [one.number for one in await voting_store.proposals(books, count_max=9)]
