"""The SQL of five-minute samples: what was moved in each, by whom, and letting old ones go."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from meter.event import Zone
from meter.ids import MemberId
from meter.postgres import Connection
from meter.store import month_date, part_name
from meter.window import Month, to_datetime, to_us


async def has_samples(connection: Connection, month: Month) -> bool:
    """Whether the month's samples are kept: not of months before Weir took any, nor of those that were let go.

    A month to which nothing was ever booked has none, and none are missing.
    """
    query = "SELECT to_regclass($1) IS NOT NULL OR NOT EXISTS (SELECT FROM meter.month WHERE month = $2)"
    return bool(await connection.fetchval(query, part_name("sample", month_date(month)), month_date(month)))


async def slot_totals(
    connection: Connection, month: Month, zones: Collection[Zone]
) -> Mapping[int, tuple[int, int]]:
    """Start of a slot in microseconds → (bytes in, bytes out) of everybody; slots without any are left out.

    What came late, of slots before the month, is in no sample of it: its peak was billed long ago.
    """
    rows = await connection.fetch(
        "SELECT slot, sum(bytes_in)::numeric AS bytes_in, sum(bytes_out)::numeric AS bytes_out FROM meter.sample"
        " WHERE period = $1 AND slot >= $2 AND zone = ANY($3::smallint[]) GROUP BY slot",
        month_date(month), to_datetime(month.start_us), list(zones),
    )  # fmt: skip
    return {to_us(row["slot"]): (int(row["bytes_in"]), int(row["bytes_out"])) for row in rows}


async def payer_totals(
    connection: Connection, month: Month, zones: Collection[Zone], slots: Collection[int]
) -> dict[MemberId, tuple[int, int]]:
    """Payer → (bytes in, bytes out) over some slots of the month, nobody's left out."""
    rows = await connection.fetch(
        "SELECT payer, sum(bytes_in)::numeric AS bytes_in, sum(bytes_out)::numeric AS bytes_out FROM meter.sample"
        " WHERE period = $1 AND slot = ANY($2::timestamptz[]) AND zone = ANY($3::smallint[]) AND payer <> 0"
        " GROUP BY payer ORDER BY payer",
        month_date(month), [to_datetime(slot) for slot in slots], list(zones),
    )  # fmt: skip
    return {MemberId(row["payer"]): (int(row["bytes_in"]), int(row["bytes_out"])) for row in rows}


async def prune(connection: Connection, *, keep_months: int, now_us: int) -> list[Month]:
    """Let the samples go of months that are closed and more than keep_months whole months over; which they were."""
    if not keep_months:
        return []
    first_kept = Month.of(now_us)
    for _ in range(keep_months):
        first_kept = first_kept.previous()
    rows = await connection.fetch(
        "SELECT month FROM meter.month WHERE month < $1"
        " AND month <= (SELECT max(month) FROM meter.closed_month)"
        " AND to_regclass('meter.' || meter.part_name('sample', month)) IS NOT NULL ORDER BY month",
        month_date(first_kept),
    )
    for row in rows:
        await connection.execute("SELECT meter.drop_samples($1)", row["month"])
    return [Month(row["month"].year, row["month"].month) for row in rows]
