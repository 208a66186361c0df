"""Members' own keys made, rotated and revoked, for pages and API alike. A secret is returned once and kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from billing.portal import key_store, keys
from billing.portal.desk import NotFound, Portal
from billing.portal.keys import Bounds, KeyLine, KeyRefused, Wanted
from meter.credentials import new_secret_key, seal_to
from meter.ids import MemberId
from meter.postgres import Connection


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made just now, for the one answer that shows its secret."""

    access_key: str
    secret: str
    bounds: Bounds
    old: KeyLine | None = None
    """The key it comes after."""
    old_ends_us: int | None = None
    """When that one ends; None where it is closed, or there is none."""


async def make_key(
    portal: Portal, connection: Connection, member: MemberId, wanted: Wanted, *, now_us: int
) -> NewKey:
    """Make and seal a secret, and enter it. Raises Refusal."""
    public = await key_store.letterbox(connection)
    if public is None:
        raise KeyRefused(
            "no gateway has said yet how secrets are sealed for it; start `weir up` once, then try again"
        )
    secret, access_key = new_secret_key(), wanted.access_key
    await key_store.add_key(
        connection, member, access_key, seal_to(public, secret, access_key=access_key), wanted.bounds.text(),
        now_us=now_us, open_max=portal.settings.keys_per_member_max,
    )  # fmt: skip
    return NewKey(access_key, secret, wanted.bounds)


async def rotate_key(
    portal: Portal, connection: Connection, member: MemberId, old_name: str, access_key: str, *, ends_us: int,
    now_us: int,
) -> NewKey:  # fmt: skip
    """A key with the same bounds; the old one ends at ends_us, or now. Raises Refusal, NotFound."""
    async with connection.transaction():
        old = await own_key(connection, member, old_name)
        if not old.is_open(now_us):
            raise KeyRefused("this key is closed already, so there is nothing to rotate; make a new one")
        wanted = Wanted(access_key, keys.renewed(old, now_us=now_us))
        made = await make_key(portal, connection, member, wanted, now_us=now_us)
        if ends_us <= now_us:
            await key_store.revoke_key(connection, member, old.access_key, now_us=now_us)
        else:
            await key_store.end_key(connection, member, old.access_key, expires_us=ends_us)
    until = None if ends_us <= now_us else min(ends_us, old.bounds.expires_us or ends_us)
    return NewKey(made.access_key, made.secret, made.bounds, old, until)


async def revoke_key(connection: Connection, member: MemberId, access_key: str, *, now_us: int) -> None:
    """Close a key for good; once more changes nothing. Raises NotFound."""
    old = await own_key(connection, member, access_key)
    await key_store.revoke_key(connection, member, old.access_key, now_us=now_us)


async def own_key(connection: Connection, member: MemberId, access_key: str) -> KeyLine:
    """One of a member's own. Raises NotFound."""
    found = await key_store.own_key(connection, member, access_key[:40])
    if found is None:
        raise NotFound("you have no such key")
    return found
