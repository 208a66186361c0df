"""SQL that reads the sums by storage engine: what members used of the buckets on one, and what lies on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from meter.ids import BucketId, MemberId
from meter.late_store import late_by_engine
from meter.postgres import Connection
from meter.store import month_date
from meter.usage import DISK, OnEngine, Usage, on_engines
from meter.window import Month

_ON = """
    bucket <> 0 AND CASE WHEN $2 = 'disk'
        THEN NOT EXISTS (SELECT FROM meter.bucket_engine e WHERE e.bucket = sums.bucket AND e.engine <> 'disk')
        ELSE EXISTS (SELECT FROM meter.bucket_engine e WHERE e.bucket = sums.bucket AND e.engine = $2) END
"""
_USED = f"""
    WITH moved AS (
        SELECT payer AS member, sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               sum(requests) FILTER (WHERE class = 1)::bigint AS requests_a,
               sum(requests) FILTER (WHERE class = 2)::bigint AS requests_b,
               sum(bytes_out) FILTER (WHERE zone = 1)::bigint AS bytes_out_peering,
               sum(bytes_out) FILTER (WHERE zone = 2)::bigint AS bytes_out_own
        FROM meter.reading_day AS sums WHERE period = $1 AND payer <> 0 AND {_ON} GROUP BY payer
    ), kept AS (
        SELECT member, sum(byte_us) AS byte_us FROM (
            SELECT member, sum(delta) * $3::numeric - sum(moment) AS byte_us
            FROM meter.storage_day AS sums WHERE period = $1 AND member <> 0 AND line <> 3 AND {_ON} GROUP BY member
            UNION ALL
            SELECT member, sum(delta) * ($3::numeric - $4::numeric)
            FROM meter.stored AS sums WHERE period < $1 AND member <> 0 AND line <> 3 AND {_ON} GROUP BY member
        ) AS parts GROUP BY member
    )
    SELECT member, coalesce(bytes_in, 0) AS bytes_in, coalesce(bytes_out, 0) AS bytes_out,
           coalesce(requests_a, 0) AS requests_a, coalesce(requests_b, 0) AS requests_b,
           coalesce(bytes_out_peering, 0) AS bytes_out_peering, coalesce(bytes_out_own, 0) AS bytes_out_own,
           trunc(coalesce(byte_us, 0))::text AS byte_us
    FROM moved FULL JOIN kept USING (member) ORDER BY member
"""  # noqa: S608 - texts of our own


async def engine_usage(
    connection: Connection, month: Month, engine: str, *, until_us: int
) -> dict[MemberId, Usage]:
    """What is booked to a billing month of the buckets on one engine, stored bytes up to until_us.

    Over all engines it sums to everyone's usage, but for requests that named no bucket.
    """
    rows = await connection.fetch(
        _USED, month_date(month), engine, Decimal(until_us), Decimal(month.start_us)
    )
    return {
        MemberId(row["member"]): Usage(
            MemberId(row["member"]), month.start_us, until_us, row["bytes_in"], row["bytes_out"], row["requests_a"],
            row["requests_b"], int(row["byte_us"]), bytes_out_peering=row["bytes_out_peering"],
            bytes_out_own=row["bytes_out_own"],
        )
        for row in rows
    }  # fmt: skip


_PLACED = """
    LEFT JOIN meter.bucket_engine AS placed USING (bucket)
    WHERE bucket <> 0 AND coalesce(placed.engine, 'disk') = ANY($2)
"""
_OF_EACH = f"""
    WITH moved AS (
        SELECT payer AS member, coalesce(placed.engine, 'disk') AS engine,
               sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
               sum(requests) FILTER (WHERE class = 1)::bigint AS requests_a,
               sum(requests) FILTER (WHERE class = 2)::bigint AS requests_b,
               sum(bytes_in) FILTER (WHERE correction)::bigint AS corrected_in,
               sum(bytes_out) FILTER (WHERE correction)::bigint AS corrected_out,
               sum(bytes_out) FILTER (WHERE zone = 1)::bigint AS bytes_out_peering,
               sum(bytes_out) FILTER (WHERE zone = 2)::bigint AS bytes_out_own
        FROM meter.reading_day {_PLACED} AND period = $1 AND payer <> 0 GROUP BY 1, 2
    ), kept AS (
        SELECT member, engine, sum(byte_us) FILTER (WHERE line <> 3) AS byte_us,
               sum(byte_us) FILTER (WHERE line = 2) AS version_byte_us,
               sum(byte_us) FILTER (WHERE line = 1) AS part_byte_us,
               sum(byte_us) FILTER (WHERE line = 3) AS removed_byte_us
        FROM (
            SELECT member, coalesce(placed.engine, 'disk') AS engine, line,
                   sum(delta) * $3::numeric - sum(moment) AS byte_us
            FROM meter.storage_day {_PLACED} AND period = $1 AND member <> 0 GROUP BY 1, 2, 3
            UNION ALL
            SELECT member, coalesce(placed.engine, 'disk'), line, sum(delta) * ($3::numeric - $4::numeric)
            FROM meter.stored {_PLACED} AND period < $1 AND member <> 0 GROUP BY 1, 2, 3
        ) AS parts GROUP BY 1, 2
    )
    SELECT member, engine, coalesce(bytes_in, 0) AS bytes_in, coalesce(bytes_out, 0) AS bytes_out,
           coalesce(requests_a, 0) AS requests_a, coalesce(requests_b, 0) AS requests_b,
           coalesce(corrected_in, 0) AS corrected_in, coalesce(corrected_out, 0) AS corrected_out,
           coalesce(bytes_out_peering, 0) AS bytes_out_peering, coalesce(bytes_out_own, 0) AS bytes_out_own,
           trunc(coalesce(byte_us, 0))::text AS byte_us, trunc(coalesce(version_byte_us, 0))::text AS version_byte_us,
           trunc(coalesce(part_byte_us, 0))::text AS part_byte_us,
           trunc(coalesce(removed_byte_us, 0))::text AS removed_byte_us
    FROM moved FULL JOIN kept USING (member, engine) ORDER BY member, engine
"""  # noqa: S608 - texts of our own


async def usage_on(
    connection: Connection, month: Month, engines: Iterable[str], *, until_us: int
) -> dict[MemberId, tuple[OnEngine, ...]]:
    """Of what is booked to a billing month, what was of buckets on each of those engines; who has none is left out.

    A bucket's number stays on its engine for good, so a bucket that moved in the month is in both, by the hours.
    """
    names = sorted(set(engines))
    if not names:
        return {}
    rows = await connection.fetch(
        _OF_EACH, month_date(month), names, Decimal(until_us), Decimal(month.start_us)
    )
    late = await late_by_engine(connection, month, names)
    found: dict[MemberId, dict[str, Usage]] = defaultdict(dict)
    for row in rows:
        member = MemberId(row["member"])
        found[member][row["engine"]] = Usage(
            member, month.start_us, until_us, row["bytes_in"], row["bytes_out"], row["requests_a"], row["requests_b"],
            int(row["byte_us"]), int(row["version_byte_us"]), int(row["part_byte_us"]), int(row["removed_byte_us"]),
            row["corrected_in"], row["corrected_out"], bytes_out_peering=row["bytes_out_peering"],
            bytes_out_own=row["bytes_out_own"], late=late.get((member, row["engine"]), ()),
        )  # fmt: skip
    parts = {member: on_engines(by_engine) for member, by_engine in found.items()}
    return {member: some for member, some in parts.items() if some}


async def placement(connection: Connection) -> dict[BucketId, str]:
    """The engine of every bucket number that is not on the disk; each number stays where it is for good."""
    rows = await connection.fetch("SELECT bucket, engine FROM meter.bucket_engine WHERE engine <> $1", DISK)
    return {BucketId(row["bucket"]): row["engine"] for row in rows}


async def numbers_elsewhere(connection: Connection) -> set[int]:
    """Numbers of buckets that are, or were, on another engine than the disk."""
    return set(await placement(connection))
