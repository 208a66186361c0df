"""News to many workers: each gateway worker listens for changes of the directory, on a session of its own."""

from __future__ import annotations

import asyncio
import resource
import time

import asyncpg

from deploy.output import print_table
from meter.postgres import connect
from tests.bench.scale.plan import Plan
from tests.bench.scale.report import percentile
from tests.bench.scale.server import MeasuredServer, cpu_s, fresh_database, memory_bytes, prepare, processes

CHANGES = 20
CONNECT_AT_ONCE = 8


def bench_listeners(server: MeasuredServer, count: int) -> list[dict[str, object]]:
    """A tenth of the sessions, then all of them."""
    rows = [asyncio.run(_listeners(server, number)) for number in (max(1, count // 10), count)]
    print_table(list(rows[0]), [tuple(row.values()) for row in rows], numbers=list(rows[0]))
    return rows


async def _listeners(server: MeasuredServer, count: int) -> dict[str, object]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    dsn = await fresh_database(server)
    owner = await asyncpg.connect(dsn)
    await prepare(owner, Plan(members=1000))
    before = memory_bytes(server)
    at_once, heard, everybody = asyncio.Semaphore(CONNECT_AT_ONCE), list[float](), asyncio.Event()

    def hear(*_: object) -> None:
        heard.append(time.perf_counter())
        if len(heard) == count:
            everybody.set()

    async def listen() -> asyncpg.Connection:
        async with at_once:
            session = await connect(dsn, role="weir_gateway", timeout_s=600)
            await session.add_listener("weir_directory", hear)
            return session

    sessions = await asyncio.gather(*(listen() for _ in range(count)))
    each = (memory_bytes(server) - before) // count
    used = sum(cpu_s(pid) for pid in processes(server))
    last, half = list[float](), list[float]()
    for number in range(CHANGES):
        heard.clear()
        everybody.clear()
        began = time.perf_counter()
        await owner.execute(
            "UPDATE meter.member SET status = $1 WHERE id = 1", ("active", "suspended")[number % 2]
        )
        await everybody.wait()
        last.append((heard[-1] - began) * 1e3)
        half.append((heard[count // 2] - began) * 1e3)
    took_s = sum(cpu_s(pid) for pid in processes(server)) - used
    await asyncio.gather(*(session.close() for session in sessions))
    await owner.close()
    return {
        "listeners": count,
        "half has heard, ms": round(percentile(half, 50)),
        "all have heard, ms (p50)": round(percentile(last, 50)),
        "all have heard, ms (max)": round(max(last)),
        "PG µs/change": round(took_s * 1e6 / CHANGES),
        "PG µs/change/listener": round(took_s * 1e6 / CHANGES / count),
        "KiB/idle session": each // 1024,
    }
