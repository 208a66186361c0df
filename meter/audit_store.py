"""All SQL of the audit: sums by key and everything the journal is held against. It only reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from meter import heads_store
from meter.heads_store import Kept, Link, StreamRow
from meter.ids import StreamId
from meter.postgres import Connection
from meter.retention import Beginning
from meter.store import displaced, watermarks
from meter.tally import Displaced, Reading, ReadingKey, StorageKey, StoredSums
from meter.window import Month, to_us

READING_KEY = ("period", "hour", "payer", "bucket", "operation", "class", "zone", "correction")
"""The columns of a reading's key, in the order of ReadingKey."""
READING_SUMS = ("requests", "failures", "aborts", "bytes_in", "bytes_out", "moved_in", "moved_out")
STORAGE_KEY = ("period", "hour", "member", "bucket", "line")
_FETCH_ROWS = 5000


@dataclass(frozen=True, slots=True)
class Books:
    """What Postgres says of the streams, as of one snapshot."""

    streams: Mapping[StreamId, StreamRow]
    links: Mapping[StreamId, Mapping[int, Link]]
    begins: Mapping[StreamId, Beginning]
    watermarks: Mapping[Month, Mapping[StreamId, int]]
    displaced: Sequence[Displaced]
    """Records that count from when they were shipped."""
    heads: list[Kept]
    rows: int
    """Sums of either kind."""


async def read_books(connection: Connection, begins: Mapping[StreamId, Beginning]) -> Books:
    """All of it but the sums themselves."""
    streams = {row.stream: row for row in await heads_store.stream_rows(connection)}
    links = {
        stream: {link.number: link for link in await heads_store.links(connection, stream)}
        for stream in streams
    }
    rows = await connection.fetchval(
        "SELECT (SELECT count(*) FROM meter.reading) + (SELECT count(*) FROM meter.storage)"
    )
    marks = await watermarks(connection)
    return Books(
        streams,
        links,
        begins,
        marks,
        await displaced(connection),
        await heads_store.heads(connection),
        int(rows),
    )


async def readings(
    connection: Connection, *, part: int, parts: int
) -> AsyncIterator[tuple[ReadingKey, Reading]]:
    """The sums of exchanges of every parts-th payer; inside a transaction."""
    query = "SELECT * FROM meter.reading WHERE payer % $1 = $2"
    async for row in connection.cursor(query, parts, part, prefetch=_FETCH_ROWS):
        key: ReadingKey = _key(row, READING_KEY)  # type: ignore[assignment]
        yield key, Reading(*(row[name] for name in READING_SUMS))


async def storage(
    connection: Connection, *, part: int, parts: int
) -> AsyncIterator[tuple[StorageKey, StoredSums]]:
    """The sums of changes of stored bytes of every parts-th member; inside a transaction."""
    query = "SELECT * FROM meter.storage WHERE member % $1 = $2"
    async for row in connection.cursor(query, parts, part, prefetch=_FETCH_ROWS):
        key: StorageKey = _key(row, STORAGE_KEY)  # type: ignore[assignment]
        yield key, StoredSums(int(row["delta"]), int(row["moment"]))


def _key(row: asyncpg.Record, names: tuple[str, ...]) -> tuple[object, ...]:
    period, hour = row["period"], row["hour"]
    return (str(Month(period.year, period.month)), to_us(hour), *(row[name] for name in names[2:]))
