"""The SQL of upstreams: what is stored on them, and what they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from meter.ids import BucketId, MemberId
from meter.postgres import Connection
from meter.window import to_datetime


async def stored_on_upstreams(connection: Connection) -> dict[BucketId, tuple[MemberId, int]]:
    """Owner and stored bytes of each bucket that is not on the disk, all lines together."""
    rows = await connection.fetch(
        """
        SELECT s.bucket, s.member, sum(s.delta)::bigint AS stored
        FROM meter.stored s JOIN meter.bucket_engine e ON e.bucket = s.bucket
        WHERE e.engine <> 'disk' GROUP BY s.bucket, s.member
        """
    )
    return {BucketId(row["bucket"]): (MemberId(row["member"]), row["stored"]) for row in rows}


@dataclass(frozen=True, slots=True)
class UpstreamUse:
    """What an engine was asked for in an hour, by kind of request."""

    engine: str
    hour: datetime
    operation: int
    """A code of gateway.storage.upstream.acts."""
    requests: int
    failures: int
    bytes_in: int
    """What was sent to the upstream, bodies only."""
    bytes_out: int
    """What came from it: a provider's egress."""


async def upstream_use(connection: Connection, *, start_us: int, end_us: int) -> Sequence[UpstreamUse]:
    """By engine, hour and kind, of the hours in [start, end)."""
    rows = await connection.fetch(
        """
        SELECT engine, hour, operation, requests, failures, bytes_in, bytes_out
        FROM meter.upstream_use WHERE hour >= $1 AND hour < $2 ORDER BY engine, hour, operation
        """,
        to_datetime(start_us), to_datetime(end_us),
    )  # fmt: skip
    return [
        UpstreamUse(
            row["engine"], row["hour"], row["operation"], row["requests"], row["failures"], row["bytes_in"],
            row["bytes_out"],
        )
        for row in rows
    ]  # fmt: skip
