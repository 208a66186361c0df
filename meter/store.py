"""All SQL of the meter: the register of members, the streams' places, the sums. No arithmetic on bytes here
beyond what the sums are defined by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from meter.event import StorageLine
from meter.ids import MemberId, StreamId
from meter.postgres import Connection
from meter.refusal import Refusal, UnknownMember
from meter.tail import SealedSegment
from meter.tally import Tally
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month, to_datetime, to_us

_GATE = 0x67617465  # "gate": shippers share it, a closing takes it alone


def _month_date(month: Month) -> date:
    return date(month.year, month.number, 1)


def _member(row: asyncpg.Record) -> Member:
    return Member(
        MemberId(row["id"]), row["name"], MemberClass(row["class"]), row["email"], MemberStatus(row["status"]),
        to_us(row["joined_at"]), None if row["left_at"] is None else to_us(row["left_at"]),
    )  # fmt: skip


async def add_member(
    connection: Connection, *, name: str, member_class: MemberClass, email: str, now_us: int
) -> Member:
    """Enter a member into the register. Raises Refusal for a name that is taken or not allowed."""
    try:
        row = await connection.fetchrow(
            "INSERT INTO meter.member (name, class, email, joined_at) VALUES ($1, $2, $3, $4) RETURNING *",
            name, member_class.value, email, to_datetime(now_us),
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise Refusal(f"there is a member named '{name}' already") from None
    except asyncpg.CheckViolationError as error:
        if error.constraint_name == "member_email_check":
            raise Refusal("an e-mail address has at most 254 characters") from None
        raise Refusal(
            f"'{name}' cannot be a member's name: a small letter first, then small letters, digits or '-', at most 63"
        ) from None
    assert row is not None
    return _member(row)


async def members(connection: Connection) -> list[Member]:
    """The whole register, by number."""
    return [_member(row) for row in await connection.fetch("SELECT * FROM meter.member ORDER BY id")]


async def find_member(connection: Connection, text: str) -> Member:
    """The member of that name or number. Raises UnknownMember."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    row = await connection.fetchrow("SELECT * FROM meter.member WHERE name = $1 OR id = $2", text, number)
    if row is None:
        raise UnknownMember(f"there is no member '{text}'; `weir member list` shows them")
    return _member(row)


async def set_member_status(
    connection: Connection, member: MemberId, status: MemberStatus, *, now_us: int
) -> Member:
    """Suspend, reinstate or let go. Raises Refusal for somebody who has left."""
    left_at = to_datetime(now_us) if status is MemberStatus.LEFT else None
    row = await connection.fetchrow(
        "UPDATE meter.member SET status = $2, left_at = $3 WHERE id = $1 AND status <> 'left' RETURNING *",
        member, status.value, left_at,
    )  # fmt: skip
    if row is None:
        raise Refusal("that member has left; a new membership is a new line in the register")
    return _member(row)


async def stream_place(
    connection: Connection, stream: StreamId, *, label: str, lock: bool
) -> tuple[int, bytes]:
    """(last sequence, SHA-256 of its record) of a stream, made on first sight; with lock for this transaction."""
    await connection.execute(
        "INSERT INTO meter.stream (id, label) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", stream, label
    )
    query = "SELECT last_sequence, last_record FROM meter.stream WHERE id = $1"
    row = await connection.fetchrow(query + " FOR UPDATE" if lock else query, stream)
    assert row is not None
    return row["last_sequence"], row["last_record"]


async def move_stream(
    connection: Connection, stream: StreamId, *, last_sequence: int, last_record: bytes, cut: int
) -> None:
    """Everything up to last_sequence is in the sums, `cut` of it exchanges closed after a crash; in the same
    transaction as the sums."""
    await connection.execute(
        "UPDATE meter.stream SET last_sequence = $2, last_record = $3, shipped_at = now(),"
        " exchanges_cut = exchanges_cut + $4 WHERE id = $1",
        stream, last_sequence, last_record, cut,
    )  # fmt: skip


async def exchanges_cut(connection: Connection) -> int:
    """Exchanges that a crash cut, of all time: billed up to what could be shown, the rest written off."""
    return int(await connection.fetchval("SELECT coalesce(sum(exchanges_cut), 0) FROM meter.stream"))


async def add_segment(connection: Connection, stream: StreamId, segment: SealedSegment) -> bytes:
    """Keep a sealed segment's link, once; the digest that now stands for its number."""
    await connection.execute(
        "INSERT INTO meter.segment VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        stream, segment.number, segment.first_sequence, segment.last_sequence, segment.digest,
        segment.previous_digest,
    )  # fmt: skip
    digest = await connection.fetchval(
        "SELECT digest FROM meter.segment WHERE stream = $1 AND number = $2", stream, segment.number
    )
    assert isinstance(digest, bytes)
    return digest


async def first_open_month(connection: Connection) -> Month:
    """The month after the last closed one; holds the gate, so that none closes within this transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", _GATE)
    last = await connection.fetchval("SELECT max(month) FROM meter.closed_month")
    return Month(2000, 1) if last is None else Month(last.year, last.month).next()


def _period(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


async def add_tally(connection: Connection, sums: Tally) -> None:
    """Add a batch's sums. Rows go in key order, so that two shippers never wait for each other in a circle."""
    if sums.readings:
        rows = [
            (_period(period), to_datetime(hour), payer, bucket, operation, klass, zone, r.requests, r.failures,
             r.aborts, r.bytes_in, r.bytes_out, r.moved_in, r.moved_out)
            for (period, hour, payer, bucket, operation, klass, zone), r in sorted(sums.readings.items())
        ]  # fmt: skip
        await connection.execute(
            """
            INSERT INTO meter.reading AS old
                (period, hour, payer, bucket, operation, class, zone, requests, failures, aborts,
                 bytes_in, bytes_out, moved_in, moved_out)
            SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::smallint[],
                $6::smallint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
                $12::bigint[], $13::bigint[], $14::bigint[])
            ON CONFLICT (payer, hour, period, bucket, operation, class, zone) DO UPDATE SET
                requests = old.requests + excluded.requests, failures = old.failures + excluded.failures,
                aborts = old.aborts + excluded.aborts, bytes_in = old.bytes_in + excluded.bytes_in,
                bytes_out = old.bytes_out + excluded.bytes_out, moved_in = old.moved_in + excluded.moved_in,
                moved_out = old.moved_out + excluded.moved_out
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )
    if sums.storage:
        stored = [
            (_period(period), to_datetime(hour), member, bucket, line, Decimal(s.delta), Decimal(s.moment))
            for (period, hour, member, bucket, line), s in sorted(sums.storage.items())
        ]
        await connection.execute(
            """
            INSERT INTO meter.storage AS old (period, hour, member, bucket, line, delta, moment)
            SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::smallint[],
                $6::numeric[], $7::numeric[])
            ON CONFLICT (member, hour, period, bucket, line) DO UPDATE SET
                delta = old.delta + excluded.delta, moment = old.moment + excluded.moment
            """,
            *(list(column) for column in zip(*stored, strict=True)),
        )


async def is_closed(connection: Connection, month: Month) -> bool:
    """Whether the month takes nothing more."""
    query = "SELECT EXISTS (SELECT FROM meter.closed_month WHERE month >= $1)"
    return bool(await connection.fetchval(query, _month_date(month)))


async def close_month(connection: Connection, month: Month, *, now_us: int) -> dict[str, int]:
    """Freeze a month inside the caller's transaction; the watermark: stream id → last shipped sequence.

    What is shipped later goes to the first open month. Raises Refusal when it is closed already.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _GATE)
    if await is_closed(connection, month):
        raise Refusal(f"{month} is closed already")
    places = await stream_places(connection)
    watermark = {str(stream): last for stream, last in sorted(places.items())}
    await connection.execute(
        "INSERT INTO meter.closed_month (month, closed_at, watermark) VALUES ($1, $2, $3)",
        _month_date(month), to_datetime(now_us), json.dumps(watermark),
    )  # fmt: skip
    return watermark


async def stream_places(connection: Connection) -> dict[StreamId, int]:
    """What has been shipped of each stream, as this transaction sees it."""
    rows = await connection.fetch("SELECT id, last_sequence FROM meter.stream")
    return {StreamId(row["id"]): int(row["last_sequence"]) for row in rows}


async def watermarks(connection: Connection) -> dict[Month, dict[StreamId, int]]:
    """What had been shipped of each stream when each closed month was closed."""
    rows = await connection.fetch("SELECT month, watermark FROM meter.closed_month ORDER BY month")
    return {
        Month(row["month"].year, row["month"].month): {
            StreamId(UUID(stream)): last for stream, last in json.loads(row["watermark"]).items()
        }
        for row in rows
    }


async def first_month_with_usage(connection: Connection) -> Month | None:
    """The earliest month that anything was booked to."""
    found = await connection.fetchval(
        "SELECT least((SELECT min(period) FROM meter.reading), (SELECT min(period) FROM meter.storage))"
    )
    return None if found is None else Month(found.year, found.month)


async def period_usage(
    connection: Connection, month: Month, *, until_us: int | None = None
) -> dict[MemberId, Usage]:
    """Everyone's usage booked to a billing month, late usage of closed months included.

    Stored bytes count to the month's end, or to until_us in a month that still runs.
    """
    end_us = month.end_us if until_us is None else until_us
    moved = await connection.fetch(
        """
        SELECT payer AS member, sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0)::bigint AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0)::bigint AS requests_b
        FROM meter.reading WHERE period = $1 AND payer <> 0 GROUP BY payer
        """,
        _month_date(month),
    )
    stored = await connection.fetch(
        """
        SELECT member, line, sum(delta * $2 - moment)
               - coalesce(sum(delta * $3 - moment) FILTER (WHERE period < $1), 0) AS byte_us
        FROM meter.storage WHERE period <= $1 GROUP BY member, line
        """,
        _month_date(month), Decimal(end_us), Decimal(month.start_us),
    )  # fmt: skip
    return _usages(moved, stored, start_us=month.start_us, end_us=end_us)


def _usages(
    moved: Sequence[asyncpg.Record], stored: Sequence[asyncpg.Record], *, start_us: int, end_us: int
) -> dict[MemberId, Usage]:
    byte_us: Counter[MemberId] = Counter()
    version_byte_us: Counter[MemberId] = Counter()
    for one in stored:
        member = MemberId(one["member"])
        byte_us[member] += int(one["byte_us"])
        version_byte_us[member] += int(one["byte_us"]) if one["line"] == StorageLine.VERSION else 0
    by_member = {MemberId(int(row["member"])): row for row in moved}
    found: dict[MemberId, Usage] = {}
    for member in sorted(set(byte_us) | set(by_member)):
        row = by_member.get(member)
        counts = {
            name: 0 if row is None else int(row[name])
            for name in ("bytes_in", "bytes_out", "requests_a", "requests_b")
        }
        found[member] = Usage(
            member,
            start_us,
            end_us,
            byte_us=byte_us[member],
            version_byte_us=version_byte_us[member],
            **counts,
        )
    return found


async def usage_between(connection: Connection, member: MemberId, *, start_us: int, end_us: int) -> Usage:
    """One member's usage by when it happened; start_us is a whole hour, end_us a whole hour or now."""
    moved = await connection.fetch(
        """
        SELECT payer AS member, sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0)::bigint AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0)::bigint AS requests_b
        FROM meter.reading WHERE payer = $1 AND hour >= $2 AND hour < $3 GROUP BY payer
        """,
        member, to_datetime(start_us), to_datetime(end_us),
    )  # fmt: skip
    stored = await connection.fetch(
        """
        SELECT member, line, sum(delta * $4 - moment)
               - coalesce(sum(delta * $5 - moment) FILTER (WHERE hour < $2), 0) AS byte_us
        FROM meter.storage WHERE member = $1 AND hour < $3 GROUP BY member, line
        """,
        member, to_datetime(start_us), to_datetime(end_us), Decimal(end_us), Decimal(start_us),
    )  # fmt: skip
    found = _usages(moved, stored, start_us=start_us, end_us=end_us)
    return found.get(member, Usage(member, start_us, end_us))


async def stored_bytes(connection: Connection, member: MemberId) -> int:
    """What the member stores as of the last shipped change."""
    query = "SELECT coalesce(sum(delta), 0) FROM meter.storage WHERE member = $1"
    return int(await connection.fetchval(query, member))


async def stored_bytes_by_bucket(connection: Connection) -> dict[int, int]:
    """What each bucket stores, by its number, as of the last shipped change."""
    rows = await connection.fetch("SELECT bucket, sum(delta) AS bytes FROM meter.storage GROUP BY bucket")
    return {row["bucket"]: int(row["bytes"]) for row in rows}


async def usage_rows(
    connection: Connection, member: MemberId, *, start_us: int, end_us: int, by: str
) -> list[tuple[datetime | int, Usage]]:
    """Usage split by 'hour', 'day' (their starts), 'bucket' or 'operation' (their numbers), ascending.

    Stored byte-time is not split: its integral belongs to no single exchange.
    """
    rows = await connection.fetch(
        """
        SELECT CASE WHEN $4 = 'hour' THEN hour WHEN $4 = 'day' THEN date_trunc('day', hour, 'UTC') END AS moment,
               CASE WHEN $4 = 'bucket' THEN bucket WHEN $4 = 'operation' THEN operation::bigint END AS number,
               sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0)::bigint AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0)::bigint AS requests_b
        FROM meter.reading WHERE payer = $1 AND hour >= $2 AND hour < $3
        GROUP BY 1, 2 ORDER BY 1, 2
        """,
        member, to_datetime(start_us), to_datetime(end_us), by,
    )  # fmt: skip
    return [
        (
            row["number"] if row["moment"] is None else row["moment"],
            Usage(
                member,
                start_us,
                end_us,
                row["bytes_in"],
                row["bytes_out"],
                row["requests_a"],
                row["requests_b"],
            ),
        )
        for row in rows
    ]


async def daily_usage(
    connection: Connection, member: MemberId, *, start_us: int, end_us: int
) -> list[tuple[date, Usage]]:
    """Usage by day, days without any left out."""
    rows = await usage_rows(connection, member, start_us=start_us, end_us=end_us, by="day")
    return [(moment.date(), usage) for moment, usage in rows if isinstance(moment, datetime)]
