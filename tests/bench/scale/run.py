"""One run: the fleet's processes started together, PostgreSQL looked at meanwhile, and all sums compared at the end."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import asyncpg

from tests.bench.scale.plan import Count, Figures, Plan, Shipped
from tests.bench.scale.pooler import pooler
from tests.bench.scale.server import (
    Counters,
    MeasuredServer,
    counters,
    cpu_s,
    fresh_database,
    memory_bytes,
    prepare,
    sizes,
)
from tests.bench.scale.ships import ship_some
from tests.bench.scale.traffic import write_journals

SHIPPING_PROCESSES = 2
LOOK_S = 0.25
READY_S_MAX = 900.0
Told = Callable[[float], None]

_WAITING = """
    SELECT count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
           count(*) FILTER (WHERE state <> 'idle') AS busy, count(*) AS all
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'
"""


def run(plan: Plan, server: MeasuredServer, told: Told = lambda _: None) -> Figures:
    """The figures of a plan; `told` hears from 0 to 1 how far it is. Raises AssertionError if one byte is missing."""
    return asyncio.run(_run(plan, server, told))


async def _run(plan: Plan, server: MeasuredServer, told: Told) -> Figures:
    dsn = await fresh_database(server)
    owner = await asyncpg.connect(dsn)
    await prepare(owner, plan)
    memory = Path("/dev/shm")
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="weir-fleet-", dir=memory if memory.is_dir() else None))
        stack.callback(shutil.rmtree, place)
        reached = stack.enter_context(pooler(server, plan.pooled)) if plan.pooled else dsn
        start, stop = context.Barrier(SHIPPING_PROCESSES + 2), context.Event()
        written, begun = context.Value("q", 0), context.Value("q", 0)
        shares = _shares(plan.gateways)
        pipes = [context.Pipe(duplex=False) for _ in shares]
        writer = context.Process(target=write_journals, args=(plan, place, start, stop, written))
        ships = [
            context.Process(target=ship_some, args=(plan, place, reached, share, start, stop, begun, end))
            for share, (_, end) in zip(shares, pipes, strict=True)
        ]
        for process in (writer, *ships):
            process.start()
            stack.callback(process.kill)
        await asyncio.to_thread(start.wait, READY_S_MAX)
        figures = Figures()
        window = await _measure(
            plan, server, owner, written, begun, figures, told, [one.pid for one in ships]
        )
        stop.set()
        answers = await asyncio.gather(*(asyncio.to_thread(pipe.recv) for pipe, _ in pipes))
        for process in (writer, *ships):
            process.join()
        shipped: list[Shipped] = [one for some in answers for one in some]
        figures.shipped = [one for one in shipped if window[0] <= one.at_s < window[1]]
        figures.left = figures.written - sum(one.records for one in figures.shipped)
        figures.table_bytes, figures.index_bytes, figures.rows = await sizes(owner)
        await _compare(owner, sum(one.records for one in shipped))
    await owner.close()
    return figures


def _shares(gateways: int) -> list[range]:
    half = gateways // SHIPPING_PROCESSES
    firsts = [half * number for number in range(SHIPPING_PROCESSES)]
    return [range(a, b) for a, b in zip(firsts, [*firsts[1:], gateways], strict=True)]


async def _measure(
    plan: Plan,
    server: MeasuredServer,
    owner: asyncpg.Connection,
    written: Count,
    begun: Count,
    figures: Figures,
    told: Told,
    shipping: Sequence[int],
) -> tuple[float, float]:
    """Let every gateway ship once and warm up, then look at everything for the plan's seconds; from when to when."""
    while begun.value < plan.gateways:
        told(0.3 * begun.value / plan.gateways)
        await asyncio.sleep(LOOK_S)
    began = time.monotonic()
    whole = plan.warm_up_s + plan.seconds
    while time.monotonic() - began < plan.warm_up_s:
        told(0.3 + 0.7 * (time.monotonic() - began) / whole)
        await asyncio.sleep(LOOK_S)
    first, opened, wrote = await counters(owner, server), time.monotonic(), written.value
    used_s = sum(cpu_s(pid) for pid in shipping)
    waiting = busy = looks = 0
    while (now := time.monotonic()) - opened < plan.seconds:
        told(0.3 + 0.7 * (now - began) / whole)
        row = await owner.fetchrow(_WAITING)
        waiting, busy, looks = waiting + row["waiting"], busy + row["busy"], looks + 1
        figures.connections = max(figures.connections, row["all"])
        await asyncio.sleep(LOOK_S)
    closed = time.monotonic()
    figures.seconds = closed - opened
    figures.written = written.value - wrote
    figures.shippers_cpu_s = sum(cpu_s(pid) for pid in shipping) - used_s
    _take(figures, first, await counters(owner, server), looks)
    figures.lock_waits = waiting / busy if busy else 0.0
    figures.postgres_bytes = memory_bytes(server)
    return opened, closed


def _take(figures: Figures, first: Counters, last: Counters, looks: int) -> None:
    figures.postgres_cpu_s = last.cpu_s - first.cpu_s
    figures.commits = last.commits - first.commits - looks
    figures.wal_bytes = last.wal_bytes - first.wal_bytes
    figures.full_page_images = last.full_page_images - first.full_page_images
    figures.updated = last.updated - first.updated
    figures.updated_in_place = last.updated_in_place - first.updated_in_place
    figures.inserted = last.inserted - first.inserted


async def _compare(owner: asyncpg.Connection, shipped: int) -> None:
    """Each record is in the sums once: requests, and changes of stored bytes, which are not counted but summed."""
    requests = await owner.fetchval("SELECT coalesce(sum(requests), 0)::bigint FROM meter.reading")
    days = await owner.fetchval("SELECT coalesce(sum(requests), 0)::bigint FROM meter.reading_day")
    places = await owner.fetchval("SELECT coalesce(sum(last_sequence), 0)::bigint FROM meter.stream")
    changes = await owner.fetchval(
        "SELECT coalesce(sum(last_sequence), 0)::bigint FROM meter.stream WHERE label = 'engine'"
    )
    assert shipped == places, f"{shipped} records were shipped, and the streams' places say {places}"
    assert requests == days == places - changes, (
        f"{places - changes} exchanges were shipped, the sums hold {requests} and {days}"
    )
