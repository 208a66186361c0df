"""All SQL of heads and of retention."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg

from meter.heads import Signed
from meter.ids import StreamId
from meter.postgres import Connection
from meter.window import Month, to_datetime

_PEN = 0x68656164  # "head": one hand writes heads at a time


@dataclass(frozen=True, slots=True)
class Kept:
    """A head as the database has it."""

    number: int
    day: date
    month: Month | None
    """The month it was made for; None of a day's head."""
    page: Signed
    public_key: str


@dataclass(frozen=True, slots=True)
class Link:
    """A segment as the database knows it."""

    stream: StreamId
    number: int
    first_sequence: int
    last_sequence: int
    digest: bytes
    previous_digest: bytes


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream as the database knows it, with its last sealed segment that was shipped whole."""

    stream: StreamId
    label: str
    last_sequence: int
    last_record: bytes
    sealed: Link | None


def _kept(row: asyncpg.Record) -> Kept:
    month = row["month"]
    return Kept(
        row["number"], row["day"], None if month is None else Month(month.year, month.month),
        Signed(row["document"], row["signature"]), row["public_key"].hex(),
    )  # fmt: skip


def _link(row: asyncpg.Record) -> Link:
    return Link(
        StreamId(row["stream"]), row["number"], row["first_sequence"], row["last_sequence"], row["digest"],
        row["previous_digest"],
    )  # fmt: skip


async def take_pen(connection: Connection) -> None:
    """Be the only one who writes heads, until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _PEN)


async def last_head(connection: Connection) -> Kept | None:
    """The newest head."""
    row = await connection.fetchrow("SELECT * FROM meter.head ORDER BY number DESC LIMIT 1")
    return None if row is None else _kept(row)


async def heads(connection: Connection, *, after: int = 0, limit: int | None = None) -> list[Kept]:
    """Heads above a number, in order, all or the first of them."""
    rows = await connection.fetch(
        "SELECT * FROM meter.head WHERE number > $1 ORDER BY number LIMIT $2", after, limit
    )
    return [_kept(row) for row in rows]


async def head_days(connection: Connection) -> list[tuple[int, date]]:
    """Number and day of each head, in order."""
    rows = await connection.fetch("SELECT number, day FROM meter.head ORDER BY number")
    return [(row["number"], row["day"]) for row in rows]


async def has_head_of_day(connection: Connection, day: date) -> bool:
    """Whether the day has its head."""
    query = "SELECT EXISTS (SELECT FROM meter.head WHERE day = $1 AND month IS NULL)"
    return bool(await connection.fetchval(query, day))


async def is_due(connection: Connection, day: date) -> bool:
    """Whether the day or a closing has no head yet; asked before the pen is taken, for mostly nothing is due."""
    query = (
        "SELECT NOT EXISTS (SELECT FROM meter.head WHERE day = $1 AND month IS NULL) OR EXISTS ("
        "SELECT FROM meter.closed_month AS closed"
        " WHERE NOT EXISTS (SELECT FROM meter.head WHERE head.month = closed.month))"
    )
    return bool(await connection.fetchval(query, day))


async def closings_without_head(connection: Connection) -> list[tuple[Month, dict[str, Any]]]:
    """Closed months that no head speaks of yet, with their watermarks, in order."""
    rows = await connection.fetch(
        "SELECT month, watermark FROM meter.closed_month AS closed"
        " WHERE NOT EXISTS (SELECT FROM meter.head WHERE head.month = closed.month) ORDER BY month"
    )
    return [(Month(row["month"].year, row["month"].month), json.loads(row["watermark"])) for row in rows]


async def add_head(connection: Connection, kept: Kept) -> None:
    """Keep a head for good."""
    month = kept.month
    await connection.execute(
        "INSERT INTO meter.head (number, day, month, document, signature, public_key)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        kept.number, kept.day, None if month is None else date(month.year, month.number, 1), kept.page.text,
        kept.page.signature, bytes.fromhex(kept.public_key),
    )  # fmt: skip


async def stream_rows(connection: Connection) -> list[StreamRow]:
    """Every stream that was ever shipped."""
    rows = await connection.fetch(
        """
        SELECT stream.id, label, stream.last_sequence AS place, last_record, sealed.*
        FROM meter.stream
        LEFT JOIN LATERAL (
            SELECT * FROM meter.segment WHERE segment.stream = stream.id ORDER BY number DESC LIMIT 1
        ) AS sealed ON true
        ORDER BY stream.id
        """
    )
    return [
        StreamRow(
            StreamId(row["id"]), row["label"], row["place"], row["last_record"],
            None if row["number"] is None else _link(row),
        )
        for row in rows
    ]  # fmt: skip


async def links(connection: Connection, stream: StreamId) -> list[Link]:
    """A stream's segments that were shipped whole, in order."""
    rows = await connection.fetch("SELECT * FROM meter.segment WHERE stream = $1 ORDER BY number", stream)
    return [_link(row) for row in rows]


async def link(connection: Connection, stream: StreamId, number: int) -> Link | None:
    """One of them."""
    row = await connection.fetchrow(
        "SELECT * FROM meter.segment WHERE stream = $1 AND number = $2", stream, number
    )
    return None if row is None else _link(row)


async def removed_up_to(connection: Connection) -> dict[StreamId, tuple[int, Month]]:
    """Of each stream that retention shortened: the last segment it took, and the last month it was billed in."""
    rows = await connection.fetch(
        "SELECT stream, max(number) AS number, max(through) AS through FROM meter.removed GROUP BY stream"
    )
    return {
        StreamId(row["stream"]): (row["number"], Month(row["through"].year, row["through"].month))
        for row in rows
    }


async def add_removed(
    connection: Connection, stream: StreamId, *, number: int, through: Month, head: int, now_us: int
) -> None:
    """Note that this segment and all before it are about to be taken away."""
    await connection.execute(
        "INSERT INTO meter.removed (stream, number, through, head, removed_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING",
        stream, number, date(through.year, through.number, 1), head, to_datetime(now_us),
    )  # fmt: skip
