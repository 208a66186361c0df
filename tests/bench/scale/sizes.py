"""Hours of many members: bytes a row, what an hour writes, the same rows under another key, and the directory's copy."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass

import asyncpg

from deploy.output import print_table, say
from gateway import store as directory
from meter.postgres import connect
from tests.bench.scale.plan import Plan
from tests.bench.scale.server import (
    PARTS,
    Counters,
    MeasuredServer,
    counters,
    fresh_database,
    part,
    prepare,
)

HOURS = 3
AT_ONCE = 20_000
"""Members of one statement, so that none holds locks for long."""
_READINGS = """
    INSERT INTO {table} (period, payer, hour, bucket, operation, class, zone, requests, failures, aborts,
                         bytes_in, bytes_out, moved_in, moved_out, correction)
    SELECT $1, m, $2, 2 * m + o, 1 + 2 * o, 2, 0, 10, 0, 0, 1000, 100000, 1000, 100000, false
    FROM generate_series($3::bigint, $4::bigint) m, generate_series(0, 1) o ORDER BY m
    ON CONFLICT DO NOTHING
"""
_STORAGE = """
    INSERT INTO {table} (period, member, hour, bucket, line, delta, moment)
    SELECT $1, m, $2, 2 * m, 0, 1000000, 1000000::numeric * 1795521600000000
    FROM generate_series($3::bigint, $4::bigint) m
    ON CONFLICT DO NOTHING
"""
_SAMPLES = """
    INSERT INTO {table} (period, slot, payer, zone, bytes_in, bytes_out)
    SELECT $1, $2, m, 0, 1000, 100000 FROM generate_series($3::bigint, $4::bigint) m
    ON CONFLICT DO NOTHING
"""
KEYS = {
    "payer first": "payer, hour, period, bucket, operation, class, zone, correction",
    "hour first": "hour, payer, period, bucket, operation, class, zone, correction",
}


@dataclass(frozen=True, slots=True)
class Hour:
    """What one hour's rows cost."""

    rows: int
    spent: Counters


def bench_sizes(server: MeasuredServer, members: int) -> list[dict[str, object]]:
    """Everything, printed table after table."""
    return asyncio.run(_sizes(server, members))


async def _sizes(server: MeasuredServer, members: int) -> list[dict[str, object]]:
    dsn = await fresh_database(server)
    owner = await asyncpg.connect(dsn)
    await prepare(owner, Plan(members=members))
    meter = await connect(dsn, role="weir_meter", timeout_s=3600)
    say(
        f"{members:,} members, of each in each hour: 2 readings, a storage row, a sample; a checkpoint after each hour"
    )
    found = await _months(server, owner, meter, members)
    found += await _keys(server, owner, members)
    found += await _directory(owner, dsn, members)
    await meter.close()
    await owner.close()
    return found


async def _months(
    server: MeasuredServer, owner: asyncpg.Connection, meter: asyncpg.Connection, members: int
) -> list[dict[str, object]]:
    rows = list[dict[str, object]]()
    period = await owner.fetchval("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date")
    for hour in range(HOURS):
        at = await owner.fetchval(
            "SELECT ($1::date + make_interval(hours => $2))::timestamp AT TIME ZONE 'UTC'", period, hour
        )
        before = await counters(owner, server)
        count = 0
        for parent, statement in (("reading", _READINGS), ("storage", _STORAGE), ("sample", _SAMPLES)):
            text = statement.format(table=f"meter.{await part(owner, parent)}")
            for first in range(1, members + 1, AT_ONCE):
                done = await meter.execute(text, period, at, first, min(first + AT_ONCE - 1, members))
                count += int(done.split()[-1])
        after = await counters(owner, server)
        rows.append(_cost(f"hour {hour + 1}", count, before, after))
        await owner.execute("CHECKPOINT")
    _print(rows)
    sizes = [await _size(owner, parent) for parent in PARTS]
    _print(sizes)
    return [*rows, *sizes]


def _cost(name: str, count: int, before: Counters, after: Counters) -> dict[str, object]:
    wal, images = after.wal_bytes - before.wal_bytes, after.full_page_images - before.full_page_images
    return {
        "": name,
        "rows": count,
        "PG µs/row": round((after.cpu_s - before.cpu_s) * 1e6 / count),
        "WAL B/row": round(wal / count),
        "full pages": images,
    }


async def _size(owner: asyncpg.Connection, parent: str) -> dict[str, object]:
    name = f"meter.{await part(owner, parent)}"
    row = await owner.fetchrow(
        f"SELECT (SELECT count(*) FROM {name}) AS n, pg_table_size('{name}') AS t, pg_indexes_size('{name}') AS i"
    )
    assert row is not None
    count = max(row["n"], 1)
    return {"": parent, "rows": row["n"], "table B/row": row["t"] // count, "index B/row": row["i"] // count}


async def _keys(server: MeasuredServer, owner: asyncpg.Connection, members: int) -> list[dict[str, object]]:
    """The same readings into two plain tables that differ in their key alone, a checkpoint between the hours."""
    rows = list[dict[str, object]]()
    source = f"meter.{await part(owner, 'reading')}"
    for name, key in KEYS.items():
        await owner.execute("DROP TABLE IF EXISTS public.keyed")
        await owner.execute(f"CREATE TABLE public.keyed (LIKE {source})")
        await owner.execute(f"ALTER TABLE public.keyed ADD PRIMARY KEY ({key})")
        for hour in range(HOURS):
            await owner.execute("CHECKPOINT")
            before = await counters(owner, server)
            for first in range(1, members + 1, AT_ONCE):
                await owner.execute(
                    f"INSERT INTO public.keyed SELECT * FROM {source} WHERE payer BETWEEN $1 AND $2"
                    " AND hour = ($3::date + make_interval(hours => $4))::timestamp AT TIME ZONE 'UTC'"
                    " ON CONFLICT DO NOTHING",
                    first, first + AT_ONCE - 1, await owner.fetchval(f"SELECT min(period) FROM {source}"), hour,
                )  # fmt: skip
            rows.append(_cost(f"{name}, hour {hour + 1}", 2 * members, before, await counters(owner, server)))
        size = await owner.fetchrow(
            "SELECT pg_table_size('public.keyed') AS t, pg_indexes_size('public.keyed') AS i"
        )
        assert size is not None
        rows[-1] |= {"index B/row": size["i"] // (2 * members * HOURS)}
    await owner.execute("DROP TABLE public.keyed")
    _print(rows)
    return rows


async def _directory(owner: asyncpg.Connection, dsn: str, members: int) -> list[dict[str, object]]:
    """What a gateway's worker reads at its start and at every change: each key and each bucket."""
    await owner.execute(
        "INSERT INTO gateway.access_key (access_key, member, secret, created_at)"
        " SELECT 'WEIR' || lpad(id::text, 16, '0'), id, decode(repeat('00', 68), 'hex'), now() FROM meter.member"
    )
    await owner.execute(
        "INSERT INTO gateway.bucket (name, owner, created_at) SELECT 'bucket-' || id, id, now() FROM meter.member"
    )
    worker = await connect(dsn, role="weir_gateway", timeout_s=3600)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time(), time.perf_counter()
    keys, buckets = await directory.keys(worker), await directory.buckets(worker)
    row: dict[str, object] = {
        "": "directory",
        "keys": len(keys),
        "buckets": len(buckets),
        "ms": round((time.perf_counter() - began[1]) * 1e3),
        "worker's CPU ms": round((time.process_time() - began[0]) * 1e3),
        "worker's MiB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) // 1024,
    }
    await worker.close()
    _print([row])
    return [row]


def _print(rows: list[dict[str, object]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    print_table(columns, [tuple(row.get(key) for key in columns) for row in rows], numbers=columns[1:])
