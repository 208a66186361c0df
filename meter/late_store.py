"""The SQL of late usage: what was booked to a billing month and happened in one before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import asyncpg

from meter.event import StorageLine
from meter.ids import MemberId
from meter.postgres import Connection
from meter.store import month_date
from meter.usage import LOGICAL, Late
from meter.window import Month, to_datetime

_COUNTS = ("bytes_in", "bytes_out", "bytes_out_peering", "bytes_out_own", "requests_a", "requests_b")
_KEPT = ("byte_us", "version_byte_us", "part_byte_us")


_ENGINE = "CASE WHEN $3::text[] IS NULL THEN '' ELSE coalesce(placed.engine, 'disk') END"
_PLACED = """
    LEFT JOIN meter.bucket_engine AS placed USING (bucket) WHERE period = $1 AND day < $2
    AND ($3::text[] IS NULL OR (bucket <> 0 AND coalesce(placed.engine, 'disk') = ANY($3)))
"""
"""All of it, or of buckets on the engines named alone."""


async def late_usage(connection: Connection, month: Month) -> dict[MemberId, tuple[Late, ...]]:
    """Whoever has some → what, by the month it happened in; corrections apart from what was shipped late.

    A change of stored bytes that came late counts in each month before this one from when it happened on. Whether it
    was a correction is not kept of it, so it is usage.
    """
    return {member: late for (member, _), late in (await late_by_engine(connection, month, None)).items()}


async def late_by_engine(
    connection: Connection, month: Month, engines: Sequence[str] | None
) -> dict[tuple[MemberId, str], tuple[Late, ...]]:
    """The same of buckets on those engines, by engine; None: of everything, under no name."""
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM meter.late WHERE period = $1)", month_date(month)
    ):
        return {}
    moved = await connection.fetch(
        f"""
        SELECT payer AS member, {_ENGINE} AS engine, date_trunc('month', day AT TIME ZONE 'UTC')::date AS month, correction,
               sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               coalesce(sum(bytes_out) FILTER (WHERE zone = 1), 0)::bigint AS bytes_out_peering,
               coalesce(sum(bytes_out) FILTER (WHERE zone = 2), 0)::bigint AS bytes_out_own,
               coalesce(sum(requests) FILTER (WHERE class = 1), 0)::bigint AS requests_a,
               coalesce(sum(requests) FILTER (WHERE class = 2), 0)::bigint AS requests_b
        FROM meter.reading_day {_PLACED} AND payer <> 0 GROUP BY 1, 2, 3, 4
        """,  # noqa: S608 - texts of our own
        month_date(month), to_datetime(month.start_us), engines,
    )  # fmt: skip
    kept = await connection.fetch(
        f"""
        SELECT member, {_ENGINE} AS engine, date_trunc('month', day AT TIME ZONE 'UTC')::date AS month, line,
               sum(delta) AS delta, sum(moment) AS moment
        FROM meter.storage_day {_PLACED} GROUP BY 1, 2, 3, 4
        """,  # noqa: S608 - texts of our own
        month_date(month), to_datetime(month.start_us), engines,
    )  # fmt: skip
    found: dict[tuple[MemberId, str], dict[tuple[Month, bool], dict[str, int]]] = defaultdict(dict)
    for row in moved:
        key = Month(row["month"].year, row["month"].month), row["correction"]
        found[MemberId(row["member"]), row["engine"]][key] = {name: int(row[name]) for name in _COUNTS}
    for row in kept:
        _spread(found[MemberId(row["member"]), row["engine"]], row, month)
    return {
        whose: tuple(sorted(_late(*key, counts) for key, counts in by_month.items()))
        for whose, by_month in found.items()
    }


def _late(month: Month, is_correction: bool, counts: dict[str, int]) -> Late:
    return Late(month, is_correction, *(counts.get(name, 0) for name in (*_COUNTS, *_KEPT)))


def _spread(by_month: dict[tuple[Month, bool], dict[str, int]], row: asyncpg.Record, billed: Month) -> None:
    """A change of stored bytes: in its own month from its moment on, in each one after that for all of it."""
    line, delta = StorageLine(row["line"]), int(row["delta"])
    month = Month(row["month"].year, row["month"].month)
    byte_us = delta * month.end_us - int(row["moment"])
    while month < billed:
        counts = by_month.setdefault((month, False), {})
        if line in LOGICAL:
            counts["byte_us"] = counts.get("byte_us", 0) + byte_us
        if line is StorageLine.VERSION:
            counts["version_byte_us"] = counts.get("version_byte_us", 0) + byte_us
        if line is StorageLine.PART:
            counts["part_byte_us"] = counts.get("part_byte_us", 0) + byte_us
        month = month.next()
        byte_us = delta * (month.end_us - month.start_us)
