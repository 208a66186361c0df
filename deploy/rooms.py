"""The rooms' migrations in the order they are applied, and connections in a room's role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.operation import Operation
from gateway.storage.upstream.acts import Act
from gateway.store import name_operations
from meter.postgres import Connection, connect, migrate
from meter.store import open_ahead

ROOT = Path(__file__).parents[1]
ROOM_ORDER = ("meter", "gateway", "billing")
"""The meter first: the others refer to its members."""


def room_migrations() -> list[tuple[str, Path]]:
    """(room, directory of numbered .sql files)."""
    return [(room, ROOT / room / "sql") for room in ROOM_ORDER]


async def bring_up_to_date(connection: Connection) -> list[str]:
    """Apply what is missing of every room's migrations, as the owner; their names.

    Opens the months to come, and states the operations' names for pages that only know their numbers.
    """
    applied = await migrate(connection, room_migrations())
    await open_ahead(connection)
    await name_operations(
        connection, {one.code: one.s3_name for one in Operation} | {act.code: act.title for act in Act}
    )
    return applied


@asynccontextmanager
async def connected(dsn: str, *, role: str | None, timeout_s: int) -> AsyncIterator[Connection]:
    """A connection for the time of the block. Raises meter.postgres.DatabaseAway."""
    connection = await connect(dsn, role=role, timeout_s=timeout_s)
    try:
        yield connection
    finally:
        await connection.close()
