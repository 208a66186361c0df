"""SQL of the co-op's gateways: who they are, when they were seen, which streams are theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway.enrolment import Row
from meter.ids import StreamId
from meter.postgres import Connection
from meter.refusal import Refusal


async def gateway_row(connection: Connection, number: UUID) -> Row | None:
    """What is known of a gateway."""
    row = await connection.fetchrow(
        "SELECT name, start, place, extract(epoch FROM clock_timestamp() - last_seen)::float8 AS seen_s,"
        " stopped_at IS NOT NULL AS has_stopped FROM gateway.gateway WHERE id = $1",
        number,
    )
    return None if row is None else Row(**row)


async def enter_gateway(
    connection: Connection, number: UUID, *, name: str, start: UUID, place: str, version: str
) -> None:
    """A new one. Raises Refusal for a name that is taken."""
    try:
        await connection.execute(
            "INSERT INTO gateway.gateway (id, name, start, place, version) VALUES ($1, $2, $3, $4, $5)",
            number, name, start, place, version,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise Refusal(f"there is a gateway named '{name}' already; choose another gateway_name") from None


async def begin_gateway(
    connection: Connection, number: UUID, *, before: UUID, name: str, start: UUID, place: str, version: str
) -> bool:
    """Another start of it; False where another start came in between. Raises Refusal for a name that is taken."""
    try:
        tag = await connection.execute(
            "UPDATE gateway.gateway SET start = $3, name = $4, place = $5, version = $6, last_seen = clock_timestamp(),"
            " stopped_at = NULL WHERE id = $1 AND start = $2",
            number, before, start, name, place, version,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise Refusal(f"there is a gateway named '{name}' already; choose another gateway_name") from None
    return bool(tag == "UPDATE 1")


async def see_gateway(
    connection: Connection, number: UUID, *, start: UUID, change: int | None, backlog: int | None
) -> bool:
    """It is alive, knows the directory up to a change and has so many records to ship; False: another start is it now."""
    tag = await connection.execute(
        "UPDATE gateway.gateway SET last_seen = clock_timestamp(), change = coalesce($3, change),"
        " backlog = coalesce($4, backlog) WHERE id = $1 AND start = $2",
        number, start, change, backlog,
    )  # fmt: skip
    return bool(tag == "UPDATE 1")


async def stop_gateway(connection: Connection, number: UUID, *, start: UUID) -> None:
    """It ended in order, with nothing left to ship."""
    await connection.execute(
        "UPDATE gateway.gateway SET last_seen = clock_timestamp(), stopped_at = clock_timestamp(), backlog = 0"
        " WHERE id = $1 AND start = $2",
        number, start,
    )  # fmt: skip


async def claim_stream(connection: Connection, stream: StreamId, gateway: UUID, *, label: str) -> UUID:
    """Say whose a stream is unless somebody has; whose it is."""
    await connection.execute(
        "INSERT INTO gateway.gateway_stream VALUES ($1, $2, $3) ON CONFLICT (stream) DO NOTHING",
        stream, gateway, label,
    )  # fmt: skip
    return UUID(
        str(await connection.fetchval("SELECT gateway FROM gateway.gateway_stream WHERE stream = $1", stream))
    )


async def owners_of(connection: Connection, streams: Sequence[StreamId]) -> list[UUID]:
    """The gateways that any of these streams belong to."""
    rows = await connection.fetch(
        "SELECT DISTINCT gateway FROM gateway.gateway_stream WHERE stream = ANY($1::uuid[])", list(streams)
    )
    return [UUID(str(row["gateway"])) for row in rows]


@dataclass(frozen=True, slots=True)
class Listed:
    """A gateway as operators see it."""

    id: UUID
    name: str
    version: str
    first_seen: datetime
    last_seen: datetime
    seen_s: float
    stopped_at: datetime | None
    backlog: int
    change: int
    changes_behind: int
    streams: int
    shipped_at: datetime | None
    """When a record of one of its streams entered the sums last."""


async def gateways(connection: Connection) -> list[Listed]:
    """All there ever were, by name."""
    rows = await connection.fetch(
        """
        SELECT g.id, g.name, g.version, g.first_seen, g.last_seen, g.stopped_at, g.backlog, g.change,
               extract(epoch FROM clock_timestamp() - g.last_seen)::float8 AS seen_s,
               (SELECT count(*) FROM gateway.directory_change c WHERE c.id > g.change) AS changes_behind,
               count(s.stream) AS streams, max(m.shipped_at) AS shipped_at
        FROM gateway.gateway g
        LEFT JOIN gateway.gateway_stream s ON s.gateway = g.id
        LEFT JOIN meter.stream m ON m.id = s.stream
        GROUP BY g.id ORDER BY g.name COLLATE "C"
        """
    )
    return [Listed(**row) for row in rows]
