"""The portal's pages for a member with three years of data: how long one takes, from the request to its last byte.

One member with hourly readings in five buckets for 36 months, 35 of them closed, among fifty others. Beside each page
stands the page that says how it works, which asks the database for next to nothing.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from aiohttp.test_utils import TestClient

from billing.portal.bearer import make_token
from billing.portal.tokens import Scope, WantedToken
from billing.run import close, set_tariff
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.store import add_member, part_name
from meter.usage import MemberClass
from meter.window import Month
from tests.bench.table import show
from tests.coop import TARIFF, Coop
from tests.portal import running_site

MONTHS, BUCKETS, OTHERS, ASKS, ROUNDS = 36, 5, 50, 100, 20
GOAL_MS = 50
FIRST = Month(2023, 12)
BARE = "/how-it-works"
PAGES = (
    "/", "/usage", "/usage?by=hour", "/usage?by=bucket", "/usage?by=operation&from=2026-01-01",
    "/usage?from=2025-11-01&to=2026-11-05", "/usage?by=bucket&from=2025-11-01&to=2026-11-05&format=csv", "/keys",
    "/sessions", "/membership", "/membership/leave",
)  # fmt: skip
API = (
    "/api/v1/me", "/api/v1/usage", "/api/v1/usage?by=hour", "/api/v1/usage?by=bucket&from=2025-11-01&to=2026-11-05",
    "/api/v1/now", "/api/v1/statements", "/api/v1/statements/2026-09", "/api/v1/years", "/api/v1/capital", "/api/v1/keys",
    "/api/v1/membership", "/api/v1/openapi.json",
)  # fmt: skip
"""The same facts for programs, asked with a token."""
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
    try:
        asked, *others = await _found(co_op, "asked", *(f"other-{number}" for number in range(OTHERS)))
        async with running_site(co_op, place / "journal", BillingSettings(**LIMITS)) as site:  # type: ignore[arg-type]
            await _load(co_op, asked, others, now_us=site.now_us)
            await site.sign_in(asked)
            wanted = WantedToken("bench", tuple(Scope), site.now_us + 10**12)
            token = await make_token(
                await co_op.books(), asked, wanted, BillingSettings(), now_us=site.now_us
            )
            site.client.session.headers["Authorization"] = f"Bearer {token}"
            took: dict[str, list[float]] = {page: [] for page in (BARE, *PAGES, *API)}
            for _ in range(ASKS):
                for page, times in took.items():
                    times.append(await _asked_ms(site.client, page))
            worked = {page: await _processor_ms(co_op, site.client, page) for page in took}
    finally:
        await co_op.close()
    for page in (*PAGES, *API):
        median, tail = statistics.median(took[page]), statistics.quantiles(took[page], n=100)[98]
        show(
            f"portal {page[:36]}", f"{median:.1f} ms, p99 {tail:.1f} ms",
            f"processor {worked[page]:.1f} ms, bare {worked[BARE]:.1f}", tail / GOAL_MS, f"p99 ≤ {GOAL_MS} ms",
        )  # fmt: skip


async def _processor_ms(co_op: Coop, client: TestClient, page: str) -> float:
    """What one page costs of processor time, here (its client too) and in PostgreSQL, whatever else the machine does."""
    owner = await co_op.owner()
    rows = await owner.fetch("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    stats = [Path(f"/proc/{row['pid']}/stat") for row in rows]

    def used_ms() -> float:
        ticks = sum(sum(map(int, one.read_text().rsplit(")", 1)[1].split()[11:13])) for one in stats)
        return time.process_time() * 1000 + ticks * 1000 / os.sysconf("SC_CLK_TCK")

    before = used_ms()
    for _ in range(ROUNDS):
        await _asked_ms(client, page)
    return (used_ms() - before) / ROUNDS


async def _found(co_op: Coop, *names: str) -> list[MemberId]:
    owner = await co_op.owner()
    await set_tariff(await co_op.books(), TARIFF.replace("2026-01", str(FIRST)), now_us=FIRST.start_us)
    return [
        (
            await add_member(owner, name=name, member_class=MemberClass.USER, email="", now_us=FIRST.start_us)
        ).id
        for name in names
    ]


async def _load(co_op: Coop, asked: MemberId, others: list[MemberId], *, now_us: int) -> None:
    meter, books, owner = await co_op.connection("weir_meter"), await co_op.books(), await co_op.owner()
    month = FIRST
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


async def _asked_ms(client: TestClient, page: str) -> float:
    began = time.perf_counter()
    reply = await client.get(page)
    await reply.read()
    assert 200 == reply.status, (page, reply.status)
    return (time.perf_counter() - began) * 1000
