"""The first minute of a co-op: its first member with a key, its master key, its first tariff.

Doing it again changes nothing; it only finds what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from billing.charges.tariff import DEFAULT_TARIFF
from billing.portal.login import create_login_link
from billing.run import set_tariff
from billing.store import book_currency
from deploy.found.keeping import kept
from deploy.rooms import connected
from gateway.keys import create_key, list_keys, publish_letterbox, reveal_secret
from gateway.rotation import settle_here
from gateway.vault import Vault
from meter.heads_store import last_head
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.signing import ensure_key, known_public
from meter.store import add_member, members
from meter.usage import Member, MemberClass, MemberStatus

FIRST_MEMBER = "founder"


@dataclass(frozen=True, slots=True)
class Founding:
    """What the first screen shows."""

    member: Member
    access_key: str
    secret_key: str
    is_new: bool
    """True on the start that founded the co-op: only then is the secret shown on the terminal."""

    def __repr__(self) -> str:
        return f"Founding(member={self.member.name!r}, access_key={self.access_key!r}, secret_key=…)"


def vault_path(data: Path) -> Path:
    """Where the master key is that seals members' secrets."""
    return data / "secret.key"


async def found(dsn: str, data: Path, *, now_us: int, timeout_s: int) -> Founding | None:
    """Found the co-op if it has no members yet; the first member and its open key.

    None when the first member has left or has no open key any more: then there is nothing to show.
    Raises Refusal when the co-op has members and its master key is gone, or a founding was begun and not finished.
    """
    begun = kept(data)
    if begun is not None:
        raise Refusal(
            f"a founding of {begun.document.get('name')} was begun in {data} and is not finished; call `weir found` again"
        )
    # As the owner: no room's own role may change the register.
    async with connected(dsn, role=None, timeout_s=timeout_s) as connection:
        register = await members(connection)
        is_new = not register
        if is_new:
            member = await add_member(
                connection, name=FIRST_MEMBER, member_class=MemberClass.USER, email="", now_us=now_us
            )
        else:
            member = register[0]
    await ensure_tariff(dsn, now_us=now_us, timeout_s=timeout_s)
    return await _with_key(dsn, data, member, is_new=is_new, now_us=now_us, timeout_s=timeout_s)


async def _with_key(
    dsn: str, data: Path, member: Member, *, is_new: bool, now_us: int, timeout_s: int
) -> Founding | None:
    async with connected(dsn, role="weir_gateway", timeout_s=timeout_s) as connection:
        known = await list_keys(connection)
        vault = Vault.open(vault_path(data), create=not known)
        if await settle_here(connection, vault_path(data)):
            # A rotation was killed at its last step.
            vault = Vault.open(vault_path(data))
        await publish_letterbox(connection, vault)
        if not known:
            # Also after a start that was killed between the member and the key.
            access_key, secret_key = await create_key(connection, member.id, vault=vault, now_us=now_us)
            return Founding(member, access_key, secret_key, is_new=True)
        if member.status is not MemberStatus.ACTIVE:
            return None
        own = [row for row in await list_keys(connection, member.id) if row.revoked_us is None]
        if not own:
            return None
        secret_key = await reveal_secret(connection, own[0].access_key, vault=vault)
        return Founding(member, own[0].access_key, secret_key, is_new=is_new)


async def ensure_signing_key(dsn: str, data: Path, *, timeout_s: int) -> str:
    """Make the key that signs heads if there is none; a sentence for the operator when one was lost, else ''.

    Raises Refusal for a key that cannot be read.
    """
    if not ensure_key(data):
        return ""
    async with connected(dsn, role="weir_meter", timeout_s=timeout_s) as connection:
        last = await last_head(connection)
    if last is None:
        return ""
    return (
        f"the signing key was gone, and a new one was made. Heads up to number {last.number} stay proven by the "
        f"old public key {last.public_key}; the next one names it. Tell the members the new key: "
        f"{known_public(data)}. If you have the old signing.key in a backup, stop Weir and put it back now"
    )


async def ensure_tariff(dsn: str, *, now_us: int, timeout_s: int) -> None:
    """Put the shipped tariff in force where the co-op has none, not even one for later."""
    async with connected(dsn, role="weir_office", timeout_s=timeout_s) as connection:
        if await book_currency(connection) is None:
            await set_tariff(connection, DEFAULT_TARIFF.read_text("utf-8"), now_us=now_us)


async def login_link(
    dsn: str, member: MemberId, *, portal_url: str, ttl_minutes: int, now_us: int, timeout_s: int
) -> str:
    """A fresh one-time link to the member's portal."""
    async with connected(dsn, role="weir_billing", timeout_s=timeout_s) as connection:
        return await create_login_link(
            connection, member, portal_url=portal_url, now_us=now_us, ttl_minutes=ttl_minutes
        )
