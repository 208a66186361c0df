"""A month and a year of a very large co-op closed, beside an `INSERT … SELECT` of the same rows; statements while
events are shipped.

Each closing runs in a process of its own, so that its peak of memory is its own; its processor time is its own and
that of the server's process for it. The base copies the rows that the
closing wrote, into tables with the same keys, indexes and checks, within the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import asyncpg

from billing import year_run
from billing.costs.costing import add_cost
from billing.governance import store as governance_store
from billing.governance.decisions import Body, Resolution, ResolutionKind
from billing.run import close, set_tariff, statement
from billing.statements.render import statement_text
from meter.ids import MemberId
from meter.journal import Journal
from meter.postgres import connect
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.window import Month
from tests.bench.meter import pool
from tests.bench.table import ROOT, cpu_us, show
from tests.coop import TARIFF
from tests.events import NOON_US

MEMBERS = int(os.environ.get("WEIR_BENCH_MEMBERS", "1000000"))
DECEMBER = Month(2025, 12)
NOW = DECEMBER.end_us + 86_400 * 10**6
TIMES_MAX = 4
MEMORY_GIB_MAX = 2
BASE_ROUNDS = 3
STATEMENT_MS_MAX = 10
SHIPPED = int(os.environ.get("WEIR_BENCH_SHIPPED", "1000000"))
ROWS = {
    "month": (
        ("charge", "period = '2025-12-01'"),
        ("entry", "period = '2025-12-01'"),
        ("posting", "entry IN (SELECT number FROM billing.entry WHERE period = '2025-12-01')"),
    ),
    "year": (
        ("year_line", "year = 2025"),
        ("entry", "kind = 'year'"),
        ("posting", "entry IN (SELECT number FROM billing.entry WHERE kind = 'year')"),
    ),
}
_LOAD = (
    "SELECT meter.make_month('2025-12-01'::date)",
    "ALTER TABLE meter.member DISABLE TRIGGER USER",
    (
        "INSERT INTO meter.member (name, class, joined_at) SELECT 'm' || n, 'user', '2025-12-01T00:00:00Z'"
        " FROM generate_series(1, $1) AS n"
    ),
    "ALTER TABLE meter.member ENABLE TRIGGER USER",
    "ALTER TABLE meter.reading_day DISABLE TRIGGER USER",
    "ALTER TABLE meter.storage_day DISABLE TRIGGER USER",
    (
        "INSERT INTO meter.reading_day SELECT '2025-12-01'::date, n, '2025-12-05T00:00:00Z'::timestamptz, n, 9, 2, 0,"
        " 1 + n % 977, 0, 0, 0, (n * 7919 % 1000003) * 9973, 0, (n * 7919 % 1000003) * 9973, false"
        " FROM generate_series(1::bigint, $1) AS n"
    ),
    (
        "INSERT INTO meter.storage_day SELECT '2025-12-01'::date, n, '2025-12-05T00:00:00Z'::timestamptz, n, 0,"
        " (n * 104729 % 1000033) * 1000, (n * 104729 % 1000033) * 1000::numeric * 1764892800000000"
        " FROM generate_series(1::bigint, $1) AS n"
    ),
    "ALTER TABLE meter.reading_day ENABLE TRIGGER USER",
    "ALTER TABLE meter.storage_day ENABLE TRIGGER USER",
    "VACUUM ANALYZE",
)
PRICES = (
    TARIFF.replace("2026-01", "2025-01")
    .replace('gb_month = "0"', 'gb_month = "0.5"')
    .replace('requests_b_1000 = "0"', 'requests_b_1000 = "0.01"')
)


def bench_billing(database: str) -> None:
    """Load, close the month, close the year."""
    asyncio.run(_load(database))
    for what in ("month", "year"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.billing", what, database],
            stdout=subprocess.PIPE, cwd=ROOT, check=True,
        )  # fmt: skip
        took = json.loads(done.stdout)
        base_s, base_cpu_s, rows = asyncio.run(_base(database, what))
        name = f"{what} close for {MEMBERS:,} members"
        base = f"INSERT … SELECT {base_cpu_s:.1f} s CPU"
        show(name, f"{took['cpu_s']:.1f} s CPU", base, took["cpu_s"] / base_cpu_s, f"≤ {TIMES_MAX}")
        base = f"INSERT … SELECT {base_s:.1f} s"
        show(
            "  the same by the clock",
            f"{took['seconds']:.1f} s",
            base,
            took["seconds"] / base_s,
            f"≤ {TIMES_MAX}",
        )
        memory = took["memory_bytes"] / 2**30
        show(
            f"  its memory, {rows:,} rows",
            f"{memory:.2f} GiB",
            f"goal {MEMORY_GIB_MAX} GiB",
            memory / MEMORY_GIB_MAX,
            "≤ 1",
        )


async def _load(database: str) -> None:
    owner = await connect(database, timeout_s=3600)
    books = await connect(database, role="weir_office", timeout_s=3600)
    for text in _LOAD:
        await owner.execute(text.replace("$1", str(MEMBERS)))
    await set_tariff(books, PRICES, now_us=DECEMBER.start_us)
    await add_cost(books, month=DECEMBER, pool="rack", amount="1000.00", memo="", now_us=NOW)
    await governance_store.insert_resolution(
        books,
        Resolution("", Body.BOARD, ResolutionKind.ALLOCATION, date(2026, 1, 1), "as drafted", None, None, None,
                   None, "bench", NOW),
    )  # fmt: skip
    await books.close()
    await owner.close()


async def _base(database: str, what: str) -> tuple[float, float, int]:
    """Seconds by the clock and of processor time of the median copy, and how many rows it was."""
    owner = await connect(database, timeout_s=3600)
    found, rows = [], 0
    for _ in range(BASE_ROUNDS):
        await owner.execute("DROP SCHEMA IF EXISTS base CASCADE")
        await owner.execute("CREATE SCHEMA base")
        for table, _ in ROWS[what]:
            await owner.execute(f"CREATE TABLE base.{table} (LIKE billing.{table} INCLUDING ALL)")
        began, used, rows = time.perf_counter(), await _server_s(owner), 0
        async with owner.transaction():
            for table, which in ROWS[what]:
                done = await owner.execute(
                    f"INSERT INTO base.{table} SELECT * FROM billing.{table} WHERE {which}"
                )
                rows += int(done.rpartition(" ")[2])
        found.append((time.perf_counter() - began, await _server_s(owner) - used))
    await owner.execute("DROP SCHEMA base CASCADE")
    await owner.close()
    seconds, cpu_s = zip(*found, strict=True)
    return statistics.median(seconds), statistics.median(cpu_s), rows


async def _server_s(connection: asyncpg.Connection) -> float:
    """Processor time that the server's process of a connection has used, in seconds."""
    return cpu_us(await connection.fetchval("SELECT pg_backend_pid()")) / 1e6


async def _close(what: str, database: str) -> None:
    books: asyncpg.Connection = await connect(database, role="weir_office", timeout_s=3600)
    began, used, own = time.perf_counter(), await _server_s(books), time.process_time()
    if what == "month":
        await close(books, DECEMBER, now_us=NOW)
    else:
        await year_run.close(books, 2025, resolution="2026-1", now_us=NOW)
    took = time.perf_counter() - began
    cpu_s = await _server_s(books) - used + time.process_time() - own
    await books.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": took, "cpu_s": cpu_s, "memory_bytes": peak}))


def bench_statements(place: Path, database: str) -> None:
    """Statements of closed months read while a shipper works on a journal of a hundred thousand events and more.

    The journal was written before; the shipper runs as its own process from its first event to its last, and
    statements are asked for one after another all that time. The rate that is shown is what it shipped meanwhile.
    """
    settings = MeterSettings(data=place, database_url=database, journal_segment_bytes_max=64 * 2**20)
    events = [one._replace(payer=MemberId(1 + one.payer % 200)) for one in pool()]
    journal = Journal(
        settings.journal_directory / "worker-0",
        segment_bytes_max=64 * 2**20,
        segment_age_max_s=3600,
        now_us=NOON_US,
    )
    for number in range(SHIPPED):
        journal.append(events[number % len(events)])
    journal.close()
    shipper = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.billing", "ship", database, str(place)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    took = asyncio.run(_ask_while(database, shipper))
    assert shipper.stdout is not None
    rate = SHIPPED / float(shipper.stdout.read())
    p99 = statistics.quantiles(took, n=100)[98]
    show(
        f"a statement, p99 of {len(took):,}",
        f"{p99:.1f} ms",
        f"while {rate:,.0f} events/s shipped",
        p99 / STATEMENT_MS_MAX,
        "≤ 1",
    )


async def _ask_while(database: str, shipper: subprocess.Popen[bytes]) -> list[float]:
    books = await connect(database, role="weir_office")
    found = []
    while shipper.poll() is None:
        member = MemberId(1 + len(found) * 7919 % MEMBERS)
        began = time.perf_counter()
        told = statement_text(await statement(books, member, DECEMBER, now_us=NOW))
        found.append((time.perf_counter() - began) * 1000)
        assert told.startswith("Statement for December 2025")
    await books.close()
    return found


async def _ship(database: str, place: str) -> None:
    settings = MeterSettings(data=Path(place), database_url=database, journal_segment_bytes_max=64 * 2**20)
    began = time.perf_counter()
    assert await ship_everything(settings, database) == 0
    print(time.perf_counter() - began)


if __name__ == "__main__":
    if sys.argv[1] == "ship":
        asyncio.run(_ship(sys.argv[2], sys.argv[3]))
        sys.exit()
    asyncio.run(_close(sys.argv[1], sys.argv[2]))
