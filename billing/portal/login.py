"""One-time links, sessions, and ways in that take two steps: 32 random bytes, kept as SHA-256, used once, ended in time.

It knows how long something lasts; it does not know HTTP.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from billing.acts.act import Office
from billing.portal import entry_store, store
from billing.portal.entry import TOKEN_CHARACTERS_MAX, Happened, Purpose, Way, digest_of
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.postgres import Connection

TOKEN_BYTES = 32
ADDRESS_CHARACTERS_MAX = 64
AGENT_CHARACTERS_MAX = 200
MINUTE_US = 60 * 10**6
HOUR_US = 60 * MINUTE_US
PRESSED_AGAIN_US = 30 * 10**6
"""For how long a link that was used signs the very browser in once more that used it: a hand presses twice."""


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
    has_left: bool = False
    """They read what they are owed; nothing new opens the door for them."""


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
            connection, digest_of(token), member, now_us=now_us, expires_us=now_us + ttl_minutes * MINUTE_US
        )
        await store.forget_links(connection, member, now_us=now_us, keep=open_max)
    return f"{portal_url.rstrip('/')}/login/{token}"


async def whose_link(connection: Connection, token: str, *, now_us: int) -> str | None:
    """The name of whom the link would sign in, or None; looking uses nothing up, because mail scanners look too."""
    if len(token) > TOKEN_CHARACTERS_MAX:
        return None
    return await store.whose_link(connection, digest_of(token), now_us=now_us)


async def sign_in(
    connection: Connection, token: str, settings: BillingSettings, *, browser: str, address: str, agent: str, now_us: int,
) -> str | None:  # fmt: skip
    """Use the link up and begin a session; the session's token, or None when the link does not work.

    browser: the random text that the link's page left in a cookie; empty where there is none. Within PRESSED_AGAIN_US
    it gets another session in the place of the first, whose answer the browser never showed. address and agent: from
    where, as the member will be shown it.
    """
    if len(token) > TOKEN_CHARACTERS_MAX or len(browser) > TOKEN_CHARACTERS_MAX:
        return None
    link = digest_of(token)
    async with connection.transaction():
        member = await store.take_link(connection, link, now_us=now_us)
        if member is None:
            return await _again(
                connection, link, settings, browser=browser, address=address, agent=agent, now_us=now_us
            )
        session = await begin_session(
            connection, member, settings, way=Way.LINK, name="", address=address, agent=agent, now_us=now_us
        )
        await store.forget_links_used(connection, until_us=now_us - PRESSED_AGAIN_US)
        if browser:
            await store.note_link_used(
                connection, link, browser=digest_of(browser), session=digest_of(session), now_us=now_us
            )
    return session


async def _again(
    connection: Connection, link: bytes, settings: BillingSettings, *, browser: str, address: str, agent: str, now_us: int,
) -> str | None:  # fmt: skip
    """A session in the place of the one this browser began a moment ago, while that one lasts."""
    if not browser:
        return None
    before = await store.link_used_by(
        connection, link, browser=digest_of(browser), after_us=now_us - PRESSED_AGAIN_US
    )
    member = None if before is None else await store.take_session(connection, before)
    if member is None:
        return None
    session = await _kept_session(
        connection, member, settings, way=Way.LINK, address=address, agent=agent, now_us=now_us
    )
    await store.replace_link_session(connection, link, digest_of(session))
    return session


_SAID = {
    Way.LINK: Happened.IN_BY_LINK,
    Way.PASSKEY: Happened.IN_BY_PASSKEY,
    Way.ACCOUNT: Happened.IN_BY_ACCOUNT,
}


async def begin_session(
    connection: Connection,
    member: MemberId,
    settings: BillingSettings,
    *,
    way: Way,
    name: str,
    address: str,
    agent: str,
    now_us: int,
) -> str:
    """Begin a session of somebody who is proven, and note it in their record; the session's token.

    name: of the passkey or the provider. Within a transaction of the caller's.
    """
    session = await _kept_session(
        connection, member, settings, way=way, address=address, agent=agent, now_us=now_us
    )
    await note(connection, member, _SAID[way], settings, name=name, address=address, now_us=now_us)
    return session


async def _kept_session(
    connection: Connection, member: MemberId, settings: BillingSettings, *, way: Way, address: str, agent: str,
    now_us: int,
) -> str:  # fmt: skip
    session = secrets.token_urlsafe(TOKEN_BYTES)
    await store.insert_session(
        connection, digest_of(session), member, now_us=now_us, address=address[:ADDRESS_CHARACTERS_MAX], way=way,
        agent="".join(one for one in agent if one.isprintable())[:AGENT_CHARACTERS_MAX],
    )  # fmt: skip
    begun_before_us = now_us - settings.session_absolute_hours * HOUR_US
    await store.forget_sessions(
        connection, member, begun_before_us=begun_before_us, keep=settings.sessions_per_member_max
    )
    return session


async def note(
    connection: Connection,
    member: MemberId,
    what: Happened,
    settings: BillingSettings,
    *,
    name: str,
    address: str,
    now_us: int,
) -> None:
    """Add a line to the member's record of the door, and let the oldest go."""
    await entry_store.note(
        connection, member, what, name=name, address=address[:ADDRESS_CHARACTERS_MAX], now_us=now_us
    )
    await entry_store.forget_lines(connection, member, keep=settings.entry_record_lines_max)


async def begin_try(
    connection: Connection,
    purpose: Purpose,
    settings: BillingSettings,
    *,
    session: int | None = None,
    now_us: int,
) -> str:
    """Begin a way in that takes two steps; its token, for the browser's cookie. session: whose wish something new is."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with connection.transaction():
        await entry_store.insert_try(
            connection, digest_of(token), purpose, session, now_us=now_us,
            expires_us=now_us + settings.entry_try_minutes * MINUTE_US,
        )  # fmt: skip
        await entry_store.forget_tries(connection, now_us=now_us, keep=settings.entry_tries_open_max)
    return token


async def take_try(
    connection: Connection, token: str, purpose: Purpose, *, session: int | None = None, now_us: int
) -> bool:
    """Use it up; whether it was begun for this, by this session, and its time is not over."""
    return len(token) <= TOKEN_CHARACTERS_MAX and await entry_store.take_try(
        connection, digest_of(token), purpose, session, now_us=now_us
    )


async def visitor(
    connection: Connection, session: str, settings: BillingSettings, *, is_seen: bool = True, now_us: int
) -> Visitor | None:
    """Who is signed in with this session; None when it is unknown or over.

    is_seen: somebody asked, which keeps it from idling out.
    """
    if len(session) > TOKEN_CHARACTERS_MAX:
        return None
    found = await store.session_member(
        connection,
        digest_of(session),
        begun_after_us=now_us - settings.session_absolute_hours * HOUR_US,
        seen_after_us=now_us - settings.session_idle_minutes * MINUTE_US,
        is_seen=is_seen,
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
    await store.delete_session(connection, digest_of(session))
