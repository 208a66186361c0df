"""The SQL of corrections: who entered which, and why. They are only added."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from meter.correction import Correction, CorrectionKind, Entered
from meter.event import StorageLine, Zone
from meter.ids import BucketId, MemberId, StreamId
from meter.postgres import Connection
from meter.window import to_datetime, to_us


async def add(connection: Connection, entered: Entered) -> None:
    """Enter a correction as record `sequence` of its stream; the journal gets the record after that."""
    asked = entered.correction
    await connection.execute(
        """
        INSERT INTO meter.correction (stream, sequence, request_id, member, bucket, zone, at, bytes_in, bytes_out,
            line, stored_bytes, who, why, entered_at, kind)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        entered.stream, entered.sequence, asked.request_id, asked.member, asked.bucket, asked.zone,
        to_datetime(asked.at_us), asked.bytes_in, asked.bytes_out, asked.line, asked.stored_bytes, asked.who,
        asked.why, to_datetime(entered.entered_us), asked.kind,
    )  # fmt: skip


async def after(connection: Connection, stream: StreamId, sequence: int) -> list[Entered]:
    """The corrections of a stream behind that record, in order."""
    rows = await connection.fetch(
        "SELECT * FROM meter.correction WHERE stream = $1 AND sequence > $2 ORDER BY sequence",
        stream,
        sequence,
    )
    return [_entered(row) for row in rows]


async def of_buckets(connection: Connection, buckets: Sequence[int]) -> list[Entered]:
    """Corrections of these buckets' stored bytes, in the order they were entered."""
    rows = await connection.fetch(
        "SELECT * FROM meter.correction WHERE bucket = ANY($1::bigint[]) AND line IS NOT NULL"
        " ORDER BY stream, sequence",
        list(buckets),
    )
    return [_entered(row) for row in rows]


async def counted(
    connection: Connection, member: MemberId | None, *, start_us: int, end_us: int
) -> list[Entered]:
    """Corrections of a member, or of all, whose bytes belong into the window and are in the sums; by time."""
    rows = await connection.fetch(
        """
        SELECT one.* FROM meter.correction AS one JOIN meter.stream ON stream.id = one.stream
        WHERE ($1::bigint IS NULL OR member = $1) AND at >= $2 AND at < $3 AND sequence <= last_sequence
        ORDER BY at, stream, sequence
        """,
        member, to_datetime(start_us), to_datetime(end_us),
    )  # fmt: skip
    return [_entered(row) for row in rows]


def _entered(row: asyncpg.Record) -> Entered:
    line = None if row["line"] is None else StorageLine(row["line"])
    return Entered(
        StreamId(row["stream"]), row["sequence"], to_us(row["entered_at"]),
        Correction(
            member=MemberId(row["member"]), bucket=BucketId(row["bucket"]), zone=Zone(row["zone"]),
            at_us=to_us(row["at"]), who=row["who"], why=row["why"], request_id=row["request_id"],
            bytes_in=row["bytes_in"], bytes_out=row["bytes_out"], line=line, stored_bytes=row["stored_bytes"],
            kind=CorrectionKind(row["kind"]),
        ),
    )  # fmt: skip
