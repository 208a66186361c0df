"""The sums at the size of a large co-op: one member's month out of 10,000 members × 100 buckets × 13 months.

Hourly readings of all of them would be 9·10⁹ rows. What is loaded instead, in the order in which a shipper would have:
two members with a reading and a change of stored bytes for each bucket and hour (the asked one is among them), and
every other member with a reading in ten buckets a month, a tenth of them with stored bytes in each of a hundred, too.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import asyncpg

from meter.ids import MemberId
from meter.postgres import connect
from meter.usage_store import period_usage, usage_between, usage_rows
from meter.window import Month, to_us
from tests.bench.table import show

MEMBERS, BUCKETS, MONTHS = 10_000, 100, 13
ASKED = MemberId(2)
DENSE = 2
ASKS = 15
GOAL_MS = 20
_READING = "1::smallint, 2::smallint, 0::smallint, 9, 0, 0, 1000, 2000, 1000, 2000, false"
_MOMENT = "3 * (extract(epoch FROM hour) * 1000000)::numeric"
_HOURS = "generate_series($1::timestamp AT TIME ZONE 'UTC', ($1 + interval '1 month') AT TIME ZONE 'UTC' - interval '1 h', '1 h') AS hour"
_LOAD = (
    (f"INSERT INTO meter.reading SELECT $1::date, member, hour, bucket, {_READING}"
    f" FROM {_HOURS}, generate_series(1, {DENSE}) AS member, generate_series(1, {BUCKETS}) AS bucket"),
    (f"INSERT INTO meter.reading SELECT $1::date, member, $1::timestamp AT TIME ZONE 'UTC', bucket, {_READING}"
    f" FROM generate_series({DENSE + 1}, {MEMBERS}) AS member, generate_series(1, {BUCKETS}, 10) AS bucket"),
    (f"INSERT INTO meter.storage SELECT $1::date, member, hour, bucket, 0, 3, {_MOMENT}"
    f" FROM {_HOURS}, generate_series(1, {DENSE}) AS member, generate_series(1, {BUCKETS}) AS bucket"),
    (f"INSERT INTO meter.storage SELECT $1::date, member, hour, bucket, 0, 3, {_MOMENT}"
    f" FROM (SELECT $1::timestamp AT TIME ZONE 'UTC' AS hour) AS first,"
    f" generate_series({DENSE + 1}, {MEMBERS // 10}) AS member, generate_series(1, {BUCKETS}) AS bucket"),
    (
        "INSERT INTO meter.stored SELECT member, period, bucket, line, sum(delta) FROM meter.storage"
        " WHERE period = $1 GROUP BY 1, 2, 3, 4"
    ),
    (
        "INSERT INTO meter.reading_day SELECT period, payer, date_trunc('day', hour, 'UTC'), bucket, operation, class,"
        " zone, sum(requests), sum(failures), sum(aborts), sum(bytes_in), sum(bytes_out), sum(moved_in),"
        " sum(moved_out), correction FROM meter.reading WHERE period = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7, 15"
    ),
    (
        "INSERT INTO meter.storage_day SELECT period, member, date_trunc('day', hour, 'UTC'), bucket, line, sum(delta),"
        " sum(moment) FROM meter.storage WHERE period = $1 GROUP BY 1, 2, 3, 4, 5"
    ),
)  # fmt: skip


def bench_books(database: str) -> None:
    """Load, then ask."""
    asyncio.run(_bench(database))


async def _bench(database: str) -> None:
    owner = await connect(database, timeout_s=3600)
    reader = await connect(database, role="weir_office", timeout_s=3600)
    try:
        last = Month.of(to_us(datetime.now(UTC)))
        months = [last]
        while len(months) < MONTHS:
            months.insert(0, months[0].previous())
        took, loaded = await _load(owner, months)
        print(f"  sums loaded: {loaded:,} rows in {took:.0f} s, {await _size(owner)}")
        middle = months[MONTHS // 2]

        async def one(month: Month) -> object:
            return await usage_between(reader, ASKED, start_us=month.start_us, end_us=month.end_us)

        for name, month in (("in the middle", middle), ("the last", last)):
            ms = await _median_ms(lambda month=month: one(month))  # type: ignore[misc]
            show(
                f"usage of one member, a month {name}",
                f"{ms:.1f} ms",
                f"goal {GOAL_MS} ms",
                ms / GOAL_MS,
                "≤ 1",
            )
        rows = await _median_ms(
            lambda: usage_rows(reader, ASKED, start_us=middle.start_us, end_us=middle.end_us, by="hour")
        )
        print(f"  the same month split by hour, a reading for each bucket and hour: {rows:.1f} ms")
        began = time.perf_counter()
        await period_usage(reader, middle)
        print(f"  everyone's usage of that month: {time.perf_counter() - began:.2f} s")
    finally:
        await reader.close()
        await owner.close()


async def _load(owner: asyncpg.Connection, months: list[Month]) -> tuple[float, int]:
    began = time.perf_counter()
    for month in months:
        day = date(month.year, month.number, 1)
        await owner.execute("SELECT meter.make_month($1)", day)
    # By the parents, whose partitions' triggers stay silent: row by row they would take the longest part of the load.
    tables = ("reading", "storage", "stored", "reading_day", "storage_day")
    for table in tables:
        await owner.execute(f"ALTER TABLE meter.{table} DISABLE TRIGGER USER")
    for month in months:
        for statement in _LOAD:
            await owner.execute(
                statement.replace("$1", f"'{month}-01'::date"),
            )
    for table in tables:
        await owner.execute(f"ALTER TABLE meter.{table} ENABLE TRIGGER USER")
    await owner.execute("VACUUM ANALYZE")
    rows = await owner.fetchval(
        "SELECT (SELECT count(*) FROM meter.reading) + (SELECT count(*) FROM meter.storage)"
    )
    return time.perf_counter() - began, int(rows)


async def _size(owner: asyncpg.Connection) -> str:
    return str(await owner.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))"))


async def _median_ms(ask: Callable[[], Awaitable[object]]) -> float:
    found = []
    for _ in range(ASKS + 1):
        began = time.perf_counter()
        await ask()
        found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found[1:])
