"""The little SQL deploy needs about the database server itself. It knows no table of the rooms."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from meter.postgres import AWAY

CONNECT_TIMEOUT_S = 30


async def answers(dsn: str) -> bool:
    """Whether the server takes sessions now."""
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    except AWAY:
        return False
    await connection.close()
    return True


async def create_database(maintenance_dsn: str) -> None:
    """Make the co-op's database if it is not there yet."""
    connection = await asyncpg.connect(maintenance_dsn, timeout=CONNECT_TIMEOUT_S)
    try:
        found = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = 'weir'")
        if found is None:
            await connection.execute("CREATE DATABASE weir TEMPLATE template0")
    finally:
        await connection.close()


async def server_version(connection: asyncpg.Connection[asyncpg.Record]) -> str:
    """The PostgreSQL version, for example '18.4'."""
    told: str = await connection.fetchval("SHOW server_version")
    return told.split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server tells of itself."""

    size_bytes: int
    connections: int
    connections_max: int
    oldest_transaction_s: float
    committed: int
    rolled_back: int
    deadlocks: int
    replicas: int
    replica_lag_s: float


async def server_facts(connection: asyncpg.Connection[asyncpg.Record]) -> ServerFacts:
    """Of the server, and of the database we are connected to; the connection acts as its owner."""
    row = await connection.fetchrow(
        """
        SELECT pg_database_size(current_database()) AS size_bytes,
               (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
               current_setting('max_connections')::integer AS connections_max,
               (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
                FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) AS oldest,
               xact_commit, xact_rollback, deadlocks,
               (SELECT count(*) FROM pg_stat_replication) AS replicas,
               (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 FROM pg_stat_replication) AS lag
        FROM pg_stat_database WHERE datname = current_database()
        """
    )
    assert row is not None, "the database we are connected to is there"
    return ServerFacts(
        row["size_bytes"], row["connections"], row["connections_max"], max(0.0, row["oldest"]), row["xact_commit"],
        row["xact_rollback"], row["deadlocks"], row["replicas"], max(0.0, row["lag"]),
    )  # fmt: skip


async def clock_us(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    """The server's clock, UTC microseconds."""
    told: int = await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    return told


async def has_right(
    connection: asyncpg.Connection[asyncpg.Record], *, role: str, table: str, right: str
) -> bool:
    """Whether a role has a right on a table. Raises asyncpg.UndefinedObjectError for a role that is not there."""
    told: bool = await connection.fetchval(
        "SELECT has_table_privilege($1::name, $2::text, $3::text)", role, table, right
    )
    return told
