"""Connections to Postgres and the migrations of every room. It knows no table but its own list."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from meter.refusal import Refusal

_MIGRATION = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOCK = 0x77656972  # "weir": one migration run at a time

Connection = asyncpg.Connection
Pool = asyncpg.Pool


class DatabaseAway(Refusal):
    """Postgres does not answer; nothing was changed."""


class NewerSchema(Refusal):
    """The database was migrated by a newer Weir; this one must not touch it."""


AWAY = (
    DatabaseAway, OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError, asyncpg.InternalClientError,
)  # fmt: skip
"""What says that the server is away or ending. The internal one comes when it dies within an answer: the driver's
connection is then in a state of its own, and a fresh one is all that is needed."""


NO_TEXT = asyncpg.CharacterNotInRepertoireError
"""What says that a text has something in it that no text of the server's can have: a NUL."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of one room."""

    room: str
    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Digest of the text: an applied migration is never edited."""
        return hashlib.sha256(self.text.encode()).hexdigest()


SESSION = {
    "application_name": "weir", "timezone": "UTC", "datestyle": "ISO, MDY", "max_parallel_workers_per_gather": "0",
}  # fmt: skip
"""What every connection of ours sets, so that neither a server's zone nor how it writes days is in what we keep. Starting
parallel workers costs more than a member's whole month takes to read, and the other processors belong to those who serve."""


class PooledAsSomebodyElse(Refusal):
    """Behind the pooler our sessions have rights that are not this room's."""


async def connect(dsn: str, *, role: str | None = None, timeout_s: int = 30) -> Connection:
    """A connection that acts as `role` (weir_meter, weir_gateway, weir_billing). Raises DatabaseAway."""
    settings = SESSION | ({"role": role} if role else {})
    return await _connected(dsn, timeout_s, server_settings=settings)


async def connect_pooled(dsn: str, *, role: str, timeout_s: int = 30) -> Connection:
    """A connection through a pooler that shares sessions out by transaction; its user must act as `role` by itself.

    What a session would keep is not used: neither settings of ours nor named statements. Raises DatabaseAway,
    PooledAsSomebodyElse.
    """
    connection = await _connected(
        dsn, timeout_s, server_settings={"application_name": "weir"}, statement_cache_size=0
    )
    acts_as = await connection.fetchval("SELECT current_user")
    if acts_as != role:
        await connection.close()
        raise PooledAsSomebodyElse(
            f"behind the pooler sessions act as {acts_as} and not as {role}; let its user act so by"
            f" `ALTER ROLE … SET role = '{role}'`"
        )
    return connection


async def _connected(dsn: str, timeout_s: int, **options: Any) -> Connection:
    try:
        return await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s, **options)
    except (asyncpg.PostgresError, *AWAY) as error:
        raise DatabaseAway(f"the database does not answer: {error or type(error).__name__}") from error


async def pool(dsn: str, *, role: str, size_max: int, timeout_s: int = 30) -> Pool:
    """A pool whose connections act as `role`; it connects when first used."""
    return await asyncpg.create_pool(
        dsn, min_size=0, max_size=size_max, command_timeout=timeout_s, timeout=timeout_s,
        server_settings={**SESSION, "role": role},
    )  # fmt: skip


def migrations(room: str, directory: Path) -> list[Migration]:
    """The room's numbered files in order; a file with another name is a bug of ours."""
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _MIGRATION.fullmatch(path.name)
        assert match, f"{path} is not named NNNN_words.sql"
        found.append(Migration(room, int(match[1]), match[2], path.read_text("utf-8")))
    return found


async def migrate(connection: Connection, rooms: Sequence[tuple[str, Path]]) -> list[str]:
    """Apply what is missing, room after room, one transaction a file; the names applied.

    Raises NewerSchema, and Refusal when an applied file was edited since.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        applied = await applied_migrations(connection, create=True)
        wanted = [migration for room, directory in rooms for migration in migrations(room, directory)]
        check(applied, wanted)
        fresh = [one for one in wanted if (one.room, one.version) not in applied]
        for migration in fresh:
            await _apply(connection, migration)
        return [f"{one.room}/{one.version:04d}_{one.name}" for one in fresh]
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def applied_migrations(connection: Connection, *, create: bool = False) -> dict[tuple[str, int], str]:
    """(room, version) → digest of what the database already has; empty for a fresh one."""
    if create:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS public.schema_migration (room text, version int, name text NOT NULL,"
            " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (room, version))"
        )
    elif not await connection.fetchval("SELECT to_regclass('public.schema_migration') IS NOT NULL"):
        return {}
    rows = await connection.fetch("SELECT room, version, sha256 FROM public.schema_migration")
    return {(row["room"], row["version"]): row["sha256"] for row in rows}


def check(applied: dict[tuple[str, int], str], wanted: Sequence[Migration]) -> None:
    """Raises NewerSchema for a migration we do not have, Refusal for one whose text differs."""
    known = {(one.room, one.version): one for one in wanted}
    for key, digest in applied.items():
        if key not in known:
            raise NewerSchema(
                f"the database has {key[0]} migration {key[1]}, made by a newer Weir: update this one"
            )
        if known[key].sha256 != digest:
            raise Refusal(
                f"migration {key[0]}/{key[1]:04d} was edited after it was applied; restore its text"
            )


async def _apply(connection: Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        await connection.execute(migration.text)
        await connection.execute(
            "INSERT INTO public.schema_migration (room, version, name, sha256) VALUES ($1, $2, $3, $4)",
            migration.room, migration.version, migration.name, migration.sha256,
        )  # fmt: skip
