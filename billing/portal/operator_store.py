"""SQL of the operator's pages: gateways as they were seen last, and what limits a member. It only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from meter.ids import MemberId
from meter.postgres import Connection


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway as the database knows it."""

    name: str
    version: str
    seen_s: int
    """Whole seconds since it was seen last."""
    stopped_at: datetime | None
    """When it ended in order; None while it runs, or when it was cut off."""
    backlog: int
    """Records that it has and the sums have not."""
    changes_behind: int
    streams: int


async def gateways(connection: Connection) -> list[Gateway]:
    """All there ever were, by name."""
    rows = await connection.fetch(
        """
        SELECT g.name, g.version, g.stopped_at, g.backlog,
               greatest(0, floor(extract(epoch FROM clock_timestamp() - g.last_seen)))::bigint AS seen_s,
               (SELECT count(*) FROM gateway.directory_change c WHERE c.id > g.change) AS changes_behind,
               (SELECT count(*) FROM gateway.gateway_stream s WHERE s.gateway = g.id) AS streams
        FROM gateway.gateway g ORDER BY g.name COLLATE "C"
        """
    )
    return [Gateway(**row) for row in rows]


async def limit_of(connection: Connection, member: MemberId) -> int | None:
    """The bytes that the co-op lets a member store; None: no limit."""
    found: int | None = await connection.fetchval(
        "SELECT bytes_max FROM gateway.member_limit WHERE member = $1", member
    )
    return found


async def members_like(
    connection: Connection, name: str, *, count_max: int
) -> list[tuple[MemberId, str, str]]:
    """(number, name, standing) of members whose name begins so, by name. Names in the register are in small letters."""
    rows = await connection.fetch(
        "SELECT id, name, status FROM meter.member WHERE starts_with(name, lower($1)) ORDER BY name LIMIT $2",
        name, count_max,
    )  # fmt: skip
    return [(MemberId(row["id"]), row["name"], row["status"]) for row in rows]
