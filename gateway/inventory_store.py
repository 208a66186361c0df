"""The SQL of inventories: what was counted of a bucket, and what a look at its engine found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.reconcile import AskedOf
from gateway.storage.upstream.acts import Act
from meter.event import StorageLine
from meter.ids import BucketId, MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us

Counted = Mapping[StorageLine, tuple[int, int]]
"""Bytes of each line, and a number that any change in between would alter: Σδ and Σδ·t."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A bucket on an engine other than the disk, also one that a move or a deletion left behind."""

    bucket: BucketId
    name: str
    owner: MemberId
    engine: str
    is_there: bool
    """It stands in the directory; else it is on its way, or gone."""


async def placed(connection: Connection, engine: str) -> list[Placed]:
    """Every bucket that may hold bytes on an engine: those that exist, and targets of moves."""
    rows = await connection.fetch(
        """
        SELECT b.id, b.name, b.owner, b.engine, b.deleted_at IS NULL AS is_there FROM gateway.bucket b
        WHERE b.engine = $1 AND (b.deleted_at IS NULL
              OR EXISTS (SELECT FROM gateway.move m WHERE m.ended_at IS NULL AND b.id IN (m.bucket, m.target)))
        ORDER BY b.id
        """,
        engine,
    )
    return [
        Placed(BucketId(row["id"]), row["name"], MemberId(row["owner"]), row["engine"], row["is_there"])
        for row in rows
    ]


async def counted(connection: Connection, bucket: BucketId) -> dict[StorageLine, tuple[int, int]]:
    """What was shipped of a bucket's changes, line by line."""
    rows = await connection.fetch(
        "SELECT line, sum(delta)::text AS delta, sum(moment)::text AS moment FROM meter.storage_day"
        " WHERE bucket = $1 GROUP BY line ORDER BY line",
        bucket,
    )
    return {StorageLine(row["line"]): (int(row["delta"]), int(row["moment"])) for row in rows}


async def keep(
    connection: Connection, bucket: BucketId, found: Mapping[StorageLine, tuple[int, int]], *, now_us: int
) -> None:
    """Note what a look found, as (counted, listed) by line."""
    await connection.executemany(
        "INSERT INTO gateway.inventory VALUES ($1, $2, $3, $4, $5) ON CONFLICT (bucket, line) DO UPDATE"
        " SET counted = excluded.counted, listed = excluded.listed, looked_at = excluded.looked_at",
        [(bucket, line, ours, theirs, to_datetime(now_us)) for line, (ours, theirs) in sorted(found.items())],
    )


@dataclass(frozen=True, slots=True)
class Drifted:
    """One line of one bucket of which an engine holds other bytes than were counted."""

    bucket: BucketId
    name: str
    owner: MemberId
    engine: str
    line: StorageLine
    counted_bytes: int
    listed_bytes: int
    looked_us: int

    @property
    def drift_bytes(self) -> int:
        """Above zero: more lies there than was counted."""
        return self.listed_bytes - self.counted_bytes


async def drifted(connection: Connection, engine: str | None = None) -> list[Drifted]:
    """What the last looks found, where it differs."""
    rows = await connection.fetch(
        """
        SELECT i.*, b.name, b.owner, b.engine FROM gateway.inventory i JOIN gateway.bucket b ON b.id = i.bucket
        WHERE i.counted <> i.listed AND ($1::text IS NULL OR b.engine = $1) ORDER BY b.engine, i.bucket, i.line
        """,
        engine,
    )
    return [
        Drifted(
            BucketId(row["bucket"]), row["name"], MemberId(row["owner"]), row["engine"], StorageLine(row["line"]),
            row["counted"], row["listed"], to_us(row["looked_at"]),
        )
        for row in rows
    ]  # fmt: skip


async def upstream_names(connection: Connection, engine: str) -> dict[BucketId, str]:
    """What each bucket on an engine is called there, also those that are gone."""
    rows = await connection.fetch("SELECT id, upstream_name FROM gateway.bucket WHERE engine = $1", engine)
    return {BucketId(row["id"]): row["upstream_name"] for row in rows}


async def asked_of(connection: Connection, engine: str) -> dict[str, AskedOf]:
    """What was asked of an engine ever, by the bucket's name there; the connection acts as weir_meter."""
    rows = await connection.fetch(
        """
        SELECT b.upstream_name AS name, sum(r.requests)::bigint AS requests,
               coalesce(sum(r.bytes_in) FILTER (WHERE r.operation = $2), 0)::bigint AS bytes_in,
               coalesce(sum(r.bytes_out) FILTER (WHERE r.operation = $3), 0)::bigint AS bytes_out
        FROM meter.reading_day r JOIN gateway.bucket b ON b.id = r.bucket
        WHERE b.engine = $1 AND r.payer = 0 AND r.operation = ANY($4::smallint[]) GROUP BY b.upstream_name
        """,
        engine,
        Act.WRITE.code,
        Act.READ.code,
        [act.code for act in Act],
    )
    return {row["name"]: AskedOf(row["requests"], row["bytes_in"], row["bytes_out"]) for row in rows}
