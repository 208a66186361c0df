"""One-time links and sessions: made of 32 random bytes, kept as SHA-256, used once, ended in time.

It knows how long something lasts; it does not know HTTP.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from billing.acts.act import Office
from billing.portal import store
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.postgres import Connection

TOKEN_BYTES = 32
TOKEN_CHARACTERS_MAX = 64
ADDRESS_CHARACTERS_MAX = 64
AGENT_CHARACTERS_MAX = 200
MINUTE_US = 60 * 10**6
HOUR_US = 60 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose session this is. The only source of a member's number in the portal."""

    member: MemberId
    name: str
    session: int
    """The number of this session among the member's."""
    offices: frozenset[Office] = frozenset()
    """What they may act in, asked anew for every request."""
    language: str | None = None
    """In which they want to be told things; None where they never said."""


def _digest(token: str) -> bytes:
    # 256 random bits need no slow hash; looking up the digest leaks nothing about the token.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def create_login_link(
    connection: Connection,
    member: MemberId,
    *,
    portal_url: str,
    now_us: int,
    ttl_minutes: int,
    open_max: int = 10,
) -> str:
    """A link that signs the member in once, within ttl_minutes. Only its digest is kept."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with connection.transaction():
        await store.insert_link(
            connection, _digest(token), member, now_us=now_us, expires_us=now_us + ttl_minutes * MINUTE_US
        )
        await store.forget_links(connection, member, now_us=now_us, keep=open_max)
    return f"{portal_url.rstrip('/')}/login/{token}"


async def link_works(connection: Connection, token: str, *, now_us: int) -> bool:
    """Whether the link could be used; looking uses nothing up, because mail scanners look too."""
    return len(token) <= TOKEN_CHARACTERS_MAX and await store.link_works(
        connection, _digest(token), now_us=now_us
    )


async def sign_in(
    connection: Connection, token: str, settings: BillingSettings, *, address: str, agent: str, now_us: int
) -> str | None:
    """Use the link up and begin a session; the session's token, or None when the link does not work.

    address and agent: from where, as the member will be shown it.
    """
    if len(token) > TOKEN_CHARACTERS_MAX:
        return None
    async with connection.transaction():
        member = await store.take_link(connection, _digest(token), now_us=now_us)
        if member is None:
            return None
        session = secrets.token_urlsafe(TOKEN_BYTES)
        await store.insert_session(
            connection, _digest(session), member, now_us=now_us, address=address[:ADDRESS_CHARACTERS_MAX],
            agent="".join(one for one in agent if one.isprintable())[:AGENT_CHARACTERS_MAX],
        )  # fmt: skip
        begun_before_us = now_us - settings.session_absolute_hours * HOUR_US
        await store.forget_sessions(
            connection, member, begun_before_us=begun_before_us, keep=settings.sessions_per_member_max
        )
    return session


async def visitor(
    connection: Connection, session: str, settings: BillingSettings, *, now_us: int
) -> Visitor | None:
    """Who is signed in with this session; None when it is unknown or over."""
    if len(session) > TOKEN_CHARACTERS_MAX:
        return None
    found = await store.session_member(
        connection,
        _digest(session),
        begun_after_us=now_us - settings.session_absolute_hours * HOUR_US,
        seen_after_us=now_us - settings.session_idle_minutes * MINUTE_US,
        now_us=now_us,
    )
    return None if found is None else Visitor(*found)


async def sessions(
    connection: Connection, member: MemberId, settings: BillingSettings, *, now_us: int
) -> list[store.Session]:
    """A member's sessions that last."""
    return await store.sessions(
        connection,
        member,
        begun_after_us=now_us - settings.session_absolute_hours * HOUR_US,
        seen_after_us=now_us - settings.session_idle_minutes * MINUTE_US,
    )


async def sign_out(connection: Connection, session: str) -> None:
    """End the session everywhere."""
    await store.delete_session(connection, _digest(session))
