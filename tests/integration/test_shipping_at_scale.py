"""What a thousand shippers must not ask of PostgreSQL, and what stays refused although it is asked more cheaply."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from meter import heads_store, store
from meter import shipper as spine
from meter.__main__ import _while_connected
from meter.daily import make_due_heads
from meter.event import Event
from meter.journal import Journal
from meter.metrics import ShipperMetrics
from meter.postgres import PooledAsSomebodyElse, connect, connect_pooled
from meter.settings import MeterSettings
from meter.shipper import Shipper, places
from meter.signing import ensure_key
from tests.events import NOON_US, PLAIN, stored
from tests.integration.shipping_kit import shipping
from tests.postgres import TestServer

NOVEMBER = date(2026, 11, 1)


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    return MeterSettings(data=tmp_path, database_url=database)


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    session = await connect(database, role="weir_meter")
    yield session
    await session.close()


@pytest_asyncio.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    session = await connect(database)
    yield session
    await session.close()


def write(settings: MeterSettings, *events: Event, stream: str = "worker-0") -> None:
    journal = Journal(
        settings.journal_directory / stream, segment_bytes_max=2**16, segment_age_max_s=3600, now_us=NOON_US
    )
    for event in events:
        journal.append(event)
    journal.close()


async def known_and_asked(shipper: Shipper, connection: asyncpg.Connection) -> None:
    """What the shipper says without asking is what PostgreSQL says."""
    asked = await places(connection, shipper._settings.journal_directory)
    assert asked == shipper.shipped


async def test_a_shipper_knows_how_far_its_streams_are_without_asking(
    settings: MeterSettings, connection: asyncpg.Connection
) -> None:
    shipper = Shipper(settings)
    write(settings, *[PLAIN] * 3)
    write(settings, *[stored(1, NOON_US)] * 2, stream="engine")
    await shipper.ship(connection)
    assert [2, 3] == [shipper.shipped[settings.journal_directory / name] for name in ("engine", "worker-0")]
    await known_and_asked(shipper, connection)
    # Another shipper of the same journal was here: the first learns of it as soon as it has something to ship.
    write(settings, PLAIN)
    await Shipper(settings).ship(connection)
    write(settings, PLAIN)
    await shipper.ship(connection)
    assert 5 == shipper.shipped[settings.journal_directory / "worker-0"]
    await known_and_asked(shipper, connection)


async def test_a_round_without_news_asks_postgres_nothing(
    settings: MeterSettings, connection: asyncpg.Connection
) -> None:
    shipper, asked = Shipper(settings), list[str]()
    write(settings, PLAIN)
    await shipper.ship(connection)
    connection.add_query_logger(lambda query: asked.append(query.query))
    for _ in range(3):
        await shipper.ship(connection)
        await places(connection, settings.journal_directory, known=shipper.shipped)
    assert [] == asked


async def test_the_strain_of_a_round_is_that_of_its_slowest_transaction(
    settings: MeterSettings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two streams: one record that PostgreSQL took easily, and two that it was slow to take."""
    write(settings, PLAIN)
    write(settings, PLAIN, PLAIN, stream="worker-1")
    monkeypatch.setattr(spine, "strain", lambda took_s, records: {1: 0.5, 2: 4.0}[records])
    shipper = Shipper(settings)
    assert 4.0 == (await shipper.ship(connection)).strain
    assert 0.0 == (await shipper.ship(connection)).strain
    write(settings, PLAIN)
    assert 0.5 == (await shipper.ship(connection)).strain


async def test_the_month_of_the_founding_is_found_without_a_look_at_every_member(
    owner: asyncpg.Connection,
) -> None:
    await owner.execute(
        "INSERT INTO meter.member (name, class, joined_at)"
        " SELECT 'm' || n, 'user', timestamptz '2026-01-05' + n * interval '1 minute' FROM generate_series(1, 20000) n"
    )
    await owner.execute("ANALYZE meter.member")
    plan = await owner.fetchval("EXPLAIN (FORMAT JSON) SELECT min(joined_at) FROM meter.member")
    assert "member_by_joining" in plan
    assert date(2026, 1, 1) == await owner.fetchval("SELECT meter.founded()")
    before = await _read_of_members(owner)
    await owner.fetchval("SELECT meter.founded()")
    assert await _read_of_members(owner) - before < 10


async def _read_of_members(owner: asyncpg.Connection) -> int:
    plan = json.loads(
        await owner.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT min(joined_at) FROM meter.member"
        )
    )
    return int(plan[0]["Plan"]["Shared Hit Blocks"])


async def test_a_closed_month_takes_nothing_from_its_owner_either(owner: asyncpg.Connection) -> None:
    """Asked once a statement, of the partition, and not only by the days that a statement carries along."""
    await owner.execute("SELECT meter.ensure_month($1)", NOVEMBER)
    insert = {
        "reading": "VALUES ($1, 1, '2026-11-05 10:00Z', 1, 1, 2, 0, 1, 0, 0, 5, 5, 5, 5, false)",
        "storage": "VALUES ($1, 1, '2026-11-05 10:00Z', 1, 0, 5, 5)",
    }
    for parent, values in insert.items():
        await owner.execute(f"INSERT INTO meter.{parent}_2026_11 {values}", NOVEMBER)
    await owner.execute("INSERT INTO meter.closed_month VALUES ($1, now(), '{}')", NOVEMBER)
    for parent, values in insert.items():
        for carrier in ("carry_inserted", "carry_updated"):
            await owner.execute(f"ALTER TABLE meter.{parent}_2026_11 DISABLE TRIGGER {carrier}")
        for statement in (
            f"INSERT INTO meter.{parent}_2026_11 {values.replace('10:00Z', '11:00Z')}",
            f"UPDATE meter.{parent}_2026_11 SET bucket = bucket WHERE period = $1",
        ):
            with pytest.raises(asyncpg.RaiseError, match="the month 2026-11 is closed"):
                await owner.execute(statement, NOVEMBER)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("reading_2026_11 SET bytes_out = bytes_out - 1", "readings are only added to"),
        ("reading_2026_11 SET moved_in = moved_in - 1", "readings are only added to"),
        ("reading_2026_11 SET requests = requests - 1", "readings are only added to"),
        ("reading_2026_11 SET hour = hour + interval '1 hour'", "a reading keeps its key"),
        ("reading_2026_11 SET payer = 2", "a reading keeps its key"),
        ("storage_2026_11 SET member = 2", "what is stored keeps its key"),
        ("sample_2026_11 SET bytes_out = bytes_out - 1", "samples are only added to"),
        ("sample_2026_11 SET payer = 2", "a sample keeps its key"),
    ],
)
async def test_the_owner_only_adds_to_an_open_month(
    settings: MeterSettings,
    connection: asyncpg.Connection,
    owner: asyncpg.Connection,
    change: str,
    refusal: str,
) -> None:
    await store.open_months(connection)
    write(settings, PLAIN._replace(bytes_out=5, moved_out=5), stored(5, NOON_US))
    await Shipper(settings).ship(connection)
    with pytest.raises(asyncpg.RaiseError, match=refusal):
        await owner.execute(f"UPDATE meter.{change}")


async def test_an_upsert_carries_what_it_inserts_and_what_it_updates(
    settings: MeterSettings, connection: asyncpg.Connection
) -> None:
    """Three batches: all rows new, all rows known, one of each; the day's sums and what is stored go with them."""
    other = PLAIN._replace(operation=4)
    shipper = Shipper(settings)
    for batch in (
        [PLAIN, stored(7, NOON_US)],
        [PLAIN, stored(7, NOON_US)],
        [PLAIN, other, stored(1, NOON_US, bucket=8)],
    ):
        write(settings, *batch)
        await shipper.ship(connection)
    days = await connection.fetch(
        "SELECT operation, requests, bytes_in FROM meter.reading_day ORDER BY operation"
    )
    assert [(3, 3, 3000), (4, 1, 1000)] == [tuple(row) for row in days]
    kept = await connection.fetch("SELECT bucket, delta::bigint FROM meter.stored ORDER BY bucket")
    assert [(7, 14), (8, 1)] == [tuple(row) for row in kept]


async def test_behind_a_pooler_a_shipper_keeps_nothing_in_its_session(
    settings: MeterSettings, database: str, owner: asyncpg.Connection
) -> None:
    """Named statements would stay in a session that the next transaction does not get."""
    name = database.partition("///")[2].partition("?")[0]
    await owner.execute(f"ALTER ROLE weir IN DATABASE {name} SET role = 'weir_meter'")
    pooled = await connect_pooled(database, role="weir_meter")
    write(settings, *[PLAIN] * 3)
    assert 3 == (await Shipper(settings).ship(pooled)).records
    assert 0 == await pooled.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
    await pooled.close()


async def test_behind_a_pooler_a_shipper_acts_as_the_meter_or_not_at_all(database: str) -> None:
    with pytest.raises(PooledAsSomebodyElse, match="act as weir and not as weir_meter"):
        await connect_pooled(database, role="weir_meter")


async def test_a_shipper_takes_the_way_that_is_set_for_it(
    settings: MeterSettings, database: str, owner: asyncpg.Connection
) -> None:
    """database_url leads nowhere here, ship_database_url to PostgreSQL."""
    name = database.partition("///")[2].partition("?")[0]
    await owner.execute(f"ALTER ROLE weir IN DATABASE {name} SET role = 'weir_meter'")
    write(settings, *[PLAIN] * 3)
    with shipping(
        settings.data, "postgresql:///nowhere?host=/nowhere", text={"ship_database_url": database}
    ) as told:
        deadline = time.monotonic() + 60
        while told.latest.get("weir_meter_shipped_events_total") != 3:
            assert time.monotonic() < deadline, told.latest
            await asyncio.sleep(0.02)


async def test_a_failover_that_lost_commits_is_made_good_from_the_journal(
    settings: MeterSettings, database: str, postgres_server: TestServer
) -> None:
    """The replica that takes over knows three records of five. Nothing new is written, and nobody starts the shipper."""
    stopping, shipper = asyncio.Event(), Shipper(settings)
    stopping.set()  # one round each

    async def ship_to(dsn: str) -> None:
        there = settings.model_copy(update={"database_url": dsn})
        await _while_connected(shipper, there, ShipperMetrics(), stopping, {})

    ensure_key(settings.data)
    write(settings, *[PLAIN] * 3)
    await ship_to(database)
    replica = postgres_server.copy(database)
    try:
        write(settings, *[PLAIN] * 2)
        await ship_to(database)
        await ship_to(replica)
        session = await connect(replica)
        counted = await session.fetchval("SELECT sum(requests)::bigint FROM meter.reading")
        await session.close()
        assert 5 == counted
    finally:
        postgres_server.drop(replica)


async def test_a_shipper_that_finds_no_head_due_waits_for_nobody_who_writes_one(
    settings: MeterSettings, connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    """Somebody holds the pen for the whole test. A closing without its head is due, and waits for it."""
    ensure_key(settings.data)
    assert 1 == len(await make_due_heads(connection, settings, now_us=NOON_US))
    async with owner.transaction():
        await heads_store.take_pen(owner)
        assert [] == await asyncio.wait_for(make_due_heads(connection, settings, now_us=NOON_US), 60)
    await owner.execute("INSERT INTO meter.closed_month VALUES ('2026-10-01', now(), '{}')")
    assert ["2026-10"] == [
        str(one.month) for one in await make_due_heads(connection, settings, now_us=NOON_US)
    ]
