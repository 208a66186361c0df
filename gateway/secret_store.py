"""SQL of a rotation: every sealed secret of the directory, exchanged in one transaction by the owner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from meter.postgres import Connection


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One secret as it is kept."""

    name: str
    """Of the access key, or of the engine."""
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opener:
    """A gateway, and the master keys it can open secrets with."""

    name: str
    has_stopped: bool
    opens: frozenset[str]


async def hold_still(connection: Connection) -> None:
    """Nobody makes or changes a key or an engine until this transaction ends; they are read meanwhile."""
    await connection.execute("LOCK TABLE gateway.access_key, gateway.engine IN SHARE ROW EXCLUSIVE MODE")


async def key_secrets(connection: Connection) -> list[SealedRow]:
    """Of all access keys, closed ones too."""
    rows = await connection.fetch("SELECT access_key, secret FROM gateway.access_key")
    return [SealedRow(row["access_key"], row["secret"]) for row in rows]


async def engine_secrets(connection: Connection) -> list[SealedRow]:
    """Of all engines that have one."""
    rows = await connection.fetch("SELECT name, secret FROM gateway.engine WHERE secret IS NOT NULL")
    return [SealedRow(row["name"], row["secret"]) for row in rows]


async def set_key_secrets(connection: Connection, rows: Iterable[SealedRow]) -> None:
    """Exchange them."""
    await connection.executemany(
        "UPDATE gateway.access_key SET secret = $2 WHERE access_key = $1",
        [(row.name, row.secret) for row in rows],
    )


async def set_engine_secrets(connection: Connection, rows: Iterable[SealedRow]) -> None:
    """Exchange them."""
    await connection.executemany(
        "UPDATE gateway.engine SET secret = $2 WHERE name = $1", [(row.name, row.secret) for row in rows]
    )


async def letterbox_in_force(connection: Connection) -> bytes | None:
    """The public key to which the portal seals."""
    found: bytes | None = await connection.fetchval(
        "SELECT public_key FROM gateway.letterbox ORDER BY published_at DESC LIMIT 1"
    )
    return found


async def note_keys(connection: Connection, gateway: UUID, opens: Sequence[str]) -> None:
    """A gateway says which master keys it has."""
    await connection.execute("UPDATE gateway.gateway SET opens = $2 WHERE id = $1", gateway, list(opens))


async def openers(connection: Connection) -> list[Opener]:
    """All gateways, by name."""
    rows = await connection.fetch(
        "SELECT name, stopped_at IS NOT NULL AS has_stopped, opens FROM gateway.gateway ORDER BY name"
    )
    return [Opener(row["name"], row["has_stopped"], frozenset(row["opens"])) for row in rows]
