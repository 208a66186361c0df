"""A new master key for the secret store, in steps after each of which a kill leaves everything to be opened.

    begin     the coming key lies beside the one in force; whoever reads the files opens with both
    everybody each running gateway says that it has the coming key; until then nothing is sealed with it
    reseal    every secret of keys and engines, and the letterbox, in one transaction
    finish    the coming key is in force here; the one before goes into the ring, sealed

Doing it again goes on where it was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import secret_store as store
from gateway.engine_store import sealed_under
from gateway.key_files import begin, fingerprint, finish
from gateway.keys import publish_letterbox
from gateway.secret_store import SealedRow
from gateway.vault import Vault
from meter.postgres import Connection

Under = Callable[[str], str]
"""From a row's name to what the vault binds its secret to."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """How far it came."""

    waits_for: tuple[str, ...]
    """Gateways that run without the coming key; empty: the new one is in force."""
    not_there: tuple[str, ...]
    """Gateways that do not run, and need the new key before they start again."""
    resealed: int


async def rotate(connection: Connection, path: Path) -> Rotated:
    """Go as far as can be gone; `path` is secret.key, the connection the owner's. Raises Refusal."""
    coming = fingerprint(begin(path))
    others = [one for one in await store.openers(connection) if coming not in one.opens]
    stopped = tuple(one.name for one in others if one.has_stopped)
    running = tuple(one.name for one in others if not one.has_stopped)
    if running:
        return Rotated(running, stopped, 0)
    count = await reseal(connection, path)
    finish(path)
    return Rotated((), stopped, count)


async def reseal(connection: Connection, path: Path) -> int:
    """Every secret anew with the coming key, those that are not yet; how many. Raises Refusal, and changes nothing then."""
    vault = Vault.open(path)
    coming = vault.coming()
    assert coming is not None, "a rotation that was not begun reseals nothing"
    async with connection.transaction():
        await store.hold_still(connection)
        keys = _resealed(vault, coming, await store.key_secrets(connection), under=str)
        engines = _resealed(vault, coming, await store.engine_secrets(connection), under=sealed_under)
        await store.set_key_secrets(connection, keys)
        await store.set_engine_secrets(connection, engines)
        await publish_letterbox(connection, coming)
    return len(keys) + len(engines)


def _resealed(vault: Vault, coming: Vault, rows: list[SealedRow], *, under: Under) -> list[SealedRow]:
    return [
        SealedRow(
            row.name,
            coming.seal(vault.reveal(row.secret, access_key=under(row.name)), access_key=under(row.name)),
        )
        for row in rows
        if not coming.is_in_force(row.secret, access_key=under(row.name))
    ]


async def settle_here(connection: Connection, path: Path) -> bool:
    """On another gateway's machine: the coming key is in force for all by now; whether it is here too since this call."""
    coming = Vault.open(path).coming()
    if coming is None or await store.letterbox_in_force(connection) != coming.letterbox:
        return False
    finish(path)
    return True
