"""The meter's SQL that writes: the register of members, the streams' places, the months, adding to the sums.

What the sums say is read in `usage_store.py`; corrections are entered in `correction_store.py`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from uuid import UUID

import asyncpg

from meter.ids import MemberId, StreamId
from meter.postgres import Connection
from meter.refusal import Refusal, UnknownMember
from meter.tail import SealedSegment
from meter.tally import Displaced, Reading, ReadingKey, Sample, SampleKey, StorageKey, StoredSums, Tally
from meter.usage import Member, MemberClass, MemberStatus
from meter.window import Credible, Month, to_datetime, to_us

_GATE = 0x67617465  # "gate": shippers share it, a closing takes it alone
_MEMBER = (
    "id, name, email, status, joined_at, left_at,"
    " CASE WHEN next_class_from <= now() THEN next_class ELSE class END AS class"
)
"""A member's columns, with the class that is in force now."""


def month_date(month: Month) -> date:
    """The month as its partitions are named by: its first day."""
    return date(month.year, month.number, 1)


def _member(row: asyncpg.Record) -> Member:
    return Member(
        MemberId(row["id"]), row["name"], MemberClass(row["class"]), row["email"], MemberStatus(row["status"]),
        to_us(row["joined_at"]), None if row["left_at"] is None else to_us(row["left_at"]),
    )  # fmt: skip


async def add_member(
    connection: Connection, *, name: str, member_class: MemberClass, email: str, now_us: int
) -> Member:
    """Enter a member into the register. Raises Refusal for a name that is not allowed, or taken: it says one that is free."""
    try:
        row = await connection.fetchrow(
            "INSERT INTO meter.member (name, class, email, joined_at) VALUES ($1, $2, $3, $4)"  # noqa: S608 - our own columns
            f" ON CONFLICT (name) DO NOTHING RETURNING {_MEMBER}",
            name, member_class.value, email, to_datetime(now_us),
        )  # fmt: skip
    except asyncpg.CheckViolationError as error:
        if error.constraint_name == "member_email_check":
            raise Refusal("an e-mail address has at most 254 characters") from None
        raise Refusal(
            f"'{name}' cannot be a member's name: a small letter first, then small letters, digits or '-', at most 63"
        ) from None
    if row is None:
        raise await _taken(connection, name)
    return _member(row)


async def _taken(connection: Connection, name: str) -> Refusal:
    rows = await connection.fetch(
        "SELECT name, status FROM meter.member WHERE starts_with(name, $1)", name[:50]
    )
    known = {row["name"]: row["status"] for row in rows}
    free = next(one for n in itertools.count(2) if (one := f"{name[: 62 - len(str(n))]}-{n}") not in known)
    if known.get(name) == MemberStatus.LEFT:
        return Refusal(
            f"there is a member named '{name}' already, who has left; a new membership is a new line in the register,"
            f" and '{free}' is free"
        )
    return Refusal(f"there is a member named '{name}' already; '{free}' is free")


async def members(connection: Connection) -> list[Member]:
    """The whole register, by number."""
    rows = await connection.fetch(f"SELECT {_MEMBER} FROM meter.member ORDER BY id")  # noqa: S608 - our own columns
    return [_member(row) for row in rows]


async def count_members(connection: Connection) -> int:
    """How many lines the register has."""
    return int(await connection.fetchval("SELECT count(*) FROM meter.member"))


async def find_member(connection: Connection, text: str) -> Member:
    """The member of that name or number. Raises UnknownMember."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    row = await connection.fetchrow(
        f"SELECT {_MEMBER} FROM meter.member WHERE name = $1 OR id = $2",  # noqa: S608 - our own columns
        text, number,
    )  # fmt: skip
    if row is None:
        raise UnknownMember(f"there is no member '{text}'; `weir member list` shows them")
    return _member(row)


async def set_member_status(
    connection: Connection, member: MemberId, status: MemberStatus, *, now_us: int
) -> Member:
    """Suspend, reinstate or let go. Raises Refusal for somebody who has left."""
    left_at = to_datetime(now_us) if status is MemberStatus.LEFT else None
    row = await connection.fetchrow(
        "UPDATE meter.member SET status = $2, left_at = $3 WHERE id = $1 AND status <> 'left'"  # noqa: S608 - our own columns
        f" RETURNING {_MEMBER}",
        member, status.value, left_at,
    )  # fmt: skip
    if row is None:
        raise Refusal("that member has left; a new membership is a new line in the register")
    return _member(row)


async def stream_place(
    connection: Connection, stream: StreamId, *, label: str, lock: bool
) -> tuple[int, bytes]:
    """(last sequence, SHA-256 of its record) of a stream, made on first sight; with lock for this transaction."""
    query = "SELECT last_sequence, last_record FROM meter.stream WHERE id = $1"
    if lock:
        query += " FOR UPDATE"
    row = await connection.fetchrow(query, stream)
    if row is None:
        # Once in a stream's life; the insert that is in vain would cost more than the look, every time.
        await connection.execute(
            "INSERT INTO meter.stream (id, label) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", stream, label
        )
        row = await connection.fetchrow(query, stream)
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


async def open_months(connection: Connection) -> tuple[Month, Credible]:
    """The first month that takes anything, and which instants can be true now.

    Holds the gate, so that no month closes within this transaction.
    """
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", _GATE)
    row = await connection.fetchrow(
        """
        SELECT now() AS now, meter.founded() AS founded, (SELECT max(month) FROM meter.closed_month) AS closed,
               (date_trunc('month', now() AT TIME ZONE 'UTC')
                + make_interval(months => meter.months_ahead_max()))::date AS last
        """
    )
    assert row is not None
    founded, last = _month(row["founded"]), _month(row["last"])
    first = founded if row["closed"] is None else max(founded, _month(row["closed"]).next())
    return first, Credible(founded.start_us, max(first, last).end_us, to_us(row["now"]))


async def open_ahead(connection: Connection) -> None:
    """Make the partitions of the running month and of those after it that may be opened, if they are not there."""
    await connection.execute(
        """
        SELECT meter.ensure_month(asked::date) FROM generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => meter.months_ahead_max()),
            interval '1 month'
        ) AS asked
        WHERE NOT EXISTS (SELECT FROM meter.closed_month WHERE month >= asked)
        """
    )


async def add_displaced(connection: Connection, found: Displaced) -> None:
    """Keep for the recount that of these records those whose time cannot be true count now."""
    await connection.execute(
        "INSERT INTO meter.displaced VALUES ($1, $2, $3, $4, $5, $6)",
        found.stream, found.first_sequence, found.last_sequence, found.credible.earliest_us,
        found.credible.latest_us, found.credible.now_us,
    )  # fmt: skip


async def displaced(connection: Connection) -> list[Displaced]:
    """Every range of records in which some count from when they were shipped."""
    rows = await connection.fetch("SELECT * FROM meter.displaced ORDER BY stream, first_sequence")
    return [
        Displaced(
            StreamId(row["stream"]), row["first_sequence"], row["last_sequence"],
            Credible(row["earliest_us"], row["latest_us"], row["counted_us"]),
        )
        for row in rows
    ]  # fmt: skip


def _month(day: date) -> Month:
    return Month(day.year, day.month)


async def add_tally(connection: Connection, sums: Tally) -> None:
    """Add a batch's sums, each to its month's partition, which is made if it is not there.

    Rows go in key order, so that two shippers never wait for each other in a circle.
    """
    for month in sorted({key[0] for key in sums.readings} | {key[0] for key in sums.storage}):
        await connection.execute("SELECT meter.ensure_month($1)", _period(month))
        await _add_readings(connection, month, {k: v for k, v in sums.readings.items() if k[0] == month})
        await _add_storage(connection, month, {k: v for k, v in sums.storage.items() if k[0] == month})
        await _add_samples(connection, month, {k: v for k, v in sums.samples.items() if k[0] == month})


def _period(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


def part_name(parent: str, period: date) -> str:
    """A month's partition, which is what roles may write while the month is open; its parent they only read."""
    return f"meter.{parent}_{period:%Y_%m}"


async def _add_readings(connection: Connection, month: str, sums: Mapping[ReadingKey, Reading]) -> None:
    if not sums:
        return
    period = _period(month)
    rows = [
        (period, to_datetime(hour), payer, bucket, operation, klass, zone, correction, r.requests, r.failures,
         r.aborts, r.bytes_in, r.bytes_out, r.moved_in, r.moved_out)
        for (_, hour, payer, bucket, operation, klass, zone, correction), r in sorted(sums.items())
    ]  # fmt: skip
    await connection.execute(
        f"""
        INSERT INTO {part_name("reading", period)} AS old
            (period, hour, payer, bucket, operation, class, zone, correction, requests, failures, aborts,
             bytes_in, bytes_out, moved_in, moved_out)
        SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::smallint[],
            $6::smallint[], $7::smallint[], $8::boolean[], $9::bigint[], $10::bigint[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
        ON CONFLICT (payer, hour, period, bucket, operation, class, zone, correction) DO UPDATE SET
            requests = old.requests + excluded.requests, failures = old.failures + excluded.failures,
            aborts = old.aborts + excluded.aborts, bytes_in = old.bytes_in + excluded.bytes_in,
            bytes_out = old.bytes_out + excluded.bytes_out, moved_in = old.moved_in + excluded.moved_in,
            moved_out = old.moved_out + excluded.moved_out
        """,  # noqa: S608 - the name is made of a date
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def _add_storage(connection: Connection, month: str, sums: Mapping[StorageKey, StoredSums]) -> None:
    if not sums:
        return
    period = _period(month)
    rows = [
        (period, to_datetime(hour), member, bucket, line, Decimal(s.delta), Decimal(s.moment))
        for (_, hour, member, bucket, line), s in sorted(sums.items())
    ]
    await connection.execute(
        f"""
        INSERT INTO {part_name("storage", period)} AS old (period, hour, member, bucket, line, delta, moment)
        SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::smallint[],
            $6::numeric[], $7::numeric[])
        ON CONFLICT (member, hour, period, bucket, line) DO UPDATE SET
            delta = old.delta + excluded.delta, moment = old.moment + excluded.moment
        """,  # noqa: S608 - the name is made of a date
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def _add_samples(connection: Connection, month: str, sums: Mapping[SampleKey, Sample]) -> None:
    period = _period(month)
    rows = [
        (period, to_datetime(slot), payer, zone, one.bytes_in, one.bytes_out)
        for (_, slot, payer, zone), one in sorted(sums.items())
        if one.bytes_in or one.bytes_out
    ]
    if not rows:
        return
    await connection.execute(
        f"""
        INSERT INTO {part_name("sample", period)} AS old (period, slot, payer, zone, bytes_in, bytes_out)
        SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[])
        ON CONFLICT (slot, payer, zone, period) DO UPDATE SET
            bytes_in = old.bytes_in + excluded.bytes_in, bytes_out = old.bytes_out + excluded.bytes_out
        """,  # noqa: S608 - the name is made of a date
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def is_closed(connection: Connection, month: Month) -> bool:
    """Whether the month takes nothing more."""
    query = "SELECT EXISTS (SELECT FROM meter.closed_month WHERE month >= $1)"
    return bool(await connection.fetchval(query, month_date(month)))


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
        month_date(month), to_datetime(now_us), json.dumps(watermark),
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
