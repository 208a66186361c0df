"""The rooms' migrations in the order they are applied, and connections in a room's role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.operation import Operation
from gateway.storage.upstream.acts import Act
from gateway.store import name_operations
from meter.postgres import Connection, DatabaseAway, applied_migrations, check, connect, migrate, migrations
from meter.refusal import Refusal
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


async def check_schema(dsn: str, data: Path, *, timeout_s: int) -> None:
    """Returns where the database is as this Weir wants it, or cannot be asked and a snapshot is here to serve from.

    For who may not change it. Raises Refusal; DatabaseAway where there is no snapshot either.
    """
    try:
        async with connected(dsn, role=None, timeout_s=timeout_s) as connection:
            applied = await applied_migrations(connection)
    except DatabaseAway:
        if (data / "directory.db").exists():
            return
        raise
    wanted = [one for room, directory in room_migrations() for one in migrations(room, directory)]
    check(applied, wanted)
    missing = [f"{one.room}/{one.version:04d}" for one in wanted if (one.room, one.version) not in applied]
    if missing:
        raise Refusal(
            f"the database lacks {missing[0]}: start the co-op's own machine with this version first, or "
            "`weir db migrate` there"
        )


@asynccontextmanager
async def connected(dsn: str, *, role: str | None, timeout_s: int) -> AsyncIterator[Connection]:
    """A connection for the time of the block. Raises meter.postgres.DatabaseAway."""
    connection = await connect(dsn, role=role, timeout_s=timeout_s)
    try:
        yield connection
    finally:
        await connection.close()
