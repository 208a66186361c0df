"""The meter's SQL that reads the sums: what members used, what they store, and how it splits. It changes nothing.

Every query names the months it needs, so that no other partition is touched. Invariant they rest on:
a period is never before the month of its hours, so what was stored before a month is in the periods before it
and in the few later ones that `meter.late` names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

import asyncpg

from meter.event import StorageLine
from meter.ids import MemberId
from meter.late_store import late_usage
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import month_date
from meter.usage import (
    LOGICAL,
    Kept,
    Late,
    Lines,
    Member,
    MemberClass,
    MemberStatus,
    Usage,
    in_all,
    together,
)
from meter.window import DAY_US, Month, to_datetime, whole_days

_MOVED = """
    SELECT day AS at, bucket, operation, class, zone, correction, requests, bytes_in, bytes_out
    FROM meter.reading_day WHERE payer = $1 AND period = ANY($4::date[]) AND day >= $5 AND day < $6
    UNION ALL
    SELECT hour, bucket, operation, class, zone, correction, requests, bytes_in, bytes_out
    FROM meter.reading WHERE payer = $1 AND period = ANY($4::date[]) AND hour >= $2 AND hour < $5
    UNION ALL
    SELECT hour, bucket, operation, class, zone, correction, requests, bytes_in, bytes_out
    FROM meter.reading WHERE payer = $1 AND period = ANY($4::date[]) AND hour >= $6 AND hour < $3
"""
"""A member's readings of [$2, $3): whole days [$5, $6) by day, what is before and behind them by hour."""
_KEPT = """
    SELECT day AS at, bucket, line, delta, moment
    FROM meter.storage_day WHERE member = $1 AND period = ANY($4::date[]) AND day < $6 AND (day < $7 OR day >= $5)
    UNION ALL
    SELECT hour, bucket, line, delta, moment
    FROM meter.storage WHERE member = $1 AND period = ANY($4::date[]) AND hour >= $7 AND hour < $5
    UNION ALL
    SELECT hour, bucket, line, delta, moment
    FROM meter.storage WHERE member = $1 AND period = ANY($4::date[]) AND hour >= $6 AND hour < $3
"""
"""A member's changes of stored bytes before $3: also whole days before $7, the day in which the window begins."""
_EVERYONE = """
    WITH moved AS (
        SELECT payer AS member, sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               sum(requests) FILTER (WHERE class = 1)::bigint AS requests_a,
               sum(requests) FILTER (WHERE class = 2)::bigint AS requests_b,
               sum(bytes_in) FILTER (WHERE correction)::bigint AS corrected_in,
               sum(bytes_out) FILTER (WHERE correction)::bigint AS corrected_out,
               sum(bytes_out) FILTER (WHERE zone = 1)::bigint AS bytes_out_peering,
               sum(bytes_out) FILTER (WHERE zone = 2)::bigint AS bytes_out_own
        FROM meter.reading_day WHERE period = $1 AND payer <> 0 GROUP BY payer
    ), kept AS (
        SELECT member, sum(byte_us) FILTER (WHERE line <> 3) AS byte_us,
               sum(byte_us) FILTER (WHERE line = 2) AS version_byte_us,
               sum(byte_us) FILTER (WHERE line = 1) AS part_byte_us,
               sum(byte_us) FILTER (WHERE line = 3) AS removed_byte_us
        FROM (
            SELECT member, line, sum(delta) * $2::numeric - sum(moment) AS byte_us
            FROM meter.storage_day WHERE period = $1 GROUP BY member, line
            UNION ALL
            SELECT member, line, sum(delta) * ($2::numeric - $3::numeric)
            FROM meter.stored WHERE period < $1 GROUP BY member, line
        ) AS parts GROUP BY member
    ), used AS (
        SELECT member, coalesce(bytes_in, 0) AS bytes_in, coalesce(bytes_out, 0) AS bytes_out,
               coalesce(requests_a, 0) AS requests_a, coalesce(requests_b, 0) AS requests_b,
               coalesce(corrected_in, 0) AS corrected_in, coalesce(corrected_out, 0) AS corrected_out,
               coalesce(bytes_out_peering, 0) AS bytes_out_peering, coalesce(bytes_out_own, 0) AS bytes_out_own,
               trunc(coalesce(byte_us, 0))::text AS byte_us, trunc(coalesce(version_byte_us, 0))::text AS version_byte_us,
               trunc(coalesce(part_byte_us, 0))::text AS part_byte_us,
               trunc(coalesce(removed_byte_us, 0))::text AS removed_byte_us
        FROM moved FULL JOIN kept USING (member)
    )
    SELECT coalesce(member.id, used.member) AS member, used.member IS NOT NULL AS used, name,
           CASE WHEN left_at <= $4 THEN 'customer' ELSE class END AS class, status,
           (extract(epoch FROM joined_at) * 1000000)::bigint AS joined_us,
           (extract(epoch FROM left_at) * 1000000)::bigint AS left_us,
           coalesce(bytes_in, 0) AS bytes_in, coalesce(bytes_out, 0) AS bytes_out,
           coalesce(requests_a, 0) AS requests_a, coalesce(requests_b, 0) AS requests_b,
           coalesce(corrected_in, 0) AS corrected_in, coalesce(corrected_out, 0) AS corrected_out,
               coalesce(bytes_out_peering, 0) AS bytes_out_peering, coalesce(bytes_out_own, 0) AS bytes_out_own,
           coalesce(byte_us, '0') AS byte_us, coalesce(version_byte_us, '0') AS version_byte_us,
           coalesce(part_byte_us, '0') AS part_byte_us, coalesce(removed_byte_us, '0') AS removed_byte_us
    FROM meter.member AS member FULL JOIN used ON used.member = member.id
    WHERE used.member IS NOT NULL OR (joined_at < $5 AND (left_at IS NULL OR left_at > $4))
    ORDER BY 1
"""
"""All members of a month [$4, $5) with what is booked to it, stored bytes up to $2 ($3 is the month's start), as
microseconds. Lines: 1 parts, 2 old versions, 3 removed (`meter.event.StorageLine`). What passes 64 bits is text. Who had
left when the month began, at its first instant too, is no member in it: what is still theirs is a customer's."""
_ZONES = """
    coalesce(sum(bytes_out) FILTER (WHERE zone = 1), 0)::bigint AS bytes_out_peering,
    coalesce(sum(bytes_out) FILTER (WHERE zone = 2), 0)::bigint AS bytes_out_own
"""


async def first_month_with_usage(connection: Connection) -> Month | None:
    """The earliest month that anything was booked to."""
    found = await connection.fetchval(
        """
        SELECT min(month) FROM meter.month AS one
        WHERE EXISTS (SELECT FROM meter.reading WHERE period = one.month)
           OR EXISTS (SELECT FROM meter.storage WHERE period = one.month)
        """
    )
    return None if found is None else Month(found.year, found.month)


async def late_months(connection: Connection, month: Month) -> list[Month]:
    """The earlier months that something was booked to this one of, because they were closed."""
    rows = await connection.fetch(
        "SELECT month FROM meter.late WHERE period = $1 ORDER BY month", month_date(month)
    )
    return [Month(row["month"].year, row["month"].month) for row in rows]


async def period_usage(
    connection: Connection, month: Month, *, until_us: int | None = None
) -> dict[MemberId, Usage]:
    """Everyone's usage booked to a billing month, late usage of closed months included.

    Stored bytes count to the month's end, or to until_us in a month that still runs.
    """
    end_us = month.end_us if until_us is None else until_us
    rows = await connection.fetch(_EVERYONE, *_everyone_window(month, end_us))
    late = await late_usage(connection, month)
    return {
        MemberId(row["member"]): _whole_usage(row, month.start_us, end_us, late)
        for row in rows
        if row["used"]
    }


async def everyone_rows(
    connection: Connection, month: Month, *, until_us: int, rows_max: int
) -> AsyncIterator[list[asyncpg.Record]]:
    """The same with the register beside it, by member's number, at most rows_max at a time.

    Everybody who was a member at an instant of the month or has usage booked to it; columns as _EVERYONE names them,
    late usage of closed months within them. Needs a transaction. Raises Refusal for usage of somebody who is not in
    the register.
    """
    cursor = await connection.cursor(_EVERYONE, *_everyone_window(month, until_us))
    while rows := await cursor.fetch(rows_max):
        for row in rows:
            if row["name"] is None:
                raise Refusal(f"there is usage of member {row['member']}, who is not in the register")
        yield rows


def of_row(
    row: asyncpg.Record, month: Month, *, until_us: int, late: Mapping[MemberId, tuple[Late, ...]]
) -> tuple[Member, Usage]:
    """One of these rows, with what of it came late."""
    return _registered(row), _whole_usage(row, month.start_us, until_us, late)


async def everyone(
    connection: Connection, month: Month, *, until_us: int, rows_max: int
) -> AsyncIterator[list[tuple[Member, Usage]]]:
    """The same as members and what they used."""
    late = await late_usage(connection, month)
    async for rows in everyone_rows(connection, month, until_us=until_us, rows_max=rows_max):
        yield [of_row(row, month, until_us=until_us, late=late) for row in rows]


async def booked_counts(connection: Connection, member: MemberId, month: Month) -> dict[str, int] | None:
    """bytes_in, bytes_out, requests_a and requests_b of one of these rows; None for who has none."""
    row = await connection.fetchrow(
        """
        SELECT coalesce(sum(bytes_in), 0)::bigint AS bytes_in, coalesce(sum(bytes_out), 0)::bigint AS bytes_out,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0)::bigint AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0)::bigint AS requests_b
        FROM meter.reading_day WHERE period = $1 AND payer = $2
        HAVING count(*) > 0 OR EXISTS (SELECT FROM meter.stored WHERE member = $2 AND period <= $1)
            OR EXISTS (SELECT FROM meter.member WHERE id = $2 AND joined_at < $4 AND (left_at IS NULL OR left_at > $3))
        """,
        month_date(month), member, to_datetime(month.start_us), to_datetime(month.end_us),
    )  # fmt: skip
    return None if row is None else dict(row)


def _everyone_window(month: Month, end_us: int) -> tuple[date, Decimal, Decimal, datetime, datetime]:
    return (
        month_date(month), Decimal(end_us), Decimal(month.start_us), to_datetime(month.start_us),
        to_datetime(month.end_us),
    )  # fmt: skip


def _registered(row: asyncpg.Record) -> Member:
    return Member(
        MemberId(row["member"]), row["name"], MemberClass(row["class"]), "", MemberStatus(row["status"]),
        row["joined_us"], row["left_us"],
    )  # fmt: skip


def _whole_usage(
    row: asyncpg.Record, start_us: int, end_us: int, late: Mapping[MemberId, tuple[Late, ...]]
) -> Usage:
    member = MemberId(row["member"])
    return Usage(
        member, start_us, end_us, row["bytes_in"], row["bytes_out"], row["requests_a"],
        row["requests_b"], int(row["byte_us"]), int(row["version_byte_us"]), int(row["part_byte_us"]),
        int(row["removed_byte_us"]), row["corrected_in"], row["corrected_out"],
        bytes_out_peering=row["bytes_out_peering"], bytes_out_own=row["bytes_out_own"], late=late.get(member, ()),
    )  # fmt: skip


def _usage(member: MemberId, start_us: int, end_us: int, moved: asyncpg.Record | None, kept: Lines) -> Usage:
    if moved is None:
        found = Usage(member, start_us, end_us)
    else:
        # By name and all at once: a month by hour is some seven hundred of them on one page.
        found = Usage(
            member, start_us, end_us, moved["bytes_in"], moved["bytes_out"], moved["requests_a"], moved["requests_b"],
            corrected_in=moved["corrected_in"], corrected_out=moved["corrected_out"],
            bytes_out_peering=moved["bytes_out_peering"], bytes_out_own=moved["bytes_out_own"],
        )  # fmt: skip
    if not kept:
        return found
    none = Kept()
    return replace(
        found, byte_us=together(kept, LOGICAL).byte_us, version_byte_us=kept.get(StorageLine.VERSION, none).byte_us,
        part_byte_us=kept.get(StorageLine.PART, none).byte_us,
        removed_byte_us=kept.get(StorageLine.REMOVED, none).byte_us,
    )  # fmt: skip


async def usage_between(connection: Connection, member: MemberId, *, start_us: int, end_us: int) -> Usage:
    """One member's usage by when it happened; start_us is a whole hour, end_us a whole hour or now."""
    moved = await connection.fetchrow(
        f"""
        SELECT coalesce(sum(bytes_in), 0)::bigint AS bytes_in, coalesce(sum(bytes_out), 0)::bigint AS bytes_out,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0)::bigint AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0)::bigint AS requests_b,
               coalesce(sum(bytes_in) FILTER (WHERE correction), 0)::bigint AS corrected_in,
               coalesce(sum(bytes_out) FILTER (WHERE correction), 0)::bigint AS corrected_out, {_ZONES}
        FROM ({_MOVED}) AS moved
        """,  # noqa: S608 - a text of our own
        member, *await _window(connection, start_us=start_us, end_us=end_us),
    )  # fmt: skip
    kept = await stored_between(connection, member, start_us=start_us, end_us=end_us)
    return _usage(member, start_us, end_us, moved, in_all(kept.values()))


async def stored_between(
    connection: Connection, member: MemberId, *, start_us: int, end_us: int
) -> dict[int, Lines]:
    """What each bucket of a member stored at the end and over the window, line by line, by bucket number."""
    rows = await connection.fetch(
        f"""
        SELECT bucket, line, sum(bytes) AS bytes, sum(byte_us) AS byte_us FROM (
            SELECT bucket, line, sum(delta) AS bytes, sum(delta) * ($9::numeric - $8::numeric) AS byte_us
            FROM meter.stored WHERE member = $1 AND period < $10 GROUP BY bucket, line
            UNION ALL
            SELECT bucket, line, sum(delta), sum(delta) * $9::numeric - sum(moment)
                   - coalesce(sum(delta) FILTER (WHERE at < $2) * $8::numeric - sum(moment) FILTER (WHERE at < $2), 0)
            FROM ({_KEPT}) AS kept GROUP BY bucket, line
        ) AS parts GROUP BY bucket, line ORDER BY bucket, line
        """,  # noqa: S608 - a text of our own
        member, *await _window(connection, start_us=start_us, end_us=end_us),
        to_datetime(start_us - start_us % DAY_US), Decimal(start_us), Decimal(end_us),
        month_date(Month.of(start_us)),
    )  # fmt: skip
    found: dict[int, dict[StorageLine, Kept]] = defaultdict(dict)
    for row in rows:
        found[row["bucket"]][StorageLine(row["line"])] = Kept(int(row["bytes"]), int(row["byte_us"]))
    return dict(found)


async def _window(
    connection: Connection, *, start_us: int, end_us: int, by_hour: bool = False
) -> tuple[datetime, datetime, list[date], datetime, datetime]:
    """$2 to $6 of the texts above: the window, its periods, and the whole days in it."""
    days = (end_us, end_us) if by_hour else whole_days(start_us, end_us)
    periods = await _periods(connection, start_us=start_us, end_us=end_us)
    return (to_datetime(start_us), to_datetime(end_us), periods, *map(to_datetime, days))  # type: ignore[return-value]


async def _periods(connection: Connection, *, start_us: int, end_us: int) -> list[date]:
    """The periods that hold hours of the window: its months, and those that took some of theirs late."""
    rows = await connection.fetch(
        """
        SELECT month AS period FROM meter.month WHERE month BETWEEN $1 AND $2
        UNION SELECT period FROM meter.late WHERE month <= $2 AND period > $2 ORDER BY period
        """,
        month_date(Month.of(start_us)), month_date(Month.of(end_us - 1)),
    )  # fmt: skip
    return [row["period"] for row in rows]


async def stored_bytes(connection: Connection, member: MemberId) -> int:
    """What the member stores as of the last shipped change, what was removed not counted."""
    query = (
        "SELECT coalesce(sum(delta), 0) FROM meter.stored WHERE member = $1 AND line = ANY($2::smallint[])"
    )
    return int(await connection.fetchval(query, member, list(LOGICAL)))


async def stored_bytes_by_bucket(connection: Connection, member: MemberId | None = None) -> dict[int, int]:
    """What each bucket stores, all or a member's, by its number, as of the last shipped change, what was removed not
    counted."""
    rows = await connection.fetch(
        "SELECT bucket, sum(delta) AS bytes FROM meter.stored"
        " WHERE line = ANY($1::smallint[]) AND ($2::bigint IS NULL OR member = $2) GROUP BY bucket",
        list(LOGICAL), member,
    )  # fmt: skip
    return {row["bucket"]: int(row["bytes"]) for row in rows}


@dataclass(frozen=True, slots=True)
class Only:
    """What usage is narrowed to; None: whatever it is."""

    bucket: int | None = None
    operation: int | None = None
    zone: int | None = None


async def usage_rows(
    connection: Connection, member: MemberId, *, start_us: int, end_us: int, by: str, only: Only | None = None
) -> list[tuple[datetime | int, Usage]]:
    """Usage split by 'hour', 'day' (their starts), 'bucket', 'operation' or 'zone' (their numbers), ascending.

    Stored byte-time is not split here: its integral belongs to no single exchange.
    """
    held = only or Only()
    rows = await connection.fetch(
        f"""
        SELECT CASE WHEN $7 = 'hour' THEN at WHEN $7 = 'day' THEN date_trunc('day', at, 'UTC') END AS moment,
               CASE WHEN $7 = 'bucket' THEN bucket WHEN $7 = 'operation' THEN operation::bigint
                    WHEN $7 = 'zone' THEN zone::bigint END AS number,
               sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0)::bigint AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0)::bigint AS requests_b,
               coalesce(sum(bytes_in) FILTER (WHERE correction), 0)::bigint AS corrected_in,
               coalesce(sum(bytes_out) FILTER (WHERE correction), 0)::bigint AS corrected_out, {_ZONES}
        FROM ({_MOVED}) AS moved
        WHERE ($8::bigint IS NULL OR bucket = $8) AND ($9::smallint IS NULL OR operation = $9)
          AND ($10::smallint IS NULL OR zone = $10)
        GROUP BY 1, 2 ORDER BY 1, 2
        """,  # noqa: S608 - a text of our own
        member, *await _window(connection, start_us=start_us, end_us=end_us, by_hour=by == "hour"), by,
        held.bucket, held.operation, held.zone,
    )  # fmt: skip
    return [_row(member, start_us, end_us, row) for row in rows]


def _row(member: MemberId, start_us: int, end_us: int, row: asyncpg.Record) -> tuple[datetime | int, Usage]:
    key = row["number"] if row["moment"] is None else row["moment"]
    return key, _usage(member, start_us, end_us, row, {})


async def daily_usage(
    connection: Connection, member: MemberId, *, start_us: int, end_us: int
) -> list[tuple[date, Usage]]:
    """Usage by day, days without any left out."""
    rows: Sequence[tuple[datetime | int, Usage]] = await usage_rows(
        connection, member, start_us=start_us, end_us=end_us, by="day"
    )
    return [(moment.date(), usage) for moment, usage in rows if isinstance(moment, datetime)]
