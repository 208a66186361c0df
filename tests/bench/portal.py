"""The portal's pages for a member with three years of data: how long one takes, from the request to its last byte.

One member with hourly readings in five buckets for 36 months, 35 of them closed, among fifty others; the portal is a
process of its own, as it is run. The slowest of the first asks, which compile a page and have PostgreSQL plan it, is told
beside.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

from aiohttp import ClientSession, CookieJar

from billing.portal.bearer import make_token
from billing.portal.login import create_login_link
from billing.portal.tokens import Scope, WantedToken
from billing.run import close, set_tariff
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.recorder import now_us
from meter.store import add_member, part_name
from meter.usage import MemberClass
from meter.window import Month, to_datetime
from tests.bench.table import ROOT, show
from tests.coop import TARIFF, Coop

MONTHS, BUCKETS, OTHERS, ASKS, ROUNDS, WARM = 36, 5, 50, 200, 20, 8
GOAL_MS = 50


def _pages(today: date) -> tuple[str, ...]:
    """Pages of a member, the widest they can be asked for among them."""
    year, running = f"from={today - timedelta(days=365)}&to={today}", Month(today.year, today.month)
    return (
        "/", "/now", "/caps", "/usage", "/usage?by=hour", "/usage?by=bucket", f"/usage?by=operation&from={today.year}-01-01",
        f"/usage?{year}", f"/usage?by=bucket&{year}&format=csv", f"/statements/{running}",
        f"/statements/{running.previous()}", "/years", f"/years/{today.year - 1}", "/co-op", "/books", "/proposals", "/acts",
        "/keys", "/tokens", "/sessions", "/membership", "/membership/leave", "/how/co-op",
    )  # fmt: skip


def _programs(today: date) -> tuple[str, ...]:
    """The same facts for programs, asked with a token."""
    closed = Month(today.year, today.month).previous()
    return (
        "/api/v1/me", "/api/v1/usage", "/api/v1/usage?by=hour",
        f"/api/v1/usage?by=bucket&from={today - timedelta(days=365)}&to={today}", "/api/v1/now", "/api/v1/statements",
        f"/api/v1/statements/{closed}", "/api/v1/years", f"/api/v1/years/{today.year}", "/api/v1/capital",
        "/api/v1/keys", "/api/v1/membership", "/api/v1/openapi.json",
    )  # fmt: skip


LIMITS = {"api_requests_per_minute_max": 1_000_000, "api_searches_per_minute_max": 1_000_000}
_READINGS = (
    "INSERT INTO {part} SELECT $1::date, $2, hour, bucket, 1::smallint, 2::smallint, 0::smallint, 9, 0, 0,"
    " 1000, 2000000, 1000, 2000000, false FROM generate_series($1::timestamp AT TIME ZONE 'UTC',"
    " least(($1 + interval '1 month') AT TIME ZONE 'UTC', $3) - interval '1 h', $4) AS hour,"
    " generate_series(1, $5) AS bucket"
)


def bench_portal(database: str) -> None:
    """Load, then ask for every page in turn."""
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(_bench(database, Path(place)))


async def _bench(database: str, place: Path) -> None:
    co_op = Coop(database)
    now = now_us()
    try:
        asked, *others = await _found(co_op, "asked", *(f"other-{number}" for number in range(OTHERS)))
        await _load(co_op, asked, others, now_us=now)
        wanted = WantedToken("bench", tuple(Scope), now + 10**12)
        token = await make_token(await co_op.books(), asked, wanted, BillingSettings(), now_us=now)
        link = await create_login_link(await co_op.books(), asked, portal_url="", now_us=now, ttl_minutes=60)
        async with _served(database, place) as (address, process):
            headers = {"Authorization": f"Bearer {token}", "Origin": address}
            async with ClientSession(address, headers=headers, cookie_jar=CookieJar(unsafe=True)) as client:
                async with client.post(link, allow_redirects=False) as reply:
                    assert 303 == reply.status
                await _measure(co_op, client, process, now)
    finally:
        await co_op.close()


async def _measure(co_op: Coop, client: ClientSession, process: int, now: int) -> None:
    pages, programs = _pages(to_datetime(now).date()), _programs(to_datetime(now).date())
    asked = (*pages, *programs)
    # A process's first asks compile the page, and each connection's first six have PostgreSQL plan it: told apart.
    first = {page: [await _asked_ms(client, page) for _ in range(WARM)] for page in asked}
    took: dict[str, list[float]] = {page: [] for page in asked}
    for _ in range(ASKS):
        for page, times in took.items():
            times.append(await _asked_ms(client, page))
    server = await _server(co_op)
    worked = {page: await _processor_ms(server, process, client, page) for page in asked}
    for page in (*pages, *programs):
        median, tail = statistics.median(took[page]), statistics.quantiles(took[page], n=100)[98]
        show(
            f"portal {page[:36]}", f"{median:.1f} ms, p99 {tail:.1f} ms",
            f"slowest of the first {WARM} {max(first[page]):.0f}, processor {worked[page]:.1f} ms", tail / GOAL_MS,
            f"p99 ≤ {GOAL_MS} ms",
        )  # fmt: skip


@asynccontextmanager
async def _served(database: str, place: Path) -> AsyncIterator[tuple[str, int]]:
    """The portal as it is run, in a process of its own; where it is, and its number."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment = {
            **os.environ, **{f"WEIR_{name.upper()}": str(value) for name, value in LIMITS.items()},
            "WEIR_DATA": str(place), "WEIR_DATABASE_URL": database, "WEIR_PORTAL_FD": str(listening.fileno()),
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "billing", cwd=ROOT, env=environment, pass_fds=(listening.fileno(),),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert b"ready\n" == await process.stdout.readline()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", process.pid
        finally:
            process.terminate()
            await process.wait()


async def _processor_ms(server: int, process: int, client: ClientSession, page: str) -> float:
    """What one page costs of processor time, in the portal and in all of PostgreSQL, whatever else the machine does."""

    def used_ms() -> float:
        # Of a server's processes those that live, and what it keeps of those that ended.
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        ticks = sum(_ticks(int(one))[0] for one in (str(process), *children)) + _ticks(server)[1]
        return ticks * 1000 / os.sysconf("SC_CLK_TCK")

    before = used_ms()
    for _ in range(ROUNDS):
        await _asked_ms(client, page)
    return (used_ms() - before) / ROUNDS


def _ticks(process: int) -> tuple[int, int]:
    """Its own processor time, and that of its children that ended (proc(5))."""
    fields = [int(one) for one in _stat(process)[11:15]]
    return fields[0] + fields[1], fields[2] + fields[3]


def _stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()


async def _server(co_op: Coop) -> int:
    """PostgreSQL's first process, the parent of all of its own."""
    backend = await (await co_op.owner()).fetchval("SELECT pg_backend_pid()")
    return int(_stat(backend)[1])


async def _found(co_op: Coop, *names: str) -> list[MemberId]:
    owner = await co_op.owner()
    first = _first(now_us())
    await set_tariff(await co_op.books(), TARIFF.replace("2026-01", str(first)), now_us=first.start_us)
    return [
        (
            await add_member(owner, name=name, member_class=MemberClass.USER, email="", now_us=first.start_us)
        ).id
        for name in names
    ]


def _first(now_us: int) -> Month:
    """The first of the months, of which the last is this one."""
    month = Month.of(now_us)
    for _ in range(MONTHS - 1):
        month = month.previous()
    return month


async def _load(co_op: Coop, asked: MemberId, others: list[MemberId], *, now_us: int) -> None:
    meter, books, owner = await co_op.connection("weir_meter"), await co_op.books(), await co_op.owner()
    month = _first(now_us)
    for _ in range(MONTHS):
        first = date(month.year, month.number, 1)
        await meter.execute("SELECT meter.ensure_month($1)", first)
        end = await owner.fetchval("SELECT to_timestamp($1::bigint / 1000000)", now_us)
        readings = _READINGS.format(part=part_name("reading", first))
        await owner.execute(readings, first, asked, end, timedelta(hours=1), BUCKETS)
        for other in others:
            await owner.execute(readings, first, other, end, timedelta(hours=72), 1)
        if month.end_us <= now_us:
            await close(books, month, now_us=now_us)
        month = month.next()
    await owner.execute("ANALYZE")


async def _asked_ms(client: ClientSession, page: str) -> float:
    began = time.perf_counter()
    async with client.get(page) as reply:
        await reply.read()
    assert 200 == reply.status, (page, reply.status)
    return (time.perf_counter() - began) * 1000
