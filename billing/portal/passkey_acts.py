"""The stories of passkeys: one added, one taken away, somebody signed in with one. It does not know HTTP."""

from __future__ import annotations

import logging
import secrets

from billing.portal import login, passkey_store
from billing.portal.entry import Happened, Purpose, Way, derived
from billing.portal.passkey import (
    NotThisPasskey,
    Place,
    claimed,
    read_name,
    read_new,
    read_old,
    wanted_new,
    wanted_old,
)
from billing.settings import BillingSettings
from meter.postgres import Connection
from meter.refusal import Refusal

log = logging.getLogger("billing.passkeys")
HANDLE_BYTES = 32
CHALLENGE = "passkey challenge"
STALE = "this took too long, or was begun in another window; try again"


async def ask_for_new(
    connection: Connection,
    visitor: login.Visitor,
    place: Place,
    settings: BillingSettings,
    *,
    now_us: int,
) -> tuple[str, str]:
    """(token for the cookie, what to ask the browser for) of a new passkey. Raises Refusal at the limit, and for who left."""
    if visitor.has_left:
        # Refused later, the device would keep a key that nobody here knows.
        raise Refusal("you have left, so no passkey is added; those you have go on, and so do one-time links")
    known = await passkey_store.credentials(connection, visitor.member)
    _must_have_room(len(known), settings)
    handle = await passkey_store.handle_of(
        connection, visitor.member, fresh=secrets.token_bytes(HANDLE_BYTES)
    )
    token = await login.begin_try(
        connection, Purpose.NEW_PASSKEY, settings, session=visitor.session, now_us=now_us
    )
    wanted = wanted_new(
        place, challenge=derived(token, CHALLENGE), handle=handle, name=visitor.name, known=known,
        minutes=settings.entry_try_minutes,
    )  # fmt: skip
    return token, wanted


async def add(
    connection: Connection,
    visitor: login.Visitor,
    place: Place,
    settings: BillingSettings,
    *,
    token: str,
    sent: str,
    typed_name: object,
    address: str,
    now_us: int,
) -> str:
    """Keep what the browser made; the passkey's name. Raises Refusal."""
    name = read_name(typed_name)
    if not await login.take_try(
        connection, token, Purpose.NEW_PASSKEY, session=visitor.session, now_us=now_us
    ):
        raise Refusal(STALE)
    made = read_new(place, sent, challenge=derived(token, CHALLENGE))
    async with connection.transaction():
        await passkey_store.lock_passkeys(connection, visitor.member)
        _must_have_room(len(await passkey_store.credentials(connection, visitor.member)), settings)
        if not await passkey_store.insert_passkey(connection, visitor.member, made, name=name, now_us=now_us):
            raise Refusal("this passkey is known already, or you have left; nothing was added")
        await login.note(
            connection, visitor.member, Happened.PASSKEY_ADDED, settings, name=name, address=address, now_us=now_us
        )  # fmt: skip
    return name


def _must_have_room(count: int, settings: BillingSettings) -> None:
    if count >= settings.passkeys_per_member_max:
        most = settings.passkeys_per_member_max
        raise Refusal(f"that are more than {most} passkeys (passkeys_per_member_max); remove one first")


async def remove(
    connection: Connection,
    visitor: login.Visitor,
    number: int,
    settings: BillingSettings,
    *,
    address: str,
    now_us: int,
) -> bool:
    """Take one of the visitor's own away; whether there was one."""
    async with connection.transaction():
        name = await passkey_store.delete_passkey(connection, visitor.member, number)
        if name is None:
            return False
        await login.note(
            connection, visitor.member, Happened.PASSKEY_REMOVED, settings, name=name, address=address, now_us=now_us
        )  # fmt: skip
    return True


async def ask_for_old(
    connection: Connection, place: Place, settings: BillingSettings, *, now_us: int
) -> tuple[str, str]:
    """(token for the cookie, what to ask the browser for) of somebody who wants to get in."""
    token = await login.begin_try(connection, Purpose.PASSKEY, settings, now_us=now_us)
    return token, wanted_old(place, challenge=derived(token, CHALLENGE), minutes=settings.entry_try_minutes)


async def sign_in(
    connection: Connection,
    place: Place,
    settings: BillingSettings,
    *,
    token: str,
    sent: str,
    address: str,
    agent: str,
    now_us: int,
) -> str:
    """Begin a session of whose passkey answered; its token. Raises Refusal."""
    if not await login.take_try(connection, token, Purpose.PASSKEY, now_us=now_us):
        raise Refusal(STALE)
    holder = await passkey_store.holder_of(connection, claimed(sent))
    if holder is None:
        raise NotThisPasskey("this passkey is not known here, or was removed; ask for a one-time link")
    counter = read_old(place, sent, holder, challenge=derived(token, CHALLENGE))
    async with connection.transaction():
        if await passkey_store.count_up(connection, holder.number, counter, now_us=now_us):
            return await login.begin_session(
                connection, holder.member, settings, way=Way.PASSKEY, name=holder.name, address=address,
                agent=agent, now_us=now_us,
            )  # fmt: skip
        await login.note(
            connection, holder.member, Happened.PASSKEY_REFUSED, settings, name=holder.name, address=address,
            now_us=now_us,
        )  # fmt: skip
    log.warning(
        "passkey %d of member %d did not count up: it may have been copied", holder.number, holder.member
    )
    raise NotThisPasskey(
        "this passkey counts as if there were a copy of it, so it was refused; ask for a one-time link, and remove it"
    )
